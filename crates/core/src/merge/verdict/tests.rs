use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::merge::LastPushApproval;
use crate::merge::sample::{
    approval, checks, history, in_list, now, policy, pull, repository, run, user,
};
use crate::pull::{
    BaseCommit, CheckResult, Checks, LastPush, ReviewDecision, ReviewState, Rollup, RollupState,
    Row, Sha,
};

fn word(change: impl FnOnce(&mut Pull, &mut RepositoryFacts, &mut MergePolicy)) -> &'static str {
    let (mut pull, mut repository, mut policy) = (pull(), repository(), policy());
    change(&mut pull, &mut repository, &mut policy);
    verdict(&pull, &repository, &policy, now()).word()
}

#[test]
fn a_clean_approved_green_pull_request_is_merged() {
    assert_eq!(word(|_, _, _| {}), "merge");
}

#[test]
fn every_rule_has_its_word() {
    assert_eq!(word(|it, _, _| it.state = PullState::Closed), "not_open");
    assert_eq!(word(|it, _, _| it.state = PullState::Merged), "not_open");
    assert_eq!(word(|it, _, _| it.draft = true), "draft");
    assert_eq!(word(|it, _, _| it.merge_state = MergeState::Draft), "draft");
    assert_eq!(word(|it, _, _| it.base = "release/1.x".to_owned()), "base_not_allowed");
    assert_eq!(word(|it, _, _| it.fork = true), "fork");
    assert_eq!(word(|it, _, _| it.labels.items = vec!["Do-Not-Merge".to_owned()]), "blocked_label");
    assert_eq!(word(|it, _, _| it.labels.complete = false), "blocked_label");
    assert_eq!(
        word(|_, _, policy| policy.required_labels = vec!["ready".to_owned()]),
        "missing_label"
    );
    assert_eq!(word(|it, _, _| it.title = "WIP: new parser".to_owned()), "blocked_title");
    assert_eq!(word(|it, _, _| it.merge_queue = MergeQueue::Queued), "in_merge_queue");
    assert_eq!(word(|it, _, _| it.merge_queue = MergeQueue::Required), "merge_queue_required");
    assert_eq!(
        word(|_, repo, _| repo.branches = vec![history(&["Fix bug (#1)"])]),
        "already_on_base"
    );
    assert_eq!(word(|it, _, _| it.mergeable = Mergeable::Conflicting), "conflict");
    assert_eq!(word(|it, _, _| it.merge_state = MergeState::Dirty), "conflict");
    assert_eq!(word(|it, _, _| it.reviews.items.clear()), "not_approved");
    assert_eq!(word(|it, _, _| it.checks = Checks::None), "no_checks");
    assert_eq!(word(|it, _, _| it.merge_state = MergeState::Blocked), "blocked_by_protection");
    assert_eq!(word(|it, _, _| it.merge_state = MergeState::Behind), "behind_base");
    assert_eq!(word(|it, _, _| it.merge_state = MergeState::Unknown), "mergeability_unknown");
    assert_eq!(word(|it, _, _| it.mergeable = Mergeable::Unknown), "mergeability_unknown");
}

#[test]
fn states_that_hide_nothing_are_merged() {
    for state in [MergeState::Clean, MergeState::HasHooks, MergeState::Unstable] {
        assert_eq!(word(|it, _, _| it.merge_state = state), "merge");
    }
}

#[test]
fn a_hidden_state_is_left_to_the_merge_call_unless_the_token_goes_past_the_rules() {
    let hidden = |permission| {
        word(|it, repository, _| {
            it.merge_state = MergeState::Hidden;
            repository.permission = permission;
        })
    };
    assert_eq!((hidden(Permission::Write), hidden(Permission::Unknown)), ("merge", "merge"));
    assert_eq!(hidden(Permission::Admin), "mergeability_unknown");
    assert_eq!(hidden(Permission::ReadOnly), "no_write_permission");
}

#[test]
fn without_configured_bases_the_default_branch_is_the_base() {
    assert_eq!(word(|_, _, policy| policy.bases.clear()), "merge");
    let renamed = |_: &mut Pull, repository: &mut RepositoryFacts, policy: &mut MergePolicy| {
        policy.bases.clear();
        repository.default_branch = Some("trunk".to_owned());
    };
    assert_eq!(word(renamed), "base_not_allowed");
    let empty = |_: &mut Pull, repository: &mut RepositoryFacts, policy: &mut MergePolicy| {
        policy.bases.clear();
        repository.default_branch = None;
    };
    assert_eq!(word(empty), "base_not_allowed");
}

#[test]
fn only_the_own_number_at_the_end_of_a_first_line_says_that_it_is_on_the_base() {
    for (title, expected) in [
        ("Fix bug (#1)", "already_on_base"),
        ("Fix bug (#1) ", "already_on_base"),
        ("Fix bug (#11)", "merge"),
        ("Revert \"Fix bug (#1)\" (#12)", "merge"),
        ("Fix bug #1", "merge"),
        ("Fix bug (#1).", "merge"),
    ] {
        assert_eq!(word(|_, repo, _| repo.branches = vec![history(&[title])]), expected, "{title}");
    }
}

#[test]
fn a_commit_that_is_older_than_the_pull_request_is_not_its_merge() {
    let opened = now() - Duration::from_secs(3600);
    let on_base = |committed_at: Option<SystemTime>, created_at: Option<SystemTime>| {
        word(|it, repo, _| {
            it.created_at = created_at;
            let title = "Imported from elsewhere (#1)".to_owned();
            repo.branches[0].commits.items = vec![BaseCommit { title, committed_at }];
        })
    };
    let second = Duration::from_secs(1);
    assert_eq!(on_base(Some(opened - second), Some(opened)), "merge");
    for committed in [Some(opened), Some(opened + second), None] {
        assert_eq!(on_base(committed, Some(opened)), "already_on_base", "{committed:?}");
    }
    assert_eq!(on_base(Some(opened - second), None), "already_on_base");
}

#[test]
fn a_blocking_label_holds_with_spaces_for_hyphens_and_with_a_reason_below_it() {
    let labelled = |label: &str| word(|it, _, _| it.labels.items = vec![label.to_owned()]);
    for label in [
        "do-not-merge/hold",
        "Do Not Merge",
        "do not merge/invalid owners file",
        "HOLD",
        " wip ",
        "wip/ui",
    ] {
        assert_eq!(labelled(label), "blocked_label", "{label}");
    }
    for label in
        ["do-not-merge-yet-maybe", "on-hold", "hold-music", "swipe", "kind/wip-docs", "donotmerge"]
    {
        assert_eq!(labelled(label), "merge", "{label}");
    }
    let as_prow_writes_it = |it: &mut Pull, _: &mut RepositoryFacts, policy: &mut MergePolicy| {
        policy.block_labels = vec!["needs review/*".to_owned()];
        it.labels.items = vec!["Needs-Review/security".to_owned()];
    };
    assert_eq!(word(as_prow_writes_it), "blocked_label");
}

#[test]
fn a_required_label_may_have_spaces_for_hyphens_but_nothing_below_it() {
    let labelled = |label: &str| {
        word(|it, _, policy| {
            policy.required_labels = vec!["ready to-merge".to_owned()];
            it.labels.items = vec![label.to_owned()];
        })
    };
    assert_eq!(labelled("Ready-to-merge"), "merge");
    assert_eq!(labelled("ready to merge"), "merge");
    assert_eq!(labelled("ready-to-merge/not"), "missing_label");
}

#[test]
fn invisible_characters_do_not_get_a_title_past_its_rule() {
    let titled = |title: &str| word(|it, _, _| it.title = title.to_owned());
    for title in
        ["W\u{200b}IP: x", "\u{feff}wip: x", "W\u{200d}IP: x", "dra\u{00ad}ft: x", "WI\u{fe0f}P: x"]
    {
        assert_eq!(titled(title), "blocked_title", "{title:?}");
    }
    let own = |title: &str| {
        word(|it, _, policy| {
            policy.block_title = Some(regex::Regex::new("\u{200c}").expect("a pattern"));
            it.title = title.to_owned();
        })
    };
    assert_eq!(
        (own("a\u{200c}b"), own("ab")),
        ("blocked_title", "merge"),
        "the title as it is counts, too"
    );
}

#[test]
fn a_base_whose_commits_were_not_all_read_takes_nothing() {
    assert_eq!(
        word(|_, repo, _| repo.branches[0].commits.complete = false),
        "mergeability_unknown"
    );
}

#[test]
fn the_first_rule_that_hits_gives_the_reason() {
    let all = |it: &mut Pull, _: &mut RepositoryFacts, _: &mut MergePolicy| {
        it.fork = true;
        it.labels.items = vec!["wip".to_owned()];
        it.mergeable = Mergeable::Conflicting;
        it.reviews.items.clear();
        it.checks = Checks::None;
    };
    assert_eq!(word(all), "fork");
    assert_eq!(
        word(|it, repo, policy| {
            all(it, repo, policy);
            policy.allow_forks = true;
        }),
        "blocked_label"
    );
    let red_and_blocked = |it: &mut Pull, _: &mut RepositoryFacts, _: &mut MergePolicy| {
        it.checks = checks(vec![run("build", 1, CheckResult::Failed("failed"))]);
        it.merge_state = MergeState::Blocked;
    };
    assert_eq!(word(red_and_blocked), "ci_failed");
}

#[test]
fn a_repository_that_takes_no_merge_says_why() {
    let reason = |change: fn(&mut RepositoryFacts)| {
        let mut facts = repository();
        change(&mut facts);
        blocker(&facts).map(|skip| skip.reason.word())
    };
    assert_eq!(reason(|_| {}), None);
    assert_eq!(reason(|it| it.permission = Permission::Admin), None);
    assert_eq!(reason(|it| it.permission = Permission::Unknown), None);
    assert_eq!(reason(|it| it.permission = Permission::ReadOnly), Some("no_write_permission"));
    assert_eq!(reason(|it| it.squash_allowed = false), Some("squash_disabled"));
    assert_eq!(reason(|it| it.archived = true), Some("repo_archived"));
}

type World = (Pull, RepositoryFacts, MergePolicy);

/// Every way in which one fact can become worse.
const WORSENINGS: [fn(&mut World); 46] = [
    |(it, _, _)| it.state = PullState::Closed,
    |(it, _, _)| it.state = PullState::Merged,
    |(it, _, _)| it.state = PullState::Unknown,
    |(it, _, _)| it.draft = true,
    |(it, _, _)| it.base.push('x'),
    |(it, _, _)| it.fork = true,
    |(it, _, _)| it.labels.items.push("HOLD".to_owned()),
    |(it, _, _)| it.labels.complete = false,
    |(_, _, policy)| policy.required_labels.push("not there".to_owned()),
    |(it, _, _)| it.title = format!("WIP: {}", it.title),
    |(it, _, _)| it.merge_queue = MergeQueue::Queued,
    |(it, _, _)| it.merge_queue = MergeQueue::Required,
    |(it, _, _)| it.merge_queue = MergeQueue::Unknown,
    |(it, repo, _)| {
        let title = format!("Something (#{})", it.number);
        repo.branches[0].commits.items.push(BaseCommit { title, committed_at: None });
    },
    |(_, repo, _)| repo.branches[0].commits.complete = false,
    |(_, repo, policy)| {
        policy.bases.clear();
        repo.default_branch = None;
    },
    |(it, _, _)| it.mergeable = Mergeable::Conflicting,
    |(it, _, _)| it.mergeable = Mergeable::Unknown,
    |(it, _, _)| it.merge_state = MergeState::Dirty,
    |(it, _, _)| it.merge_state = MergeState::Draft,
    |(it, _, _)| it.merge_state = MergeState::Blocked,
    |(it, _, _)| it.merge_state = MergeState::Behind,
    |(it, _, _)| it.merge_state = MergeState::Unknown,
    |(it, _, _)| it.reviews.items[0].state = ReviewState::ChangesRequested,
    |(it, _, _)| it.reviews.items.iter_mut().for_each(|review| review.state = ReviewState::Other),
    |(it, _, _)| it.reviews.items.iter_mut().for_each(|review| review.can_push = false),
    |(it, _, _)| it.reviews.items.iter_mut().for_each(|review| review.author = None),
    |(it, _, _)| it.reviews.items.iter_mut().for_each(|review| review.commit = None),
    |(it, _, _)| {
        let author = it.author.clone();
        it.reviews.items.iter_mut().for_each(|review| review.author.clone_from(&author));
    },
    |(it, _, _)| it.reviews.items.clear(),
    |(it, _, _)| it.reviews.complete = false,
    |(it, _, _)| it.review_decision = ReviewDecision::ReviewRequired,
    |(it, _, _)| it.review_decision = ReviewDecision::ChangesRequested,
    |(it, _, _)| it.review_decision = ReviewDecision::Unknown,
    |(_, _, policy)| policy.min_approvals = 50,
    |(_, _, policy)| policy.settle = Duration::from_secs(3600),
    |(it, _, _)| it.head = Sha("h2".to_owned()),
    |(it, _, _)| it.checks = Checks::Unreadable("no".to_owned()),
    |(it, _, _)| it.checks = Checks::None,
    |(it, _, policy)| {
        policy.last_push_approval = LastPushApproval::Require;
        it.last_push = LastPush::Unknown("not shown".to_owned());
    },
    |(it, _, policy)| {
        policy.last_push_approval = LastPushApproval::Require;
        let approvers = it.reviews.items.iter().filter_map(|review| review.author.clone());
        it.last_push = LastPush::By(approvers.collect());
    },
    |(it, _, _)| rollup(it, |rollup| rollup.commit = Some(Sha("h0".to_owned()))),
    |(it, _, _)| rollup(it, |rollup| rollup.state = RollupState::Pending),
    |(it, _, _)| rollup(it, |rollup| rollup.total += 1),
    |(it, _, _)| add_row(it, CheckResult::Failed("failed")),
    |(it, _, _)| add_row(it, CheckResult::Pending("is queued")),
];

fn rollup(pull: &mut Pull, change: impl FnOnce(&mut Rollup)) {
    if let Checks::Rollup(rollup) = &mut pull.checks {
        change(rollup);
    }
}

fn add_row(pull: &mut Pull, result: CheckResult) {
    rollup(pull, |rollup| {
        let whole = rollup.rows.complete;
        match result {
            CheckResult::Failed(_) => rollup.counts.failed += 1,
            CheckResult::Pending(_) => rollup.counts.pending += 1,
            CheckResult::Succeeded | CheckResult::Neutral => {}
        }
        rollup.total += 1;
        rollup.state = RollupState::Failure;
        if whole {
            rollup.rows.items.push(run("one more", 99, result));
        }
    });
}

fn eligible() -> impl Strategy<Value = World> {
    let rows = prop::collection::vec(
        prop_oneof![Just(CheckResult::Succeeded), Just(CheckResult::Neutral)],
        0..5,
    );
    let state = prop_oneof![
        Just(MergeState::Clean),
        Just(MergeState::HasHooks),
        Just(MergeState::Unstable)
    ];
    let decision = prop_oneof![Just(ReviewDecision::NotRequired), Just(ReviewDecision::Approved)];
    let facts =
        (1..9_000_u64, "[A-Z][a-z]{0,9} #?[0-9]{0,3}", 0..4_usize, any::<bool>(), any::<bool>());
    (rows, state, decision, facts).prop_map(|(rows, state, decision, facts)| {
        let (number, title, approvals, whole, listed) = facts;
        let mut pull =
            Pull { number, title, merge_state: state, review_decision: decision, ..pull() };
        // Numbers of the sample's base commits.
        pull.number += 100;
        pull.labels.items.extend(listed.then(|| "feature".to_owned()));
        pull.reviews
            .items
            .extend((0..approvals).map(|index| approval(user(&format!("u{index}")), "h1")));
        let others =
            rows.into_iter().zip(2..).map(|(result, id)| run(&format!("check {id}"), id, result));
        let rows: Vec<Row> =
            std::iter::once(run("build", 1, CheckResult::Succeeded)).chain(others).collect();
        pull.checks = if whole { checks(rows) } else { in_list(checks(rows)) };
        (pull, repository(), policy())
    })
}

proptest! {
    #[test]
    fn no_single_worsening_of_an_eligible_pull_request_is_eligible(world in eligible()) {
        let judge = |(pull, repository, policy): &World| verdict(pull, repository, policy, now());
        prop_assert_eq!(judge(&world), Verdict::Merge);
        for (index, worsen) in WORSENINGS.iter().enumerate() {
            let mut worse = world.clone();
            worsen(&mut worse);
            prop_assert_ne!(judge(&worse), Verdict::Merge, "worsening {} of {:?}", index, &world.0);
        }
    }
}
