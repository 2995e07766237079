//! The answers of a plugin, refusals included.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::SlotKey;
use coordinator_core::agent::AgentEnd;
use coordinator_core::fleet::ItemRun;
use coordinator_core::timestamp;

/// To `capabilities`.
#[expect(clippy::struct_excessive_bools, reason = "the protocol's form")]
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Capabilities {
    /// The versions of the protocol that it implements.
    pub protocol: Vec<u64>,
    /// For people.
    pub name: String,
    /// What keeps a second session out of a slot.
    #[serde(default)]
    pub slot_exclusive: SlotExclusive,
    /// Whether `spawn` is safe for a slot whose sessions could not be listed.
    #[serde(default)]
    pub blind_spawn: bool,
    /// Whether `list` has finished sessions.
    #[serde(default)]
    pub history: bool,
    /// Whether it has `logs`.
    #[serde(default)]
    pub logs: bool,
    /// Whether a log can be read as it grows: `logs` accepts `follow` and returns `size`.
    #[serde(default)]
    pub follow: bool,
    /// Whether `spawn` accepts `dry_run`.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether it runs work items: compares `follows` under its own lock, and remembers.
    #[serde(default)]
    pub items: bool,
    /// Whether it has `stop`.
    #[serde(default)]
    pub stop: bool,
    /// Whether it has `attach`.
    #[serde(default)]
    pub attach: bool,
    /// Whether it has `forget`.
    #[serde(default)]
    pub forget: bool,
    /// The largest `spec` that it takes, as JSON in bytes; none: any.
    #[serde(default)]
    pub max_spec_bytes: Option<u64>,
}

/// What keeps a second session out of a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum SlotExclusive {
    /// The plugin: `spawn` in a taken slot creates nothing.
    Create,
    /// The plugin: a second session may be accepted, and waits until the first has ended.
    Execution,
    /// Not the plugin: one run of the coordinator at a time must start sessions.
    #[default]
    None,
}

impl From<String> for SlotExclusive {
    fn from(word: String) -> Self {
        match word.as_str() {
            "create" => Self::Create,
            "execution" => Self::Execution,
            _ => Self::None,
        }
    }
}

/// To `list`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Listed {
    /// Whether no session is missing. Without it the list has failed.
    #[serde(default)]
    pub complete: bool,
    /// When, by the clock that wrote the other times.
    #[serde(default, deserialize_with = "time")]
    pub as_of: Option<SystemTime>,
    /// In any order.
    pub sessions: Vec<Session>,
    /// Generations of item slots that are newer than those of the listed sessions.
    #[serde(default)]
    pub items: Vec<ItemGeneration>,
}

/// The newest generation that was ever given out in the slot of a work item.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ItemGeneration {
    /// Where.
    pub slot: SlotKey,
    /// The newest one.
    pub generation: u64,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Session {
    /// The plugin's own name for it.
    pub id: String,
    /// Where.
    pub slot: SlotKey,
    /// As the spawn requested it.
    pub generation: u64,
    /// Everything but finished is live.
    pub state: State,
    /// How it ended; `null` while it is live.
    #[serde(default)]
    pub outcome: Option<SessionEnd>,
    /// The agent's, when it exited by itself.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// When it was accepted.
    #[serde(default, deserialize_with = "time")]
    pub created_at: Option<SystemTime>,
    /// When its agent started.
    #[serde(default, deserialize_with = "time")]
    pub started_at: Option<SystemTime>,
    /// When it ended.
    #[serde(default, deserialize_with = "time")]
    pub finished_at: Option<SystemTime>,
    /// Where a person can look at it.
    #[serde(default)]
    pub url: Option<String>,
    /// As it was given at the spawn.
    #[serde(default)]
    pub cycle: Option<String>,
    /// As it was given at the spawn: what it works on, where its slot is a work item's.
    #[serde(default)]
    pub item: Option<ItemRun>,
    /// The person who ended it by `stop`.
    #[serde(default)]
    pub stopped_by: Option<String>,
    /// What its agent left, as the wrapper writes it. An odd value counts as none.
    #[serde(default, deserialize_with = "lenient")]
    pub result: Option<AgentEnd>,
}

fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AgentEnd>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum State {
    /// Accepted, not started yet.
    Queued,
    /// Its agent runs.
    Running,
    /// Nothing of it runs any more.
    Finished,
    /// Anything else: live.
    Unknown,
}

impl From<String> for State {
    fn from(word: String) -> Self {
        match word.as_str() {
            "queued" => Self::Queued,
            "running" => Self::Running,
            "finished" => Self::Finished,
            _ => Self::Unknown,
        }
    }
}

/// How a session ended, in the protocol's words: another type than the fleet's `Outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum SessionEnd {
    /// Exit code 0.
    Success,
    /// Another end of its own.
    Failure,
    /// Ended at its time limit.
    Timeout,
    /// Ended from outside, which is not the agent's doing.
    Cancelled,
    /// Ended by `stop`.
    Stopped,
    /// Its end is unknown, and every unknown word.
    Lost,
}

impl From<String> for SessionEnd {
    fn from(word: String) -> Self {
        match word.as_str() {
            "success" => Self::Success,
            "failure" => Self::Failure,
            "timeout" => Self::Timeout,
            "cancelled" => Self::Cancelled,
            "stopped" => Self::Stopped,
            _ => Self::Lost,
        }
    }
}

/// To `attach`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Attached {
    /// Program and arguments of a command that takes over the terminal.
    pub argv: Vec<String>,
    /// Where it must run; `null`: anywhere.
    #[serde(default)]
    pub directory: Option<PathBuf>,
}

/// To `spawn`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Spawned {
    /// What came of it.
    pub result: SpawnResult,
    /// The session that has the slot now.
    #[serde(default)]
    pub session: Option<Session>,
}

/// What came of a spawn. An unknown word is not an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpawnResult {
    /// A session was made.
    Created,
    /// The slot has a live session already.
    Exists,
    /// Accepted; it starts when the slot is free.
    Deferred,
}

/// To `logs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Log {
    /// What the session wrote.
    pub text: String,
    /// Whether there is more before it.
    #[serde(default)]
    pub truncated: bool,
    /// Bytes of the whole log; none: as many as `text` has.
    #[serde(default)]
    pub size: Option<u64>,
}

/// To `stop`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stopped {
    /// What came of it.
    pub result: StopResult,
}

/// What came of a stop. An unknown word is not an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopResult {
    /// The session has the signal to end, and is killed after its grace.
    Stopping,
    /// It had ended already.
    Finished,
}

/// To `forget`: nothing beside `ok`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Forgotten {}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let time = timestamp::parse(&text).and_then(timestamp::with_room);
    time.map(Some).ok_or_else(|| D::Error::custom(format!("`{text}` is not a time in RFC 3339")))
}

/// Why a plugin did not do what was requested.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    /// What kind of trouble.
    pub code: Code,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// A request before then fails again.
    #[serde(default, rename = "retry_after_s", deserialize_with = "seconds")]
    pub retry_after: Option<Duration>,
}

/// The kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Code {
    /// What the plugin needs does not answer; nothing was done.
    Unavailable,
    /// Asked too often; nothing was done.
    RateLimited,
    /// No room for another session; nothing was done.
    Quota,
    /// Its credentials do not suffice; nothing was done.
    Denied,
    /// It cannot do this with what it was given; nothing was done.
    Invalid,
    /// The slot has another newest session than the request: another run was first.
    Conflict,
    /// Another session of the work item ran since the start was planned; nothing was done.
    Superseded,
    /// It has no such operation.
    Unsupported,
    /// Its effect is unknown.
    Ambiguous,
    /// An error of its own, and every unknown word.
    Internal,
}

impl Code {
    /// The word in the protocol.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::RateLimited => "rate_limited",
            Self::Quota => "quota",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::Superseded => "superseded",
            Self::Unsupported => "unsupported",
            Self::Ambiguous => "ambiguous",
            Self::Internal => "internal",
        }
    }

    /// What to do about it.
    pub(in crate::exec) fn remedy(self) -> &'static str {
        match self {
            Self::Unavailable | Self::RateLimited => "the next cycle tries again",
            Self::Quota => "stop sessions, or raise the limit",
            Self::Denied => "give it better credentials by `env` in [platform.exec]",
            Self::Invalid => "correct the request; see the documentation of the plugin",
            Self::Conflict => "another run was first; the next inventory shows its session",
            Self::Superseded => "the next cycle plans anew",
            Self::Unsupported => "the plugin does not support this; try another version of it",
            Self::Ambiguous => "it may have succeeded; the next inventory shows it",
            Self::Internal => "see the plugin's lines in the log",
        }
    }
}

impl From<String> for Code {
    fn from(word: String) -> Self {
        let all = [
            Self::Unavailable,
            Self::RateLimited,
            Self::Quota,
            Self::Denied,
            Self::Invalid,
            Self::Conflict,
            Self::Superseded,
            Self::Unsupported,
            Self::Ambiguous,
        ];
        all.into_iter().find(|code| code.word() == word).unwrap_or(Self::Internal)
    }
}

/// A wait of at most a year, so that it can be added to any time.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    const MAX_WAIT: f64 = 365.0 * 86_400.0;
    let seconds = Option::<f64>::deserialize(deserializer)?;
    Ok(seconds.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, MAX_WAIT))))
}
