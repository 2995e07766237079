//! Pull requests as the merge step judges them: our own types, not an SDK's. A field that GitHub
//! did not show, or whose word is unknown, has a value of its own, which never allows a merge.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

pub use repository::{BaseCommit, BranchHistory, Permission, Repository, RepositoryFacts};

mod repository;

/// A full commit id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sha(pub String);

/// One pull request at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// GitHub's node id, by which it is read again.
    pub id: String,
    /// Its number; numbers are given in the order of creation.
    pub number: u64,
    /// Untrusted text.
    pub title: String,
    pub state: PullState,
    /// Marked as a draft.
    pub draft: bool,
    /// Who opened it; `None` for a deleted account.
    pub author: Option<Actor>,
    pub created_at: Option<SystemTime>,
    /// Name of the branch that it goes into.
    pub base: String,
    /// The commit that is judged, and the only one that may be merged.
    pub head: Sha,
    /// Who made that commit.
    pub last_push: LastPush,
    /// Its head is in another repository.
    pub fork: bool,
    pub labels: Page<String>,
    /// Whether it can be merged without a conflict.
    pub mergeable: Mergeable,
    pub merge_state: MergeState,
    /// Its relation to a merge queue.
    pub merge_queue: MergeQueue,
    /// GitHub's own decision on its reviews.
    pub review_decision: ReviewDecision,
    /// The latest opinion of each reviewer who may write to the repository.
    pub reviews: Page<Review>,
    /// The checks of its head.
    pub checks: Checks,
    /// Fields that GitHub did not show, by their name in GraphQL.
    pub gaps: BTreeMap<String, Gap>,
}

/// A list, and whether it is all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Nothing is missing.
    pub complete: bool,
}

/// `PullRequest.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullState {
    Open,
    Closed,
    Merged,
    /// A value added after this was written.
    Unknown,
}

/// An account. Two are the same only when kind and login agree: an app and a person may share a
/// login.
#[derive(Debug, Clone, Eq)]
pub struct Actor {
    pub kind: ActorKind,
    /// Without `[bot]`.
    pub login: String,
}

impl Actor {
    /// An actor by GitHub's type name; a bot's login may carry `[bot]`.
    pub fn new(kind: ActorKind, login: &str) -> Self {
        Self { kind, login: login.strip_suffix("[bot]").unwrap_or(login).to_owned() }
    }
}

impl PartialEq for Actor {
    /// Logins are compared without letter case.
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.login.eq_ignore_ascii_case(&other.login)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = if self.kind == ActorKind::Bot { "[bot]" } else { "" };
        write!(f, "{}{suffix}", self.login)
    }
}

/// The accounts behind the head commit. GitHub does not show who pushed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastPush {
    /// Its author and its committer.
    By(Vec<Actor>),
    /// Why they are not known.
    Unknown(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorKind {
    /// A person's account.
    User,
    /// An app.
    Bot,
    /// Anything else: its approval never counts.
    Other,
}

/// One reviewer's latest opinion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// `None` for a deleted account.
    pub author: Option<Actor>,
    pub state: ReviewState,
    /// The reviewer may push to the repository.
    pub can_push: bool,
    /// The commit that was looked at.
    pub commit: Option<Sha>,
    pub submitted_at: Option<SystemTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewState {
    Approved,
    ChangesRequested,
    /// Neither: dismissed, a comment, pending, or an unknown word.
    Other,
}

/// `PullRequest.reviewDecision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewDecision {
    /// Null: no rule requires a review. Neither a yes nor a no.
    NotRequired,
    /// The rules are satisfied.
    Approved,
    ReviewRequired,
    /// A reviewer whose review counts requested changes.
    ChangesRequested,
    /// Could not be read, or an unknown word.
    Unknown,
}

/// `PullRequest.mergeable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mergeable {
    Yes,
    Conflicting,
    /// GitHub has not computed it, or it could not be read.
    Unknown,
}

/// `PullRequest.mergeStateStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeState {
    /// Nothing is in the way.
    Clean,
    /// Nothing is in the way; hooks will run.
    HasHooks,
    /// A check that is not required did not pass.
    Unstable,
    /// A rule is in the way.
    Blocked,
    /// A rule requires a head that contains the base.
    Behind,
    Dirty,
    Draft,
    /// An older GitHub Enterprise Server does not have the field. It enforces its rules at the
    /// merge call, except for an administrator's token.
    Hidden,
    /// Not computed yet, could not be read, or an unknown word.
    Unknown,
}

/// A pull request and a merge queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeQueue {
    /// The base has none.
    None,
    /// The base accepts merges only from its queue.
    Required,
    /// The pull request is in it.
    Queued,
    Unknown,
}

/// The checks of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checks {
    /// GitHub did not show them: why.
    Unreadable(String),
    /// The head has no checks.
    None,
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
    /// Null, or an unknown word.
    Unknown,
}

/// Rows by their state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub succeeded: u64,
    /// Neutral or skipped.
    pub neutral: u64,
    pub pending: u64,
    /// Ended otherwise.
    pub failed: u64,
    /// In an unknown state.
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
    pub result: CheckResult,
    /// GitHub requires it for this pull request; `None` where that was not read.
    pub required: Option<bool>,
}

/// Where a row comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowSource {
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
    Status {
        created_at: Option<SystemTime>,
    },
}

/// The state of a check, with a phrase for it: `is in progress`, `was cancelled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckResult {
    /// Passed.
    Succeeded,
    /// Neutral or skipped: it passes without being evidence.
    Neutral,
    Pending(&'static str),
    /// Ended in any other way.
    Failed(&'static str),
}

/// A pull request of which too little could be read to judge it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub number: u64,
    /// Its title, as far as known: untrusted text.
    pub title: String,
    pub gap: Gap,
}

/// Something that GitHub did not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// What kind of remedy may help.
    pub cause: GapCause,
    /// GitHub's message, or ours where there is none.
    pub sentence: String,
}

/// Why GitHub did not show something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapCause {
    /// The token may not see it.
    Refused,
    /// It takes GitHub too long, even alone.
    TooLarge,
    Other,
}
