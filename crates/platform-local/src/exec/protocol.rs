//! Version 1 of the protocol between the coordinator and a plugin: the requests, and in
//! `answer` the answers.
//!
//! One process per operation, started as `plugin OPERATION`, with one JSON object on standard input
//! and one on standard output. The exit code is 0 exactly when the answer has `"ok": true`. Unknown
//! fields are ignored in both directions; an unknown word has the careful meaning: a state is live,
//! an outcome is lost, an error is internal, and a plugin without a known `slot_exclusive` excludes
//! nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize, Serializer};

use coordinator_core::fleet::{FleetName, Group, ItemRun, Seat, Slot, WorkItem};

mod answer;

pub use answer::{
    Attached, Capabilities, Code, Forgotten, ItemGeneration, Listed, Log, Refusal, Session,
    SessionEnd, SlotExclusive, SpawnResult, Spawned, State, StopResult, Stopped,
};

/// The version of this program; a plugin lists it in `protocol`, and `COORDINATOR_PROTOCOL` has it.
pub const VERSION: u64 = 1;

/// The largest answer.
pub const MAX_ANSWER_BYTES: usize = 16 << 20;

/// An operation of a plugin: its one argument.
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
    /// End one session, for a person.
    Stop,
    /// Give the command that takes a person to a session's agent.
    Attach,
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
            Self::Attach => "attach",
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

/// `capabilities`: `{}`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Capable {}

/// `list`.
#[derive(Debug, Clone, Serialize)]
pub struct List<'a> {
    /// Whose sessions.
    pub fleet: &'a str,
    /// The groups of the roster, as a hint. A session of the fleet in another group is listed, too.
    pub roles: Vec<&'a str>,
    /// Sessions that finished since are wanted; older ones are welcome.
    #[serde(serialize_with = "rfc3339")]
    pub include_finished_since: SystemTime,
}

/// `spawn`.
#[derive(Debug, Clone, Serialize)]
pub struct Spawn<'a> {
    /// Where: the lock.
    pub slot: SlotKey,
    /// 1 + the predecessor's: data.
    pub generation: u64,
    /// The newest known session of the slot, which has finished. When the plugin has another one,
    /// another run was first: `conflict`.
    pub expected_predecessor: Option<&'a str>,
    /// For a work item: the generation that it must follow, 0 when nothing ran yet. When the newest
    /// generation of the slot is another one, the plugin starts nothing: `superseded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<u64>,
    /// For a work item: its id, role, attempt and counts. The plugin gives it back with the
    /// session, as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemRun>,
    /// `<fleet>/<group>/<seat>/<generation>`, where the seat is an index or `i` and an item's key;
    /// the same when the same start is requested again: data.
    pub idempotency_key: String,
    /// The cycle of this request. The plugin keeps it with the session.
    pub cycle: &'a str,
    /// A session that has not started by then must not start.
    #[serde(serialize_with = "rfc3339")]
    pub expires_at: SystemTime,
    /// What to run.
    pub spec: Spec<'a>,
    /// Answers the same, and starts nothing.
    pub dry_run: bool,
}

/// What runs in a session.
#[derive(Debug, Clone, Serialize)]
pub struct Spec<'a> {
    /// The session's full name, `<fleet>-<role>-s<index>` or `<fleet>-<group>-i<key>`.
    pub session: String,
    /// The key of its role.
    pub role: &'a str,
    /// Program and arguments, placeholders filled, for no shell.
    pub command: Vec<String>,
    /// For the command's standard input; `null` when an argument carries the prompt.
    pub stdin: Option<&'a str>,
    /// Preamble, mode and brief.
    pub prompt: &'a str,
    /// The role's variables and the session's names.
    pub env: BTreeMap<String, String>,
    /// A session that runs longer is to be ended, by the plugin's side.
    pub time_limit_s: u64,
    /// A session whose agent writes nothing for so long is to be ended, by the plugin's side; 0:
    /// none.
    pub stall_timeout_ms: u64,
    /// The form of the agent's output: `claude`, `codex` or `none`.
    pub agent: &'static str,
    /// `owner/repo`.
    pub repository: Option<&'a str>,
}

/// `logs`.
#[derive(Debug, Clone, Serialize)]
pub struct Logs<'a> {
    /// The session's `id`, as the plugin listed it.
    pub id: &'a str,
    /// The most bytes of its end.
    pub tail_bytes: u64,
    /// Of a live session only whole lines: what is given once never changes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
}

/// `stop`: end this session and no other one.
#[derive(Debug, Clone, Serialize)]
pub struct Stop<'a> {
    /// Where it is, as the plugin listed it.
    pub slot: &'a SlotKey,
    /// Its `id`, as the plugin listed it: what decides.
    pub id: &'a str,
    /// Its generation.
    pub generation: u64,
    /// The person, for the record.
    pub by: &'a str,
}

/// `attach`.
#[derive(Debug, Clone, Serialize)]
pub struct Attach<'a> {
    /// The session's `id`, as the plugin listed it.
    pub id: &'a str,
}

/// `forget`: a fleet whose sessions have all ended.
#[derive(Debug, Clone, Serialize)]
pub struct Forget<'a> {
    /// The fleet of the records.
    pub fleet: &'a str,
}

/// In UTC.
fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_seconds(*time))
}
