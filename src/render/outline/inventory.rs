//! What the inventory has to say: how many run, and each session that is not as it should be.

use std::time::SystemTime;

use super::slots::{Shown, by_group, entry, grouped};
use super::{Entry, Line, Mark, StepOutline, Tone, summarize};
use crate::render::words::{clock, safe, safe_lines, sentence};
use coordinator_core::fleet::{Stuck, Unmanaged};
use coordinator_core::report::{InventoryReport, Report, SourceOutcome, SourceReport};

pub(super) fn outline(report: &Report) -> StepOutline {
    let body = &report.inventory.body;
    let mut entries = stuck(&body.stuck, report.started_at);
    entries.extend(by_group(
        body.out_of_range.iter().map(Shown::from),
        Mark::Left,
        "beyond the role's count, left to finish",
    ));
    entries.extend(body.unmanaged.iter().map(unmanaged));
    let mut lines = vec![summarize(&report.inventory.outcome, summary(body), body.running.is_some())];
    lines.extend(body.sources.iter().map(source));
    StepOutline { name: "inventory", lines, entries }
}

/// `issues: 2 running, 5 wait (3 blocked, 2 claimed)`.
fn source(report: &SourceReport) -> Line {
    let name = &report.source;
    let failed = |error: &str| Line { tone: Tone::Failed, text: format!("{name}: {}", sentence(error)) };
    if let SourceOutcome::Failed(error) = &report.outcome {
        return failed(&format!("could not be read: {error}"));
    }
    let running = report.running.map_or_else(|| "unknown how many".to_owned(), |n| n.to_string());
    let waiting: u32 = report.waiting.values().sum();
    let reasons = report.waiting.iter().map(|(reason, count)| format!("{count} {reason}"));
    let reasons = reasons.collect::<Vec<_>>().join(", ");
    let text = match waiting {
        0 => format!("{name}: {running} running of {} open", report.items),
        waiting => format!("{name}: {running} running of {} open, {waiting} wait ({reasons})", report.items),
    };
    match &report.outcome {
        SourceOutcome::Partial(error) => failed(&format!("{text}; not all of it could be read: {error}")),
        SourceOutcome::Ok | SourceOutcome::Failed(_) => Line { tone: Tone::Plain, text },
    }
}

fn summary(inventory: &InventoryReport) -> String {
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
    groups.into_iter().map(|(slots, causes)| entry(Mark::Stuck, &slots, explain(&causes, today))).collect()
}

/// `causes` differ in their times alone; the one that is stuck the longest speaks for all.
fn explain(causes: &[&Stuck], today: SystemTime) -> Vec<String> {
    let Some(first) = causes.iter().min_by_key(|stuck| (stuck.since.is_none(), stuck.since)) else {
        return Vec::new();
    };
    let what = match first.since {
        Some(time) => format!("{} since {}", first.reason.word(), clock(time, today)),
        None => first.reason.word().to_owned(),
    };
    let mut lines = safe_lines(&first.detail);
    match lines.first_mut() {
        Some(line) => *line = format!("{what}: {line}"),
        None => lines.push(what),
    }
    lines
}

fn unmanaged(one: &Unmanaged) -> Entry {
    Entry {
        mark: Mark::Left,
        name: String::new(),
        title: safe(&one.session),
        detail: safe_lines(&one.reason),
    }
}
