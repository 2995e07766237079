//! What the inventory has to say: how many run, and each session that is not as it should be.

use std::time::SystemTime;

use super::slots::{Shown, by_group, entry, grouped};
use super::{Entry, Mark, StepOutline, summarize};
use crate::fleet::{Stuck, Unmanaged};
use crate::render::words::{clock, safe, safe_lines};
use crate::report::{InventoryReport, Report};

pub(super) fn outline(report: &Report) -> StepOutline {
    let body = &report.inventory.body;
    let mut entries = stuck(&body.stuck, report.started_at);
    entries.extend(by_group(
        body.out_of_range.iter().map(Shown::from),
        Mark::Left,
        "beyond the role's count, left to finish",
    ));
    entries.extend(body.unmanaged.iter().map(unmanaged));
    let line = summarize(&report.inventory.outcome, summary(body), body.running.is_some());
    StepOutline { name: "inventory", lines: vec![line], entries }
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
