//! What may merge, and why not: `[merge]` of the roster, and the rules that give every open pull
//! request a verdict with a reason.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod approval;
pub mod checks;
pub mod reason;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
pub mod title;
pub mod verdict;

/// `[merge]`.
#[expect(clippy::struct_excessive_bools, reason = "these are switches of the roster")]
#[derive(Debug, Clone)]
pub struct MergePolicy {
    /// `false`: the step is not configured.
    pub enabled: bool,
    /// Empty: the default branch.
    pub bases: Vec<String>,
    /// At least 1.
    pub min_approvals: u32,
    /// What an approval of an older commit counts for.
    pub stale_approvals: StaleApprovals,
    /// Which approvals count after a push.
    pub last_push_approval: LastPushApproval,
    /// When set, only these count: `alice`, `reviewer[bot]`.
    pub trusted_approvers: Vec<String>,
    /// Bots whose approval counts, without `[bot]`.
    pub allow_bot_approvers: Vec<String>,
    /// Which checks must pass.
    pub checks: CheckMode,
    /// These must exist and have succeeded.
    pub required_checks: Vec<RequiredCheck>,
    /// Names that do not count.
    pub ignored_checks: globset::GlobSet,
    /// Merge without a single successful check.
    pub allow_no_checks: bool,
    /// Merge from forks.
    pub allow_forks: bool,
    /// Any of these forbids it, and so does a label below one (`do-not-merge/hold`). Letter case
    /// aside, and a space is a hyphen.
    pub block_labels: Vec<String>,
    /// All of these must be there. Letter case aside, and a space is a hyphen.
    pub required_labels: Vec<String>,
    /// A title that matches forbids it; `None` for "".
    pub block_title: Option<regex::Regex>,
    /// How old the newest approval that counts must be.
    pub settle: Duration,
    /// Paths that only people may merge; `None` when the list is empty.
    pub protected_paths: Option<globset::GlobSet>,
    /// Pause between two merges: GitHub's documentation recommends a second.
    pub pause: Duration,
    /// Per cycle; 0 pauses.
    pub max_merges: u32,
    /// While production is down, only reverts are merged.
    pub hold_when_down: bool,
    /// The text of the squash commit.
    pub commit_message: CommitMessage,
}

/// `stale_approvals`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StaleApprovals {
    /// Only approvals of the head commit count.
    Block,
    /// Older ones count too, when GitHub's own decision is APPROVED.
    Github,
}

/// `last_push_approval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LastPushApproval {
    /// GitHub's own rules decide.
    Github,
    /// An approval by an account that made the head commit does not count.
    Require,
}

/// `checks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckMode {
    /// Every check that is not ignored.
    All,
    /// Those that GitHub or the roster requires.
    Required,
}

/// An entry of `required_checks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredCheck {
    /// The exact name of a check run, or the exact context of a commit status.
    pub name: String,
    /// Only a check run of this app counts (its slug).
    pub app: Option<String>,
}

/// `commit_message`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CommitMessage {
    /// `<title> (#n)`, sanitised, no body.
    Title,
    /// What the repository's settings make of it.
    Repository,
}
