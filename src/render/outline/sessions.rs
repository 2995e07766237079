//! What inventory and spawn did: slots of one group, and slots with one cause, share an entry.

use std::time::SystemTime;

use super::{Entry, Mark, StepOutline, explained, summarize, until};
use crate::render::table::Tone;
use crate::render::words::{clock, sentence};
use coordinator_core::fleet::{Hold, HoldReason, Seat, Slot, Stuck, Target, Unmanaged};
use coordinator_core::report::{
    InventoryReport, Report, SourceOutcome, SourceReport, SpawnFailure, SpawnReport,
};

/// More slots with the same cause are counted on their line and named below it.
const MAX_NAMED: usize = 3;

pub(super) fn inventory(report: &Report) -> StepOutline {
    let body = &report.inventory.body;
    let mut entries = stuck(&body.stuck, report.started_at);
    entries.extend(by_group(
        body.out_of_range.iter().map(Shown::from),
        Mark::Left,
        "beyond the role's count, left to finish",
    ));
    entries.extend(body.unmanaged.iter().map(unmanaged));
    let mut lines =
        vec![summarize(&report.inventory.outcome, running(body), body.running.is_some())];
    lines.extend(body.sources.iter().map(source));
    StepOutline { name: "inventory", lines, entries }
}

/// `issues: 2 running, 5 wait (3 blocked, 2 claimed)`.
fn source(report: &SourceReport) -> (Tone, String) {
    let name = &report.source;
    let failed = |error: &str| (Tone::Failed, format!("{name}: {}", sentence(error)));
    if let SourceOutcome::Failed(error) = &report.outcome {
        return failed(&format!("could not be read: {error}"));
    }
    let running = report.running.map_or_else(|| "unknown how many".to_owned(), |n| n.to_string());
    let waiting: u32 = report.waiting.values().sum();
    let reasons = report.waiting.iter().map(|(reason, count)| format!("{count} {reason}"));
    let reasons = reasons.collect::<Vec<_>>().join(", ");
    let text = match waiting {
        0 => format!("{name}: {running} running of {} open", report.items),
        waiting => format!(
            "{name}: {running} running of {} open, {waiting} wait ({reasons})",
            report.items
        ),
    };
    match &report.outcome {
        SourceOutcome::Partial(error) => {
            failed(&format!("{text}; not all of it could be read: {error}"))
        }
        SourceOutcome::Ok | SourceOutcome::Failed(_) => (Tone::Plain, text),
    }
}

fn running(inventory: &InventoryReport) -> String {
    let InventoryReport { desired, running, roles, unmanaged, stuck, .. } = inventory;
    let surplus: u32 = roles.iter().map(|role| role.surplus).sum();
    let running_now = match running {
        Some(running) => format!("{running} of {desired} agents running"),
        None => format!("how many of {desired} agents run is unknown"),
    };
    let extra = [
        (surplus as usize, "over their role's count"),
        (stuck.len(), "stuck"),
        (unmanaged.len(), "unmanaged"),
    ];
    let extra = extra.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!(", {n} {what}"));
    running_now + &extra.collect::<String>()
}

/// Sessions that are stuck for one cause share an entry: a bad image is said once.
fn stuck(stuck: &[Stuck], today: SystemTime) -> Vec<Entry> {
    let same = |a: &Stuck, b: &Stuck| a.reason == b.reason && a.detail == b.detail;
    let groups = grouped(stuck.iter().map(|one| (Shown::from(&one.slot), one)), same);
    groups
        .into_iter()
        .map(|(slots, causes)| entry(Mark::Stuck, &slots, cause(&causes, today)))
        .collect()
}

/// `causes` differ in their times alone; the one that is stuck the longest speaks for all.
fn cause(causes: &[&Stuck], today: SystemTime) -> String {
    let Some(first) = causes.iter().min_by_key(|stuck| (stuck.since.is_none(), stuck.since)) else {
        return String::new();
    };
    let what = match first.since {
        Some(time) => format!("{} since {}", first.reason.word(), clock(time, today)),
        None => first.reason.word().to_owned(),
    };
    explained(&what, &first.detail)
}

fn unmanaged(one: &Unmanaged) -> Entry {
    Entry {
        mark: Mark::Left,
        name: String::new(),
        title: one.session.clone(),
        detail: one.reason.clone(),
    }
}

pub(super) fn spawn(report: &Report) -> StepOutline {
    let spawn = &report.spawn.body;
    let started = spawn.spawned.iter().map(|spawned| Shown::from(&spawned.target));
    let mut entries = by_group(started, Mark::Done, "");
    entries.extend(by_group(
        spawn.already_running.iter().map(Shown::from),
        Mark::Present,
        "already running",
    ));
    entries.extend(held(&spawn.held, report.started_at));
    entries.extend(failed(&spawn.failed));
    let summary = spawned(spawn, report.dry_run);
    let mut lines = vec![summarize(&report.spawn.outcome, summary, !entries.is_empty())];
    if let Some(limit) = &spawn.rate_limit {
        let text = format!(
            "stopped by a rate limit of the platform{}",
            until(limit.resets_at, report.started_at)
        );
        lines.push((Tone::Held, text));
    }
    StepOutline { name: "spawn", lines, entries }
}

fn spawned(spawn: &SpawnReport, dry_run: bool) -> String {
    let started = if dry_run { "to start" } else { "started" };
    let counts = [
        (spawn.spawned.len(), started),
        (spawn.already_running.len(), "already running"),
        (spawn.held.len(), "held"),
        (spawn.failed.len(), "failed"),
    ];
    let some: Vec<_> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
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
    groups
        .into_iter()
        .map(|(slots, holds)| entry(Mark::Held, &slots, explain(&holds, today)))
        .collect()
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
fn explain(holds: &[&Hold], today: SystemTime) -> String {
    let Some(first) = holds.iter().min_by_key(|hold| (hold.until.is_none(), hold.until)) else {
        return String::new();
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
    explained(&what, &first.detail)
}

fn failed(failures: &[SpawnFailure]) -> Vec<Entry> {
    let groups = grouped(
        failures.iter().map(|failure| (Shown::from(&failure.target), &failure.error)),
        PartialEq::eq,
    );
    let entry = |(slots, errors): (Vec<Shown>, Vec<&String>)| {
        entry(
            Mark::Failed,
            &slots,
            errors.first().map(|error| (*error).clone()).unwrap_or_default(),
        )
    };
    groups.into_iter().map(entry).collect()
}

/// A slot as it is shown: whose it is, and which one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    group: String,
    seat: ShownSeat,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ShownSeat {
    Index(u32),
    /// The item as its store spells it, where that is known.
    Item(String),
}

impl From<&Slot> for Shown {
    fn from(slot: &Slot) -> Self {
        let seat = match &slot.seat {
            Seat::Index(index) => ShownSeat::Index(*index),
            Seat::Item(key) => ShownSeat::Item(key.as_str().to_owned()),
        };
        Self { group: slot.group.to_string(), seat }
    }
}

impl From<&Target> for Shown {
    fn from(target: &Target) -> Self {
        let shown = Self::from(&target.slot);
        match &target.item {
            Some(item) => Self { seat: ShownSeat::Item(item.id.clone()), ..shown },
            None => shown,
        }
    }
}

/// One entry for each group, its slots as the detail.
fn by_group(slots: impl Iterator<Item = Shown>, mark: Mark, remark: &str) -> Vec<Entry> {
    let mut groups: Vec<(String, Vec<ShownSeat>)> = Vec::new();
    for Shown { group, seat } in slots {
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, seats)) => seats.push(seat),
            None => groups.push((group, vec![seat])),
        }
    }
    let detail = |seats: &[ShownSeat]| match remark {
        "" => ranges(seats),
        remark => format!("{} {remark}", ranges(seats)),
    };
    let entry = |(group, seats): (String, Vec<ShownSeat>)| Entry {
        mark,
        name: group,
        title: String::new(),
        detail: detail(&seats),
    };
    groups.into_iter().map(entry).collect()
}

/// One entry for slots with one cause.
fn entry(mark: Mark, slots: &[Shown], mut detail: String) -> Entry {
    let names = names(slots);
    let name = if slots.len() > MAX_NAMED {
        detail = format!("{detail}\n{names}");
        format!("{} slots", slots.len())
    } else {
        names
    };
    Entry { mark, name, title: String::new(), detail }
}

/// `api_builder s0 s1, e2e_tester s1`.
fn names(slots: &[Shown]) -> String {
    let entries = by_group(slots.iter().cloned(), Mark::Held, "");
    let names = entries.iter().map(|entry| format!("{} {}", entry.name, entry.detail));
    names.collect::<Vec<_>>().join(", ")
}

/// `s0 s1 s2`, and from four in a row on `s0-s3`; items by their ids.
fn ranges(seats: &[ShownSeat]) -> String {
    let follows = |a: &ShownSeat, b: &ShownSeat| match (a, b) {
        (ShownSeat::Index(a), ShownSeat::Index(b)) => a.checked_add(1) == Some(*b),
        (ShownSeat::Index(_) | ShownSeat::Item(_), _) => false,
    };
    let words = seats.chunk_by(follows).map(|run| match run {
        [ShownSeat::Index(first), _, _, .., ShownSeat::Index(last)] => format!("s{first}-s{last}"),
        few => few.iter().map(ShownSeat::word).collect::<Vec<_>>().join(" "),
    });
    words.collect::<Vec<_>>().join(" ")
}

impl ShownSeat {
    fn word(&self) -> String {
        match self {
            Self::Index(index) => format!("s{index}"),
            Self::Item(id) => id.clone(),
        }
    }
}

/// Slots with the same cause, in the order of the first of each.
fn grouped<'a, C>(
    items: impl Iterator<Item = (Shown, &'a C)>,
    same: impl Fn(&C, &C) -> bool,
) -> Vec<(Vec<Shown>, Vec<&'a C>)> {
    let mut groups: Vec<(Vec<Shown>, Vec<&C>)> = Vec::new();
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
