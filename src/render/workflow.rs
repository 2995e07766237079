//! The report in a workflow run of GitHub Actions: annotations for what needs a person, the most
//! important first, and the summary of the step.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::outline::{Entry, Mark, steps};
use super::words::{Clock, sentence};
use super::{MAX_SENTENCE, shown};
use crate::workflow_commands::{Level, annotation};
use coordinator_core::report::{Report, Status};
use coordinator_core::secrets::Secrets;

/// GitHub shows this many of each level for a step (`annotations` in
/// <https://docs.github.com/en/rest/checks/runs>); the summary has the rest.
const MAX_ANNOTATIONS: usize = 10;

/// One command a line; empty when nothing needs a person.
pub fn annotations(report: &Report, zone: &TimeZone, secrets: &Secrets) -> String {
    let clock = Clock { now: report.started_at, zone };
    let mut notes = notes(report, clock, secrets);
    let rest = if notes.len() > MAX_ANNOTATIONS {
        notes.split_off(MAX_ANNOTATIONS - 1)
    } else {
        Vec::new()
    };
    let mut text = String::new();
    for Note { level, title, message } in &notes {
        text += &annotation(*level, title, message);
    }
    // They are sorted: the first of the rest has the highest level.
    if let Some(Note { level, .. }) = rest.first() {
        let message = "the summary of this run has them all";
        text += &annotation(*level, &format!("and {} more", rest.len()), message);
    }
    text
}

#[derive(Debug)]
struct Note {
    level: Level,
    title: String,
    message: String,
}

/// Errors before warnings; a message that two parts of the report have is there once.
fn notes(report: &Report, clock: Clock<'_>, secrets: &Secrets) -> Vec<Note> {
    let mut notes: Vec<Note> = Vec::new();
    let mut note = |level, title: String, message: &str| {
        let title = shown(&title, MAX_SENTENCE, secrets);
        let message = shown(&sentence(message), MAX_SENTENCE, secrets);
        if !notes.iter().any(|known| known.message == message) {
            notes.push(Note { level, title, message });
        }
    };
    let of = |status| report.reasons.iter().filter(move |reason| reason.status == status);
    let fleet = &report.fleet;
    for reason in of(Status::Broken) {
        note(Level::Error, format!("{fleet} is broken"), &reason.text);
    }
    for (name, error) in failed_steps(report) {
        note(Level::Error, format!("{name} failed"), &format!("{name} failed: {error}"));
    }
    for step in steps(report, clock, false) {
        for entry in step.entries.iter().filter(|entry| entry.mark == Mark::Failed) {
            note(Level::Error, format!("a {} failed", step.name), &failure(entry));
        }
    }
    for reason in of(Status::Degraded) {
        note(Level::Warning, format!("{fleet} is degraded"), &reason.text);
    }
    for advice in &report.advice {
        note(Level::Warning, "advice".to_owned(), &format!("{}: {}", advice.signal, advice.action));
    }
    notes
}

/// A step that a rate limit ended has not failed: the next cycle continues.
fn failed_steps(report: &Report) -> impl Iterator<Item = (&'static str, &str)> {
    let is_limited = report.merge.body.rate_limit.is_some();
    let steps = [
        ("inventory", report.inventory.outcome.error()),
        ("spawn", report.spawn.outcome.error()),
        ("merge", report.merge.outcome.error().filter(|_| !is_limited)),
        ("health", report.health.outcome.error()),
    ];
    steps.into_iter().filter_map(|(name, error)| Some((name, error?)))
}

fn failure(entry: &Entry) -> String {
    let named = [entry.name.as_str(), entry.title.as_str()];
    let named = named.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
    format!("{named}: {}", sentence(&entry.detail))
}

/// GitHub drops the whole summary of a step that has more bytes. See "Step isolation and limits" in
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>.
const MAX_SUMMARY_BYTES: u64 = 1 << 20;

const CUT: &str = "\nThe rest is cut: GitHub takes no more than 1 MiB. \
    `coordinator reconcile -o json` has it all.\n";

/// The Markdown report to append to a summary that has `used` bytes already. Where it does not fit,
/// it is cut after a line and ends with a sentence about it; empty where not even that fits.
pub fn summary_after(used: u64, markdown: &str) -> Cow<'_, str> {
    let gap = if used == 0 { "" } else { "\n" };
    let room = usize::try_from(MAX_SUMMARY_BYTES.saturating_sub(used)).unwrap_or(usize::MAX);
    if gap.len() + markdown.len() <= room {
        return if gap.is_empty() {
            Cow::Borrowed(markdown)
        } else {
            Cow::Owned(format!("{gap}{markdown}"))
        };
    }
    let Some(room) = room.checked_sub(gap.len() + CUT.len()) else {
        return Cow::Borrowed("");
    };
    let ends = markdown.bytes().take(room).rposition(|byte| byte == b'\n').map_or(0, |at| at + 1);
    Cow::Owned(format!("{gap}{}{CUT}", &markdown[..ends]))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::render::sample::{converged, eventful, filled_with, reason, skip, target};
    use crate::render::words::UTC;
    use coordinator_core::report::{RateLimit, SpawnFailure, StepOutcome};

    fn report(report: &Report) -> String {
        annotations(report, &UTC, &Secrets::default())
    }

    #[test]
    fn a_healthy_cycle_has_no_annotation() {
        assert_eq!(report(&converged()), "");
    }

    #[test]
    fn what_needs_a_person_is_there_once_and_the_worst_comes_first() {
        let mut busy = eventful();
        busy.inventory.outcome =
            StepOutcome::Failed("the list, page 2:\n50% is missing".to_owned());
        busy.merge.body.failed = vec![skip(
            9,
            "Add: a, b",
            coordinator_core::merge::reason::Reason::Forbidden,
            "the token may not",
        )];
        busy.reasons
            .push(reason(Status::Degraded, "inventory failed: the list, page 2:\n50% is missing"));
        busy.reasons.push(reason(Status::Degraded, "failed to merge #9"));
        assert_snapshot!("annotations", report(&busy));
    }

    #[test]
    fn slots_that_fail_for_one_cause_share_an_annotation() {
        let mut busy = converged();
        let failed = |index| SpawnFailure {
            target: target("ui_builder", index),
            error: "no runner".to_owned(),
        };
        busy.spawn.body.failed = (0..30).map(failed).collect();
        assert_eq!(report(&busy), "::error title=a spawn failed::ui_builder s0-s29: no runner\n");
    }

    fn with_reasons(count: usize) -> Report {
        let mut busy = converged();
        busy.reasons =
            (0..count).map(|n| reason(Status::Degraded, &format!("reason {n}"))).collect();
        busy
    }

    #[test]
    fn there_are_never_more_than_ten_and_the_last_counts_the_rest() {
        assert_eq!(report(&with_reasons(10)).lines().count(), 10);
        let text = report(&with_reasons(25));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[8], "::warning title=demo is degraded::reason 8");
        assert_eq!(lines[9], "::warning title=and 16 more::the summary of this run has them all");
    }

    #[test]
    fn a_rate_limit_is_no_error() {
        let mut limited = converged();
        limited.merge.outcome =
            StepOutcome::Failed("the rate limit of GitHub is reached".to_owned());
        limited.merge.body.rate_limit = Some(RateLimit { resets_at: None, said: String::new() });
        assert_eq!(report(&limited), "");
    }

    #[test]
    fn no_text_makes_a_command_of_its_own() {
        let text = report(&filled_with("a\u{1b}[31m\r\n::add-mask::x\n##[error]y"));
        assert!(!text.is_empty());
        for line in text.lines() {
            assert!(
                line.starts_with("::error title=") || line.starts_with("::warning title="),
                "{line}"
            );
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }

    const REPORT: &str = "### coordinator\n\n- größer\n- last\n";

    #[test]
    fn what_fits_is_whole_and_a_blank_line_keeps_it_from_what_was_there() {
        assert_eq!(summary_after(0, REPORT), REPORT);
        assert_eq!(summary_after(7, REPORT), format!("\n{REPORT}"));
        assert_eq!(
            summary_after(MAX_SUMMARY_BYTES - 1 - REPORT.len() as u64, REPORT),
            format!("\n{REPORT}")
        );
    }

    #[test]
    fn a_report_that_does_not_fit_is_cut_after_a_line_and_ends_with_a_sentence_about_it() {
        let long = "- größer\n".repeat(200_000);
        for used in [0, 1, 4_321, MAX_SUMMARY_BYTES - 300] {
            let shown = summary_after(used, &long);
            let size = used + shown.len() as u64;
            assert!(size <= MAX_SUMMARY_BYTES && size > MAX_SUMMARY_BYTES - 20, "{size}");
            let lines = shown.strip_suffix(CUT).expect("its last sentence");
            assert!(
                lines.trim_start().is_empty() || lines.ends_with("- größer\n"),
                "{:?}",
                lines.get(..9)
            );
        }
    }

    #[test]
    fn a_summary_without_room_for_a_sentence_gets_nothing() {
        for used in [MAX_SUMMARY_BYTES - 5, MAX_SUMMARY_BYTES, MAX_SUMMARY_BYTES + 1, u64::MAX] {
            assert_eq!(summary_after(used, REPORT), "");
        }
    }
}
