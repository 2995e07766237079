//! The fleet at a glance, for people.

use std::time::SystemTime;

use super::Seen;
use super::document::verdicts;
use super::slots::{GroupStatus, SlotState, SlotStatus};
use crate::command::sessions;
use crate::render::table::{Cell, Table, Tone, View, paint};
use crate::render::words::{Clock, paused, sentence, span};
use crate::render::{Form, MAX_SENTENCE, shown};
use coordinator_core::report::{EndpointHealth, StepOutcome};

/// The first lines: whose fleet, when, and whether it is paused.
pub(super) fn heading(seen: &Seen, form: Form<'_>) -> String {
    let clock = clock(seen, form);
    let last = seen.last_cycle_at.map_or_else(
        || "when a cycle last ran is unknown".to_owned(),
        |at| format!("last cycle {} ago", span(clock.now.duration_since(at).unwrap_or_default())),
    );
    let time = paint(Tone::Detail, &clock.minute(seen.report.started_at), form.screen);
    let mut text = format!("coordinator  {}  {time}\n{last}\n", seen.report.fleet);
    if let Some(pause) = &seen.report.paused {
        let line = shown(&paused(pause, clock), MAX_SENTENCE, form.secrets);
        text += &(paint(Tone::Held, &line, form.screen) + "\n");
    }
    text + "\n"
}

/// Times in the listing are by the platform's clock.
fn clock<'a>(seen: &Seen, form: Form<'a>) -> Clock<'a> {
    let now = seen.listing.as_ref().and_then(|listing| listing.as_of);
    Clock { now: now.unwrap_or(seen.report.started_at), zone: form.zone }
}

/// A row for each group, or with `-v` for each slot; then pull requests, production and the
/// verdict.
pub(super) fn view(seen: &Seen, groups: &[GroupStatus], form: Form<'_>) -> View {
    let clock = clock(seen, form);
    let table = if form.verbose {
        let rows = groups.iter().flat_map(|group| &group.slots).map(|slot| slot_row(slot, clock));
        Table { headings: &["slot", "state", "since", "why"], rows: rows.collect() }
    } else {
        let rows = groups.iter().map(|group| group_row(group, clock));
        Table { headings: &["group", "live", "waiting"], rows: rows.collect() }
    };
    let mut lines = vec![pulls(seen)];
    let health = &seen.report.health;
    lines.extend(health.body.endpoints.iter().map(endpoint));
    if health.outcome == StepOutcome::Skipped {
        lines.push("production: not asked; `--probe` sends a request".to_owned());
    }
    lines.push(verdict(seen));
    View { table, lines }
}

fn verdict(seen: &Seen) -> String {
    let report = &seen.report;
    let reasons = report.reasons.iter().map(|reason| sentence(&reason.text));
    let reasons = reasons.collect::<Vec<_>>().join("; ");
    let status = report.status.word();
    if reasons.is_empty() { status.to_owned() } else { format!("{status}: {reasons}") }
}

fn pulls(seen: &Seen) -> String {
    let merge = &seen.report.merge;
    if let StepOutcome::Failed(error) = &merge.outcome {
        return format!("pull requests: unknown: {}", sentence(error));
    }
    let Some(verdicts) = verdicts(seen) else {
        return "pull requests: not configured".to_owned();
    };
    let counts = verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}"));
    match merge.body.open {
        0 => "pull requests: none open".to_owned(),
        open => format!("pull requests: {open} open: {}", counts.collect::<Vec<_>>().join(", ")),
    }
}

fn endpoint(endpoint: &EndpointHealth) -> String {
    let EndpointHealth { name, status, verdict, latency, .. } = endpoint;
    let status = status.map(|status| format!(" {status}")).unwrap_or_default();
    let verdict = verdict.word().replace('_', " ");
    format!("production: {name}{status} in {}: {verdict}", span(*latency))
}

fn group_row(group: &GroupStatus, clock: Clock<'_>) -> Vec<Cell> {
    let number =
        |count: Option<u32>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let live = format!("{} of {}", number(group.running), number(group.desired));
    let is_full = group.running >= group.desired;
    vec![
        Cell::ours(&group.group),
        Cell::ours(live).tone(if is_full { Tone::Done } else { Tone::Held }),
        Cell::lines(waiting(&group.slots, clock)),
    ]
}

/// A line for each reason, with the slot that is free first.
fn waiting(slots: &[SlotStatus], clock: Clock<'_>) -> Vec<String> {
    let mut reasons: Vec<(&'static str, Vec<&SlotStatus>)> = Vec::new();
    for slot in slots {
        let Some(word) = word(&slot.now) else { continue };
        match reasons.iter_mut().find(|(known, _)| *known == word) {
            Some((_, slots)) => slots.push(slot),
            None => reasons.push((word, vec![slot])),
        }
    }
    let lines = reasons.iter().filter_map(|(word, slots)| {
        let next =
            slots.iter().min_by_key(|slot| until(slot).map_or((1, None), |at| (0, Some(at))))?;
        let count = if slots.len() > 1 { format!("{} ", slots.len()) } else { String::new() };
        let seat = &next.slot.seat;
        Some(format!("{count}{word}{}: {}", clock.until(until(next)), why(next, seat, slots.len())))
    });
    lines.collect()
}

fn word(state: &SlotState) -> Option<&'static str> {
    match state {
        SlotState::Live { stuck, .. } => stuck.as_ref().map(|stuck| stuck.reason.word()),
        SlotState::Next => Some("next"),
        SlotState::Held(_) | SlotState::Unknown => state.reason(),
    }
}

fn until(slot: &SlotStatus) -> Option<SystemTime> {
    match &slot.now {
        SlotState::Held(hold) => hold.until,
        SlotState::Live { .. } | SlotState::Next | SlotState::Unknown => None,
    }
}

fn why(slot: &SlotStatus, seat: &impl std::fmt::Display, slots: usize) -> String {
    let seat = if slots == 1 { format!("{seat} ") } else { String::new() };
    match &slot.now {
        SlotState::Live { stuck, .. } => {
            let detail = stuck.as_ref().map(|stuck| sentence(&stuck.detail));
            format!("{seat}{}", detail.unwrap_or_default())
        }
        SlotState::Held(hold) => {
            let said = slot.last.as_ref().and_then(|run| run.result.as_ref());
            let said = said.map(|result| result.reason.as_str()).filter(|said| !said.is_empty());
            let said = said.map(|said| format!(" ({})", sentence(said))).unwrap_or_default();
            format!("{seat}{}{said}", sentence(&hold.detail))
        }
        SlotState::Next => format!("{seat}starts with the next cycle"),
        SlotState::Unknown => format!("{seat}the sessions could not be listed"),
    }
}

fn slot_row(slot: &SlotStatus, clock: Clock<'_>) -> Vec<Cell> {
    let item = slot.item.as_ref().map(|of| format!("{}/{}", slot.slot.group, of.item.id));
    let ago = |time: SystemTime| span(clock.now.duration_since(time).unwrap_or_default());
    let since = match &slot.now {
        SlotState::Live { since, .. } => since.map(ago),
        SlotState::Held(hold) => hold.until.map(|until| format!("until {}", clock.time(until))),
        SlotState::Next | SlotState::Unknown => slot.last.as_ref().map(|run| ago(run.finished_at)),
    };
    let state = word(&slot.now).unwrap_or(slot.now.word());
    let tone = match &slot.now {
        SlotState::Live { stuck: None, .. } => Tone::Done,
        SlotState::Live { .. } | SlotState::Held(_) => Tone::Held,
        SlotState::Next => Tone::Plain,
        SlotState::Unknown => Tone::Failed,
    };
    let why = match &slot.now {
        SlotState::Live { stuck: None, .. } => before(slot),
        SlotState::Live { .. } | SlotState::Held(_) | SlotState::Next | SlotState::Unknown => {
            why(slot, &"", 0)
        }
    };
    vec![
        Cell::new(item.unwrap_or_else(|| slot.slot.name())),
        Cell::ours(state).tone(tone),
        Cell::ours(since.unwrap_or_default()),
        Cell::new(why),
    ]
}

/// How the session before the live one ended; empty where there was none.
fn before(slot: &SlotStatus) -> String {
    let Some(run) = &slot.last else { return String::new() };
    let outcome = slot.outcome.unwrap_or(run.outcome);
    format!("before: {} {}", sessions::word(outcome), sessions::after(run))
}
