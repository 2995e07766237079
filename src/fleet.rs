//! The domain: fleet, role, slot, session, want. Pure data and rules, no I/O.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

pub use hold::{Hold, HoldReason};
pub use sessions::SlotSessions;
pub use stuck::{Stuck, StuckReason};
pub use want::{Mode, Role, SessionSpec, Want};

mod hold;
mod sessions;
mod stuck;
mod want;

/// Finished sessions of a slot that count: backoff up to an hour needs seven.
pub const HISTORY: usize = 8;

/// Prefix of every session of one fleet: `[a-z0-9]{1,16}`. Without a hyphen, so that
/// `<fleet>-<role>-s<index>` can be read back in one way only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FleetName(String);

impl FleetName {
    /// The name, or what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if text.is_empty() || text.len() > 16 || !text.chars().all(allowed) {
            return Err("a fleet's name is 1 to 16 characters of a-z and 0-9");
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FleetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Key of a roster row: `[a-z][a-z0-9_]{0,27}`, no trailing `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleKey(String);

impl RoleKey {
    /// The key, or what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
        if !starts_well || text.len() > 28 || text.ends_with('_') || !text.chars().all(allowed) {
            return Err(
                "a role's key is 1 to 28 characters of a-z, 0-9 and `_`, starts with a letter and does not end with `_`",
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// The key as text, with `_`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A place for at most one live session: the lock. The generation is data and never part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The role that the slot belongs to.
    pub role: RoleKey,
    /// Counted from 0.
    pub index: u32,
}

impl Slot {
    /// The slot within its fleet: `ui-builder-s2`.
    pub fn name(&self) -> String {
        format!("{}-s{}", self.role.as_str().replace('_', "-"), self.index)
    }

    /// The session's full name, `<fleet>-<role>-s<index>`: what the platform keeps unique.
    pub fn session_name(&self, fleet: &FleetName) -> String {
        format!("{fleet}-{}", self.name())
    }

    /// Reads a slot as people and platforms write it: with or without the fleet, with `-` or `_`.
    pub fn parse(fleet: &FleetName, text: &str) -> Option<Self> {
        let text = text.replace('-', "_");
        let (role, index) = text.rsplit_once("_s")?;
        let canonical = index == "0" || !index.starts_with(['0', '+']);
        let index = index.parse().ok().filter(|_| canonical)?;
        let role = role.strip_prefix(&format!("{fleet}_")).unwrap_or(role);
        Some(Self { role: RoleKey::parse(role).ok()?, index })
    }
}

/// Where a session is in its life. Everything but `Finished` is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Accepted by the platform, the agent's process is not known to run yet.
    Starting,
    /// The agent's process runs.
    Running,
    /// No process of the session runs any more.
    Finished,
}

impl State {
    /// The word of the vocabulary.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Finished => "finished",
        }
    }
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code 0.
    Succeeded,
    /// Another exit code, a signal, or a command that could not be started.
    Failed,
    /// Ended by the platform at its time limit.
    TimedOut,
    /// It vanished without a record of its end: a reboot, or a killed shim.
    Lost,
}

impl Outcome {
    /// The word of the vocabulary.
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Lost => "lost",
        }
    }

    /// The outcome that the word names.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Succeeded, Self::Failed, Self::TimedOut, Self::Lost]
            .into_iter()
            .find(|outcome| outcome.word() == word)
    }
}

/// A finished session as the platform remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// 1 for the first session of a slot, then one more than the predecessor's.
    pub generation: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The agent's exit code, when it exited by itself.
    pub exit_code: Option<i32>,
    /// What the platform says of the end, in one line: `signal 9`, `no command "claude" on PATH`.
    pub detail: Option<String>,
    /// When the session started.
    pub started_at: SystemTime,
    /// When it ended.
    pub finished_at: SystemTime,
    /// The platform ended it for reasons of its own (an eviction, a lost node): it says nothing about the agent, and
    /// the backoff does not count it.
    pub disrupted: bool,
}

impl Run {
    /// From start to end; zero when the clock went backwards in between.
    pub fn runtime(&self) -> Duration {
        self.finished_at.duration_since(self.started_at).unwrap_or_default()
    }
}

/// A live session as the platform shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    /// Its generation; unknown when its record cannot be matched with the live process.
    pub generation: Option<u64>,
    /// `Starting` or `Running`.
    pub state: State,
    /// When it started, as far as its record says.
    pub started_at: Option<SystemTime>,
}

/// What the platform says of one slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotRecord {
    /// The session that holds the slot now.
    pub live: Option<LiveSession>,
    /// Finished sessions, oldest first, at most the last [`HISTORY`].
    pub history: Vec<Run>,
}

/// A live session that the roster does not ask for, or that another roster file started. It is reported and
/// left alone (R1-014).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmanaged {
    /// The session's full name.
    pub session: String,
    /// Why it is not ours, and what to do about it.
    pub reason: String,
}

/// A complete answer of the platform: a slot that is not in it holds no session and has no history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Every slot that holds or held a session, roles outside the roster included.
    pub slots: BTreeMap<Slot, SlotRecord>,
    /// Live sessions with an owner other than this roster file.
    pub unmanaged: Vec<Unmanaged>,
    /// Live sessions that do not get on.
    pub stuck: Vec<Stuck>,
    /// When the list was made by the platform's own clock, which wrote the times in it; `None`: this machine's.
    pub as_of: Option<SystemTime>,
}

/// What step 1 knows. Unknown is not zero: whoever spawns must say what it does without a listing.
#[derive(Debug)]
pub enum Inventory {
    /// The platform's complete answer.
    Known(Listing),
    /// The list failed or was not complete.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet() -> FleetName {
        FleetName::parse("demo").expect("a valid name")
    }

    fn slot(role: &str, index: u32) -> Slot {
        Slot { role: RoleKey::parse(role).expect("a valid key"), index }
    }

    #[test]
    fn the_session_name_is_pinned_because_changing_it_orphans_every_live_session() {
        assert_eq!(slot("ui_builder", 2).session_name(&fleet()), "demo-ui-builder-s2");
    }

    #[test]
    fn a_session_name_reads_back_in_every_spelling() {
        for text in ["demo-ui-builder-s2", "ui-builder-s2", "ui_builder-s2", "ui_builder_s2"] {
            assert_eq!(Slot::parse(&fleet(), text), Some(slot("ui_builder", 2)), "{text}");
        }
        for text in ["", "s2", "ui-builder", "ui-builder-s", "ui-builder-s02", "ui-builder-s+2", "UI-s1"] {
            assert_eq!(Slot::parse(&fleet(), text), None, "{text}");
        }
    }

    #[test]
    fn the_longest_session_name_fits_a_kubernetes_job() {
        let fleet = FleetName::parse(&"f".repeat(16)).expect("a valid name");
        let name = slot(&"r".repeat(28), 9999).session_name(&fleet);
        assert!(name.len() <= 52, "{name} has {} characters", name.len());
    }

    #[test]
    fn names_outside_the_alphabet_are_refused() {
        for text in ["", "Demo", "de-mo", "demo_", &"f".repeat(17)] {
            assert!(FleetName::parse(text).is_err(), "{text}");
        }
        for text in ["", "1a", "_a", "a_", "A", "a-b", &"r".repeat(29)] {
            assert!(RoleKey::parse(text).is_err(), "{text}");
        }
    }
}
