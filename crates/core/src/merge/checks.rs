//! Do the checks of the head commit allow the merge?

use std::collections::HashMap;
use std::time::SystemTime;

use crate::merge::{CheckMode, MergePolicy, RequiredCheck};
use crate::pull::{CheckResult, Checks, Counts, Pull, Rollup, RollupState, Row, RowSource};

use super::reason::{Reason, Skip};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckVerdict {
    Green,
    /// The counts do not decide it: the rows must be read.
    NeedsRows,
    Skip(Skip),
}

/// Judges by the counts where they decide it, else by the rows.
pub fn judge(pull: &Pull, policy: &MergePolicy) -> CheckVerdict {
    match &pull.checks {
        Checks::Unreadable(why) => {
            skip(Reason::CiUnreadable, format!("the checks could not be read: {why}"))
        }
        Checks::None => without_rows(policy),
        Checks::Rollup(rollup) if rollup.commit.as_ref() != Some(&pull.head) => {
            skip(Reason::CiPending, "the checks of the head commit have not been created yet")
        }
        Checks::Rollup(rollup) if rollup.total == 0 && rollup.rows.items.is_empty() => {
            without_rows(policy)
        }
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

/// Gives the verdict that the rows would give, or [`CheckVerdict::NeedsRows`]. The counts cover
/// superseded rows and those of ignored checks.
///
/// Where no row failed or is pending, every check passes, and one of them succeeded if a row did: a
/// later run that was skipped takes no success away. Where rows failed and the others did nothing,
/// no failure is superseded. Where some succeeded and some did not, the counts do not show which
/// came last.
fn judge_counts(rollup: &Rollup, policy: &MergePolicy) -> CheckVerdict {
    let Counts { succeeded, neutral, pending, failed, unknown } = rollup.counts;
    let are_all = |number: u64| number > 0 && number.saturating_add(neutral) == rollup.total;
    let is_counted = rollup.total > 0 && unknown == 0 && rollup.counts.sum() == rollup.total;
    let ignores = !policy.ignored_checks.is_empty();
    if !is_counted || ignores {
        return CheckVerdict::NeedsRows;
    }
    let all_pass = are_all(succeeded) || neutral == rollup.total;
    match policy.checks {
        _ if all_pass
            && rollup.state == RollupState::Success
            && policy.required_checks.is_empty() =>
        {
            if succeeded > 0 || policy.allow_no_checks {
                CheckVerdict::Green
            } else {
                none_succeeded()
            }
        }
        CheckMode::All if are_all(failed) => {
            skip(Reason::CiFailed, format!("all {failed} checks failed"))
        }
        CheckMode::All if are_all(pending) => {
            skip(Reason::CiPending, format!("none of {pending} checks has finished"))
        }
        CheckMode::All | CheckMode::Required => CheckVerdict::NeedsRows,
    }
}

fn judge_rows(rollup: &Rollup, policy: &MergePolicy) -> CheckVerdict {
    let checks: Vec<&Row> = deciding(&rollup.rows.items)
        .into_iter()
        .filter(|row| !policy.ignored_checks.is_match(&row.name))
        .collect();
    let named = |row: &Row| policy.required_checks.iter().any(|check| names(check, row));
    let counted =
        |row: &&&Row| policy.checks == CheckMode::All || row.required == Some(true) || named(row);
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
    if let Some(detail) = policy.required_checks.iter().find_map(|check| lacking(check, &checks)) {
        return skip(Reason::CiMissingRequired, detail);
    }
    if !policy.allow_no_checks && !checks.iter().any(|row| row.result == CheckResult::Succeeded) {
        return none_succeeded();
    }
    agrees(rollup)
}

/// Where every row passes, superseded and ignored ones included, and the rollup is not a success,
/// a row is missing from the list.
fn agrees(rollup: &Rollup) -> CheckVerdict {
    if !rollup.rows.items.iter().all(|row| passes(row.result)) {
        return CheckVerdict::Green;
    }
    match rollup.state {
        RollupState::Success => CheckVerdict::Green,
        RollupState::Pending => skip(Reason::CiPending, "GitHub still expects a check"),
        RollupState::Failure => {
            skip(Reason::CiFailed, "GitHub reports a failed check but does not show it")
        }
        RollupState::Unknown => {
            skip(Reason::CiUnreadable, "GitHub does not show the state of the checks")
        }
    }
}

fn without_rows(policy: &MergePolicy) -> CheckVerdict {
    match policy.required_checks.first() {
        _ if !policy.allow_no_checks => {
            skip(Reason::NoChecks, "no check has run on the head commit")
        }
        Some(check) => skip(Reason::CiMissingRequired, missing_detail(check)),
        None => CheckVerdict::Green,
    }
}

/// The row that decides each check, in the order of the list.
fn deciding(rows: &[Row]) -> Vec<&Row> {
    let mut order = Vec::new();
    let mut checks: HashMap<_, Vec<&Row>> = HashMap::new();
    for row in rows {
        let identity = Identity::of(row);
        let runs = checks.entry(identity).or_default();
        if runs.is_empty() {
            order.push(identity);
        }
        runs.push(row);
    }
    order.iter().filter_map(|identity| decisive(&checks[identity])).collect()
}

/// Of the runs of one check the newest that did something: one that was skipped or neutral neither
/// hides a failure or a run that has not ended, nor takes a success away. The order of the list is
/// not that of time. Where the age is unknown, the worst decides.
fn decisive<'a>(runs: &[&'a Row]) -> Option<&'a Row> {
    let did_something = |row: &&&Row| row.result != CheckResult::Neutral;
    let newest = runs.iter().filter(did_something).filter_map(|row| Age::of(row)).max();
    let is_not_older = |row: &&&Row| Age::of(row).is_none_or(|age| Some(age) == newest);
    let mut last: Vec<&Row> =
        runs.iter().filter(did_something).filter(is_not_older).copied().collect();
    last.sort_by_key(|row| badness(row.result));
    last.last().or(runs.first()).copied()
}

/// What makes two rows runs of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Identity<'a> {
    /// A workflow runs anew with each event; what `push` started is another check than what
    /// `pull_request` started.
    Workflow { name: &'a str, app: Option<&'a str>, workflow: u64, event: Option<&'a str> },
    /// Without a workflow, only runs of one suite are known to be reruns.
    Suite { name: &'a str, app: Option<&'a str>, suite: Option<u64> },
    /// A commit status is never a check run's, whatever its name.
    Status { context: &'a str },
}

impl<'a> Identity<'a> {
    fn of(row: &'a Row) -> Self {
        let name = row.name.as_str();
        match &row.source {
            RowSource::CheckRun { app, workflow: Some(workflow), event, .. } => Self::Workflow {
                name,
                app: app.as_deref(),
                workflow: *workflow,
                event: event.as_deref(),
            },
            RowSource::CheckRun { app, workflow: None, suite, .. } => {
                Self::Suite { name, app: app.as_deref(), suite: *suite }
            }
            RowSource::Status { .. } => Self::Status { context: name },
        }
    }
}

/// Of two rows of one check the greater is the newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    Run(u64),
    Status(SystemTime),
}

impl Age {
    fn of(row: &Row) -> Option<Self> {
        match row.source {
            RowSource::CheckRun { id, .. } => id.map(Self::Run),
            RowSource::Status { created_at } => created_at.map(Self::Status),
        }
    }
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

/// Why a check of `required_checks` is not satisfied, where none that has its name failed or is
/// pending.
fn lacking(check: &RequiredCheck, checks: &[&Row]) -> Option<String> {
    let mut named = checks.iter().filter(|row| names(check, row)).peekable();
    if named.peek().is_none() {
        return Some(missing_detail(check));
    }
    let has_succeeded = named.any(|row| row.result == CheckResult::Succeeded);
    (!has_succeeded).then(|| {
        format!("`{}` was skipped or neutral, which does not satisfy `required_checks`", check.name)
    })
}

fn missing_detail(check: &RequiredCheck) -> String {
    match &check.app {
        Some(app) => format!("the check run `{}` of the app `{app}` is missing", check.name),
        None => format!("the check `{}` is missing on the head commit", check.name),
    }
}

fn none_succeeded() -> CheckVerdict {
    skip(
        Reason::NoChecks,
        "no check succeeded on the head commit: all were skipped, neutral or ignored",
    )
}

fn skip(reason: Reason, detail: impl Into<String>) -> CheckVerdict {
    CheckVerdict::Skip(Skip::new(reason, detail))
}

#[cfg(test)]
mod tests;
