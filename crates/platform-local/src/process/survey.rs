//! Looks at slots without disturbing them: who is live, and what is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::directory::Directory;
use super::proc;
use super::record::{self, Record};
use crate::lock::{self, Probe};
use coordinator_core::fleet::{
    HISTORY, Listing, LiveSession, Slot, SlotRecord, SlotSessions, State, Unmanaged,
};

/// One slot as it was found.
#[derive(Debug)]
pub(crate) struct SlotSurvey {
    pub(crate) slot: Slot,
    /// A process holds the slot's lock.
    pub(crate) is_held: bool,
    /// Oldest first; the last one may be the holder's.
    pub(crate) records: Vec<Record>,
    boot_id: String,
}

/// Every slot that has a lock file or a record, or why it cannot be read.
pub(crate) fn survey(directory: &Directory, limit: usize) -> anyhow::Result<Vec<anyhow::Result<SlotSurvey>>> {
    directory.check()?;
    let locks = names(&directory.slots())?;
    let locks = locks.iter().filter_map(|name| name.to_str()?.strip_suffix(".lock"));
    let records = names(&directory.sessions())?;
    let records = records.iter().filter_map(|name| name.to_str());
    let slots: BTreeSet<Slot> = locks.chain(records).filter_map(Slot::named).collect();
    let boot_id = proc::boot_id();
    Ok(slots.into_iter().map(|slot| survey_slot(directory, slot, limit, &boot_id)).collect())
}

/// One slot, which need not exist.
pub(crate) fn one(directory: &Directory, slot: &Slot) -> anyhow::Result<SlotSurvey> {
    directory.check()?;
    survey_slot(directory, slot.clone(), HISTORY, &proc::boot_id())
}

fn survey_slot(directory: &Directory, slot: Slot, limit: usize, boot_id: &str) -> anyhow::Result<SlotSurvey> {
    let (lock, folder) = (directory.lock(&slot), directory.records(&slot));
    let mut is_held = matches!(lock::probe(&lock)?, Probe::Held);
    let mut records = record::read_records(&folder, limit)?;
    if !is_held && records.last().is_some_and(|record| record.exit.is_none()) {
        // Lost, or started and perhaps ended since the probe: only a look under the lock can tell.
        let probe = lock::probe(&lock)?;
        records = record::read_records(&folder, limit)?;
        is_held = matches!(probe, Probe::Held);
    }
    Ok(SlotSurvey { slot, is_held, records, boot_id: boot_id.to_owned() })
}

impl SlotSurvey {
    /// The record of the session that holds the slot, when its processes can be told to be the recorded ones.
    pub(crate) fn holder(&self) -> Option<&Record> {
        let newest = self.records.last().filter(|record| self.is_held && record.exit.is_none())?;
        let start = &newest.start;
        let is_known = start.shim.is_alive() || start.agent.is_some_and(proc::ProcessId::is_alive);
        (start.boot_id == self.boot_id && is_known).then_some(newest)
    }

    /// A process of the holding session whose shim is gone: it keeps the slot, and nothing ends it at its time limit.
    fn unattended(&self) -> Option<i32> {
        let newest = self.records.last().filter(|record| self.is_held && record.exit.is_none())?;
        let start = &newest.start;
        let has_no_shim = start.boot_id == self.boot_id && !start.shim.is_alive();
        has_no_shim.then(|| proc::find_session(&start.session)).flatten()
    }

    /// The session that holds the slot. What cannot be told to be its record's is left open.
    pub(crate) fn live(&self) -> Option<LiveSession> {
        let newest = self.records.last().filter(|record| record.exit.is_none());
        let has_agent = newest.is_some_and(|record| record.start.agent.is_some());
        let holder = self.holder();
        self.is_held.then(|| LiveSession {
            generation: holder.map(|record| record.generation),
            state: if has_agent { State::Running } else { State::Starting },
            started_at: holder.map(|record| record.start.started_at),
            item: holder.and_then(|record| record.start.item.clone()),
        })
    }

    /// The sessions that ended, lost ones included, oldest first.
    pub(crate) fn finished(&self) -> impl Iterator<Item = &Record> {
        let open = usize::from(self.is_held && self.records.last().is_some_and(|last| last.exit.is_none()));
        self.records[..self.records.len() - open].iter()
    }

    /// The slot in the terms of every platform.
    pub(crate) fn record(&self) -> SlotRecord {
        let mut history: Vec<_> = self.finished().map(|record| record.run(&self.boot_id)).collect();
        history.drain(..history.len().saturating_sub(HISTORY));
        SlotRecord {
            generation: self.records.last().map_or(0, |last| last.generation),
            live: self.live(),
            history,
        }
    }

    /// The slot with all its records; `None` when it never held a session.
    pub(crate) fn sessions(self) -> Option<SlotSessions> {
        let log = |record: &Record| record.directory.join("out.log");
        let kept = self.finished().map(|record| (record.generation, log(record)));
        let mut logs: BTreeMap<u64, PathBuf> = kept.filter(|(_, log)| log.exists()).collect();
        let holder = self.holder();
        logs.extend(holder.map(|record| (record.generation, log(record))));
        let is_known = self.is_held || !self.records.is_empty();
        is_known.then(|| SlotSessions {
            live: self.live(),
            stuck: None,
            history: self.finished().map(|record| record.run(&self.boot_id)).collect(),
            logs,
            pid: holder.and_then(|record| record.start.agent).map(|agent| agent.pid),
            slot: self.slot.clone(),
        })
    }
}

/// The listing of the whole fleet for the owner of this roster file. One slot that cannot be read fails it: a partial
/// list would let the fleet grow beyond its size.
pub(crate) fn listing(directory: &Directory, roster: &Path, fleet: &str) -> anyhow::Result<Listing> {
    let mut listing = Listing::default();
    // One more than the history: the newest may be the live one.
    for found in survey(directory, HISTORY + 1)? {
        let found = found?;
        let session = || format!("{fleet}-{}", found.slot.name());
        let reason = strange_owner(&found, roster).or_else(|| no_owner(&found));
        listing.unmanaged.extend(reason.map(|reason| Unmanaged { session: session(), reason }));
        let record = found.record();
        if record != SlotRecord::default() {
            listing.slots.insert(found.slot, record);
        }
    }
    Ok(listing)
}

fn strange_owner(found: &SlotSurvey, roster: &Path) -> Option<String> {
    let owner = &found.holder()?.start.roster;
    (owner != roster)
        .then(|| format!("started by {}; give each roster a `fleet` of its own", owner.display()))
}

fn no_owner(found: &SlotSurvey) -> Option<String> {
    let pid = found.unattended()?;
    Some(format!("its shim was killed, so no time limit ends it; process {pid} still runs: `kill {pid}`"))
}

pub(super) fn names(directory: &Path) -> anyhow::Result<Vec<OsString>> {
    let context = || format!("read {}", directory.display());
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(context)?,
    };
    entries.map(|entry| Ok(entry.with_context(context)?.file_name())).collect()
}
