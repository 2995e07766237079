//! Version 1 of the protocol between the coordinator and a plugin: what is said in either direction.
//!
//! One process per operation, started as `plugin OPERATION`, with one JSON object on standard input and one on standard
//! output. The exit code is 0 exactly when the answer says `"ok": true`. Unknown fields are ignored in both directions;
//! a word that is not known means the careful thing: a state is live, an outcome is lost, an error is internal, and
//! a plugin without a known `slot_exclusive` excludes nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use coordinator_core::fleet::{FleetName, Group, Seat, Slot, WorkItem};

mod answer;
mod judgement;
mod refusal;
mod request;

pub use answer::{
    Capabilities, Forgotten, ItemGeneration, Listed, Log, Outcome, Session, SlotExclusive, Spawned, State,
    StopResult, Stopped, Verdict,
};
pub(super) use judgement::judge;
pub use refusal::{Code, Refusal};
pub use request::{Capable, Forget, List, Logs, Spawn, Spec, Stop};

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
    /// End one session, because a person said so.
    Stop,
    /// Remove the records of a fleet without live sessions; only `plugin-test` sends it.
    Forget,
}

impl Operation {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::List => "list",
            Self::Spawn => "spawn",
            Self::Logs => "logs",
            Self::Stop => "stop",
            Self::Forget => "forget",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A slot as the protocol has it: the lock that a plugin keeps. One with a role and an index is a
/// role's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SlotKey {
    /// One of a role's interchangeable slots.
    Role {
        /// The key of the role.
        role: String,
        /// Counted from 0.
        index: u32,
    },
    /// The slot of a work item, sent only to plugins with the capability `items`.
    Item {
        /// The source's name.
        group: String,
        /// The item's id as its store spells it: any text.
        item: String,
        /// The session's full name, `<fleet>-<group>-i<key>`: the lock, unique in the fleet and
        /// safe in any name.
        name: String,
    },
}

impl SlotKey {
    /// The key of a slot; `item` is what it works on, where it is a work item's.
    pub fn new(fleet: &FleetName, slot: &Slot, item: Option<&WorkItem>) -> Self {
        match &slot.seat {
            Seat::Index(index) => Self::Role { role: slot.group.to_string(), index: *index },
            Seat::Item(key) => Self::Item {
                group: slot.group.to_string(),
                item: item.map_or(key.as_str(), |item| &item.id).to_owned(),
                name: slot.session_name(fleet),
            },
        }
    }

    /// The slot that it names in this fleet; `None` when a fleet cannot have it. An item's is read
    /// from its name alone, which is the lock.
    pub fn slot(&self, fleet: &FleetName) -> Option<Slot> {
        match self {
            Self::Role { role, index } => {
                Some(Slot { group: Group::parse(role).ok()?, seat: Seat::Index(*index) })
            }
            Self::Item { name, .. } => {
                let slot = Slot::named(name.strip_prefix(fleet.as_str())?.strip_prefix('-')?)?;
                slot.index().is_none().then_some(slot)
            }
        }
    }

    /// The name of the session in it, as far as the plugin gives it.
    pub fn session_name(&self, fleet: &FleetName) -> String {
        match self {
            Self::Role { role, index } => format!("{fleet}-{role}-s{index}"),
            Self::Item { name, .. } => name.clone(),
        }
    }
}
