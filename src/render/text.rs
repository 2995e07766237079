//! The report for people.

use unicode_width::UnicodeWidthStr;

use super::outline::{StepOutline, steps};
use super::table::{Cell, Table, Tone, paint};
use super::words::{Clock, count, paused, sentence, span};
use super::{Form, MAX_LINE, MAX_SENTENCE, Screen, shown, wrap};
use coordinator_core::report::{Report, Status, StepOutcome};
use coordinator_core::secrets::Secrets;

/// The column at which the lines of the steps begin.
const STEPS: usize = 2;
/// The column at which the things begin that a step names.
const ENTRIES: usize = 13;

/// The report, with a line break at its end.
pub fn report(report: &Report, form: Form<'_>) -> String {
    let Form { screen, secrets, zone, verbose, .. } = form;
    let clock = Clock { now: report.started_at, zone };
    let steps = steps(report, clock, verbose);
    let mut lines = vec![heading(report, clock, screen), String::new()];
    if let Some(pause) = &report.paused {
        let text = shown(&paused(pause, clock), MAX_SENTENCE, secrets);
        lines.extend([paint(Tone::Held, &text, screen), String::new()]);
    }
    let mut summaries = summaries(&steps).text(STEPS, screen, secrets).into_iter();
    for step in &steps {
        lines.extend(summaries.by_ref().take(step.lines.len()).flatten());
        lines.extend(step.table(report.dry_run).text(ENTRIES, screen, secrets).concat());
    }
    lines.push(String::new());
    lines.extend(verdict(report, screen, secrets));
    if !report.advice.is_empty() {
        lines.push(String::new());
        lines.extend(advice(report).text(0, screen, secrets).concat());
    }
    lines.join("\n") + "\n"
}

fn heading(report: &Report, clock: Clock<'_>, screen: Screen) -> String {
    let time = paint(Tone::Detail, &clock.minute(report.started_at), screen);
    let mut parts = vec![format!("coordinator  {}", report.fleet), time];
    if report.dry_run {
        parts.push("dry run: nothing was changed".to_owned());
    }
    let width = anstream::adapter::strip_str(&parts.join("  ")).to_string().width();
    parts.join(if screen.width.is_none_or(|columns| width <= columns) { "  " } else { "\n" })
}

/// One row for each line of each step; the name precedes the first.
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
    let reasons = report.reasons.iter().map(|reason| without_error(&reason.text, report));
    let reasons = reasons.map(|reason| shown(&sentence(reason), MAX_SENTENCE, secrets));
    let reasons = reasons.collect::<Vec<_>>().join("; ");
    let rows = wrap::wrapped(&format!("{status}: {reasons}"), screen.room(0));
    let fits = |row: &str| screen.width.is_none_or(|it| row.width() + 2 + cost.width() <= it);
    let painted_cost = paint(Tone::Detail, &cost, screen);
    match rows.as_slice() {
        [row] if fits(row) => vec![format!("{}  {painted_cost}", paint(tone, row, screen))],
        rows => {
            let rows = rows.iter().map(|row| paint(tone, row, screen));
            rows.chain([painted_cost]).collect()
        }
    }
}

/// The reason without an error that the line of its step has already.
pub(super) fn without_error<'a>(reason: &'a str, report: &Report) -> &'a str {
    let Report { inventory, spawn, merge, health, .. } = report;
    let steps = [&inventory.outcome, &spawn.outcome, &merge.outcome, &health.outcome];
    let steps = steps.into_iter().filter_map(StepOutcome::error);
    let sources = inventory.body.sources.iter().filter_map(|source| source.outcome.error());
    let endpoints = health.body.endpoints.iter().filter_map(|endpoint| endpoint.error.as_deref());
    let cut = |error: &str| {
        let colon = reason.strip_suffix(error).and_then(|rest| rest.strip_suffix(": "));
        let brackets = || reason.strip_suffix(')')?.strip_suffix(error)?.strip_suffix(" (");
        colon.or_else(brackets).filter(|rest| !rest.is_empty())
    };
    steps.chain(sources).chain(endpoints).find_map(cut).unwrap_or(reason)
}

fn advice(report: &Report) -> Table {
    let rows = report.advice.iter().enumerate().map(|(at, advice)| {
        let text = format!("{}: {}", sentence(&advice.signal), sentence(&advice.action));
        vec![Cell::ours(if at == 0 { "advice" } else { "" }), Cell::new(text).max(MAX_LINE)]
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
