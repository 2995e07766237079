//! The `ConfigMap`s of the ledger: their names, what is added to them, and what they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cluster::record::{REMEMBERED, cut};
use coordinator_core::fleet::{FleetName, ItemRun, Outcome, Run, SessionResult};
use coordinator_core::sanitize::one_line;
use coordinator_core::timestamp;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Full days for which a volume stays after its own.
const KEPT_DAYS: u32 = 2;

/// A day by UTC: `2027-01-15`. Their order is that of time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(String);

impl Day {
    /// A time that cannot be written, by a clock that is far off, counts as the first day of all.
    pub(super) fn of(time: SystemTime) -> Self {
        let time = timestamp::writable(time).unwrap_or(SystemTime::UNIX_EPOCH);
        Self(humantime::format_rfc3339_seconds(time).to_string().chars().take(10).collect())
    }

    fn is_valid(&self) -> bool {
        humantime::parse_rfc3339(&format!("{}T00:00:00Z", self.0)).is_ok()
    }
}

/// `<fleet>-ledger-<day>`, and from the second volume of a day on `<fleet>-ledger-<day>-<n>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct VolumeName {
    pub(super) day: Day,
    pub(super) number: u32,
}

impl VolumeName {
    pub(super) fn parse(fleet: &FleetName, name: &str) -> Option<Self> {
        let rest = name.strip_prefix(fleet.as_str())?.strip_prefix("-ledger-")?;
        let (day, number) = rest.split_at_checked(10)?;
        let number = match number {
            "" => 0,
            number => number.strip_prefix('-')?.parse().ok().filter(|number| *number > 0)?,
        };
        let name = Self { day: Day(day.to_owned()), number };
        name.day.is_valid().then_some(name)
    }

    pub(super) fn written(&self, fleet: &FleetName) -> String {
        let Self { day: Day(day), number } = self;
        match number {
            0 => format!("{fleet}-ledger-{day}"),
            number => format!("{fleet}-ledger-{day}-{number}"),
        }
    }
}

/// One `ConfigMap` of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) name: VolumeName,
    /// Its `resourceVersion`; `None` before it is created.
    pub(super) version: Option<String>,
    /// A list of runs by session name.
    pub(super) data: BTreeMap<String, String>,
}

impl Volume {
    fn new(day: Day, number: u32) -> Self {
        Self { name: VolumeName { day, number }, version: None, data: BTreeMap::new() }
    }

    /// A value that was garbled by hand counts as empty.
    fn entries(&self, session: &str) -> Vec<Value> {
        self.data.get(session).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// The list of runs of a session with these at its end.
    fn with(&self, session: &str, new: &[Value]) -> String {
        let mut entries = self.entries(session);
        entries.extend_from_slice(new);
        Value::Array(entries).to_string()
    }

    fn bytes_of(&self, session: &str) -> usize {
        self.data.get(session).map_or(0, |entries| session.len() + entries.len())
    }

    fn bytes(&self) -> usize {
        self.data.iter().map(|(session, entries)| session.len() + entries.len()).sum()
    }
}

/// The volumes to write so that these runs are in the ledger, in the order in which to write them.
///
/// Runs are added and never overwritten, so that overlapping cycles lose nothing of each other. A
/// run is known by its generation. What the last volume of the day has no room for goes to the next
/// one.
pub(super) fn add(
    volumes: &[Volume],
    runs: &BTreeMap<String, Vec<Run>>,
    now: SystemTime,
) -> Vec<Volume> {
    let today = Day::of(now);
    // Older volumes are removed before their runs are too old to count.
    let yesterday = Day::of(now - DAY);
    let recent: Vec<&Volume> =
        volumes.iter().filter(|volume| volume.name.day >= yesterday).collect();
    let last = volumes
        .iter()
        .filter(|volume| volume.name.day == today)
        .max_by_key(|volume| volume.name.number);
    let mut open = last.cloned().unwrap_or_else(|| Volume::new(today.clone(), 0));
    let (mut size, mut has_changed) = (open.bytes(), false);
    let mut changed = Vec::new();
    for (session, runs) in runs {
        let known: BTreeSet<u64> = recent
            .iter()
            .flat_map(|volume| volume.entries(session))
            .filter_map(|entry| entry["gen"].as_u64())
            .collect();
        let new = runs.iter().filter(|run| !known.contains(&run.generation));
        // Numbers and texts can always be written.
        let new: Vec<Value> =
            new.filter_map(|run| serde_json::to_value(KeptRun::of(run)).ok()).collect();
        if new.is_empty() {
            continue;
        }
        let mut grown = open.with(session, &new);
        if size - open.bytes_of(session) + session.len() + grown.len() > MAX_DATA_BYTES {
            let next = Volume::new(today.clone(), open.name.number + 1);
            let full = std::mem::replace(&mut open, next);
            changed.extend(has_changed.then_some(full));
            grown = open.with(session, &new);
            size = 0;
        }
        size = size - open.bytes_of(session) + session.len() + grown.len();
        open.data.insert(session.clone(), grown);
        has_changed = true;
    }
    changed.extend(has_changed.then_some(open));
    changed
}

/// The newest runs of a session's slot, oldest first.
pub(super) fn history(volumes: &[Volume], session: &str) -> Vec<Run> {
    let entries = volumes.iter().flat_map(|volume| volume.entries(session));
    let entries = entries.filter_map(|entry| serde_json::from_value::<KeptRun>(entry).ok());
    let runs: BTreeMap<u64, Run> =
        entries.filter_map(KeptRun::run).map(|run| (run.generation, run)).collect();
    let surplus = runs.len().saturating_sub(REMEMBERED);
    runs.into_values().skip(surplus).collect()
}

/// All runs that ended since then, with the names of their sessions. Fails where an entry was
/// garbled by hand: runs may be missing.
pub(super) fn ended(volumes: &[Volume], since: SystemTime) -> Result<Vec<(String, Run)>, String> {
    let mut found = Vec::new();
    for (session, text) in volumes.iter().flat_map(|volume| &volume.data) {
        let garbled = || format!("the ledger's entry of {session} cannot be read; remove it");
        let kept: Vec<KeptRun> = serde_json::from_str(text).map_err(|_| garbled())?;
        for run in kept {
            let run = run.run().ok_or_else(garbled)?;
            found.extend((run.finished_at >= since).then(|| (session.clone(), run)));
        }
    }
    Ok(found)
}

/// The volumes that nothing reads any more.
pub(super) fn expired(volumes: &[Volume], now: SystemTime) -> Vec<VolumeName> {
    let first_kept = Day::of(now - DAY * KEPT_DAYS);
    volumes
        .iter()
        .map(|volume| &volume.name)
        .filter(|name| name.day < first_kept)
        .cloned()
        .collect()
}

/// A `ConfigMap` holds 1 MiB; what is not data has room in the rest.
pub(in crate::cluster) const MAX_DATA_BYTES: usize = 900 * 1024;

/// In characters: most of what is written is numbers.
const MAX_REASON: usize = 80;

/// A run in a `ConfigMap`; the names are read by every later version, and fields are only added.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::cluster) struct KeptRun {
    #[serde(rename = "gen")]
    generation: u64,
    outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Seconds since 1970.
    started: u64,
    finished: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    disrupted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<SessionResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item: Option<ItemRun>,
}

impl KeptRun {
    pub(in crate::cluster) fn of(run: &Run) -> Self {
        let reason = run.detail.as_deref().map(|reason| one_line(reason, MAX_REASON));
        Self {
            generation: run.generation,
            outcome: run.outcome.word().to_owned(),
            exit: run.exit_code,
            reason,
            started: seconds(run.started_at),
            finished: seconds(run.finished_at),
            disrupted: run.disrupted,
            stopped_by: run.stopped_by.clone(),
            result: run.result.as_ref().map(|result| cut(result, MAX_REASON)),
            item: run.item.clone(),
        }
    }

    pub(in crate::cluster) fn run(self) -> Option<Run> {
        let time = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        Some(Run {
            generation: self.generation,
            outcome: Outcome::from_word(&self.outcome)?,
            exit_code: self.exit,
            detail: self.reason,
            started_at: time(self.started)?,
            finished_at: time(self.finished)?,
            disrupted: self.disrupted,
            stopped_by: self.stopped_by,
            result: self.result,
            item: self.item,
        })
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
