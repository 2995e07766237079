//! What inventory and spawn did. Slots of one role and slots with one cause share an entry, so that
//! the report of a thousand slots is a few lines; with `verbose` each slot has its own.

use super::{Entry, Mark, StepOutline, explained, summarize};
use crate::render::table::Tone;
use crate::render::words::{Clock, count, sentence};
use coordinator_core::budget::CapState;
use coordinator_core::fleet::{Hold, HoldReason, Seat, Slot, Stuck, Target, Unmanaged};
use coordinator_core::report::{
    InventoryReport, Report, SourceOutcome, SourceReport, SpawnFailure, SpawnReport,
};

/// More slots with one cause are counted on their line.
const MAX_NAMED: usize = 3;
/// Characters of the names of more slots that still stand on their line: `ui_builder s0-s29`.
const MAX_NAMES: usize = 24;
/// Entries of one kind; the slots of all others are counted on one more line.
const MAX_ENTRIES: usize = 10;
/// Roles that are named below a line that counts their slots.
const MAX_ROLES: usize = 6;
/// Slots, or runs of neighbouring slots, that are named of one role.
const MAX_RUNS: usize = 8;

pub(super) fn inventory(report: &Report, clock: Clock<'_>, verbose: bool) -> StepOutline {
    let body = &report.inventory.body;
    let mut entries = stuck(&body.stuck, clock, verbose);
    entries.extend(by_group(
        body.out_of_range.iter().map(SlotLabel::from),
        Mark::Left,
        "beyond the role's count, left to finish",
    ));
    entries.extend(unmanaged(&body.unmanaged, verbose));
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
        None => format!("unknown how many of {desired} agents run"),
    };
    let extra = [
        (surplus as usize, "over their role's count"),
        (stuck.len(), "stuck"),
        (unmanaged.len(), "unmanaged"),
    ];
    let extra = extra.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!(", {n} {what}"));
    running_now + &extra.collect::<String>()
}

/// Sessions that are stuck for one cause share an entry: a bad image is one line.
fn stuck(stuck: &[Stuck], clock: Clock<'_>, verbose: bool) -> Vec<Entry> {
    let same = |a: &&Stuck, b: &&Stuck| a.reason == b.reason && a.detail == b.detail;
    let causes = stuck.iter().map(|one| (SlotLabel::from(&one.slot), one));
    let groups = grouped(causes, |a, b| !verbose && same(a, b));
    let entry = |(slots, causes): (Vec<SlotLabel>, Vec<&Stuck>)| {
        (entry(Mark::Stuck, &slots, cause(&causes, clock), true), slots.len())
    };
    folded(groups.into_iter().map(entry).collect(), Mark::Stuck, verbose)
}

/// `causes` differ in their times alone; the one that is stuck the longest is shown for all.
fn cause(causes: &[&Stuck], clock: Clock<'_>) -> String {
    let Some(first) = causes.iter().min_by_key(|stuck| (stuck.since.is_none(), stuck.since)) else {
        return String::new();
    };
    let what = match first.since {
        Some(time) => format!("{} since {}", first.reason.word(), clock.time(time)),
        None => first.reason.word().to_owned(),
    };
    explained(&what, &first.detail)
}

/// Sessions are named in full: they have no slot in this roster.
fn unmanaged(sessions: &[Unmanaged], verbose: bool) -> Vec<Entry> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for Unmanaged { session, reason } in sessions {
        match groups.iter_mut().find(|(known, _)| !verbose && known == reason) {
            Some((_, names)) => names.push(session),
            None => groups.push((reason, vec![session])),
        }
    }
    let entry = |(reason, names): (&str, Vec<&str>)| {
        let (name, detail) = match names.as_slice() {
            [name] => ("unmanaged".to_owned(), format!("{name}: {reason}")),
            names => (
                format!("{} unmanaged", names.len()),
                format!(
                    "{reason}\n{}",
                    some(names.iter().map(ToString::to_string), MAX_NAMED, " ")
                ),
            ),
        };
        (Entry { mark: Mark::Left, name, title: String::new(), detail }, names.len())
    };
    folded(groups.into_iter().map(entry).collect(), Mark::Left, verbose)
}

pub(super) fn spawn(report: &Report, clock: Clock<'_>, verbose: bool) -> StepOutline {
    let spawn = &report.spawn.body;
    let started = spawn.spawned.iter().map(|spawned| SlotLabel::from(&spawned.target));
    let mut entries = by_group(started, Mark::Done, "");
    entries.extend(by_group(
        spawn.already_running.iter().map(SlotLabel::from),
        Mark::Present,
        "already running",
    ));
    entries.extend(failed(&spawn.failed, verbose));
    entries.extend(held(&spawn.held, clock, verbose));
    let summary = spawned(spawn, report.dry_run);
    let mut lines = vec![summarize(&report.spawn.outcome, summary, !entries.is_empty())];
    if let Some(limit) = &spawn.rate_limit {
        let text =
            format!("stopped by a rate limit of the platform{}", clock.until(limit.resets_at));
        lines.push((Tone::Held, text));
    }
    lines.extend(spawn.budget.iter().flat_map(|budget| &budget.caps).map(cap));
    StepOutline { name: "spawn", lines, entries }
}

/// `per_day_usd: $9.00 spent and $10.00 reserved of $20.00`.
fn cap(cap: &CapState) -> (Tone, String) {
    let CapState { cap, limit, spent, reserved, is_held, .. } = cap;
    let tone = if *is_held { Tone::Held } else { Tone::Detail };
    (tone, format!("{cap}: {spent} spent and {reserved} reserved of {limit}"))
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

/// One entry for each cause. What makes sessions fail differs from end to end: of a role's slots
/// that back off, the first to start again is shown for all.
fn held(held: &[(Target, Hold)], clock: Clock<'_>, verbose: bool) -> Vec<Entry> {
    let holds = held.iter().map(|(target, hold)| (SlotLabel::from(target), (&target.role, hold)));
    let groups = grouped(holds, |(role, a), (other, b)| {
        let of_one_role =
            matches!(a.reason, HoldReason::Backoff | HoldReason::Idle) && role == other;
        !verbose && a.reason == b.reason && (a.detail == b.detail || of_one_role)
    });
    let entry = |(slots, holds): (Vec<SlotLabel>, Vec<(_, &Hold)>)| {
        let holds: Vec<&Hold> = holds.into_iter().map(|(_, hold)| hold).collect();
        let names_matter = holds.first().is_some_and(|hold| !is_a_limit(hold.reason));
        (entry(Mark::Held, &slots, explain(&holds, clock), names_matter), slots.len())
    };
    folded(groups.into_iter().map(entry).collect(), Mark::Held, verbose)
}

/// A limit that the roster sets: which slot it meets is of no interest.
fn is_a_limit(reason: HoldReason) -> bool {
    match reason {
        HoldReason::Interval
        | HoldReason::Budget
        | HoldReason::Rate
        | HoldReason::Cap
        | HoldReason::MaxSpawns
        | HoldReason::Quota
        | HoldReason::Concurrency
        | HoldReason::Paused
        | HoldReason::Unsupported => true,
        HoldReason::Backoff
        | HoldReason::Idle
        | HoldReason::Stopped
        | HoldReason::Superseded
        | HoldReason::RoleFailed
        | HoldReason::Unknown
        | HoldReason::Orphan
        | HoldReason::Disk => false,
    }
}

/// `holds` have one reason; the first to end is shown for all.
fn explain(holds: &[&Hold], clock: Clock<'_>) -> String {
    let Some(first) = holds.iter().min_by_key(|hold| (hold.until.is_none(), hold.until)) else {
        return String::new();
    };
    let several = holds.iter().any(|hold| hold.until != first.until);
    let (verb, verbs) = match first.reason {
        HoldReason::Backoff => ("backs off", "back off"),
        HoldReason::Interval => ("waits", "wait"),
        reason => (reason.word(), reason.word()),
    };
    let what = match first.until {
        Some(time) if several => format!("{verbs}, the first until {}", clock.time(time)),
        until if holds.len() > 1 => format!("{verbs}{}", clock.until(until)),
        until => format!("{verb}{}", clock.until(until)),
    };
    if first.detail.starts_with(&what) {
        return first.detail.clone();
    }
    explained(&what, &first.detail)
}

/// Errors that differ in the slot's name alone are one.
fn failed(failures: &[SpawnFailure], verbose: bool) -> Vec<Entry> {
    let failures = failures.iter().map(|SpawnFailure { target, error }| {
        let cause = error.replace(&target.slot.name(), "");
        (SlotLabel::from(target), (cause, error))
    });
    let groups = grouped(failures, |(a, _), (b, _)| !verbose && a == b);
    let entry = |(slots, causes): (Vec<SlotLabel>, Vec<(String, &String)>)| {
        let error = causes.first().map(|(_, error)| (*error).clone()).unwrap_or_default();
        (entry(Mark::Failed, &slots, error, true), slots.len())
    };
    folded(groups.into_iter().map(entry).collect(), Mark::Failed, verbose)
}

/// The entries, and with each how many slots it is for. The slots of those that are too many are
/// counted.
fn folded(mut entries: Vec<(Entry, usize)>, mark: Mark, verbose: bool) -> Vec<Entry> {
    let too_many = !verbose && entries.len() > MAX_ENTRIES;
    let rest = if too_many { entries.split_off(MAX_ENTRIES - 1) } else { Vec::new() };
    let slots: usize = rest.iter().map(|(_, slots)| slots).sum();
    let rest = too_many.then(|| Entry {
        mark,
        name: format!("{slots} more"),
        title: String::new(),
        detail: "`-v` lists each".to_owned(),
    });
    entries.into_iter().map(|(entry, _)| entry).chain(rest).collect()
}

/// A slot as it is shown: whose it is, and which one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SlotLabel {
    group: String,
    seat: SeatLabel,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum SeatLabel {
    Index(u32),
    /// The item as its store spells it, where that is known.
    Item(String),
}

impl From<&Slot> for SlotLabel {
    fn from(slot: &Slot) -> Self {
        let seat = match &slot.seat {
            Seat::Index(index) => SeatLabel::Index(*index),
            Seat::Item(key) => SeatLabel::Item(key.as_str().to_owned()),
        };
        Self { group: slot.group.to_string(), seat }
    }
}

impl From<&Target> for SlotLabel {
    fn from(target: &Target) -> Self {
        let label = Self::from(&target.slot);
        match &target.item {
            Some(item) => Self { seat: SeatLabel::Item(item.id.clone()), ..label },
            None => label,
        }
    }
}

/// One entry for each group, its slots as the detail.
fn by_group(slots: impl Iterator<Item = SlotLabel>, mark: Mark, remark: &str) -> Vec<Entry> {
    let mut groups: Vec<(String, Vec<SeatLabel>)> = Vec::new();
    for SlotLabel { group, seat } in slots {
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, seats)) => seats.push(seat),
            None => groups.push((group, vec![seat])),
        }
    }
    let detail = |seats: &[SeatLabel]| match remark {
        "" => ranges(seats),
        remark => format!("{} {remark}", ranges(seats)),
    };
    let entry = |(group, seats): (String, Vec<SeatLabel>)| Entry {
        mark,
        name: group,
        title: String::new(),
        detail: detail(&seats),
    };
    groups.into_iter().map(entry).collect()
}

/// One entry for slots with one cause; more than a few are counted, and named below the cause where
/// their names matter.
fn entry(mark: Mark, slots: &[SlotLabel], mut detail: String, names_matter: bool) -> Entry {
    let names = names(slots);
    let is_short = names_matter && names.chars().count() <= MAX_NAMES;
    if slots.len() <= MAX_NAMED || is_short {
        return Entry { mark, name: names, title: String::new(), detail };
    }
    if names_matter {
        detail = format!("{detail}\n{names}");
    }
    let word = match mark {
        Mark::Held => "held",
        Mark::Stuck => "stuck",
        Mark::Failed => "failed",
        Mark::Done | Mark::Present | Mark::Left => "slots",
    };
    Entry { mark, name: format!("{} {word}", slots.len()), title: String::new(), detail }
}

/// `api_builder s0 s1, e2e_tester s1 and 3 more roles`.
fn names(slots: &[SlotLabel]) -> String {
    let entries = by_group(slots.iter().cloned(), Mark::Held, "");
    let more = entries.len().saturating_sub(MAX_ROLES);
    let named = entries.iter().take(MAX_ROLES);
    let named = named.map(|entry| format!("{} {}", entry.name, entry.detail));
    let named = named.collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{named} and {}", count(more as u64, "more role")) } else { named }
}

/// The first `max` words, and how many there are beside.
fn some(words: impl ExactSizeIterator<Item = String>, max: usize, separator: &str) -> String {
    let more = words.len().saturating_sub(max);
    let named = words.take(max).collect::<Vec<_>>().join(separator);
    if more > 0 { format!("{named} and {more} more") } else { named }
}

/// `s0 s1 s2`, and from four in a row on `s0-s3`; items by their ids.
fn ranges(seats: &[SeatLabel]) -> String {
    let follows = |a: &SeatLabel, b: &SeatLabel| match (a, b) {
        (SeatLabel::Index(a), SeatLabel::Index(b)) => a.checked_add(1) == Some(*b),
        (SeatLabel::Index(_) | SeatLabel::Item(_), _) => false,
    };
    let (mut words, mut named) = (Vec::new(), 0);
    for run in seats.chunk_by(follows).take(MAX_RUNS) {
        named += run.len();
        words.push(match run {
            [SeatLabel::Index(first), _, _, .., SeatLabel::Index(last)] => {
                format!("s{first}-s{last}")
            }
            few => few.iter().map(SeatLabel::word).collect::<Vec<_>>().join(" "),
        });
    }
    let (named, more) = (words.join(" "), seats.len() - named);
    if more > 0 { format!("{named} and {more} more") } else { named }
}

impl SeatLabel {
    fn word(&self) -> String {
        match self {
            Self::Index(index) => format!("s{index}"),
            Self::Item(id) => id.clone(),
        }
    }
}

/// Slots with the same cause, in the order of the first of each.
fn grouped<C>(
    items: impl Iterator<Item = (SlotLabel, C)>,
    same: impl Fn(&C, &C) -> bool,
) -> Vec<(Vec<SlotLabel>, Vec<C>)> {
    let mut groups: Vec<(Vec<SlotLabel>, Vec<C>)> = Vec::new();
    for (slot, cause) in items {
        match groups.iter_mut().find(|(_, causes)| same(&causes[0], &cause)) {
            Some((slots, causes)) => {
                slots.push(slot);
                causes.push(cause);
            }
            None => groups.push((vec![slot], vec![cause])),
        }
    }
    groups
}
