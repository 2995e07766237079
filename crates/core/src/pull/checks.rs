//! The checks of a head commit.

use std::time::SystemTime;

use super::{Page, Sha};

/// The checks of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checks {
    /// GitHub did not show them: why.
    Unreadable(String),
    /// There is none.
    None,
    /// What GitHub shows.
    Rollup(Rollup),
}

/// Check runs and commit statuses of one commit, superseded ones included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollup {
    /// The commit that they belong to.
    pub commit: Option<Sha>,
    /// GitHub's summary. A superseded run keeps it from being `Success`.
    pub state: RollupState,
    /// How many rows there are.
    pub total: u64,
    /// The rows by their state.
    pub counts: Counts,
    /// The rows themselves, all or some.
    pub rows: Page<Row>,
}

/// `StatusCheckRollup.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollupState {
    /// Every row passed.
    Success,
    /// Some row has not ended, or is expected.
    Pending,
    /// Some row failed.
    Failure,
    /// Null, or a word that we do not know.
    Unknown,
}

/// Rows by their state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Succeeded.
    pub succeeded: u64,
    /// Neutral or skipped.
    pub neutral: u64,
    /// Not ended.
    pub pending: u64,
    /// Ended otherwise.
    pub failed: u64,
    /// In a state whose meaning we do not know.
    pub unknown: u64,
}

impl Counts {
    /// All rows that are counted.
    pub fn sum(&self) -> u64 {
        [self.succeeded, self.neutral, self.pending, self.failed, self.unknown]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

/// A check run or a commit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The run's name or the status's context: untrusted text.
    pub name: String,
    /// Which of the two.
    pub source: RowSource,
    /// How it stands.
    pub result: CheckResult,
    /// GitHub requires it for this pull request; `None` when it was not asked, or did not say.
    pub required: Option<bool>,
}

/// Where a row comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowSource {
    /// A check run.
    CheckRun {
        /// Slug of the app that made it.
        app: Option<String>,
        /// Its workflow, for GitHub Actions.
        workflow: Option<u64>,
        /// What started the workflow: `push`, `pull_request`.
        event: Option<String>,
        /// Its check suite: runs of one suite that share a name are reruns.
        suite: Option<u64>,
        /// Grows with time: the greater one is the newer run.
        id: Option<u64>,
    },
    /// A commit status.
    Status {
        /// When it was set.
        created_at: Option<SystemTime>,
    },
}

/// How a check stands; the text says it in words: `is in progress`, `was cancelled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckResult {
    /// Passed, and says something.
    Succeeded,
    /// Neutral or skipped: passes, but vouches for nothing.
    Neutral,
    /// Has not ended.
    Pending(&'static str),
    /// Ended in any other way.
    Failed(&'static str),
}
