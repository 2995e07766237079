//! What should run: roles, and the sessions that they want.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{RoleKey, Slot};
use crate::backoff::BackoffSettings;

/// What to run in a session, the same for every slot of a role.
#[derive(Debug, PartialEq, Eq)]
pub struct SessionSpec {
    /// Program and arguments, with their placeholders; never given to a shell.
    pub command: Vec<String>,
    /// Preamble, mode and brief.
    pub prompt: String,
    /// The brief alone.
    pub brief: String,
    /// What the role adds to the environment, `${NAME}` already replaced.
    pub env: BTreeMap<String, String>,
    /// The platform ends a session that runs longer.
    pub time_limit: Duration,
    /// No session starts with less free disk space than this, in bytes; 0 turns the check off.
    pub min_free_bytes: u64,
    /// Logs kept per slot.
    pub retain: u32,
    /// Work directories kept per slot.
    pub retain_work: u32,
    /// When a slot may start again.
    pub restraint: BackoffSettings,
}

/// A session that should exist.
#[derive(Debug, Clone)]
pub struct Want {
    /// Where.
    pub slot: Slot,
    /// What.
    pub spec: Arc<SessionSpec>,
}

/// A row of the roster.
#[derive(Debug, Clone)]
pub struct Role {
    /// Unique in the roster.
    pub key: RoleKey,
    /// For people.
    pub name: String,
    /// How many sessions should be live.
    pub count: u32,
    /// For people; may be empty.
    pub department: String,
    /// Which shared paragraph the prompt carries.
    pub mode: Mode,
    /// The brief's file, as the roster gives it.
    pub brief_path: String,
    /// What a session of this role runs.
    pub spec: Arc<SessionSpec>,
}

impl Role {
    /// The slots that the roster asks for, lowest first.
    pub fn wants(&self) -> impl Iterator<Item = Want> + '_ {
        (0..self.count)
            .map(|index| Want { slot: Slot { role: self.key.clone(), index }, spec: Arc::clone(&self.spec) })
    }
}

/// How a role finds its work (R1-076).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Writes issues, never code.
    Thinker,
    /// Takes open issues.
    TaskDriven,
    /// Looks through a lens of its own.
    SelfDirected,
    /// Reviews the oldest unreviewed pull request.
    Reviewer,
    /// Watches production and opens reverts.
    Sentinel,
}

impl Mode {
    /// All modes, in the order of the documentation.
    pub const ALL: [Self; 5] =
        [Self::Thinker, Self::TaskDriven, Self::SelfDirected, Self::Reviewer, Self::Sentinel];

    /// The word in the roster, and the name of the file in `briefs/modes/`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Thinker => "thinker",
            Self::TaskDriven => "task-driven",
            Self::SelfDirected => "self-directed",
            Self::Reviewer => "reviewer",
            Self::Sentinel => "sentinel",
        }
    }
}
