//! Rule 11: do the checks of the head let it merge? Pure.

use std::collections::HashMap;

use crate::pull::{CheckResult, Checks, Pull, Rollup, RollupState, Row, RowSource};
use crate::roster::{CheckMode, MergePolicy, RequiredCheck};

use super::reason::{Reason, Skip};

/// What the checks say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckVerdict {
    /// They let it merge.
    Green,
    /// The counts do not decide it: the rows must be read.
    NeedsRows,
    /// They do not.
    Skip(Skip),
}

/// Judges by the counts where they decide it, else by the rows.
///
/// The counts cover superseded rows, so they decide only what no superseded row could change.
pub fn judge(pull: &Pull, policy: &MergePolicy) -> CheckVerdict {
    match &pull.checks {
        Checks::Unreadable(why) => skip(Reason::CiUnreadable, format!("the checks could not be read: {why}")),
        Checks::None => without_rows(policy),
        Checks::Rollup(rollup) if rollup.commit.as_ref() != Some(&pull.head) => {
            skip(Reason::CiPending, "the checks are not those of the head commit yet")
        }
        Checks::Rollup(rollup) if rollup.total == 0 && rollup.rows.items.is_empty() => without_rows(policy),
        Checks::Rollup(rollup) => judge_rollup(rollup, policy),
    }
}

fn judge_rollup(rollup: &Rollup, policy: &MergePolicy) -> CheckVerdict {
    if rollup.rows.complete && rollup.rows.items.len() as u64 == rollup.total {
        judge_rows(rollup, policy)
    } else {
        judge_counts(rollup, policy)
    }
}

fn judge_counts(rollup: &Rollup, policy: &MergePolicy) -> CheckVerdict {
    let counts = &rollup.counts;
    let names_matter = !policy.ignored_checks.is_empty() || !policy.required_checks.is_empty();
    if names_matter || counts.unknown > 0 || counts.sum() != rollup.total {
        return CheckVerdict::NeedsRows;
    }
    let total = rollup.total;
    if counts.succeeded + counts.neutral == total {
        return match (rollup.state, counts.succeeded > 0 || policy.allow_no_checks) {
            (RollupState::Success, true) => CheckVerdict::Green,
            (RollupState::Success, false) => none_succeeded(),
            (RollupState::Pending | RollupState::Failure | RollupState::Unknown, _) => {
                CheckVerdict::NeedsRows
            }
        };
    }
    match policy.checks {
        CheckMode::All if counts.failed == total => {
            skip(Reason::CiFailed, format!("all {total} checks failed"))
        }
        CheckMode::All if counts.pending == total => {
            skip(Reason::CiPending, format!("all {total} checks have yet to end"))
        }
        CheckMode::All | CheckMode::Required => CheckVerdict::NeedsRows,
    }
}

fn judge_rows(rollup: &Rollup, policy: &MergePolicy) -> CheckVerdict {
    let checks: Vec<&Row> = newest(&rollup.rows.items)
        .into_iter()
        .filter(|row| !policy.ignored_checks.is_match(&row.name))
        .collect();
    let named = |row: &Row| policy.required_checks.iter().any(|check| names(check, row));
    let counted = |row: &&&Row| policy.checks == CheckMode::All || row.required == Some(true) || named(row);
    let undecided =
        |row: &&Row| policy.checks == CheckMode::Required && row.required.is_none() && !named(row);
    if checks.iter().any(|row| undecided(row) && !passes(row.result)) {
        return CheckVerdict::NeedsRows;
    }
    let failed = worst(checks.iter().filter(counted), |result| match result {
        CheckResult::Failed(phrase) => Some(phrase),
        CheckResult::Succeeded | CheckResult::Neutral | CheckResult::Pending(_) => None,
    });
    if let Some(detail) = failed {
        return skip(Reason::CiFailed, detail);
    }
    let pending = worst(checks.iter().filter(counted), |result| match result {
        CheckResult::Pending(phrase) => Some(phrase),
        CheckResult::Succeeded | CheckResult::Neutral | CheckResult::Failed(_) => None,
    });
    if let Some(detail) = pending {
        return skip(Reason::CiPending, detail);
    }
    let missing = policy.required_checks.iter().find(|check| !checks.iter().any(|row| names(check, row)));
    if let Some(check) = missing {
        return skip(Reason::CiMissingRequired, missing_detail(check));
    }
    if !policy.allow_no_checks && !checks.iter().any(|row| row.result == CheckResult::Succeeded) {
        return none_succeeded();
    }
    agrees(rollup)
}

/// A rollup that is not a success although every row passes knows something that the rows do not show.
fn agrees(rollup: &Rollup) -> CheckVerdict {
    if !rollup.rows.items.iter().all(|row| passes(row.result)) {
        return CheckVerdict::Green;
    }
    match rollup.state {
        RollupState::Success => CheckVerdict::Green,
        RollupState::Pending => skip(Reason::CiPending, "GitHub still expects a check"),
        RollupState::Failure => {
            skip(Reason::CiFailed, "GitHub says that a check failed, but does not show it")
        }
        RollupState::Unknown => skip(Reason::CiUnreadable, "GitHub does not say how the checks stand"),
    }
}

fn without_rows(policy: &MergePolicy) -> CheckVerdict {
    match policy.required_checks.first() {
        _ if !policy.allow_no_checks => skip(Reason::NoChecks, "no check has run on the head commit"),
        Some(check) => skip(Reason::CiMissingRequired, missing_detail(check)),
        None => CheckVerdict::Green,
    }
}

/// The newest row of each check. The order of the list is not that of time, and a re-run keeps its name.
fn newest(rows: &[Row]) -> Vec<&Row> {
    let mut order = Vec::new();
    let mut latest: HashMap<_, &Row> = HashMap::new();
    for row in rows {
        let key = identity(row);
        match latest.get(&key) {
            None => order.push(key),
            Some(known) if !supersedes(row, known) => continue,
            Some(_) => {}
        }
        latest.insert(key, row);
    }
    order.iter().filter_map(|key| latest.get(key).copied()).collect()
}

/// What makes two rows runs of one check. A check run and a commit status never are, whatever their names.
fn identity(row: &Row) -> (&str, bool, Option<&str>, Option<u64>) {
    match &row.source {
        RowSource::CheckRun { app, workflow, .. } => (&row.name, true, app.as_deref(), *workflow),
        RowSource::Status { .. } => (&row.name, false, None, None),
    }
}

/// Whether `row` replaces `known`, another row of the same check. Where age does not tell, the worse one stands.
fn supersedes(row: &Row, known: &Row) -> bool {
    let by_age = match (&row.source, &known.source) {
        (RowSource::CheckRun { id: Some(new), .. }, RowSource::CheckRun { id: Some(old), .. }) => {
            new.cmp(old)
        }
        (RowSource::Status { created_at: Some(new) }, RowSource::Status { created_at: Some(old) }) => {
            new.cmp(old)
        }
        (RowSource::CheckRun { .. } | RowSource::Status { .. }, _) => std::cmp::Ordering::Equal,
    };
    by_age.then(badness(row.result).cmp(&badness(known.result))).is_gt()
}

fn passes(result: CheckResult) -> bool {
    matches!(result, CheckResult::Succeeded | CheckResult::Neutral)
}

fn badness(result: CheckResult) -> u8 {
    match result {
        CheckResult::Succeeded => 0,
        CheckResult::Neutral => 1,
        CheckResult::Pending(_) => 2,
        CheckResult::Failed(_) => 3,
    }
}

fn names(check: &RequiredCheck, row: &Row) -> bool {
    let app_fits = match (&check.app, &row.source) {
        (None, RowSource::CheckRun { .. } | RowSource::Status { .. }) => true,
        (Some(pinned), RowSource::CheckRun { app, .. }) => app.as_ref() == Some(pinned),
        (Some(_), RowSource::Status { .. }) => false,
    };
    app_fits && check.name == row.name
}

/// "`build` failed", and how many more.
fn worst<'a>(
    rows: impl Iterator<Item = &'a &'a Row>,
    phrase: impl Fn(CheckResult) -> Option<&'static str>,
) -> Option<String> {
    let mut found = rows.filter_map(|row| Some((&row.name, phrase(row.result)?)));
    let (name, phrase) = found.next()?;
    Some(match found.count() {
        0 => format!("`{name}` {phrase}"),
        more => format!("`{name}` {phrase}, and {more} more"),
    })
}

fn missing_detail(check: &RequiredCheck) -> String {
    match &check.app {
        Some(app) => format!("no check run `{}` of the app `{app}` on the head commit", check.name),
        None => format!("no check `{}` on the head commit", check.name),
    }
}

fn none_succeeded() -> CheckVerdict {
    skip(Reason::NoChecks, "no check succeeded on the head commit: all that count were skipped or neutral")
}

fn skip(reason: Reason, detail: impl Into<String>) -> CheckVerdict {
    CheckVerdict::Skip(Skip::new(reason, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pull::Sha;
    use crate::steps::merge::sample::{checks, globs, in_list, policy, pull, run, status};

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
            let source = RowSource::CheckRun { app: None, workflow: None, id: None };
            Row { source, ..run("build", 1, result) }
        };
        assert_eq!(by_rows(&[ageless(RED), ageless(GREEN)], |_| {}), "ci_failed");
        assert_eq!(by_rows(&[ageless(GREEN), ageless(RED)], |_| {}), "ci_failed");
        assert_eq!(by_rows(&[status("ci", GREEN), status("ci", RUNNING)], |_| {}), "ci_pending");
    }

    #[test]
    fn runs_of_other_apps_and_workflows_are_other_checks() {
        let elsewhere = |app: &str, workflow| {
            let source = RowSource::CheckRun { app: Some(app.to_owned()), workflow, id: Some(1) };
            Row { source, ..run("build", 1, RED) }
        };
        let green = run("build", 2, GREEN);
        assert_eq!(by_rows(&[elsewhere("other", None), green.clone()], |_| {}), "ci_failed");
        assert_eq!(by_rows(&[elsewhere("github-actions", Some(2)), green.clone()], |_| {}), "ci_failed");
        assert_eq!(by_rows(&[status("build", RED), green], |_| {}), "ci_failed");
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
            let Checks::Rollup(mut rollup) = in_list(checks(vec![run("a", 1, GREEN), run("b", 2, GREEN)]))
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
        let Checks::Rollup(mut whole) = checks(vec![run("a", 1, GREEN)]) else { panic!("there is a row") };
        for (state, expected) in [
            (RollupState::Pending, "ci_pending"),
            (RollupState::Failure, "ci_failed"),
            (RollupState::Unknown, "ci_unreadable"),
        ] {
            whole.state = state;
            assert_eq!(word(Checks::Rollup(whole.clone()), &policy), expected);
        }
    }

    #[test]
    fn the_reason_names_the_check() {
        let checks = checks(vec![run("build", 1, RUNNING)]);
        let CheckVerdict::Skip(skip) = judge(&Pull { checks, ..pull() }, &policy()) else {
            panic!("a running check does not merge");
        };
        assert_eq!(skip.detail, "`build` is in progress");
    }
}
