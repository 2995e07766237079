//! The sessions of one slot, as `coordinator sessions` shows them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{HISTORY, Listing, LiveSession, Run, Slot, Stuck};

/// A slot with all that its platform remembers of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotSessions {
    /// Which slot.
    pub slot: Slot,
    /// The session that holds it now.
    pub live: Option<LiveSession>,
    /// Why the live session is stuck.
    pub stuck: Option<Stuck>,
    /// Finished sessions, oldest first, as far back as the platform goes.
    pub history: Vec<Run>,
    /// The logs by generation, where they are files of this machine.
    pub logs: BTreeMap<u64, PathBuf>,
    /// The live agent's process, where it is one of this machine.
    pub pid: Option<i32>,
}

impl SlotSessions {
    /// Each slot of a platform's listing.
    pub fn of(listing: Listing) -> Vec<Self> {
        let mut stuck: BTreeMap<Slot, Stuck> =
            listing.stuck.into_iter().map(|stuck| (stuck.slot.clone(), stuck)).collect();
        let sessions = listing.slots.into_iter().map(|(slot, record)| Self {
            live: record.live,
            stuck: stuck.remove(&slot),
            history: record.history,
            logs: BTreeMap::new(),
            pid: None,
            slot,
        });
        sessions.collect()
    }

    /// The finished sessions that count, as a listing has them.
    pub fn recent(&self) -> &[Run] {
        &self.history[self.history.len().saturating_sub(HISTORY)..]
    }
}
