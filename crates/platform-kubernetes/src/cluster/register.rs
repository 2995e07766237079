//! The register of a work item: a `ConfigMap` with the name of the item's slot. It says which
//! generation was let start last, and what the sessions before it came to.
//!
//! A start replaces exactly the version that its cycle read, before anything else. So of all cycles
//! that planned after the same session one starts the next, whatever becomes of its requests; the
//! others are superseded.
//!
//! A creation may arrive long after its cycle has given it up, when later sessions have run and the
//! name is free. Its pod refers to a key of the register ([`start_key`]). All keys go with the
//! first write that remembers another run, since their starts were planned without it. The kubelet
//! starts no container whose keys are missing.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::refusal;
use super::api::{Api, Ask};
use super::ledger::Mode;
use super::ledger::{KeptRun, MAX_DATA_BYTES};
use super::list::pages;
use super::record::{Job, Pods};
use crate::generated::{FLEET, start_key};
use coordinator_core::fleet::{FleetName, HISTORY, ItemRun, Outcome, Run, Slot, SlotRecord};
use coordinator_core::timestamp;

mod chores;

/// Which fleet's register a `ConfigMap` is; the ledger's `ConfigMaps` do not have it.
const LABEL: &str = "coordinator.dev/register";

/// More than any bound on attempts, and few enough to be read by people.
const MAX_RUNS: usize = 100;

/// Starts that were let go and never seen; of more, the oldest can start no more.
const MAX_START_KEYS: usize = 100;

/// Registers by slot, and those that cannot be read: why.
pub(super) type Registers = BTreeMap<Slot, Result<Register, String>>;

/// The history of one work item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Register {
    /// `None` before it is created.
    version: Option<Version>,
    /// The newest generation that was let start; 0 before the first.
    pub(super) generation: u64,
    /// The item's id as of that generation.
    item: Option<ItemRun>,
    /// When that generation was let start.
    started: Option<SystemTime>,
    /// Since when its source does not have the item any more.
    left: Option<SystemTime>,
    runs: BTreeMap<u64, Run>,
    /// Generations that may start: no run was remembered since they were let start.
    permits: BTreeSet<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    uid: String,
    resource: String,
}

/// The result of a write.
#[derive(Debug)]
pub(super) enum Stored {
    Yes,
    /// It was written or removed since it was read.
    Superseded,
    Refused(String),
    /// It may have been written.
    Unknown(String),
}

/// The part of a `ConfigMap` that is read.
#[derive(Deserialize)]
struct ConfigMap {
    metadata: Metadata,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    resource_version: String,
}

impl Register {
    /// The register once the next session was let start at `now`, after these sessions.
    pub(super) fn next(
        &self,
        generation: u64,
        item: ItemRun,
        runs: &[Run],
        now: SystemTime,
    ) -> Self {
        let mut next =
            Self { generation, item: Some(item), started: Some(now), left: None, ..self.clone() };
        next.remember(runs);
        next.permits.insert(generation);
        while next.permits.len() > MAX_START_KEYS {
            next.permits.pop_first();
        }
        next
    }

    /// Adds runs that are not in it yet. A start permitted before this is void.
    fn remember(&mut self, runs: &[Run]) {
        for run in runs {
            if let Entry::Vacant(place) = self.runs.entry(run.generation) {
                place.insert(run.clone());
                self.permits.clear();
            }
        }
    }

    /// Counts the newest start as a lost run where its Job may have come and gone unseen: it is not
    /// there, and the start is this old at `now`. A younger start without a Job died before its
    /// Job; it was no attempt.
    ///
    /// `newest_job` is the generation of the Job that is there.
    pub(super) fn give_up(&mut self, newest_job: Option<u64>, age: Duration, now: SystemTime) {
        let is_there = newest_job.is_some_and(|newest| newest >= self.generation);
        let Some(started_at) = self.started else { return };
        if is_there || now.duration_since(started_at).is_ok_and(|old| old < age) {
            return;
        }
        let lost = Run {
            generation: self.generation,
            outcome: Outcome::Lost,
            exit_code: None,
            detail: Some("its Job was deleted before a cycle read its result".to_owned()),
            started_at,
            finished_at: started_at,
            disrupted: false,
            stopped_by: None,
            result: None,
            item: self.item.clone(),
        };
        self.remember(&[lost]);
    }

    /// The slot's runs by register and Job, oldest first.
    pub(super) fn history(&self, of_job: Vec<Run>) -> Vec<Run> {
        let mut runs = self.runs.clone();
        for run in of_job {
            // That a person let the slot go on is written at the Job.
            let kept = runs.entry(run.generation);
            kept.and_modify(|kept| kept.stopped_by.clone_from(&run.stopped_by)).or_insert(run);
        }
        let surplus = runs.len().saturating_sub(HISTORY);
        runs.into_values().skip(surplus).collect()
    }

    /// The register once a person let the slot go on; `None` where its last session was not
    /// stopped.
    pub(super) fn released(mut self) -> Option<Self> {
        let mut last = self.runs.last_entry()?;
        last.get_mut().stopped_by.take()?;
        Some(self)
    }

    /// The runs that it remembers.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    /// The slot, whose newest Job this is.
    pub(super) fn slot_record(&self, job: Option<&Job>, pods: &Pods) -> SlotRecord {
        let of_job = job.map_or_else(SlotRecord::default, |job| job.slot_record(pods));
        SlotRecord {
            generation: self.generation.max(of_job.generation),
            history: self.history(of_job.history),
            live: of_job.live,
        }
    }

    fn read(map: ConfigMap) -> Result<Self, String> {
        let ConfigMap { metadata: Metadata { name, uid, resource_version }, data } = map;
        let text = |key: &str| data.get(key).map(String::as_str).unwrap_or_default();
        let garbled = |key: &str| {
            format!(
                "`{key}` of the register {name} cannot be read; \
                 delete the ConfigMap to forget the item"
            )
        };
        let time = |key: &'static str| match text(key) {
            "" => Ok(None),
            text => humantime::parse_rfc3339(text).map(Some).map_err(|_| garbled(key)),
        };
        let entries: Vec<KeptRun> =
            serde_json::from_str(text("runs")).map_err(|_| garbled("runs"))?;
        let runs =
            entries.into_iter().filter_map(KeptRun::run).map(|run| (run.generation, run)).collect();
        Ok(Self {
            version: Some(Version { uid, resource: resource_version }),
            generation: text("generation").parse().map_err(|_| garbled("generation"))?,
            item: serde_json::from_str(text("item")).map_err(|_| garbled("item"))?,
            started: time("started")?,
            left: time("left")?,
            runs,
            permits: data.keys().filter_map(|key| key.strip_prefix('g')?.parse().ok()).collect(),
        })
    }

    /// All keys, whatever they hold: the admission policy lets none of them go but those of starts.
    fn data(&self) -> Value {
        let time = |time: Option<SystemTime>| {
            // A clock that is far off has times that cannot be written.
            time.and_then(timestamp::writable)
                .map(|time| humantime::format_rfc3339_seconds(time).to_string())
                .unwrap_or_default()
        };
        let mut data = json!({
            "generation": self.generation.to_string(),
            "item": json!(self.item).to_string(),
            "started": time(self.started),
            "left": time(self.left),
            "runs": written(self.runs.values()),
        });
        for generation in &self.permits {
            data[start_key(*generation)] = json!("");
        }
        data
    }

    fn config_map(&self, fleet: &FleetName, session: &str) -> Value {
        let mut map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": session, "labels": {
                "app.kubernetes.io/managed-by": "coordinator",
                FLEET: fleet.as_str(),
                LABEL: fleet.as_str(),
            } },
            "data": self.data(),
        });
        if let Some(version) = &self.version {
            map["metadata"]["resourceVersion"] = json!(version.resource);
        }
        map
    }

    /// Creates it, or replaces exactly the version that was read.
    pub(super) async fn store(
        &self,
        api: &Api,
        fleet: &FleetName,
        session: &str,
        mode: Mode,
    ) -> Stored {
        let body = self.config_map(fleet, session);
        let (method, path) = match self.version {
            Some(_) => (Method::PUT, format!("{}/{session}", api.config_maps())),
            None => (Method::POST, api.config_maps()),
        };
        let query = [("dryRun", "All")];
        let query = if mode == Mode::DryRun { &query[..] } else { &[] };
        let failed = |why: String| format!("the register {session} cannot be written: {why}");
        let answer = match api
            .ask(&Ask { method, path, query, body: Some(&body), ..Ask::default() })
            .await
        {
            Ok(answer) => answer,
            Err(lost) => return Stored::Unknown(failed(lost.0)),
        };
        match answer.status {
            status if status.is_success() && answer.is_object() => Stored::Yes,
            StatusCode::CONFLICT => Stored::Superseded,
            StatusCode::NOT_FOUND if self.version.is_some() => Stored::Superseded,
            status if status.is_success() || status.is_server_error() && !answer.is_busy() => {
                Stored::Unknown(failed(refusal(&answer)))
            }
            _ => Stored::Refused(failed(refusal(&answer))),
        }
    }

    /// Removes exactly the version that was read.
    pub(super) async fn remove(&self, api: &Api, session: &str) -> Stored {
        let Some(Version { uid, resource }) = &self.version else { return Stored::Superseded };
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": { "uid": uid, "resourceVersion": resource },
        });
        let path = format!("{}/{session}", api.config_maps());
        let ask = Ask { method: Method::DELETE, path, body: Some(&options), ..Ask::default() };
        match api.ask(&ask).await {
            Ok(answer) if answer.status.is_success() => Stored::Yes,
            Ok(answer) if matches!(answer.status, StatusCode::CONFLICT | StatusCode::NOT_FOUND) => {
                Stored::Superseded
            }
            Ok(answer) => Stored::Refused(refusal(&answer)),
            Err(lost) => Stored::Unknown(lost.0),
        }
    }
}

/// The newest runs that have room.
fn written<'a>(runs: impl DoubleEndedIterator<Item = &'a Run>) -> String {
    let (mut kept, mut bytes) = (Vec::new(), 0);
    for run in runs.rev().take(MAX_RUNS) {
        // Numbers and texts can always be written.
        let entry = serde_json::to_value(KeptRun::of(run)).unwrap_or_default();
        bytes += entry.to_string().len() + 1;
        if bytes > MAX_DATA_BYTES / 2 {
            break;
        }
        kept.push(entry);
    }
    kept.reverse();
    Value::Array(kept).to_string()
}

/// All registers of the fleet.
pub(super) async fn list(api: &Api, fleet: &FleetName) -> anyhow::Result<Registers> {
    let selector = format!("{LABEL}={fleet}");
    let found: Vec<ConfigMap> =
        pages(api, &api.config_maps(), &[("labelSelector", &selector)]).await?;
    let named = found.into_iter().filter_map(|map| {
        let slot = Slot::parse(fleet, &map.metadata.name)?;
        let is_ours = slot.index().is_none() && slot.session_name(fleet) == map.metadata.name;
        is_ours.then(|| (slot, Register::read(map)))
    });
    Ok(named.collect())
}

/// The register of one item; one that was never written is empty.
pub(super) async fn one(api: &Api, session: &str) -> Result<Register, String> {
    let selector = format!("metadata.name={session}");
    let found = pages::<ConfigMap>(api, &api.config_maps(), &[("fieldSelector", &selector)]).await;
    let found =
        found.map_err(|error| format!("the register of the item cannot be read: {error:#}"))?;
    found.into_iter().next().map_or_else(|| Ok(Register::default()), Register::read)
}

#[cfg(test)]
mod tests;
