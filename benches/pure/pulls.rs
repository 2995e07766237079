//! Pull requests: a third may merge, a third has a failed check, a third lacks an approval.

use std::time::{Duration, SystemTime};

use coordinator_core::pull::{
    Actor, ActorKind, BaseCommit, BranchHistory, CheckResult, Checks, Counts, LastPush, MergeQueue,
    MergeState, Mergeable, Page, Permission, Pull, PullState, RepositoryFacts, Review,
    ReviewDecision, ReviewState, Rollup, RollupState, Row, RowSource, Sha,
};

/// Commits of the base that are looked through for each pull request's number.
const BASE_COMMITS: usize = 100;

pub(crate) fn repository(now: SystemTime) -> RepositoryFacts {
    let commit =
        |number| BaseCommit { title: format!("Change module {number}"), committed_at: Some(now) };
    let commits = Page { items: (0..BASE_COMMITS).map(commit).collect(), complete: true };
    RepositoryFacts {
        archived: false,
        squash_allowed: true,
        permission: Permission::Write,
        default_branch: Some("main".to_owned()),
        branches: vec![BranchHistory { branch: "main".to_owned(), commits }],
    }
}

pub(crate) fn pulls(count: usize, now: SystemTime) -> Vec<Pull> {
    (1..=count as u64).map(|number| pull(number, now)).collect()
}

fn pull(number: u64, now: SystemTime) -> Pull {
    let head = Sha(format!("{number:040x}"));
    let check =
        if number % 3 == 1 { CheckResult::Failed("failure") } else { CheckResult::Succeeded };
    let reviews = if number % 3 == 2 { Vec::new() } else { vec![approval(&head, now)] };
    Pull {
        id: format!("PR_{number}"),
        number,
        title: format!("Rename the settings of module {number}"),
        state: PullState::Open,
        draft: false,
        author: Some(Actor::new(ActorKind::User, "agent")),
        created_at: Some(now - Duration::from_secs(86_400)),
        base: "main".to_owned(),
        fork: false,
        labels: Page { items: vec!["ready".to_owned()], complete: true },
        mergeable: Mergeable::Yes,
        merge_state: MergeState::Clean,
        merge_queue: MergeQueue::None,
        review_decision: ReviewDecision::NotRequired,
        reviews: Page { items: reviews, complete: true },
        checks: checks(&head, check),
        last_push: LastPush::By(vec![Actor::new(ActorKind::User, "agent")]),
        gaps: std::collections::BTreeMap::new(),
        head,
    }
}

fn approval(head: &Sha, now: SystemTime) -> Review {
    Review {
        author: Some(Actor::new(ActorKind::User, "alice")),
        state: ReviewState::Approved,
        can_push: true,
        commit: Some(head.clone()),
        submitted_at: Some(now - Duration::from_secs(600)),
    }
}

fn checks(head: &Sha, result: CheckResult) -> Checks {
    let failed = u64::from(result != CheckResult::Succeeded);
    let source = RowSource::CheckRun {
        app: Some("ci".to_owned()),
        workflow: Some(1),
        event: Some("pull_request".to_owned()),
        suite: Some(1),
        id: Some(1),
    };
    Checks::Rollup(Rollup {
        commit: Some(head.clone()),
        state: if failed == 0 { RollupState::Success } else { RollupState::Failure },
        total: 1,
        counts: Counts { succeeded: 1 - failed, failed, ..Counts::default() },
        rows: Page {
            items: vec![Row { name: "build".to_owned(), source, result, required: None }],
            complete: true,
        },
    })
}
