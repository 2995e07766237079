//! Step 5: the verdict on the cycle, the advice, the exit code. Pure, so it cannot fail.

use std::time::SystemTime;

use crate::render::words::count;
use coordinator_core::fleet::{Hold, HoldReason, Role, Slot};
use coordinator_core::report::{
    Access, Cause, EndpointHealth, HealthVerdict, Interrupt, MergeReport, Reason, RecentMerge,
    Report, SourceOutcome, Status, Step, StepOutcome, Unjudged,
};

mod advice;
pub mod alerts;
mod offline;

use offline::offline;

/// A longer review queue needs more reviewers.
const MAX_REVIEW_QUEUE: u32 = 10;
/// More conflicts mean that too many agents change the same places.
const MAX_CONFLICTS: u32 = 2;
/// The next cycle repairs one failed spawn.
const MAX_SPAWN_FAILURES: usize = 1;
/// Pull requests beyond these are counted.
const MAX_NAMED: usize = 10;
/// Slots beyond these are counted; the inventory names each.
const MAX_NAMED_SLOTS: usize = 3;

/// Fills in what follows from the four steps: `status`, `reasons`, `advice`, and the merges that
/// may have broken production. Call it once, when everything else in the report is final.
pub fn conclude(report: &mut Report, roles: &[Role]) {
    if report.health.body.endpoints.iter().any(is_not_up) && offline(report).is_none() {
        report.health.body.recent_merges = recent_merges(report);
    }
    let (status, reasons) = assess(report);
    report.status = status;
    report.reasons = reasons;
    report.advice = advice::advise(report, roles);
}

/// The exit code of a cycle; 2 for a usage or configuration error is decided before there is a
/// report.
pub fn exit_code(report: &Report, strict: bool, detailed_exitcode: bool) -> u8 {
    let pending = !report.spawn.body.spawned.is_empty() || !report.merge.body.merged.is_empty();
    match (report.interrupted, report.status) {
        (Some(Interrupt::Sigint), _) => 130,
        (Some(Interrupt::Sigterm), _) => 143,
        (None, Status::Broken) => 1,
        (None, Status::Degraded) if strict => 1,
        (None, _) if report.is_rate_limited() => 75,
        (None, _) if report.dry_run && detailed_exitcode && pending => 3,
        (None, _) => 0,
    }
}

/// The worst status and every reason, the worst first. Of this cycle, and of what
/// the platform remembers.
pub fn assess(report: &Report) -> (Status, Vec<Reason>) {
    let mut found = Vec::new();
    let is_offline =
        offline(report).map(|offline| found.push((Status::Broken, offline.reason))).is_some();
    // What only follows from being offline is not a reason.
    let has_fleet = !is_offline || report.inventory.outcome.error().is_none();
    if !is_offline {
        judge_health(report, &mut found);
        judge_merge(report, &mut found);
    }
    if has_fleet {
        judge_fleet(report, &mut found);
    }
    if let Some(signal) = report.interrupted {
        found.push((Status::Degraded, format!("interrupted by {}", signal.word())));
    }
    found.sort_by_key(|(status, _)| std::cmp::Reverse(*status));
    let status = found.first().map_or(Status::Healthy, |(status, _)| *status);
    (status, found.into_iter().map(|(status, text)| Reason { status, text }).collect())
}

fn judge_health(report: &Report, found: &mut Vec<(Status, String)>) {
    for endpoint in report.health.body.endpoints.iter().filter(|endpoint| is_not_up(endpoint)) {
        let status = match endpoint.verdict {
            HealthVerdict::Down | HealthVerdict::PotentialOutage => Status::Broken,
            HealthVerdict::Unexpected | HealthVerdict::Up => Status::Degraded,
        };
        let error = endpoint.error.iter().map(|error| format!(" ({error})"));
        found.push((status, answer(endpoint) + &error.collect::<String>()));
    }
    judge_end("health", &report.health, found);
}

fn judge_fleet(report: &Report, found: &mut Vec<(Status, String)>) {
    match &report.inventory.outcome {
        StepOutcome::Failed(error) if report.contacts.platform != Access::Granted => {
            found.push((Status::Broken, format!("inventory failed: {error}")));
        }
        _ => judge_end("inventory", &report.inventory, found),
    }
    judge_end("spawn", &report.spawn, found);
    let spawn = &report.spawn.body;
    let failures = spawn.failed.len();
    let nothing_live = spawn.spawned.is_empty()
        && spawn.already_running.is_empty()
        && report.inventory.body.running.unwrap_or(0) == 0;
    let is_unusable = report.spawn.outcome.error().is_some() && report.interrupted.is_none();
    if failures > 0 && nothing_live {
        found.push((Status::Broken, format!("no agent runs and every spawn failed ({failures})")));
    } else if is_unusable && nothing_live && report.inventory.body.desired > 0 {
        found.push((Status::Broken, "no agent runs and none could be started".to_owned()));
    } else if failures > MAX_SPAWN_FAILURES {
        found.push((Status::Degraded, format!("{failures} spawns failed")));
    }
    if let held @ 1.. =
        spawn.held.iter().filter(|(_, hold)| hold.reason == HoldReason::RoleFailed).count()
    {
        found.push((
            Status::Degraded,
            format!("{held} sessions are held because a spawn of their role failed"),
        ));
    }
    if let Some(held) = budget_holds(report) {
        found.push((Status::Degraded, held));
    }
    if spawn.rate_limit.is_some() {
        found.push((Status::Degraded, "a rate limit stopped the spawn step".to_owned()));
    }
    for source in &report.inventory.body.sources {
        let name = &source.source;
        match &source.outcome {
            SourceOutcome::Ok => {}
            SourceOutcome::Partial(error) => {
                found.push((
                    Status::Degraded,
                    format!("part of source {name} could not be read: {error}"),
                ));
            }
            SourceOutcome::Failed(error) => {
                found.push((Status::Broken, format!("source {name} could not be read: {error}")));
            }
        }
        if source.needs_human > 0 {
            let items = source.needs_human;
            found.push((Status::Degraded, format!("{items} items of {name} need a person")));
        }
    }
    if let Some(failing) = keep_failing(report) {
        found.push((Status::Degraded, failing));
    }
}

/// How many sessions wait for the budget, and for which of its caps.
fn budget_holds(report: &Report) -> Option<String> {
    let is_held = |hold: &Hold| hold.reason == HoldReason::Budget;
    let held = report.spawn.body.held.iter().filter(|(_, hold)| is_held(hold));
    let held: Vec<&Hold> = held.map(|(_, hold)| hold).collect();
    let first = held.first()?;
    let sessions = count(held.len() as u64, "session");
    Some(format!("{sessions} held by the budget: {}", first.detail))
}

fn judge_merge(report: &Report, found: &mut Vec<(Status, String)>) {
    let merge = &report.merge.body;
    // `open` is known as soon as the list is: with 0, nothing that comes after the list could fail.
    let listed = merge.open > 0;
    match &report.merge.outcome {
        _ if merge.rate_limit.is_some() => {
            found.push((Status::Degraded, "a rate limit stopped the merge step".to_owned()));
        }
        StepOutcome::Failed(error) if !listed && report.interrupted.is_none() => {
            found.push((Status::Broken, format!("merge failed: {error}")));
        }
        StepOutcome::Failed(_)
        | StepOutcome::Ok
        | StepOutcome::Skipped
        | StepOutcome::NotConfigured => {
            judge_end("merge", &report.merge, found);
        }
    }
    if let Some(blocker) = &merge.blocker {
        found.push((Status::Degraded, format!("nothing can be merged: {}", blocker.detail)));
    }
    if !merge.unjudged.is_empty() {
        let none_was = merge.unjudged.len() as u64 >= u64::from(merge.open);
        let status = if none_was { Status::Broken } else { Status::Degraded };
        found.push((status, unjudged(merge)));
    }
    if !merge.failed.is_empty() {
        let numbers = numbers(merge.failed.iter().map(|failed| failed.number));
        found.push((Status::Degraded, format!("failed to merge {numbers}")));
    }
    if merge.review_queue > MAX_REVIEW_QUEUE {
        found.push((
            Status::Degraded,
            format!("{} pull requests wait for review", merge.review_queue),
        ));
    }
    if merge.conflicts > MAX_CONFLICTS {
        found.push((Status::Degraded, format!("{} pull requests conflict", merge.conflicts)));
    }
}

/// How many, which, and GitHub's own words for the first of them.
fn unjudged(merge: &MergeReport) -> String {
    let sentence = merge.unjudged.first().map_or("", |pull| &pull.sentence);
    let (count, open) = (merge.unjudged.len(), merge.open);
    format!(
        "{count} of {open} pull requests could not be judged ({}): {sentence}",
        which(&merge.unjudged)
    )
}

/// Their numbers, where GitHub shows them.
fn which<'a>(unjudged: impl IntoIterator<Item = &'a Unjudged>) -> String {
    let (mut named, mut unnamed) = (Vec::new(), 0);
    for pull in unjudged {
        match pull.number {
            Some(number) => named.push(number),
            None => unnamed += 1,
        }
    }
    let more = named.len().saturating_sub(MAX_NAMED);
    let named = numbers(named.into_iter().take(MAX_NAMED));
    let named = if more > 0 { format!("{named} and {more} more") } else { named };
    match (named.as_str(), unnamed) {
        (named, 0) => named.to_owned(),
        ("", 1) => "its number is unknown".to_owned(),
        ("", _) => "their numbers are unknown".to_owned(),
        (named, unnamed) => format!("{named} and {unnamed} whose number is unknown"),
    }
}

fn judge_end<T>(name: &str, step: &Step<T>, found: &mut Vec<(Status, String)>) {
    if let StepOutcome::Failed(error) = &step.outcome {
        found.push((Status::Degraded, format!("{name} failed: {error}")));
    }
}

/// What this cycle merged comes first: it is the newest.
fn recent_merges(report: &Report) -> Vec<RecentMerge> {
    let merge = &report.merge.body;
    let merged_at: SystemTime = report.started_at + report.merge.duration;
    let of_this_cycle = merge.merged.iter().rev().filter(|_| !report.dry_run);
    let of_this_cycle = of_this_cycle.map(|merged| RecentMerge {
        number: merged.number,
        title: merged.title.clone(),
        merged_at,
    });
    of_this_cycle.chain(merge.recent.iter().cloned()).collect()
}

fn is_not_up(endpoint: &EndpointHealth) -> bool {
    endpoint.verdict != HealthVerdict::Up
}

fn answer(endpoint: &EndpointHealth) -> String {
    match (endpoint.status, &endpoint.cause) {
        (Some(status), _) => format!("{} answers {status}", endpoint.name),
        (None, Some(Cause::TooManyHeaders)) => {
            format!("{} answers with too many headers", endpoint.name)
        }
        (None, _) => format!("{} does not answer", endpoint.name),
    }
}

fn numbers(numbers: impl Iterator<Item = u64>) -> String {
    numbers.map(|number| format!("#{number}")).collect::<Vec<_>>().join(", ")
}

/// Which slots fail time and again; `None` where none does.
fn keep_failing(report: &Report) -> Option<String> {
    let failing: Vec<&Slot> = report.inventory.body.failing.iter().collect();
    match failing.as_slice() {
        [] => None,
        [slot] => Some(format!("{} keeps failing", slot.name())),
        slots => Some(format!("{} slots keep failing: {}", slots.len(), names(slots))),
    }
}

/// The first few of them by name.
fn names(slots: &[&Slot]) -> String {
    let names: Vec<String> = slots.iter().take(MAX_NAMED_SLOTS).map(|slot| slot.name()).collect();
    match slots.len().saturating_sub(MAX_NAMED_SLOTS) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests;
