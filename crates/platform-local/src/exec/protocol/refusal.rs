//! What a plugin says when it did not do what it was asked to.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

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
    /// Another session of the work item ran since the start was planned; nothing was done.
    Superseded,
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
            Self::Superseded => "superseded",
            Self::Unsupported => "unsupported",
            Self::Ambiguous => "ambiguous",
            Self::Internal => "internal",
        }
    }

    /// What to do about it.
    pub(in crate::exec) fn remedy(self) -> &'static str {
        match self {
            Self::Unavailable | Self::RateLimited => "the next cycle asks again",
            Self::Quota => "end sessions, or have the limit raised",
            Self::Denied => "give it better credentials by `env` in [platform.exec]",
            Self::Invalid => "change what it does not take; its documentation says what it does",
            Self::Conflict => "somebody else was first, and the next inventory shows who",
            Self::Superseded => "the next cycle plans anew",
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
            Self::Superseded,
            Self::Unsupported,
            Self::Ambiguous,
        ];
        all.into_iter().find(|code| code.word() == word).unwrap_or(Self::Internal)
    }
}

/// A wait longer than a year is none that a number can tell.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    const LONGEST: f64 = 365.0 * 86_400.0;
    let seconds = Option::<f64>::deserialize(deserializer)?;
    Ok(seconds.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, LONGEST))))
}
