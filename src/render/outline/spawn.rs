//! What the spawn step has to say: slots of one role, and slots with one reason, share a line.

use std::time::SystemTime;

use super::slots::{Shown, by_group, entry, grouped};
use super::{Entry, Line, Mark, StepOutline, Tone, summarize, until};
use crate::render::words::{clock, safe_lines};
use coordinator_core::fleet::{Hold, HoldReason, Target};
use coordinator_core::report::{Report, SpawnFailure, SpawnReport};

pub(super) fn outline(report: &Report) -> StepOutline {
    let spawn = &report.spawn.body;
    let started = spawn.spawned.iter().map(|spawned| Shown::from(&spawned.target));
    let mut entries = by_group(started, Mark::Done, "");
    entries.extend(by_group(spawn.already_running.iter().map(Shown::from), Mark::Present, "already running"));
    entries.extend(held(&spawn.held, report.started_at));
    entries.extend(failed(&spawn.failed));
    let summary = summary(spawn, report.dry_run);
    let mut lines = vec![summarize(&report.spawn.outcome, summary, !entries.is_empty())];
    if let Some(limit) = &spawn.rate_limit {
        let text =
            format!("stopped by a rate limit of the platform{}", until(limit.resets_at, report.started_at));
        lines.push(Line { tone: Tone::Held, text });
    }
    StepOutline { name: "spawn", lines, entries }
}

fn summary(spawn: &SpawnReport, dry_run: bool) -> String {
    let started = if dry_run { "to start" } else { "started" };
    let counts = [
        (spawn.spawned.len(), started),
        (spawn.already_running.len(), "already running"),
        (spawn.held.len(), "held"),
        (spawn.failed.len(), "failed"),
    ];
    let some: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    match (some.is_empty(), spawn.spawned.is_empty() && spawn.failed.is_empty()) {
        (true, _) => "nothing to start".to_owned(),
        (false, true) => format!("nothing {started}, {}", some.join(", ")),
        (false, false) => some.join(", "),
    }
}

fn held(held: &[(Target, Hold)], today: SystemTime) -> Vec<Entry> {
    let groups = grouped(held.iter().map(|(target, hold)| (Shown::from(target), hold)), |a, b| {
        a.reason == b.reason && (a == b || shares_a_line(a.reason))
    });
    groups.into_iter().map(|(slots, holds)| entry(Mark::Held, &slots, explain(&holds, today))).collect()
}

/// Restraint that the roster asks for: which slot it meets is of no interest.
fn shares_a_line(reason: HoldReason) -> bool {
    match reason {
        HoldReason::Interval
        | HoldReason::Cap
        | HoldReason::MaxSpawns
        | HoldReason::Quota
        | HoldReason::Concurrency
        | HoldReason::Unsupported => true,
        HoldReason::Backoff
        | HoldReason::Superseded
        | HoldReason::RoleFailed
        | HoldReason::Unknown
        | HoldReason::Orphan
        | HoldReason::Disk => false,
    }
}

/// `holds` has one reason; the first to end speaks for all.
fn explain(holds: &[&Hold], today: SystemTime) -> Vec<String> {
    let Some(first) = holds.iter().min_by_key(|hold| (hold.until.is_none(), hold.until)) else {
        return Vec::new();
    };
    let several = holds.iter().any(|hold| hold.until != first.until);
    let what = match (first.reason, first.until) {
        (HoldReason::Interval, Some(time)) if several => {
            format!("wait, the first until {}", clock(time, today))
        }
        (HoldReason::Backoff, time) => format!("backs off{}", until(time, today)),
        (HoldReason::Interval, time) => format!("waits{}", until(time, today)),
        (reason, time) => format!("{}{}", reason.word(), until(time, today)),
    };
    let mut lines = safe_lines(&first.detail);
    match lines.first_mut() {
        Some(line) => *line = format!("{what}: {line}"),
        None => lines.push(what),
    }
    lines
}

fn failed(failures: &[SpawnFailure]) -> Vec<Entry> {
    let groups =
        grouped(failures.iter().map(|failure| (Shown::from(&failure.target), &failure.error)), PartialEq::eq);
    let entry = |(slots, errors): (Vec<Shown>, Vec<&String>)| {
        entry(Mark::Failed, &slots, errors.first().map(|error| safe_lines(error)).unwrap_or_default())
    };
    groups.into_iter().map(entry).collect()
}
