use proptest::prelude::*;

use super::*;
use crate::merge::sample::{checks, globs, in_list, policy, pull, run, status};
use crate::pull::Sha;

const RUNNING: CheckResult = CheckResult::Pending("is in progress");
const RED: CheckResult = CheckResult::Failed("failed");
const GREEN: CheckResult = CheckResult::Succeeded;
const SKIPPED: CheckResult = CheckResult::Neutral;

fn word(checks: Checks, policy: &MergePolicy) -> &'static str {
    match judge(&Pull { checks, ..pull() }, policy) {
        CheckVerdict::Green => "green",
        CheckVerdict::NeedsRows => "needs rows",
        CheckVerdict::Skip(skip) => skip.reason.word(),
    }
}

fn by_list(rows: &[Row]) -> &'static str {
    word(in_list(checks(rows.to_vec())), &policy())
}

fn by_rows(rows: &[Row], change: impl FnOnce(&mut MergePolicy)) -> &'static str {
    let mut policy = policy();
    change(&mut policy);
    word(checks(rows.to_vec()), &policy)
}

fn required(name: &str, app: Option<&str>) -> RequiredCheck {
    RequiredCheck { name: name.to_owned(), app: app.map(str::to_owned) }
}

#[test]
fn the_list_alone_decides_what_no_superseded_row_could_change() {
    let (build, e2e) = (run("build", 1, GREEN), run("e2e", 2, GREEN));
    assert_eq!(by_list(&[build.clone(), e2e]), "green");
    assert_eq!(by_list(&[build.clone(), run("docs", 2, SKIPPED)]), "green");
    assert_eq!(by_list(&[run("build", 1, SKIPPED), run("docs", 2, SKIPPED)]), "no_checks");
    assert_eq!(by_list(&[run("build", 1, RUNNING)]), "ci_pending");
    assert_eq!(by_list(&[run("build", 1, RED)]), "ci_failed");
    assert_eq!(by_list(&[run("build", 1, RED), run("e2e", 2, RED)]), "ci_failed");
    assert_eq!(by_list(&[run("build", 1, RUNNING), run("e2e", 2, RUNNING)]), "ci_pending");
    assert_eq!(by_list(&[run("build", 1, RED), run("build", 2, SKIPPED)]), "ci_failed");
    assert_eq!(by_list(&[run("build", 1, RUNNING), run("build", 2, SKIPPED)]), "ci_pending");
    assert_eq!(by_list(&[run("build", 1, GREEN), run("build", 2, SKIPPED)]), "green");
}

#[test]
fn the_rows_are_read_where_a_superseded_one_could_change_the_answer() {
    let build = run("build", 1, GREEN);
    assert_eq!(by_list(&[build.clone(), run("build", 2, RED)]), "needs rows");
    assert_eq!(by_list(&[build.clone(), run("build", 2, RUNNING)]), "needs rows");
    assert_eq!(by_list(&[run("build", 1, RED), run("build", 2, RUNNING)]), "needs rows");
}

#[test]
fn names_in_the_roster_need_the_rows() {
    let rows = || in_list(checks(vec![run("build", 1, GREEN), run("e2e", 2, GREEN)]));
    let mut with = policy();
    with.required_checks = vec![required("build", None)];
    assert_eq!(word(rows(), &with), "needs rows");
    let mut with = policy();
    with.ignored_checks = globs(&["e2e"]);
    assert_eq!(word(rows(), &with), "needs rows");
    with.checks = CheckMode::Required;
    with.ignored_checks = globs(&[]);
    assert_eq!(word(rows(), &with), "green");
    assert_eq!(word(in_list(checks(vec![run("build", 1, RED)])), &with), "needs rows");
}

#[test]
fn the_newest_run_of_a_check_counts_whatever_the_order_of_the_list() {
    let (old, new) = (|result| run("build", 10, result), |result| run("build", 20, result));
    for (first, second, expected) in [
        (old(CheckResult::Failed("was cancelled")), new(GREEN), "green"),
        (old(GREEN), new(RUNNING), "ci_pending"),
        (old(GREEN), new(RED), "ci_failed"),
    ] {
        assert_eq!(by_rows(&[first.clone(), second.clone()], |_| {}), expected);
        assert_eq!(by_rows(&[second, first], |_| {}), expected);
    }
}

#[test]
fn runs_without_an_age_count_by_the_worst() {
    let ageless = |result| {
        let source =
            RowSource::CheckRun { app: None, workflow: None, event: None, suite: None, id: None };
        Row { source, ..run("build", 1, result) }
    };
    assert_eq!(by_rows(&[ageless(RED), ageless(GREEN)], |_| {}), "ci_failed");
    assert_eq!(by_rows(&[ageless(GREEN), ageless(RED)], |_| {}), "ci_failed");
    assert_eq!(by_rows(&[status("ci", GREEN), status("ci", RUNNING)], |_| {}), "ci_pending");
}

#[test]
fn where_one_run_has_no_age_no_order_of_the_list_hides_it() {
    let ageless = |mut row: Row| {
        if let RowSource::CheckRun { id, .. } = &mut row.source {
            *id = None;
        }
        row
    };
    let (old, pending, new) = (run("a", 1, RED), ageless(run("a", 2, RUNNING)), run("a", 3, GREEN));
    for rows in [[&old, &pending, &new], [&new, &old, &pending], [&pending, &new, &old]] {
        assert_eq!(by_rows(&rows.map(Clone::clone), |_| {}), "ci_pending");
    }
}

#[test]
fn a_run_that_did_nothing_hides_none_that_did_whatever_its_id() {
    let lint = run("lint", 1, GREEN);
    let cancelled = CheckResult::Failed("was cancelled");
    for (did, expected) in
        [(RED, "ci_failed"), (cancelled, "ci_failed"), (RUNNING, "ci_pending"), (GREEN, "green")]
    {
        for nothing in [5, 15] {
            let rows = [run("e2e", 10, did), run("e2e", nothing, SKIPPED), lint.clone()];
            assert_eq!(by_rows(&rows, |_| {}), expected, "{did:?}");
        }
    }
    let alone = [run("e2e", 10, GREEN), run("e2e", 20, SKIPPED)];
    assert_eq!(by_rows(&alone, |_| {}), "green", "its success still counts as one");
}

#[test]
fn any_later_run_that_did_something_replaces_the_earlier_ones() {
    for earlier in [RED, RUNNING, GREEN, CheckResult::Failed("timed out")] {
        let rows =
            |last| [run("build", 30, last), run("build", 20, SKIPPED), run("build", 10, earlier)];
        assert_eq!(by_rows(&rows(GREEN), |_| {}), "green", "{earlier:?}");
        assert_eq!(by_rows(&rows(RED), |_| {}), "ci_failed", "{earlier:?}");
        assert_eq!(by_rows(&rows(RUNNING), |_| {}), "ci_pending", "{earlier:?}");
    }
}

/// `row` as another app, workflow, event or suite made it.
fn made_by(
    row: Row,
    app: &str,
    workflow: Option<u64>,
    event: Option<&str>,
    suite: Option<u64>,
) -> Row {
    let RowSource::CheckRun { id, .. } = row.source else { panic!("a check run") };
    let (app, event) = (Some(app.to_owned()), event.map(str::to_owned));
    Row { source: RowSource::CheckRun { app, workflow, event, suite, id }, ..row }
}

#[test]
fn runs_of_other_apps_workflows_and_events_are_other_checks() {
    let red = || run("build", 1, RED);
    let green = run("build", 2, GREEN);
    let others = [
        made_by(red(), "other", None, None, Some(1)),
        made_by(red(), "github-actions", Some(2), Some("pull_request"), Some(1)),
        made_by(red(), "github-actions", Some(1), Some("push"), Some(1)),
        made_by(red(), "github-actions", Some(1), None, Some(1)),
        status("build", RED),
    ];
    for other in others {
        assert_eq!(by_rows(&[other.clone(), green.clone()], |_| {}), "ci_failed", "{other:?}");
    }
    let rerun_elsewhere = made_by(red(), "github-actions", Some(1), Some("pull_request"), Some(9));
    assert_eq!(
        by_rows(&[rerun_elsewhere, green], |_| {}),
        "green",
        "the suite of a workflow is its run"
    );
}

#[test]
fn without_a_workflow_only_runs_of_one_suite_are_reruns() {
    let scan =
        |id, result, suite| made_by(run("scan", id, result), "scanner", None, None, Some(suite));
    assert_eq!(by_rows(&[scan(1, RED, 7), scan(2, GREEN, 7)], |_| {}), "green");
    assert_eq!(by_rows(&[scan(1, RED, 7), scan(2, GREEN, 8)], |_| {}), "ci_failed");
    assert_eq!(
        by_rows(&[scan(1, RED, 7), scan(2, SKIPPED, 7), scan(3, GREEN, 8)], |_| {}),
        "ci_failed"
    );
}

#[test]
fn a_required_check_that_was_skipped_is_not_there() {
    let lint = run("lint", 1, GREEN);
    let requires = |policy: &mut MergePolicy| policy.required_checks = vec![required("e2e", None)];
    let also_without = |policy: &mut MergePolicy| {
        requires(policy);
        policy.allow_no_checks = true;
        policy.checks = CheckMode::Required;
    };
    for rows in
        [vec![run("e2e", 10, SKIPPED)], vec![run("e2e", 10, SKIPPED), run("e2e", 20, SKIPPED)]]
    {
        let rows = [rows, vec![lint.clone()]].concat();
        assert_eq!(by_rows(&rows, requires), "ci_missing_required");
        assert_eq!(by_rows(&rows, also_without), "ci_missing_required");
    }
    let (mut policy, rows) = (policy(), checks(vec![run("e2e", 10, SKIPPED), lint.clone()]));
    requires(&mut policy);
    let CheckVerdict::Skip(skip) = judge(&Pull { checks: rows, ..pull() }, &policy) else {
        panic!("skipped is as good as missing");
    };
    assert!(
        skip.detail.contains("`e2e` was skipped") && skip.detail.contains("does not satisfy"),
        "{skip:?}"
    );

    let pushed =
        |result| made_by(run("e2e", 30, result), "github-actions", Some(1), Some("push"), Some(2));
    for (other, expected) in [(GREEN, "green"), (RED, "ci_failed"), (RUNNING, "ci_pending")] {
        let rows = [run("e2e", 10, SKIPPED), pushed(other), lint.clone()];
        assert_eq!(by_rows(&rows, requires), expected);
    }
}

#[test]
fn githubs_summary_counts_only_where_no_row_explains_it() {
    let judged = |rows: Vec<Row>, state, change: fn(&mut MergePolicy)| {
        let mut policy = policy();
        change(&mut policy);
        let Checks::Rollup(rollup) = checks(rows) else { panic!("there are rows") };
        word(Checks::Rollup(Rollup { state, ..rollup }), &policy)
    };
    let ignoring = |policy: &mut MergePolicy| policy.ignored_checks = globs(&["size"]);
    let (red, pending) = (RollupState::Failure, RollupState::Pending);
    let superseded = || vec![run("build", 1, RED), run("build", 2, GREEN)];
    assert_eq!(judged(superseded(), red, |_| {}), "green");
    assert_eq!(judged(vec![run("build", 1, GREEN), run("size", 2, RED)], red, ignoring), "green");
    let all_pass =
        || vec![run("build", 1, GREEN), run("size", 2, SKIPPED), run("docs", 3, SKIPPED)];
    assert_eq!(judged(all_pass(), red, ignoring), "ci_failed");
    assert_eq!(judged(all_pass(), pending, ignoring), "ci_pending");
    assert_eq!(judged(all_pass(), RollupState::Unknown, ignoring), "ci_unreadable");
}

#[test]
fn failure_beats_pending() {
    assert_eq!(
        by_rows(&[run("a", 1, RUNNING), run("b", 2, RED), run("c", 3, GREEN)], |_| {}),
        "ci_failed"
    );
}

#[test]
fn ignored_checks_neither_block_nor_vouch() {
    let ignore = |policy: &mut MergePolicy| policy.ignored_checks = globs(&["codecov/*"]);
    assert_eq!(by_rows(&[run("build", 1, GREEN), run("codecov/patch", 2, RED)], ignore), "green");
    assert_eq!(by_rows(&[run("codecov/patch", 1, GREEN)], ignore), "no_checks");
    let required_and_ignored = |policy: &mut MergePolicy| {
        ignore(policy);
        policy.required_checks = vec![required("codecov/patch", None)];
    };
    let rows = [run("build", 1, GREEN), run("codecov/patch", 2, GREEN)];
    assert_eq!(by_rows(&rows, required_and_ignored), "ci_missing_required");
}

#[test]
fn in_mode_required_other_checks_do_not_block() {
    let mode = |policy: &mut MergePolicy| policy.checks = CheckMode::Required;
    let row = |name, id, result, required| Row { required, ..run(name, id, result) };
    let build = row("build", 1, GREEN, Some(true));
    assert_eq!(by_rows(&[build.clone(), row("e2e", 2, RED, Some(false))], mode), "green");
    assert_eq!(by_rows(&[build.clone(), row("e2e", 2, RED, Some(true))], mode), "ci_failed");
    assert_eq!(by_rows(&[build.clone(), row("e2e", 2, RED, None)], mode), "needs rows");
    let named = |policy: &mut MergePolicy| {
        mode(policy);
        policy.required_checks = vec![required("e2e", None)];
    };
    assert_eq!(by_rows(&[build, row("e2e", 2, RED, Some(false))], named), "ci_failed");
    assert_eq!(by_rows(&[row("lint", 1, SKIPPED, Some(true))], mode), "no_checks");
}

#[test]
fn a_required_check_must_be_there_by_its_exact_name_and_from_its_app() {
    let with =
        |check: RequiredCheck| move |policy: &mut MergePolicy| policy.required_checks = vec![check];
    let rows = [run("build", 1, GREEN), status("ci", GREEN)];
    assert_eq!(by_rows(&rows, with(required("build", None))), "green");
    assert_eq!(by_rows(&rows, with(required("Build", None))), "ci_missing_required");
    assert_eq!(by_rows(&rows, with(required("buil", None))), "ci_missing_required");
    assert_eq!(by_rows(&rows, with(required("build", Some("github-actions")))), "green");
    assert_eq!(by_rows(&rows, with(required("build", Some("other")))), "ci_missing_required");
    assert_eq!(by_rows(&rows, with(required("ci", Some("github-actions")))), "ci_missing_required");
}

#[test]
fn without_any_check_the_roster_decides() {
    let mut policy = policy();
    assert_eq!(word(Checks::None, &policy), "no_checks");
    assert_eq!(word(checks(Vec::new()), &policy), "no_checks");
    policy.allow_no_checks = true;
    assert_eq!(word(Checks::None, &policy), "green");
    assert_eq!(word(checks(vec![run("docs", 1, SKIPPED)]), &policy), "green");
    policy.required_checks = vec![required("build", None)];
    assert_eq!(word(Checks::None, &policy), "ci_missing_required");
}

#[test]
fn what_github_does_not_show_or_contradicts_is_not_green() {
    let rollup = |change: fn(&mut Rollup)| {
        let Checks::Rollup(mut rollup) =
            in_list(checks(vec![run("a", 1, GREEN), run("b", 2, GREEN)]))
        else {
            panic!("there are rows");
        };
        change(&mut rollup);
        Checks::Rollup(rollup)
    };
    let policy = policy();
    assert_eq!(word(Checks::Unreadable("FORBIDDEN".to_owned()), &policy), "ci_unreadable");
    assert_eq!(word(rollup(|it| it.commit = Some(Sha("h0".to_owned()))), &policy), "ci_pending");
    assert_eq!(word(rollup(|it| it.commit = None), &policy), "ci_pending");
    assert_eq!(word(rollup(|it| it.state = RollupState::Failure), &policy), "needs rows");
    assert_eq!(word(rollup(|it| it.total = 3), &policy), "needs rows");
    assert_eq!(word(rollup(|it| it.counts.unknown = 1), &policy), "needs rows");
    let Checks::Rollup(mut whole) = checks(vec![run("a", 1, GREEN)]) else {
        panic!("there is a row")
    };
    for (state, expected) in [
        (RollupState::Pending, "ci_pending"),
        (RollupState::Failure, "ci_failed"),
        (RollupState::Unknown, "ci_unreadable"),
    ] {
        whole.state = state;
        assert_eq!(word(Checks::Rollup(whole.clone()), &policy), expected);
    }
}

fn any_row() -> impl Strategy<Value = Row> {
    let result = prop_oneof![Just(GREEN), Just(SKIPPED), Just(RED), Just(RUNNING)];
    let name = prop_oneof![Just("build"), Just("e2e")];
    (name, result, 0..9_u64, 0..3_u64, any::<bool>()).prop_map(
        |(name, result, id, made, is_run)| {
            let row = run(name, id, result);
            match made {
                _ if !is_run => status(name, if result == SKIPPED { GREEN } else { result }),
                0 => row,
                1 => made_by(row, "github-actions", Some(1), Some("push"), Some(2)),
                _ => made_by(row, "scanner", None, None, Some(id % 2)),
            }
        },
    )
}

fn any_policy() -> impl Strategy<Value = MergePolicy> {
    let mode = prop_oneof![Just(CheckMode::All), Just(CheckMode::Required)];
    (mode, any::<bool>(), 0..4_u8).prop_map(|(checks, allow_no_checks, names)| MergePolicy {
        checks,
        allow_no_checks,
        required_checks: if names == 1 { vec![required("e2e", None)] } else { Vec::new() },
        ignored_checks: if names == 2 { globs(&["e2e"]) } else { globs(&[]) },
        ..policy()
    })
}

proptest! {
    #[test]
    fn what_the_counts_decide_the_rows_decide_alike(
        mut rows in prop::collection::vec(any_row(), 2..7),
        policy in any_policy(),
        required in any::<bool>(),
    ) {
        for row in &mut rows {
            row.required = Some(required);
        }
        let whole = checks(rows);
        let by_counts = word(in_list(whole.clone()), &policy);
        let by_rows = word(whole.clone(), &policy);
        prop_assert!(by_counts == "needs rows" || by_counts == by_rows, "{:?}", whole);
    }

    #[test]
    fn the_order_of_the_list_changes_no_verdict(
        rows in prop::collection::vec(any_row(), 1..7).prop_shuffle(),
        policy in any_policy(),
    ) {
        let (mut sorted, mut turned) = (rows.clone(), rows);
        sorted.sort_by(|one, other| one.name.cmp(&other.name));
        turned.reverse();
        prop_assert_eq!(word(checks(sorted), &policy), word(checks(turned), &policy));
    }

    #[test]
    fn one_more_run_that_did_nothing_never_makes_a_pull_request_eligible(
        rows in prop::collection::vec(any_row(), 1..7),
        id in 0..12_u64,
        name in prop_oneof![Just("build"), Just("e2e"), Just("docs")],
        policy in any_policy(),
    ) {
        let before = word(checks(rows.clone()), &policy);
        let after = word(checks([rows, vec![run(name, id, SKIPPED)]].concat()), &policy);
        prop_assert!(after != "green" || before == "green", "{} became green", before);
    }
}

#[test]
fn the_reason_says_which_required_check_is_missing_and_of_which_app() {
    for (app, expected) in [
        (None, "the check `e2e` is missing on the head commit"),
        (Some("ci"), "the check run `e2e` of the app `ci` is missing"),
    ] {
        let policy = MergePolicy { required_checks: vec![required("e2e", app)], ..policy() };
        let checks = checks(vec![run("build", 1, GREEN)]);
        let verdict = judge(&Pull { checks, ..pull() }, &policy);
        assert_eq!(verdict, skip(Reason::CiMissingRequired, expected));
    }
}

#[test]
fn a_summary_of_nothing_is_as_good_as_none() {
    let word = |checks: Checks, allow_no_checks| {
        word(checks, &MergePolicy { allow_no_checks, ..policy() })
    };
    for expected in [RollupState::Success, RollupState::Pending] {
        let mut empty = checks(Vec::new());
        if let Checks::Rollup(rollup) = &mut empty {
            rollup.state = expected;
        }
        assert_eq!(word(empty.clone(), true), word(Checks::None, true));
        assert_eq!(word(empty, false), "no_checks");
    }
}

#[test]
fn counts_and_rows_that_do_not_fit_each_other_are_never_green() {
    let judged = |rows: Vec<Row>, change: fn(&mut Rollup)| {
        let mut checks = in_list(checks(rows));
        if let Checks::Rollup(rollup) = &mut checks {
            change(rollup);
        }
        word(checks, &MergePolicy { allow_no_checks: true, ..policy() })
    };
    let rows_are_hidden = |rollup: &mut Rollup| rollup.rows.items.clear();
    assert_eq!(
        judged(vec![run("build", 1, RED), run("e2e", 2, RED)], rows_are_hidden),
        "ci_failed"
    );
    let total_is_zero = |rollup: &mut Rollup| {
        (rollup.total, rollup.counts) = (0, Counts::default());
    };
    assert_eq!(judged(vec![run("build", 1, GREEN)], total_is_zero), "needs rows");
    let another_is_expected = |rollup: &mut Rollup| rollup.state = RollupState::Pending;
    let skipped = vec![run("build", 1, SKIPPED), run("e2e", 2, SKIPPED)];
    assert_eq!(judged(skipped, another_is_expected), "needs rows");
}

#[test]
fn the_reason_names_the_check() {
    let checks = checks(vec![run("build", 1, RUNNING)]);
    let CheckVerdict::Skip(skip) = judge(&Pull { checks, ..pull() }, &policy()) else {
        panic!("a running check does not merge");
    };
    assert_eq!(skip.detail, "`build` is in progress");
}
