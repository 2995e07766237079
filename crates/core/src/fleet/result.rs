//! What an agent leaves behind: the result that it wrote, and what its own output shows.

use serde::{Deserialize, Serialize};

use super::Usd;

/// What an agent wrote into the file `COORDINATOR_RESULT`, and what its output shows. It is advice:
/// the exit and the source decide.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionResult {
    /// The agent's own word on its work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ResultStatus>,
    /// Why, in the agent's words: untrusted text, at most [`MAX_REASON`] characters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What it used, as far as it is known.
    #[serde(skip_serializing_if = "Usage::is_unknown")]
    pub usage: Usage,
    /// The agent's own id of the session, with which it can be resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_session: Option<String>,
    /// It ended because its context was used up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub context_exhausted: bool,
    /// Tool calls that its permissions denied.
    #[serde(skip_serializing_if = "is_zero")]
    pub denials: u32,
    /// The HTTP status with which the model's API ended it: 401, 429, 529.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_error: Option<u16>,
}

/// Characters of [`SessionResult::reason`].
pub const MAX_REASON: usize = 500;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// An agent's word on its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultStatus {
    /// It did what it was started for.
    Done,
    /// Something else must happen first.
    Blocked,
    /// A person must decide.
    NeedsHuman,
    /// It could not do it.
    Failed,
}

impl ResultStatus {
    /// The word in the result file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Blocked => "blocked",
            Self::NeedsHuman => "needs_human",
            Self::Failed => "failed",
        }
    }
}

/// What a session used; a field that is unknown is `None`, never 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// By the agent's own estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
    /// The agent's program printed the cost; else the agent itself wrote it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub measured: bool,
    /// Tokens that the model read, by the agent's own count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens that the model wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Answers of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<u32>,
}

impl Usage {
    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}
