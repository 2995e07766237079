//! The report for job summaries and comments.

use std::iter;

use super::outline::{Entry, Mark, StepOutline, steps};
use super::words::{count, minute, sentence, span};
use coordinator_core::report::{Report, Step, StepOutcome};

/// The report, with a line break at its end.
pub fn report(report: &Report) -> String {
    let steps = steps(report);
    let mut lines = heading(report);
    lines.extend(table(report, &steps));
    let done = if report.dry_run { "planned" } else { "done" };
    lines.extend(steps.iter().flat_map(|step| things(step, done)));
    if !report.advice.is_empty() {
        let advice = report.advice.iter();
        let advice = advice.map(|advice| format!("- {}: {}", shown(&advice.signal), shown(&advice.action)));
        lines.extend([String::new(), "**advice**".to_owned(), String::new()]);
        lines.extend(advice);
    }
    let requests = report.requests.github + report.requests.platform + report.requests.health;
    lines.push(String::new());
    lines.push(format!(
        "{} UTC, {}, {}",
        minute(report.started_at),
        span(report.duration),
        count(requests, "request")
    ));
    lines.join("\n") + "\n"
}

/// Text that means nothing in Markdown or HTML: it can make no link, image, table cell, code, mention or reference.
///
/// Character references stand for the signs that Markdown reads, and a zero-width space follows those that GitHub
/// reads in the finished page, where references are gone.
pub fn escaped(text: &str) -> String {
    let line_starter = line_starter(text);
    let reference = |(at, c): (usize, char)| match c {
        '@' | '#' => format!("&#{};&#8203;", u32::from(c)),
        '&' | '<' | '>' | '|' | '\\' | '`' | '*' | '_' | '~' | '[' | ']' | '!' | '$' | '"' | '\'' => {
            format!("&#{};", u32::from(c))
        }
        c if Some(at) == line_starter => format!("&#{};", u32::from(c)),
        c => c.to_string(),
    };
    // `https://` and `www.` start a link without any other sign.
    let safe: String = text.char_indices().map(reference).collect();
    safe.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// Where the sign stands that would make a list item or an underlined heading of a line that starts with `text`.
fn line_starter(text: &str) -> Option<usize> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let starts = if at == 0 { &['-', '+', '='][..] } else { &['.', ')'][..] };
    text[at..].starts_with(starts).then_some(at)
}

fn shown(text: &str) -> String {
    escaped(&sentence(text))
}

fn heading(report: &Report) -> Vec<String> {
    let note = if report.dry_run { " (dry run: nothing was changed)" } else { "" };
    let mut lines =
        vec![format!("### coordinator, {}: {}{note}", report.fleet, report.status.word()), String::new()];
    if !report.reasons.is_empty() {
        lines.extend(report.reasons.iter().map(|reason| format!("- {}", shown(&reason.text))));
        lines.push(String::new());
    }
    lines
}

fn table(report: &Report, steps: &[StepOutline]) -> Vec<String> {
    let ends = [end(&report.inventory), end(&report.spawn), end(&report.merge), end(&report.health)];
    let rows = iter::zip(steps, ends).map(|(step, (outcome, time))| {
        let lines = step.lines.iter().map(|line| escaped(&line.text));
        let lines = lines.collect::<Vec<_>>().join("<br>");
        format!("| {} | {} | {time} | {lines} |", step.name, outcome.replace('_', " "))
    });
    let head = ["| step | outcome | time | |", "|---|---|---|---|"].map(str::to_owned);
    head.into_iter().chain(rows).collect()
}

fn end<T>(step: &Step<T>) -> (&'static str, String) {
    let time = match step.outcome {
        StepOutcome::Ok | StepOutcome::Failed(_) => span(step.duration),
        StepOutcome::Skipped | StepOutcome::NotConfigured => String::new(),
    };
    (step.outcome.word(), time)
}

fn things(step: &StepOutline, done: &str) -> Vec<String> {
    if step.entries.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), format!("**{}**", step.name), String::new()];
    lines.extend(step.entries.iter().map(|one| entry(one, done)));
    lines
}

fn entry(entry: &Entry, done: &str) -> String {
    let what = match entry.mark {
        Mark::Done => done,
        Mark::Present => "there",
        Mark::Held => "held",
        Mark::Left => "left",
        Mark::Stuck => "stuck",
        Mark::Failed => "**failed**",
    };
    let named = [entry.name.clone(), escaped(&entry.title)];
    let named = named.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(" ");
    let detail = entry.detail.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("; ");
    let colon = if detail.is_empty() { "" } else { ": " };
    format!("- {what} {named}{colon}{detail}")
}
