//! What a plugin says: the object on standard output, and what it means together with the exit code. Pure.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};

use super::SlotKey;
use crate::timestamp;

/// To `capabilities`.
#[expect(clippy::struct_excessive_bools, reason = "the protocol's form")]
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Capabilities {
    /// The versions of the protocol that it speaks.
    pub protocol: Vec<u64>,
    /// For people.
    pub name: String,
    /// Who keeps a second session out of a slot.
    #[serde(default)]
    pub slot_exclusive: SlotExclusive,
    /// Whether `spawn` is safe for a slot whose sessions could not be listed.
    #[serde(default)]
    pub blind_spawn: bool,
    /// Whether `list` has finished sessions.
    #[serde(default)]
    pub history: bool,
    /// Whether `logs` is there.
    #[serde(default)]
    pub logs: bool,
    /// Whether `spawn` knows `dry_run`.
    #[serde(default)]
    pub dry_run: bool,
    /// The largest `spec` that it takes, as JSON in bytes; none: any.
    #[serde(default)]
    pub max_spec_bytes: Option<u64>,
}

/// Who keeps a second session out of a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum SlotExclusive {
    /// The plugin: `spawn` in a taken slot creates nothing.
    Create,
    /// The plugin: a second session may be accepted, and waits until the first has ended.
    Execution,
    /// Nobody: the coordinator must be the only one that starts.
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
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Session {
    /// The plugin's own name for it.
    pub id: String,
    /// Where.
    pub slot: SlotKey,
    /// As it was asked for at the spawn.
    pub generation: u64,
    /// Everything but finished is live.
    pub state: State,
    /// How it ended; `null` while it is live.
    #[serde(default)]
    pub outcome: Option<Outcome>,
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

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Outcome {
    /// Exit code 0.
    Success,
    /// Another end of its own.
    Failure,
    /// Ended at its time limit.
    Timeout,
    /// Ended by somebody for reasons of theirs: it says nothing about the agent.
    Cancelled,
    /// Nobody knows, and every word that is not known.
    Lost,
}

impl From<String> for Outcome {
    fn from(word: String) -> Self {
        match word.as_str() {
            "success" => Self::Success,
            "failure" => Self::Failure,
            "timeout" => Self::Timeout,
            "cancelled" => Self::Cancelled,
            _ => Self::Lost,
        }
    }
}

/// To `spawn`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Spawned {
    /// What came of it.
    pub result: Verdict,
    /// The session that has the slot now.
    #[serde(default)]
    pub session: Option<Session>,
}

/// What came of a spawn. A word that is not known is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
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
}

/// Why a plugin did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    /// What kind of trouble.
    pub code: Code,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// It makes no sense to ask again before.
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
    /// The slot is not what the coordinator believed: somebody else was first.
    Conflict,
    /// It has no such operation.
    Unsupported,
    /// It does not know whether it was done.
    Ambiguous,
    /// Trouble of its own, and every word that is not known.
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
            Self::Unsupported => "unsupported",
            Self::Ambiguous => "ambiguous",
            Self::Internal => "internal",
        }
    }

    /// What to do about it.
    pub(in crate::platform::exec) fn remedy(self) -> &'static str {
        match self {
            Self::Unavailable | Self::RateLimited => "the next cycle asks again",
            Self::Quota => "end sessions, or have the limit raised",
            Self::Denied => "give it better credentials by `env` in [platform.exec]",
            Self::Invalid => "change what it does not take; its documentation says what it does",
            Self::Conflict => "somebody else was first, and the next inventory shows who",
            Self::Unsupported => "it cannot do this; another version of it may",
            Self::Ambiguous => "it may have happened, and the next inventory shows it",
            Self::Internal => "its lines in the log may say more",
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
            Self::Unsupported,
            Self::Ambiguous,
        ];
        all.into_iter().find(|code| code.word() == word).unwrap_or(Self::Internal)
    }
}

/// What every answer has.
#[derive(Deserialize)]
struct Head {
    ok: bool,
    #[serde(default)]
    error: Option<Refusal>,
}

/// What an exit and the text before it say together; an error when they are no answer: in what way.
pub(in crate::platform::exec) fn judge<T: DeserializeOwned>(
    status: ExitStatus,
    stdout: &[u8],
) -> Result<Result<T, Refusal>, String> {
    let Some(exit) = status.code() else {
        let signal = status.signal().map_or_else(|| status.to_string(), |number| number.to_string());
        return Err(format!("it was ended by signal {signal}"));
    };
    let text = str::from_utf8(stdout).map_err(|error| {
        format!("exit {exit} and an answer that is not UTF-8 from byte {} on", error.valid_up_to())
    })?;
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err(format!("exit {exit} without an answer on stdout"));
    }
    let no_answer = |why: &str| format!("exit {exit} and no answer by the protocol: {why}: `{text}`");
    if !text.starts_with('{') {
        return Err(no_answer("it must be one JSON object"));
    }
    let parsed = |error: serde_json::Error| no_answer(&error.to_string());
    let Head { ok, error } = serde_json::from_str(text).map_err(parsed)?;
    match (ok, error, exit) {
        (true, _, 0) => serde_json::from_str(text).map(Ok).map_err(parsed),
        (true, _, _) => Err(format!("exit {exit} and \"ok\": true, which contradict each other")),
        (false, Some(refusal), 1..) => Ok(Err(refusal)),
        (false, Some(Refusal { code, message, .. }), _) => {
            Err(format!("exit 0 and \"ok\": false, which contradict each other ({}: {message})", code.word()))
        }
        (false, None, _) => Err(format!("exit {exit} and \"ok\": false without an `error`")),
    }
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let time = timestamp::parse(&text);
    time.map(Some).ok_or_else(|| D::Error::custom(format!("`{text}` is no time by RFC 3339")))
}

/// A wait longer than a year is none that a number can tell.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    const LONGEST: f64 = 365.0 * 86_400.0;
    let seconds = Option::<f64>::deserialize(deserializer)?;
    Ok(seconds.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, LONGEST))))
}
