//! The report for job summaries and comments.

use std::iter;

use jiff::tz::TimeZone;

use super::outline::{StepOutline, steps};
use super::table::{Cell, Table};
use super::text::without_error;
use super::words::{Clock, count, paused, sentence, span};
use super::{MAX_LINE, MAX_SENTENCE, shown};
use coordinator_core::report::{Report, Step, StepOutcome};
use coordinator_core::secrets::Secrets;

/// The report with its times in `zone`, and a line break at its end.
pub fn report(report: &Report, zone: &TimeZone, secrets: &Secrets) -> String {
    let safe = |text: &str| escaped(&shown(&sentence(text), MAX_SENTENCE, secrets));
    let clock = Clock { now: report.started_at, zone };
    let steps = steps(report, clock, false);
    let note = if report.dry_run { " (dry run: nothing was changed)" } else { "" };
    let (fleet, status) = (&report.fleet, report.status.word());
    let mut lines = vec![format!("### coordinator, {fleet}: {status}{note}"), String::new()];
    if let Some(pause) = &report.paused {
        lines.extend([format!("- {}", safe(&paused(pause, clock))), String::new()]);
    }
    if !report.reasons.is_empty() {
        let reasons = report.reasons.iter().map(|reason| without_error(&reason.text, report));
        lines.extend(reasons.map(|reason| format!("- {}", safe(reason))));
        lines.push(String::new());
    }
    lines.extend(summaries(report, &steps).markdown(secrets));
    for step in steps.iter().filter(|step| !step.entries.is_empty()) {
        lines.extend([String::new(), format!("**{}**", step.name), String::new()]);
        lines.extend(step.table(report.dry_run).markdown(secrets));
    }
    if !report.advice.is_empty() {
        lines.extend([String::new(), "**advice**".to_owned(), String::new()]);
        let advice = report.advice.iter();
        lines.extend(
            advice.map(|advice| format!("- {}: {}", safe(&advice.signal), safe(&advice.action))),
        );
    }
    let requests = report.requests.github + report.requests.platform + report.requests.health;
    let (time, duration) = (clock.minute(report.started_at), span(report.duration));
    lines.push(format!("\n{time}, {duration}, {}", count(requests, "request")));
    lines.join("\n") + "\n"
}

fn summaries(report: &Report, steps: &[StepOutline]) -> Table {
    let ends =
        [end(&report.inventory), end(&report.spawn), end(&report.merge), end(&report.health)];
    let rows = iter::zip(steps, ends).map(|(step, (outcome, time))| {
        let lines = step.lines.iter().map(|(_, line)| line.clone()).collect();
        let outcome = outcome.replace('_', " ");
        vec![
            Cell::ours(step.name),
            Cell::ours(outcome),
            Cell::ours(time),
            Cell::lines(lines).max(MAX_LINE),
        ]
    });
    Table { headings: &["step", "outcome", "time", ""], rows: rows.collect() }
}

fn end<T>(step: &Step<T>) -> (&'static str, String) {
    let time = match step.outcome {
        StepOutcome::Ok | StepOutcome::Failed(_) => span(step.duration),
        StepOutcome::Skipped | StepOutcome::NotConfigured => String::new(),
    };
    (step.outcome.word(), time)
}

/// Text that means nothing in Markdown or HTML: it cannot make a link, image, table cell, code,
/// mention or reference.
///
/// Character references replace the signs that Markdown reads, and a zero-width space follows those
/// that GitHub reads in the finished page, where references are resolved.
pub fn escaped(text: &str) -> String {
    let line_starter = line_starter(text);
    let reference = |(at, c): (usize, char)| match c {
        '@' | '#' => format!("&#{};&#8203;", u32::from(c)),
        '&' | '<' | '>' | '|' | '\\' | '`' | '*' | '_' | '~' | '[' | ']' | '!' | '$' | '"'
        | '\'' => {
            format!("&#{};", u32::from(c))
        }
        c if Some(at) == line_starter => format!("&#{};", u32::from(c)),
        c => c.to_string(),
    };
    // `https://` and `www.` start a link without any other sign.
    let safe: String = text.char_indices().map(reference).collect();
    safe.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// The position of a sign that would make a list item or an underlined heading of a line that
/// starts with `text`.
fn line_starter(text: &str) -> Option<usize> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let starts = if at == 0 { &['-', '+', '='][..] } else { &['.', ')'][..] };
    text[at..].starts_with(starts).then_some(at)
}
