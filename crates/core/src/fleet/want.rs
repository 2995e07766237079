//! What should run: roles, and the sessions that they want.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Hold, ItemRun, RoleKey, Run, Slot, Usd, WorkItem};
use crate::agent::Profile;
use crate::backoff::{self, BackoffSettings};

/// What to run in a session, the same for every slot of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// The platform ends a session whose agent writes nothing for so long; zero turns it off.
    pub stall_timeout: Duration,
    /// The form of the agent's output.
    pub agent: Profile,
    /// The most that one session may cost; zero where that is not bounded.
    pub session_usd: Usd,
    /// When a slot may start again.
    pub backoff: BackoffSettings,
    /// The brief's file, as the roster gives it.
    pub brief_path: String,
    /// On one machine.
    pub local: LocalSettings,
    /// On a cluster; `None` elsewhere.
    pub container: Option<Container>,
}

/// What a session leaves on the machine that it runs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LocalSettings {
    /// No session starts with less free disk space than this, in bytes; 0 turns the check off.
    pub min_free_bytes: u64,
    /// Logs kept per slot.
    pub retain: u32,
    /// Work directories kept per slot.
    pub retain_work: u32,
}

/// What runs a session's agent on a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The image.
    pub image: String,
    /// Secrets whose entries become environment variables.
    pub env_from: Vec<String>,
    /// Least amounts, by resource name: `cpu`, `memory`, ...
    pub requests: BTreeMap<String, String>,
    /// Most, by resource name.
    pub limits: BTreeMap<String, String>,
}

/// A session that should exist: all that a platform needs to start it.
#[derive(Debug, Clone)]
pub struct Want {
    /// Where: the lock.
    pub slot: Slot,
    /// Which recipe: data, not part of the lock.
    pub role: RoleKey,
    /// What.
    pub spec: Arc<SessionSpec>,
    /// What it works on, where the slot is a work item's.
    pub item: Option<WorkItem>,
    /// After which session it may start.
    pub follows: Follows,
    /// A person wants it at once: nothing in the slot's history holds it.
    pub by_hand: bool,
}

/// What a start is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub slot: Slot,
    /// Which recipe.
    pub role: RoleKey,
    /// On what, where the slot is a work item's.
    pub item: Option<WorkItem>,
}

impl Want {
    /// What it is about.
    pub fn target(&self) -> Target {
        Target { slot: self.slot.clone(), role: self.role.clone(), item: self.item.clone() }
    }

    /// Whether the slot called `session` with this `history` (oldest first) is held at `now`.
    pub fn hold(&self, session: &str, history: &[Run], now: SystemTime) -> Option<Hold> {
        if self.by_hand {
            return None;
        }
        backoff::hold(session, history, &self.spec.backoff, now)
    }

    /// What its session works on, where it is for a work item.
    pub fn item_run(&self) -> Option<ItemRun> {
        self.item.clone().map(|item| ItemRun { role: self.role.clone(), item })
    }
}

/// The session that a wanted one must come after. The platform compares it under its own lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Whatever ran last: the slots of a role are interchangeable.
    Anything,
    /// The session of this generation, and no later one; 0: nothing ran yet.
    Generation(u64),
}

impl Follows {
    /// Whether a session may start in a slot whose newest generation is `newest`.
    pub fn allows(self, newest: u64) -> bool {
        match self {
            Self::Anything => true,
            Self::Generation(expected) => expected == newest,
        }
    }
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
    /// What a session of this role runs.
    pub spec: Arc<SessionSpec>,
}

impl Role {
    /// A want for each slot of the role, lowest first.
    pub fn wants(&self) -> impl Iterator<Item = Want> + '_ {
        (0..self.count).map(|index| Want {
            slot: Slot::of_role(&self.key, index),
            role: self.key.clone(),
            spec: Arc::clone(&self.spec),
            item: None,
            follows: Follows::Anything,
            by_hand: false,
        })
    }
}

/// How a role finds its work; each mode has a paragraph of the prompt.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
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
