//! What each step has to say, before it is laid out: the text and the Markdown report say the same.

use std::time::SystemTime;

use super::words::{clock, safe, sentence, span};
use coordinator_core::report::{
    EndpointHealth, HealthReport, HealthVerdict, MergeReport, RecentMerge, Report, Step, StepOutcome,
};

mod inventory;
mod merge;
mod slots;
mod spawn;

/// What a colour says; without colour the words say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Plain,
    /// Done.
    Done,
    /// Held, left for later, or to be looked at.
    Held,
    /// Failed.
    Failed,
    /// Of less weight.
    Detail,
}

/// What became of the thing that an entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Started or merged.
    Done,
    /// Already there.
    Present,
    /// Held back for now.
    Held,
    /// Left alone.
    Left,
    /// Lives and does not get on.
    Stuck,
    /// Failed.
    Failed,
}

/// A sentence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) tone: Tone,
    pub(super) text: String,
}

/// One thing of which a step speaks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mark: Mark,
    /// Our own words: a role, slots, a number.
    pub(super) name: String,
    /// A title; may be empty.
    pub(super) title: String,
    /// What there is to say; may be empty, later lines say what to do.
    pub(super) detail: Vec<String>,
}

/// One step. Its texts are safe for a terminal.
#[derive(Debug)]
pub(super) struct StepOutline {
    pub(super) name: &'static str,
    /// At least one line: the summary, then what belongs to it.
    pub(super) lines: Vec<Line>,
    pub(super) entries: Vec<Entry>,
}

/// The four steps in the order of the report.
pub(super) fn steps(report: &Report) -> [StepOutline; 4] {
    [inventory::outline(report), spawn::outline(report), merge::outline(report), health(report)]
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
        lines.push(Line { tone: Tone::Plain, text });
    } else {
        lines.extend(endpoints.iter().map(|endpoint| Line { tone: tone(endpoint), text: answer(endpoint) }));
        lines.extend(suspects(&step.body, &report.merge));
    }
    if lines.is_empty() {
        lines.push(Line { tone: Tone::Detail, text: "nothing to watch".to_owned() });
    }
    StepOutline { name: "health", lines, entries: Vec::new() }
}

fn answer(endpoint: &EndpointHealth) -> String {
    let name = safe(&endpoint.name);
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

/// What may have broken production. That nothing was merged is known only when the list was read.
fn suspects(health: &HealthReport, merge: &Step<MergeReport>) -> Option<Line> {
    let text = match health.recent_merges.as_slice() {
        [] if health.endpoints.is_empty() || merge.outcome != StepOutcome::Ok => return None,
        [] => "nothing merged within 30 minutes".to_owned(),
        recent => {
            let numbers = recent.iter().map(|RecentMerge { number, .. }| format!("#{number}"));
            format!("merged within 30 minutes: {}", numbers.collect::<Vec<_>>().join(", "))
        }
    };
    Some(Line { tone: Tone::Detail, text })
}

/// The step's first line: its summary, unless there is more to say about how it ended.
fn summarize(outcome: &StepOutcome, summary: String, said_something: bool) -> Line {
    match outcome {
        StepOutcome::Ok => Line { tone: Tone::Plain, text: summary },
        StepOutcome::Failed(error) if said_something => {
            Line { tone: Tone::Failed, text: format!("{summary}; failed: {}", sentence(error)) }
        }
        StepOutcome::Failed(error) => {
            Line { tone: Tone::Failed, text: format!("failed: {}", sentence(error)) }
        }
        StepOutcome::Skipped => Line { tone: Tone::Detail, text: "skipped".to_owned() },
        StepOutcome::NotConfigured => Line { tone: Tone::Detail, text: "not configured".to_owned() },
    }
}

/// ` until 00:14`, or nothing.
fn until(time: Option<SystemTime>, today: SystemTime) -> String {
    time.map(|time| format!(" until {}", clock(time, today))).unwrap_or_default()
}
