//! The ledger: the history of a slot while the slot has no Job.
//!
//! A Job carries the history of its slot. Between the deletion of an ended Job and the creation of
//! its successor there is none, and a cycle that dies there would leave a slot without generation
//! and backoff. So a cycle writes the runs of all that it is about to replace into a `ConfigMap`
//! before its first deletion, and reads them where a slot has no Job.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::answer::refusal;
use super::api::{Api, Ask};
use super::list::{Refused, pages};
use crate::generated::FLEET;
use coordinator_core::fleet::{FleetName, Run};
use volume::{Day, Volume, VolumeName};

mod volume;

pub(super) use volume::{KeptRun, MAX_DATA_BYTES};

/// Which fleet's ledger a `ConfigMap` belongs to.
const LABEL: &str = "coordinator.dev/ledger";

/// Each conflict is a write of another cycle.
const MAX_CONFLICTS: usize = 20;

/// The ledger of one fleet, for one run.
pub(super) struct Ledger {
    fleet: FleetName,
    /// Runs of Jobs that may be replaced, not written yet, by session name.
    due: RefCell<BTreeMap<String, Vec<Run>>>,
    /// Whose runs are in the ledger.
    recorded: RefCell<BTreeSet<String>>,
    /// Why the write failed. This run replaces nothing any more.
    failure: RefCell<Option<String>>,
    /// `None` until it is read. Reads and writes are one at a time; a start that waits then finds
    /// its runs written, too.
    read: Mutex<Option<Read>>,
    /// No listed Job replaced another one today: the day's volume is created without a look for it.
    is_first: Cell<bool>,
    has_pruned: Cell<bool>,
}

/// The result of a read of the ledger.
struct Read {
    /// When the look began; `None` for what is assumed.
    at: Option<Instant>,
    volumes: Result<Vec<Volume>, Unread>,
}

/// Why the ledger is not known.
#[derive(Debug, Clone)]
enum Unread {
    /// The coordinator may not read it.
    Forbidden(String),
    Failed(String),
}

impl Unread {
    fn why(&self) -> String {
        let (Self::Forbidden(why) | Self::Failed(why)) = self;
        format!("the ledger cannot be read: {why}")
    }
}

/// The runs are not in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unrecorded {
    /// This write failed: why, and what to do.
    Failed(String),
    /// An earlier write of this run did.
    FailedBefore(String),
}

/// Whether the server only checks a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Write,
    DryRun,
}

/// The caller's side of a write.
#[derive(Clone, Copy)]
pub(super) struct WriteContext<'a> {
    pub(super) api: &'a Api,
    /// By the server's clock.
    pub(super) now: SystemTime,
    pub(super) mode: Mode,
}

/// The result of one write.
enum Written {
    Yes(Volume),
    /// Another cycle wrote it since it was read.
    Conflict(String),
    /// It may have been written.
    Unknown(String),
    Refused(String),
}

impl Ledger {
    pub(super) fn new(fleet: FleetName) -> Self {
        Self {
            fleet,
            due: RefCell::default(),
            recorded: RefCell::default(),
            failure: RefCell::default(),
            read: Mutex::new(None),
            is_first: Cell::new(false),
            has_pruned: Cell::new(false),
        }
    }

    /// The first [`Self::record`] writes these runs, too.
    pub(super) fn expect(&self, session: String, runs: Vec<Run>) {
        self.due.borrow_mut().insert(session, runs);
    }

    /// `created` is when each Job that replaced another one was created. A wrong guess costs one
    /// write that conflicts.
    pub(super) fn assume_first(&self, created: impl Iterator<Item = SystemTime>, now: SystemTime) {
        let today = Day::of(now);
        let mut days = created.map(Day::of);
        self.is_first.set(!days.any(|day| day == today));
    }

    /// Makes sure that these runs of an ended Job are in the ledger. Everything that is due is
    /// written at once.
    pub(super) async fn record(
        &self,
        pass: WriteContext<'_>,
        session: &str,
        runs: &[Run],
    ) -> Result<(), Unrecorded> {
        if self.recorded.borrow().contains(session) {
            return Ok(());
        }
        self.due.borrow_mut().insert(session.to_owned(), runs.to_vec());
        let mut read = self.read.lock().await;
        if self.recorded.borrow().contains(session) {
            return Ok(());
        }
        if let Some(why) = self.failure.borrow().clone() {
            return Err(Unrecorded::FailedBefore(why));
        }
        let due = std::mem::take(&mut *self.due.borrow_mut());
        if let Err(why) = self.write(pass, &mut read, &due).await {
            self.failure.replace(Some(why.clone()));
            return Err(Unrecorded::Failed(why));
        }
        self.recorded.borrow_mut().extend(due.into_keys());
        if let (Some(Read { volumes: Ok(volumes), .. }), Mode::Write, false) =
            (&*read, pass.mode, self.has_pruned.replace(true))
        {
            self.prune(pass, volumes).await;
        }
        Ok(())
    }

    /// The runs of a slot that had no Job at that time, oldest first. Else why they are not known.
    pub(super) async fn history(
        &self,
        api: &Api,
        session: &str,
        since: Instant,
    ) -> Result<Vec<Run>, String> {
        let mut read = self.read.lock().await;
        // What was read before the Job went need not have its runs.
        let is_old = read.as_ref().is_none_or(|read| read.at < Some(since));
        let current = if is_old {
            read.insert(self.look(api).await)
        } else {
            read.get_or_insert_with(Read::empty)
        };
        match &current.volumes {
            Ok(volumes) => Ok(volume::history(volumes, session)),
            // A coordinator that may not read the ledger has none: its slots' history is in their
            // Jobs alone.
            Err(Unread::Forbidden(_)) => Ok(Vec::new()),
            Err(unread) => Err(unread.why()),
        }
    }

    /// All runs in the ledger that ended since then, with the names of their sessions.
    pub(super) async fn ended(
        &self,
        api: &Api,
        since: SystemTime,
    ) -> Result<Vec<(String, Run)>, String> {
        match self.look(api).await.volumes {
            Ok(volumes) => volume::ended(&volumes, since),
            Err(unread) => Err(unread.why()),
        }
    }

    async fn write(
        &self,
        pass: WriteContext<'_>,
        read: &mut Option<Read>,
        due: &BTreeMap<String, Vec<Run>>,
    ) -> Result<(), String> {
        if read.is_none() && self.is_first.get() {
            *read = Some(Read::empty());
        } else if read.as_ref().is_none_or(|read| read.volumes.is_err()) {
            *read = Some(self.look(pass.api).await);
        }
        let (mut obstacle, mut is_unknown) = (String::new(), false);
        for _ in 0..MAX_CONFLICTS {
            let current = read
                .get_or_insert_with(Read::empty)
                .volumes
                .as_mut()
                .map_err(|unread| unread.why())?;
            let changed = volume::add(current, due, pass.now);
            if changed.is_empty() {
                return Ok(());
            }
            if is_unknown {
                return Err(obstacle);
            }
            for volume in changed {
                match self.put(pass, volume).await {
                    Written::Yes(volume) => take_over(current, volume),
                    Written::Refused(why) => return Err(why),
                    Written::Conflict(why) => obstacle = why,
                    Written::Unknown(why) => (obstacle, is_unknown) = (why, true),
                }
                if !obstacle.is_empty() {
                    break;
                }
            }
            if obstacle.is_empty() {
                return Ok(());
            }
            *read = Some(self.look(pass.api).await);
            if !is_unknown {
                obstacle.clear();
            }
        }
        Err(format!("the ledger cannot be written: {MAX_CONFLICTS} other writes came in between"))
    }

    async fn look(&self, api: &Api) -> Read {
        let at = Some(Instant::now());
        let selector = format!("{LABEL}={}", self.fleet);
        let found =
            pages::<ConfigMap>(api, &api.config_maps(), &[("labelSelector", &selector)]).await;
        let volumes = match found {
            Ok(found) => {
                Ok(found.into_iter().filter_map(|found| found.volume(&self.fleet)).collect())
            }
            Err(error) if is_forbidden(&error) => {
                tracing::warn!("history that no Job carries is unknown: {error:#}");
                Err(Unread::Forbidden(format!("{error:#}")))
            }
            Err(error) => Err(Unread::Failed(format!("{error:#}"))),
        };
        Read { at, volumes }
    }

    /// Creates the volume, or replaces exactly the version that was read.
    async fn put(
        &self,
        WriteContext { api, mode, .. }: WriteContext<'_>,
        volume: Volume,
    ) -> Written {
        let name = volume.name.written(&self.fleet);
        let body = self.config_map(&name, &volume);
        let (method, path) = match volume.version {
            Some(_) => (Method::PUT, format!("{}/{name}", api.config_maps())),
            None => (Method::POST, api.config_maps()),
        };
        let query = [("dryRun", "All")];
        let query = if mode == Mode::DryRun { &query[..] } else { &[] };
        let failed = |why: String| format!("the ledger {name} cannot be written: {why}");
        let answer = match api
            .ask(&Ask { method, path, query, body: Some(&body), ..Ask::default() })
            .await
        {
            Ok(answer) => answer,
            Err(lost) => return Written::Unknown(failed(lost.0)),
        };
        match answer.status {
            status if status.is_success() => match answer.parse::<ConfigMap>() {
                Ok(stored) => {
                    Written::Yes(Volume { version: stored.metadata.resource_version, ..volume })
                }
                Err(lost) => Written::Refused(failed(lost.0)),
            },
            StatusCode::CONFLICT => Written::Conflict(failed(refusal(&answer))),
            // It was removed meanwhile.
            StatusCode::NOT_FOUND if volume.version.is_some() => {
                Written::Conflict(failed(refusal(&answer)))
            }
            status if status.is_server_error() && !answer.is_busy() => {
                Written::Unknown(failed(refusal(&answer)))
            }
            _ => Written::Refused(failed(refusal(&answer))),
        }
    }

    fn config_map(&self, name: &str, volume: &Volume) -> Value {
        let mut map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": name, "labels": {
                "app.kubernetes.io/managed-by": "coordinator",
                FLEET: self.fleet.as_str(),
                LABEL: self.fleet.as_str(),
            } },
            "data": volume.data,
        });
        if let Some(version) = &volume.version {
            map["metadata"]["resourceVersion"] = json!(version);
        }
        map
    }

    /// Removes `ConfigMap`s that are no longer read. A later cycle removes what stays.
    async fn prune(&self, WriteContext { api, now, .. }: WriteContext<'_>, volumes: &[Volume]) {
        for expired in volume::expired(volumes, now) {
            let name = expired.written(&self.fleet);
            let path = format!("{}/{name}", api.config_maps());
            let why = match api.ask(&Ask { method: Method::DELETE, path, ..Ask::default() }).await {
                Ok(answer)
                    if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND =>
                {
                    continue;
                }
                Ok(answer) => refusal(&answer),
                Err(lost) => lost.0,
            };
            tracing::warn!("the old ledger {name} was not removed: {why}");
        }
    }
}

impl Read {
    fn empty() -> Self {
        Self { at: None, volumes: Ok(Vec::new()) }
    }
}

fn take_over(volumes: &mut Vec<Volume>, written: Volume) {
    volumes.retain(|volume| volume.name != written.name);
    volumes.push(written);
}

fn is_forbidden(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == StatusCode::FORBIDDEN)
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
    name: Option<String>,
    resource_version: Option<String>,
}

impl ConfigMap {
    fn volume(self, fleet: &FleetName) -> Option<Volume> {
        let name = VolumeName::parse(fleet, self.metadata.name.as_deref()?)?;
        Some(Volume { name, version: self.metadata.resource_version, data: self.data })
    }
}
