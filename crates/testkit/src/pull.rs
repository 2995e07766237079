//! Pull requests, reviews and checks as the world keeps them; the names are those of the case
//! files.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::state::Commit;
use sha2::{Digest, Sha256};

use super::clock;

/// A full commit id for a short name: equal names, equal commits.
pub fn commit_id(name: &str) -> String {
    use std::fmt::Write;
    Sha256::digest(name).iter().take(20).fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// `seconds` from now; negative is the past.
pub fn from_now(seconds: i64) -> SystemTime {
    after(clock::now(), seconds)
}

/// `seconds` from the start of the world; negative is before it.
pub fn from_start(seconds: i64) -> SystemTime {
    after(clock::start(), seconds)
}

fn after(time: SystemTime, seconds: i64) -> SystemTime {
    let span = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { time - span } else { time + span }
}

/// A pull request.
#[expect(clippy::struct_excessive_bools, reason = "these are GitHub's own flags")]
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pull {
    pub number: u64,
    pub title: String,
    /// When it was opened, in seconds from the start of the world. About a day before it when
    /// `None`.
    pub created: Option<i64>,
    pub author: Option<Author>,
    pub state: String,
    pub draft: bool,
    pub fork: bool,
    pub base: String,
    pub head: String,
    pub head_author: Maker,
    pub head_committer: Maker,
    #[serde(rename = "reviewDecision")]
    pub review_decision: Option<String>,
    pub mergeable: String,
    #[serde(rename = "mergeStateStatus")]
    pub merge_state_status: String,
    #[serde(rename = "isMergeQueueEnabled")]
    pub is_merge_queue_enabled: bool,
    #[serde(rename = "isInMergeQueue")]
    pub is_in_merge_queue: bool,
    pub labels: Vec<String>,
    /// Oldest first.
    pub reviews: Vec<Review>,
    /// All rows of the head, superseded ones included.
    pub checks: Vec<Check>,
    /// GitHub's own summary of all rows, where it differs from their sum.
    pub rollup_state: Option<String>,
    /// The rollup is null and comes with a FORBIDDEN error.
    pub rollup_error: bool,
    /// Paths that it changes.
    pub files: Vec<String>,
    /// These conflict as soon as this one is merged.
    pub conflicts_with: Vec<u64>,
    /// Its branch; `agent/change-<number>` when `None`.
    pub branch: Option<String>,
    /// Its commit on the base, once it is merged.
    #[serde(skip)]
    pub merged: Option<Commit>,
    /// Fields of it that come as null with an error of this type.
    pub broken_fields: Vec<(String, String)>,
}

impl Default for Pull {
    fn default() -> Self {
        Self {
            number: 1,
            title: "Fix bug".to_owned(),
            created: None,
            author: Some(Author::user("agent-a")),
            state: "OPEN".to_owned(),
            draft: false,
            fork: false,
            base: "main".to_owned(),
            head: "h1".to_owned(),
            head_author: Maker::user("agent-a"),
            head_committer: Maker::user("agent-a"),
            review_decision: None,
            mergeable: "MERGEABLE".to_owned(),
            merge_state_status: "CLEAN".to_owned(),
            is_merge_queue_enabled: false,
            is_in_merge_queue: false,
            labels: Vec::new(),
            reviews: vec![Review::approval("alice", "h1")],
            checks: vec![Check::run("build", 1, "SUCCESS")],
            rollup_state: None,
            rollup_error: false,
            files: vec!["src/lib.rs".to_owned()],
            conflicts_with: Vec::new(),
            branch: None,
            merged: None,
            broken_fields: Vec::new(),
        }
    }
}

impl Pull {
    /// An eligible pull request: head `h<number>`, approved and green on it.
    pub fn eligible(number: u64) -> Self {
        let head = format!("h{number}");
        Self { number, reviews: vec![Review::approval("alice", &head)], head, ..Self::default() }
    }

    /// The same with this title.
    #[must_use]
    pub fn titled(self, title: &str) -> Self {
        Self { title: title.to_owned(), ..self }
    }

    /// Its id in GraphQL.
    pub fn id(&self) -> String {
        format!("PR_{}", self.number)
    }
}

/// An account; GraphQL gives a bot's login without `[bot]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Author {
    pub login: String,
    #[serde(rename = "type")]
    pub kind: String,
}

impl Author {
    /// A person.
    pub fn user(login: &str) -> Self {
        Self { login: login.to_owned(), kind: "User".to_owned() }
    }
}

/// Author or committer of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maker {
    pub email: String,
    /// The account that GitHub links to the address.
    pub login: Option<String>,
}

impl Maker {
    /// A person with an account.
    pub fn user(login: &str) -> Self {
        Self { email: format!("{login}@example.com"), login: Some(login.to_owned()) }
    }
}

/// One review of the history.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// `None`: the account was deleted.
    pub author: Option<Author>,
    pub association: String,
    /// May push to the repository: only then is it a writer.
    pub can_push: bool,
    pub state: String,
    pub commit: Option<String>,
    /// Seconds from the start of the world.
    pub at: i64,
}

impl Review {
    /// An approval by a writer, ten minutes ago.
    pub fn approval(login: &str, commit: &str) -> Self {
        Self {
            author: Some(Author::user(login)),
            association: "MEMBER".to_owned(),
            can_push: true,
            state: "APPROVED".to_owned(),
            commit: Some(commit.to_owned()),
            at: -600,
        }
    }
}

/// One row of the head's checks.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Check {
    CheckRun {
        name: String,
        #[serde(default = "github_actions")]
        app: String,
        #[serde(default = "ci")]
        workflow: Option<String>,
        /// The event that started the workflow.
        #[serde(default = "pull_request")]
        event: String,
        /// Which run of the workflow, or which suite of an app without workflows.
        #[serde(default = "first")]
        run: u64,
        id: u64,
        status: String,
        conclusion: Option<String>,
        #[serde(default)]
        required: bool,
    },
    Status {
        name: String,
        state: String,
        id: u64,
        #[serde(default)]
        required: bool,
        creator: String,
    },
}

fn github_actions() -> String {
    "github-actions".to_owned()
}

#[expect(clippy::unnecessary_wraps, reason = "the default of an optional field")]
fn ci() -> Option<String> {
    Some("ci".to_owned())
}

fn pull_request() -> String {
    "pull_request".to_owned()
}

fn first() -> u64 {
    1
}

impl Check {
    /// A completed check run of the workflow `ci`.
    pub fn run(name: &str, id: u64, conclusion: &str) -> Self {
        Self::CheckRun {
            name: name.to_owned(),
            app: github_actions(),
            workflow: ci(),
            event: pull_request(),
            run: first(),
            id,
            status: "COMPLETED".to_owned(),
            conclusion: Some(conclusion.to_owned()),
            required: false,
        }
    }

    /// How GitHub counts it: a check run by its conclusion once it has ended, a commit status by
    /// its state.
    pub fn counted_state(&self) -> &str {
        match self {
            Self::Status { state, .. } => state,
            Self::CheckRun { status, conclusion: Some(conclusion), .. }
                if status == "COMPLETED" =>
            {
                conclusion
            }
            Self::CheckRun { status, .. } if status == "REQUESTED" => "QUEUED",
            Self::CheckRun { status, .. } => status,
        }
    }
}
