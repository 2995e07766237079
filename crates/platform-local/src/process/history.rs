//! What is remembered of a free slot, and whether that holds it back.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Context;

use super::record::{self, KILLED, Record};
use super::{Settings, proc};
use coordinator_core::backoff;
use coordinator_core::fleet::{HISTORY, Hold, HoldReason, Outcome, Run, Want};

/// The sessions of a slot, oldest first, read while nobody can be running in it: each has an end.
pub(crate) struct History {
    records: Vec<Record>,
    /// Where the end was found missing just now.
    lost: Vec<usize>,
    boot_id: String,
}

impl History {
    /// Reads it. The caller holds the slot's lock, shared or alone.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut records = record::read_records(folder, HISTORY)?;
        let boot_id = proc::boot_id();
        let mut lost = Vec::new();
        for (place, open) in records.iter_mut().enumerate().filter(|(_, record)| record.exit.is_none()) {
            open.exit = Some(open.lost(&boot_id));
            lost.push(place);
        }
        Ok(Self { records, lost, boot_id })
    }

    /// Writes the ends that were missing.
    pub(crate) fn record_ends(&self) -> anyhow::Result<()> {
        for record in self.lost.iter().map(|place| &self.records[*place]) {
            record::write(&record.directory.join("exit.json"), &record.exit)?;
        }
        Ok(())
    }

    /// The last session's generation; 0 before the first.
    pub(crate) fn newest_generation(&self) -> u64 {
        self.records.last().map_or(0, |record| record.generation)
    }

    /// Whether every session ended before this time, and no process of the last one is left.
    pub(crate) fn is_over_since(&self, time: SystemTime) -> bool {
        let Some(last) = self.records.last() else { return true };
        let ended = last.exit.as_ref().is_some_and(|exit| exit.finished_at <= time);
        ended && orphan(last).is_none()
    }

    /// Why no session may start now.
    pub(crate) fn hold(
        &self,
        settings: &Settings,
        want: &Want,
        now: SystemTime,
    ) -> anyhow::Result<Option<Hold>> {
        if let Some(hold) = self.records.last().and_then(orphan) {
            return Ok(Some(hold));
        }
        let history: Vec<Run> = self.records.iter().map(|record| record.run(&self.boot_id)).collect();
        let session = want.slot.session_name(&settings.fleet);
        if let Some(hold) = backoff::hold(&session, &history, &want.spec.restraint, now) {
            return Ok(Some(hold));
        }
        disk(&settings.state_dir, want.spec.local.min_free_bytes)
    }
}

/// Only a killed shim leaves processes behind, and only until they end: as long as one lives the slot is not free.
fn orphan(last: &Record) -> Option<Hold> {
    let exit = last.exit.as_ref()?;
    let may_have_left_some = exit.outcome == Outcome::Lost && exit.reason.as_deref() == Some(KILLED);
    let pid = may_have_left_some.then(|| proc::find_session(&last.start.session)).flatten()?;
    let detail = format!("process {pid} of its last session still runs; end it with `kill {pid}`");
    Some(Hold { reason: HoldReason::Orphan, until: None, detail })
}

fn disk(state_dir: &Path, min_free_bytes: u64) -> anyhow::Result<Option<Hold>> {
    if min_free_bytes == 0 {
        return Ok(None);
    }
    let existing = state_dir.ancestors().find(|directory| directory.exists()).unwrap_or(state_dir);
    let disk =
        rustix::fs::statvfs(existing).with_context(|| format!("ask for space on {}", state_dir.display()))?;
    let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    let mib = |bytes: u64| bytes >> 20;
    let detail = || format!("{} MiB free, `min_free` asks for {} MiB", mib(free_bytes), mib(min_free_bytes));
    let held = free_bytes < min_free_bytes;
    Ok(held.then(|| Hold { reason: HoldReason::Disk, until: None, detail: detail() }))
}
