//! The domain: fleet, role, slot, session, want.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::section::FromText;

pub use hold::{Hold, HoldReason};
pub use leftover::Leftover;
pub use pause::{FleetPause, Pause};
pub use result::{MAX_REASON, ResultStatus, SessionResult, Usage};
pub use sessions::SlotSessions;
pub use slot::{Counts, Group, ItemKey, ItemRun, Seat, Slot, WorkItem};
pub use stuck::{Stuck, StuckReason};
pub use usd::Usd;
pub use want::{Container, Follows, LocalSettings, Mode, Role, SessionSpec, Target, Want};

mod hold;
mod leftover;
mod pause;
mod result;
mod sessions;
mod slot;
mod stuck;
mod usd;
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

/// Whether the text is a key: `[a-z][a-z0-9_]{0,27}`, no trailing `_`.
fn is_key(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
    starts_well && text.len() <= 28 && !text.ends_with('_') && text.chars().all(allowed)
}

impl RoleKey {
    /// The key, or what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !is_key(text) {
            return Err(
                "a role's key is 1 to 28 characters of a-z, 0-9 and `_`, starts with a letter and \
                does not end with `_`",
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// The key as text, with `_`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for FleetName {
    fn schema() -> Value {
        json!({"title": "text", "pattern": "^[a-z0-9]{1,16}$"})
    }

    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(str::to_owned)
    }
}

crate::text_value!([] FleetName);

impl FromText for RoleKey {
    fn schema() -> Value {
        json!({"title": "text", "pattern": "^[a-z]([a-z0-9_]{0,26}[a-z0-9])?$"})
    }

    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(str::to_owned)
    }
}

crate::text_value!([] RoleKey);

impl fmt::Display for RoleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
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
    /// Ended by a person: `coordinator stop`, or a signal to the session's shim.
    Stopped,
    /// Exit code 0 within the role's `min_runtime`: there was nothing to do. A platform records
    /// `Succeeded`, and [`crate::backoff::outcome`] judges it.
    Idle,
}

impl Outcome {
    /// The word of the vocabulary.
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Lost => "lost",
            Self::Stopped => "stopped",
            Self::Idle => "idle",
        }
    }

    /// The outcome that the word names.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Succeeded, Self::Failed, Self::TimedOut, Self::Lost, Self::Stopped, Self::Idle]
            .into_iter()
            .find(|outcome| outcome.word() == word)
    }

    /// Whether the session did not do what it was started for.
    pub fn is_failure(self) -> bool {
        match self {
            Self::Failed | Self::TimedOut | Self::Lost => true,
            Self::Succeeded | Self::Stopped | Self::Idle => false,
        }
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
    /// How the platform describes the end, in one line: `signal 9`, `no command "claude" on PATH`.
    pub detail: Option<String>,
    /// When the session started.
    pub started_at: SystemTime,
    /// When it ended.
    pub finished_at: SystemTime,
    /// The platform ended it for reasons of its own (an eviction, a lost node), which are not the
    /// agent's doing: the backoff does not count it.
    pub disrupted: bool,
    /// The person who stopped it, where no person has let the slot go on since: the slot waits.
    pub stopped_by: Option<String>,
    /// What its agent left; `None` where nothing is known.
    pub result: Option<SessionResult>,
    /// What it worked on, where its slot is a work item's.
    pub item: Option<ItemRun>,
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
    /// What it works on, where its slot is a work item's.
    pub item: Option<ItemRun>,
}

/// One slot, as the platform lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotRecord {
    /// The session that holds the slot now.
    pub live: Option<LiveSession>,
    /// Finished sessions, oldest first, at most the last [`HISTORY`].
    pub history: Vec<Run>,
    /// The newest generation that the platform let start here; 0 when nothing ever ran. A work
    /// item's next session names the one that it follows, and starts only while this is still the
    /// newest.
    pub generation: u64,
}

impl SlotRecord {
    /// A record of these sessions, whose newest one gives the generation.
    pub fn of(live: Option<LiveSession>, history: Vec<Run>) -> Self {
        let live_generation = live.as_ref().and_then(|live| live.generation);
        let generation = live_generation.max(history.last().map(|run| run.generation)).unwrap_or(0);
        Self { live, history, generation }
    }

    /// What the newest session of the slot works on, where the slot is a work item's.
    pub fn item(&self) -> Option<&ItemRun> {
        let live = self.live.as_ref().and_then(|live| live.item.as_ref());
        live.or_else(|| self.history.last()?.item.as_ref())
    }
}

/// A live session outside this roster, or one that another roster file started. It is reported and
/// never ended.
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
    /// Live sessions that are stuck.
    pub stuck: Vec<Stuck>,
    /// What old sessions left and the platform cannot remove.
    pub leftovers: Vec<Leftover>,
    /// Set while the fleet is paused.
    pub paused: Option<Pause>,
    /// When the list was made by the platform's own clock, which wrote the times in it; `None`:
    /// this machine's.
    pub as_of: Option<SystemTime>,
}

/// What step 1 found. Unknown is not zero: the spawn step decides what to do without a listing.
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
