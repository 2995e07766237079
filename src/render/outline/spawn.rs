//! What the spawn step has to say: slots of one role, and slots with one reason, share a line.

use std::time::SystemTime;

use super::{Entry, Mark, StepOutline, summarize, until};
use crate::fleet::{Hold, HoldReason, RoleKey, Slot};
use crate::render::words::{clock, safe_lines};
use crate::report::{Report, SpawnFailure, SpawnReport};

/// More slots with the same reason are counted on their line and named below it.
const NAMED_ON_THE_LINE: usize = 3;

pub(super) fn outline(report: &Report) -> StepOutline {
    let spawn = &report.spawn.body;
    let started = spawn.spawned.iter().map(|spawned| &spawned.slot);
    let mut entries = by_role(started, Mark::Done, "");
    entries.extend(by_role(spawn.already_running.iter(), Mark::Present, "already running"));
    entries.extend(held(&spawn.held, report.started_at));
    entries.extend(failed(&spawn.failed));
    let summary = summary(spawn, report.dry_run);
    let line = summarize(&report.spawn.outcome, summary, !entries.is_empty());
    StepOutline { name: "spawn", lines: vec![line], entries }
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

/// One entry for each role, its slots as the detail.
fn by_role<'a>(slots: impl Iterator<Item = &'a Slot>, mark: Mark, remark: &str) -> Vec<Entry> {
    let mut roles: Vec<(&RoleKey, Vec<u32>)> = Vec::new();
    for slot in slots {
        match roles.iter_mut().find(|(role, _)| *role == &slot.role) {
            Some((_, indices)) => indices.push(slot.index),
            None => roles.push((&slot.role, vec![slot.index])),
        }
    }
    let detail = |indices: &[u32]| match remark {
        "" => ranges(indices),
        remark => format!("{} {remark}", ranges(indices)),
    };
    let entry = |(role, indices): (&RoleKey, Vec<u32>)| Entry {
        mark,
        name: role.to_string(),
        title: String::new(),
        detail: vec![detail(&indices)],
    };
    roles.into_iter().map(entry).collect()
}

fn held(held: &[(Slot, Hold)], today: SystemTime) -> Vec<Entry> {
    let groups = grouped(held.iter().map(|(slot, hold)| (slot, hold)), |a, b| {
        a.reason == b.reason && (a == b || shares_a_line(a.reason))
    });
    groups.into_iter().map(|(slots, holds)| entry(Mark::Held, &slots, explain(&holds, today))).collect()
}

/// Restraint that the roster asks for: which slot it meets is of no interest.
fn shares_a_line(reason: HoldReason) -> bool {
    match reason {
        HoldReason::Interval | HoldReason::Cap | HoldReason::MaxSpawns | HoldReason::Quota => true,
        HoldReason::Backoff
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
    let groups = grouped(failures.iter().map(|failure| (&failure.slot, &failure.error)), PartialEq::eq);
    let entry = |(slots, errors): (Vec<&Slot>, Vec<&String>)| {
        entry(Mark::Failed, &slots, errors.first().map(|error| safe_lines(error)).unwrap_or_default())
    };
    groups.into_iter().map(entry).collect()
}

fn entry(mark: Mark, slots: &[&Slot], mut detail: Vec<String>) -> Entry {
    let names = names(slots);
    let name = if slots.len() > NAMED_ON_THE_LINE {
        detail.push(names);
        format!("{} slots", slots.len())
    } else {
        names
    };
    Entry { mark, name, title: String::new(), detail }
}

/// `api_builder s0 s1, e2e_tester s1`.
fn names(slots: &[&Slot]) -> String {
    let entries = by_role(slots.iter().copied(), Mark::Held, "");
    let names = entries.iter().map(|entry| format!("{} {}", entry.name, entry.detail.join(" ")));
    names.collect::<Vec<_>>().join(", ")
}

/// `s0 s1 s2`, and from four in a row on `s0-s3`.
fn ranges(indices: &[u32]) -> String {
    let runs = indices.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let words = runs.map(|run| match run {
        [first, _, _, .., last] => format!("s{first}-s{last}"),
        few => few.iter().map(|index| format!("s{index}")).collect::<Vec<_>>().join(" "),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Slots with the same cause, in the order of the first of each.
fn grouped<'a, C>(
    items: impl Iterator<Item = (&'a Slot, &'a C)>,
    same: impl Fn(&C, &C) -> bool,
) -> Vec<(Vec<&'a Slot>, Vec<&'a C>)> {
    let mut groups: Vec<(Vec<&Slot>, Vec<&C>)> = Vec::new();
    for (slot, cause) in items {
        match groups.iter_mut().find(|(_, causes)| same(causes[0], cause)) {
            Some((slots, causes)) => {
                slots.push(slot);
                causes.push(cause);
            }
            None => groups.push((vec![slot], vec![cause])),
        }
    }
    groups
}
