//! A run as `ConfigMaps` keep it: those of the ledger and the registers of work items. Pure.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use coordinator_core::fleet::{ItemRun, Outcome, Run};
use coordinator_core::sanitize::one_line;

/// A `ConfigMap` holds 1 MiB; what is not data has room in the rest.
pub(super) const MAX_DATA_BYTES: usize = 900 * 1024;

/// In characters: most of what is written is numbers.
const MAX_REASON: usize = 80;

/// A run in a `ConfigMap`; the names are read by every later version, and fields are only added.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
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
    item: Option<ItemRun>,
}

impl Entry {
    pub(super) fn of(run: &Run) -> Self {
        let reason = run.detail.as_deref().map(|reason| one_line(reason, MAX_REASON));
        Self {
            generation: run.generation,
            outcome: run.outcome.word().to_owned(),
            exit: run.exit_code,
            reason,
            started: seconds(run.started_at),
            finished: seconds(run.finished_at),
            disrupted: run.disrupted,
            item: run.item.clone(),
        }
    }

    pub(super) fn run(self) -> Option<Run> {
        let time = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        Some(Run {
            generation: self.generation,
            outcome: Outcome::from_word(&self.outcome)?,
            exit_code: self.exit,
            detail: self.reason,
            started_at: time(self.started)?,
            finished_at: time(self.finished)?,
            disrupted: self.disrupted,
            item: self.item,
        })
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
