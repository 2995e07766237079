//! Eligible pull requests for tests.

#![allow(clippy::missing_panics_doc, reason = "a test fails by a panic")]

use std::time::{Duration, SystemTime};

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::merge::{CheckMode, CommitMessage, LastPushApproval, MergePolicy, StaleApprovals};
use crate::pull::{
    Actor, ActorKind, BaseCommit, BranchHistory, CheckResult, Checks, Counts, LastPush, MergeQueue,
    MergeState, Mergeable, Page, Permission, Pull, PullState, RepositoryFacts, Review,
    ReviewDecision, ReviewState, Rollup, RollupState, Row, RowSource, Sha,
};

pub fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

pub fn policy() -> MergePolicy {
    MergePolicy {
        enabled: true,
        bases: vec!["main".to_owned()],
        min_approvals: 1,
        stale_approvals: StaleApprovals::Block,
        last_push_approval: LastPushApproval::Github,
        trusted_approvers: Vec::new(),
        allow_bot_approvers: Vec::new(),
        checks: CheckMode::All,
        required_checks: Vec::new(),
        ignored_checks: GlobSet::empty(),
        allow_no_checks: false,
        allow_forks: false,
        block_labels: ["do-not-merge", "hold", "wip"].map(str::to_owned).to_vec(),
        required_labels: Vec::new(),
        block_title: Some(
            regex::Regex::new(r"(?i)^\s*(\[?wip\]?[:\s\]]|draft:)").expect("a valid pattern"),
        ),
        settle: Duration::ZERO,
        protected_paths: None,
        pause: Duration::ZERO,
        max_merges: 20,
        hold_when_down: false,
        commit_message: CommitMessage::Title,
    }
}

pub fn globs(patterns: &[&str]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).expect("a valid pattern"));
    }
    set.build().expect("valid patterns")
}

pub fn repository() -> RepositoryFacts {
    RepositoryFacts {
        archived: false,
        squash_allowed: true,
        permission: Permission::Write,
        default_branch: Some("main".to_owned()),
        branches: vec![history(&["Fix the build (#11)", "Release 1.0"])],
    }
}

pub fn history(titles: &[&str]) -> BranchHistory {
    let commit =
        |title: &&str| BaseCommit { title: (*title).to_owned(), committed_at: Some(now()) };
    let commits = Page { items: titles.iter().map(commit).collect(), complete: true };
    BranchHistory { branch: "main".to_owned(), commits }
}

pub fn user(login: &str) -> Actor {
    Actor::new(ActorKind::User, login)
}

pub fn approval(author: Actor, commit: &str) -> Review {
    Review {
        author: Some(author),
        state: ReviewState::Approved,
        can_push: true,
        commit: Some(Sha(commit.to_owned())),
        submitted_at: Some(now() - Duration::from_secs(600)),
    }
}

pub fn run(name: &str, id: u64, result: CheckResult) -> Row {
    let source = RowSource::CheckRun {
        app: Some("github-actions".to_owned()),
        workflow: Some(1),
        event: Some("pull_request".to_owned()),
        suite: Some(1),
        id: Some(id),
    };
    Row { name: name.to_owned(), source, result, required: None }
}

pub fn status(name: &str, result: CheckResult) -> Row {
    Row {
        name: name.to_owned(),
        source: RowSource::Status { created_at: Some(now()) },
        result,
        required: None,
    }
}

/// Checks as GitHub shows them when all rows are read; counts and state follow from the rows.
pub fn checks(rows: Vec<Row>) -> Checks {
    let mut counts = Counts::default();
    for row in &rows {
        match row.result {
            CheckResult::Succeeded => counts.succeeded += 1,
            CheckResult::Neutral => counts.neutral += 1,
            CheckResult::Pending(_) => counts.pending += 1,
            CheckResult::Failed(_) => counts.failed += 1,
        }
    }
    let state = match (counts.failed, counts.pending) {
        (0, 0) => RollupState::Success,
        (0, _) => RollupState::Pending,
        (_, _) => RollupState::Failure,
    };
    Checks::Rollup(Rollup {
        commit: Some(Sha("h1".to_owned())),
        state,
        total: rows.len() as u64,
        counts,
        rows: Page { items: rows, complete: true },
    })
}

/// The same as the list shows it: the first row alone.
pub fn in_list(checks: Checks) -> Checks {
    let Checks::Rollup(mut rollup) = checks else { return checks };
    rollup.rows.items.truncate(1);
    rollup.rows.complete = rollup.total <= 1;
    Checks::Rollup(rollup)
}

pub fn pull() -> Pull {
    Pull {
        id: "PR_1".to_owned(),
        number: 1,
        title: "Fix bug".to_owned(),
        state: PullState::Open,
        draft: false,
        author: Some(user("agent-a")),
        created_at: Some(now() - Duration::from_secs(86_400)),
        base: "main".to_owned(),
        head: Sha("h1".to_owned()),
        last_push: LastPush::By(vec![user("agent-a")]),
        fork: false,
        labels: Page { items: Vec::new(), complete: true },
        mergeable: Mergeable::Yes,
        merge_state: MergeState::Clean,
        merge_queue: MergeQueue::None,
        review_decision: ReviewDecision::NotRequired,
        reviews: Page { items: vec![approval(user("alice"), "h1")], complete: true },
        checks: in_list(checks(vec![run("build", 1, CheckResult::Succeeded)])),
        gaps: std::collections::BTreeMap::new(),
    }
}
