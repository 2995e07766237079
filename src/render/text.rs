//! The report for people.

use super::outline::{StepOutline, steps};
use super::table::{Cell, Table, Tone, paint};
use super::words::{count, minute, sentence, span};
use super::{MAX_LINE, MAX_SENTENCE, Screen, shown, wrap};
use coordinator_core::report::{Report, Status};
use coordinator_core::secrets::Secrets;

/// The column at which the lines of the steps begin.
const STEPS: usize = 2;
/// The column at which the things begin that a step names.
const ENTRIES: usize = 13;
/// The column at which the cost of a cycle begins, after a long verdict.
const COST: usize = 65;

/// The report, with a line break at its end.
pub fn report(report: &Report, screen: Screen, secrets: &Secrets) -> String {
    let steps = steps(report);
    let mut lines = vec![heading(report, screen), String::new()];
    let mut summaries = summaries(&steps).text(STEPS, screen, secrets).into_iter();
    for step in &steps {
        lines.extend(summaries.by_ref().take(step.lines.len()).flatten());
        lines.extend(step.table(report.dry_run, screen).text(ENTRIES, screen, secrets).concat());
    }
    lines.push(String::new());
    lines.extend(verdict(report, screen, secrets));
    if !report.advice.is_empty() {
        lines.push(String::new());
        lines.extend(advice(report).text(0, screen, secrets).concat());
    }
    lines.join("\n") + "\n"
}

fn heading(report: &Report, screen: Screen) -> String {
    let time = paint(Tone::Detail, &format!("{} UTC", minute(report.started_at)), screen);
    let note = if report.dry_run { "  dry run: nothing was changed" } else { "" };
    format!("coordinator  {}  {time}{note}", report.fleet)
}

/// One row for each line of each step; the name stands before the first.
fn summaries(steps: &[StepOutline]) -> Table {
    let rows = steps.iter().flat_map(|step| {
        step.lines.iter().enumerate().map(|(at, (tone, line))| {
            let name = if at == 0 { step.name } else { "" };
            vec![Cell::ours(name), Cell::new(line).tone(*tone).max(MAX_LINE)]
        })
    });
    Table { headings: &[], rows: rows.collect() }
}

fn verdict(report: &Report, screen: Screen, secrets: &Secrets) -> Vec<String> {
    let requests = report.requests.github + report.requests.platform + report.requests.health;
    let cost = format!("{}, {}", span(report.duration), count(requests, "request"));
    let (tone, status) = (verdict_tone(report.status), report.status.word());
    if report.reasons.is_empty() {
        let (status, cost) = (paint(tone, status, screen), paint(Tone::Detail, &cost, screen));
        return vec![format!("{status}  {cost}")];
    }
    let reasons =
        report.reasons.iter().map(|reason| shown(&sentence(&reason.text), MAX_SENTENCE, secrets));
    let reasons = reasons.collect::<Vec<_>>().join("; ");
    let rows = wrap::wrapped(&format!("{status}: {reasons}"), screen.width);
    let length = rows.last().map_or(0, |row| row.chars().count());
    let gap = COST.saturating_sub(length).max(2);
    let fits = screen.width.is_none_or(|width| length + gap + cost.chars().count() <= width);
    let mut lines: Vec<_> = rows.iter().map(|row| paint(tone, row, screen)).collect();
    let cost = paint(Tone::Detail, &cost, screen);
    match lines.last_mut() {
        Some(last) if fits => *last = format!("{last}{:gap$}{cost}", ""),
        _ => lines.push(cost),
    }
    lines
}

fn advice(report: &Report) -> Table {
    let rows = report.advice.iter().enumerate().map(|(at, advice)| {
        let said = format!("{}: {}", sentence(&advice.signal), sentence(&advice.action));
        vec![Cell::ours(if at == 0 { "advice" } else { "" }), Cell::new(said).max(MAX_LINE)]
    });
    Table { headings: &[], rows: rows.collect() }
}

fn verdict_tone(status: Status) -> Tone {
    match status {
        Status::Healthy => Tone::Done,
        Status::Degraded => Tone::Held,
        Status::Broken => Tone::Failed,
    }
}
