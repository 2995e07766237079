//! The content of the report before it is laid out: text and Markdown report have the same.

use super::table::{Cell, Table, Tone};
use super::words::{Clock, sentence, span};
use coordinator_core::report::{
    EndpointHealth, HealthReport, HealthVerdict, MergeReport, RecentMerge, Report, Step,
    StepOutcome,
};

mod merge;
mod sessions;

/// What became of the thing that an entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Started or merged.
    Done,
    Present,
    /// Held back for now.
    Held,
    Left,
    /// Live and stalled.
    Stuck,
    Failed,
}

/// One thing that a step names.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) mark: Mark,
    /// A role, slots, or the number of a pull request; may be empty.
    pub(super) name: String,
    /// May be empty.
    pub(super) title: String,
    /// May be empty; the lines after the first are the remedy.
    pub(super) detail: String,
}

/// One step. Its texts are as they came.
#[derive(Debug)]
pub(super) struct StepOutline {
    pub(super) name: &'static str,
    /// The summary, and what belongs to it.
    pub(super) lines: Vec<(Tone, String)>,
    pub(super) entries: Vec<Entry>,
}

/// The four steps in the order of the report. `verbose` lists slots one by one.
pub(super) fn steps(report: &Report, clock: Clock<'_>, verbose: bool) -> [StepOutline; 4] {
    [
        sessions::inventory(report, clock, verbose),
        sessions::spawn(report, clock, verbose),
        merge::outline(report, clock),
        health(report),
    ]
}

impl StepOutline {
    /// The entries as a list.
    pub(super) fn table(&self, dry_run: bool) -> Table {
        let rows = self.entries.iter().map(|entry| {
            let (symbol, word, tone) = entry.mark.shown(dry_run);
            let detail_tone = match entry.mark {
                Mark::Done | Mark::Present | Mark::Stuck | Mark::Failed => Tone::Plain,
                Mark::Held | Mark::Left => Tone::Detail,
            };
            vec![
                Cell::ours(symbol).in_markdown(word).tone(tone),
                name(&entry.name).tone(tone),
                Cell::new(&entry.title).tone(tone).cut(),
                Cell::lines(entry.detail.lines().map(str::to_owned).collect()).tone(detail_tone),
            ]
        });
        Table { headings: &[], rows: rows.collect() }
    }
}

/// Roles, slots and numbers are our own words; the id of a work item may be anything. An underscore
/// within a word means nothing in Markdown.
fn name(name: &str) -> Cell {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " -#,".contains(c);
    let is_inside = |part: &str| part.split('_').all(|word| !word.is_empty());
    let is_ours = name.chars().all(|c| is_plain(c) || c == '_') && name.split(' ').all(is_inside);
    if is_ours { Cell::ours(name) } else { Cell::new(name) }
}

impl Mark {
    /// The symbol in text, the word in Markdown, and the tone.
    fn shown(self, dry_run: bool) -> (&'static str, &'static str, Tone) {
        match self {
            Self::Done if dry_run => ("+", "planned", Tone::Done),
            Self::Done => ("+", "done", Tone::Done),
            Self::Present => ("=", "there", Tone::Plain),
            Self::Held => ("~", "held", Tone::Held),
            Self::Left => ("-", "left", Tone::Held),
            Self::Stuck => ("?", "stuck", Tone::Held),
            Self::Failed => ("!", "**failed**", Tone::Failed),
        }
    }
}

fn health(report: &Report) -> StepOutline {
    let step = &report.health;
    let endpoints = &step.body.endpoints;
    let all_up = endpoints.iter().all(|endpoint| endpoint.verdict == HealthVerdict::Up);
    let mut lines = Vec::new();
    if step.outcome != StepOutcome::Ok {
        lines.push(summarize(&step.outcome, String::new(), false));
    }
    if all_up && !endpoints.is_empty() {
        let text = endpoints.iter().map(answer).collect::<Vec<_>>().join(", ");
        lines.push((Tone::Plain, text));
    } else {
        lines.extend(endpoints.iter().map(|endpoint| (tone(endpoint), answer(endpoint))));
        lines.extend(suspects(&step.body, &report.merge));
    }
    if lines.is_empty() {
        lines.push((Tone::Detail, "nothing to watch".to_owned()));
    }
    StepOutline { name: "health", lines, entries: Vec::new() }
}

fn answer(endpoint: &EndpointHealth) -> String {
    let name = &endpoint.name;
    let error = endpoint.error.as_deref().map(sentence);
    let Some(status) = endpoint.status else {
        let verdict = endpoint.verdict.word().replace('_', " ");
        return format!("{name}: {} ({verdict})", error.as_deref().unwrap_or("no answer"));
    };
    let answer = format!("{name} {status} in {}", span(endpoint.latency));
    match (endpoint.verdict, error) {
        (HealthVerdict::Up, None) => answer,
        (HealthVerdict::Up, Some(error)) => format!("{answer} ({error})"),
        (verdict, None) => format!("{answer}: {}", verdict.word()),
        (verdict, Some(error)) => format!("{answer}: {}, {error}", verdict.word()),
    }
}

fn tone(endpoint: &EndpointHealth) -> Tone {
    match endpoint.verdict {
        HealthVerdict::Up => Tone::Plain,
        HealthVerdict::Unexpected => Tone::Held,
        HealthVerdict::Down | HealthVerdict::PotentialOutage => Tone::Failed,
    }
}

/// What may have broken production. Without a list it is unknown whether anything was merged.
fn suspects(health: &HealthReport, merge: &Step<MergeReport>) -> Option<(Tone, String)> {
    let text = match health.recent_merges.as_slice() {
        [] if health.endpoints.is_empty() || merge.outcome != StepOutcome::Ok => return None,
        [] => "nothing merged within 30 minutes".to_owned(),
        recent => {
            let numbers = recent.iter().map(|RecentMerge { number, .. }| format!("#{number}"));
            format!("merged within 30 minutes: {}", numbers.collect::<Vec<_>>().join(", "))
        }
    };
    Some((Tone::Detail, text))
}

/// The step's first line: its summary, and why it failed.
fn summarize(outcome: &StepOutcome, summary: String, has_summary: bool) -> (Tone, String) {
    match outcome {
        StepOutcome::Ok => (Tone::Plain, summary),
        StepOutcome::Failed(error) if has_summary => {
            (Tone::Failed, format!("{summary}; failed: {}", sentence(error)))
        }
        StepOutcome::Failed(error) => (Tone::Failed, format!("failed: {}", sentence(error))),
        StepOutcome::Skipped => (Tone::Detail, "skipped".to_owned()),
        StepOutcome::NotConfigured => (Tone::Detail, "not configured".to_owned()),
    }
}

/// What explains an entry, before the details that came with it.
fn explained(what: &str, detail: &str) -> String {
    if detail.trim().is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {}", detail.trim_start())
    }
}
