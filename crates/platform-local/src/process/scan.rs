//! Reads slots without disturbing their sessions: what is live, and what is remembered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::directory::Directory;
use super::logs::find_log;
use super::proc::{self, ProcessId};
use super::record::{self, ExitRecord, KILLED, Record};
use crate::lock::{self, Probe};
use coordinator_core::fleet::{
    HISTORY, Hold, HoldReason, LiveSession, Outcome, Run, Slot, SlotRecord, SlotSessions, State,
};
use coordinator_core::platform::Damaged;

/// One slot, as its files show it.
#[derive(Debug)]
pub(crate) struct SlotScan {
    pub(crate) slot: Slot,
    /// A process holds the slot's lock.
    pub(crate) is_held: bool,
    /// Oldest first; the last one may be the holder's.
    pub(crate) records: Vec<Record>,
    boot_id: String,
}

impl SlotScan {
    /// Reads the newest `limit` sessions of a slot, which need not exist.
    pub(crate) fn read(
        directory: &Directory,
        slot: Slot,
        limit: usize,
        boot_id: &str,
    ) -> anyhow::Result<Self> {
        let (lock, folder) = (directory.lock(&slot), directory.records(&slot));
        let mut is_held = matches!(lock::probe(&lock)?, Probe::Held);
        let mut records = record::read_records(&folder, limit)?;
        if !is_held && records.last().is_some_and(|record| record.exit.is_none()) {
            // Lost, or started and perhaps ended since the probe: only a read under the lock shows
            // which.
            let probe = lock::probe(&lock)?;
            records = record::read_records(&folder, limit)?;
            is_held = matches!(probe, Probe::Held);
        }
        Ok(Self { slot, is_held, records, boot_id: boot_id.to_owned() })
    }

    /// Reads the sessions of a slot that ended since then, and the live one; and those whose record
    /// cannot be read.
    pub(crate) fn since(
        directory: &Directory,
        slot: Slot,
        since: SystemTime,
        boot_id: &str,
    ) -> anyhow::Result<(Self, Vec<Damaged>)> {
        let is_held = matches!(lock::probe(&directory.lock(&slot))?, Probe::Held);
        let read = record::read_records_since(&directory.records(&slot), since)?;
        let damaged = |(at, why)| Damaged { slot: slot.clone(), at, why };
        let damaged = read.damaged.into_iter().map(damaged).collect();
        let boot_id = boot_id.to_owned();
        Ok((Self { slot, is_held, records: read.found, boot_id }, damaged))
    }

    /// Reads a free slot, in which no session can start: the caller holds its lock, shared or
    /// exclusive.
    pub(crate) fn of_free(directory: &Directory, slot: &Slot) -> anyhow::Result<Self> {
        let records = record::read_records(&directory.records(slot), HISTORY)?;
        Ok(Self { slot: slot.clone(), is_held: false, records, boot_id: proc::boot_id() })
    }

    /// The sessions of a free slot that left no end, with the end that they count with.
    pub(crate) fn lost(&self) -> impl Iterator<Item = (&Record, ExitRecord)> {
        let lost = self.records.iter().filter(|record| record.exit.is_none());
        lost.map(|record| (record, record.end(&self.boot_id)))
    }

    /// The last session's generation; 0 before the first.
    pub(crate) fn newest_generation(&self) -> u64 {
        self.records.last().map_or(0, |last| last.generation)
    }

    /// The record without an end of the session that holds the slot, as far as it is the newest.
    fn open(&self) -> Option<&Record> {
        self.records.last().filter(|record| self.is_held && record.exit.is_none())
    }

    /// The record of the session that holds the slot, when its processes are the recorded ones.
    pub(crate) fn holder(&self) -> Option<&Record> {
        let newest = self.open()?;
        let start = &newest.start;
        let is_known = start.shim.is_alive() || start.agent.is_some_and(ProcessId::is_alive);
        (start.boot_id == self.boot_id && is_known).then_some(newest)
    }

    /// The session that holds the slot; fields stay empty where its record is not certain.
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
    fn finished(&self) -> &[Record] {
        &self.records[..self.records.len() - usize::from(self.open().is_some())]
    }

    /// [`SlotScan::finished`] in the terms of every platform.
    pub(crate) fn history(&self) -> Vec<Run> {
        self.finished().iter().map(|record| record.run(&self.boot_id)).collect()
    }

    /// The slot in the terms of every platform.
    pub(crate) fn record(&self) -> SlotRecord {
        let mut history = self.history();
        history.drain(..history.len().saturating_sub(HISTORY));
        SlotRecord { generation: self.newest_generation(), live: self.live(), history }
    }

    /// The slot with all its records; `None` when it never held a session.
    pub(crate) fn sessions(self) -> Option<SlotSessions> {
        let log = |record: &Record| Some((record.generation, find_log(&record.directory)?));
        let mut logs: BTreeMap<u64, PathBuf> = self.finished().iter().filter_map(log).collect();
        let holder = self.holder();
        logs.extend(holder.and_then(log));
        let is_known = self.is_held || !self.records.is_empty();
        is_known.then(|| SlotSessions {
            live: self.live(),
            stuck: None,
            history: self.history(),
            logs,
            pid: holder.and_then(|record| record.start.agent).map(|agent| agent.pid),
            slot: self.slot.clone(),
        })
    }

    /// Why the live session is not managed by this roster file, as far as its record shows it.
    pub(crate) fn unmanaged(&self, roster: &Path) -> Option<String> {
        let owner =
            self.holder().map(|record| &record.start.roster).filter(|owner| *owner != roster);
        let other = owner.map(|path| {
            let path = path.display();
            format!("started by another roster, {path}; give each roster a `fleet` of its own")
        });
        other.or_else(|| self.without_shim())
    }

    /// The holding session's shim was killed, but a process of the session lives and keeps the
    /// slot.
    fn without_shim(&self) -> Option<String> {
        let start = &self.open()?.start;
        let has_no_shim = start.boot_id == self.boot_id && !start.shim.is_alive();
        let pid = has_no_shim.then(|| proc::find_session(&start.session)).flatten()?;
        Some(format!(
            "its shim was killed, so process {pid} runs without a time limit; end it with \
             `kill {pid}`"
        ))
    }

    /// A killed shim can leave processes behind: as long as one lives, the slot is not free.
    pub(crate) fn orphan(&self) -> Option<Hold> {
        let last = self.records.last()?;
        let end = last.end(&self.boot_id);
        let may_have_left_some =
            end.outcome == Outcome::Lost && end.reason.as_deref() == Some(KILLED);
        let pid = may_have_left_some.then(|| proc::find_session(&last.start.session)).flatten()?;
        let detail =
            format!("process {pid} of its last session still runs; end it with `kill {pid}`");
        Some(Hold { reason: HoldReason::Orphan, until: None, detail })
    }

    /// Whether every session of a free slot ended before this time, without an orphan.
    pub(crate) fn is_over_since(&self, time: SystemTime) -> bool {
        let has_ended = |last: &Record| last.end(&self.boot_id).finished_at <= time;
        self.records.last().is_none_or(has_ended) && self.orphan().is_none()
    }
}
