//! Version 1 of the protocol between the coordinator and a plugin: what is said in either direction.
//!
//! One process per operation, started as `plugin OPERATION`, with one JSON object on standard input and one on standard
//! output. The exit code is 0 exactly when the answer says `"ok": true`. Unknown fields are ignored in both directions;
//! a word that is not known means the careful thing: a state is live, an outcome is lost, an error is internal, and
//! a plugin without a known `slot_exclusive` excludes nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fleet::Slot;

mod answer;
mod judgement;
mod refusal;
mod request;

pub use answer::{Capabilities, Listed, Log, Outcome, Session, SlotExclusive, Spawned, State, Verdict};
pub(super) use judgement::judge;
pub use refusal::{Code, Refusal};
pub use request::{Capable, List, Logs, Spawn, Spec};

/// The version that this program speaks; a plugin names it in `protocol`, and is told it in `COORDINATOR_PROTOCOL`.
pub const VERSION: u64 = 1;

/// The largest answer, in bytes.
pub const LARGEST_ANSWER: usize = 16 << 20;

/// What a plugin is asked to do: its one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Say what it can do, without a network.
    Capabilities,
    /// List all sessions of a fleet.
    List,
    /// Start one session.
    Spawn,
    /// Give what a session wrote.
    Logs,
}

impl Operation {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::List => "list",
            Self::Spawn => "spawn",
            Self::Logs => "logs",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A slot as the protocol has it: the lock that a plugin keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotKey {
    /// The key of a role.
    pub role: String,
    /// Counted from 0.
    pub index: u32,
}

impl From<&Slot> for SlotKey {
    fn from(slot: &Slot) -> Self {
        Self { role: slot.group.to_string(), index: slot.index().unwrap_or_default() }
    }
}
