//! What the merge step did. When nothing was merged, pull requests are counted by reason; else each
//! is named.

use super::{Entry, Mark, StepOutline, explained, summarize};
use crate::render::table::Tone;
use crate::render::words::{Clock, sentence};
use coordinator_core::merge::reason::Reason;
use coordinator_core::report::{MergeReport, NotMerged, Report};

/// More are counted: `coordinator pulls` names all.
const MAX_NAMED: usize = 30;

pub(super) fn outline(report: &Report, clock: Clock<'_>) -> StepOutline {
    let merge = &report.merge.body;
    let quiet = merge.merged.is_empty() && merge.failed.is_empty();
    let summary = summary(merge, report.dry_run);
    let mut lines = vec![summarize(&report.merge.outcome, summary, merge.open > 0)];
    if let Some(limit) = &merge.rate_limit {
        let words = if limit.said.is_empty() {
            String::new()
        } else {
            format!(": {}", sentence(&limit.said))
        };
        let until = clock.until(limit.resets_at);
        let text = format!("stopped by a rate limit of GitHub{until}{words}");
        lines.push((Tone::Held, text));
    }
    let entries = if quiet { Vec::new() } else { entries(merge) };
    StepOutline { name: "merge", lines, entries }
}

/// `1 merged, 6 open`, `none merged, 12 open: 7 need review`. What is merged is no longer open.
fn summary(merge: &MergeReport, dry_run: bool) -> String {
    let MergeReport { open, merged, skipped, failed, .. } = merge;
    let (merges, failures) = (merged.len(), failed.len());
    let left = (*open as usize).saturating_sub(merges);
    let merged = match (merges, dry_run) {
        (0, false) => "none merged".to_owned(),
        (0, true) => "none to merge".to_owned(),
        (merges, false) => format!("{merges} merged"),
        (merges, true) => format!("{merges} to merge"),
    };
    let open = match (left, dry_run && merges > 0) {
        (left, true) => format!("{left} left open"),
        (left, false) => format!("{left} open"),
    };
    match (left, failures) {
        (0, 0) if merges == 0 => "no pull request is open".to_owned(),
        (_, 0) if merges == 0 && !skipped.is_empty() => {
            format!("{merged}, {open}: {}", by_reason(skipped))
        }
        (_, 0) => format!("{merged}, {open}"),
        (_, failures) => format!("{merged}, {open}, {failures} of them failed to merge"),
    }
}

fn entries(merge: &MergeReport) -> Vec<Entry> {
    let merged = merge.merged.iter().map(|merged| Entry {
        mark: Mark::Done,
        name: format!("#{}", merged.number),
        title: merged.title.clone(),
        detail: String::new(),
    });
    let failed = merge.failed.iter().map(|pull| entry(Mark::Failed, pull));
    let skipped = merge.skipped.iter().take(MAX_NAMED).map(|pull| entry(Mark::Left, pull));
    let rest = merge.skipped.len().saturating_sub(MAX_NAMED);
    let rest = (rest > 0).then(|| Entry {
        mark: Mark::Left,
        name: format!("{rest} more"),
        title: String::new(),
        detail: format!(
            "{}; `coordinator pulls` names each",
            by_reason(merge.skipped.get(MAX_NAMED..).unwrap_or_default())
        ),
    });
    merged.chain(failed).chain(skipped).chain(rest).collect()
}

fn entry(mark: Mark, pull: &NotMerged) -> Entry {
    let word = pull.reason.word();
    let detail = match pull.detail.trim_start() {
        detail if detail.starts_with(word) => detail.to_owned(),
        detail => explained(word, detail),
    };
    Entry { mark, name: format!("#{}", pull.number), title: pull.title.clone(), detail }
}

/// `7 need review, 3 wait for checks`, the most frequent first.
fn by_reason(pulls: &[NotMerged]) -> String {
    let mut counts: Vec<((&str, &str), usize)> = Vec::new();
    for pull in pulls {
        let words = phrase(pull.reason);
        match counts.iter_mut().find(|(known, _)| *known == words) {
            Some((_, count)) => *count += 1,
            None => counts.push((words, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let phrases = counts.iter().map(|((one, several), count)| match count {
        1 => format!("1 {one}"),
        n => format!("{n} {several}"),
    });
    phrases.collect::<Vec<_>>().join(", ")
}

/// A reason after a number, for one and for several. A word without a phrase is shown as it is.
fn phrase(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::ReviewRequired | Reason::NotApproved | Reason::StaleApproval => {
            ("needs review", "need review")
        }
        Reason::ChangesRequested => ("needs changes", "need changes"),
        Reason::CiPending => ("waits for checks", "wait for checks"),
        Reason::CiFailed => ("fails its checks", "fail their checks"),
        Reason::NoChecks | Reason::CiMissingRequired => ("lacks checks", "lack checks"),
        Reason::CiUnreadable => ("has unreadable checks", "have unreadable checks"),
        Reason::Conflict => ("conflicts", "conflict"),
        Reason::Draft => ("is a draft", "are drafts"),
        Reason::Settling => ("settles", "settle"),
        Reason::BehindBase => ("is behind its base", "are behind their base"),
        Reason::BlockedLabel | Reason::MissingLabel | Reason::BlockedTitle => {
            ("is held by label or title", "are held by label or title")
        }
        Reason::BlockedByProtection => ("is blocked by protection", "are blocked by protection"),
        Reason::InMergeQueue => ("is in the merge queue", "are in the merge queue"),
        Reason::ProtectedPath => ("is left to people", "are left to people"),
        Reason::Deferred => ("is deferred", "are deferred"),
        Reason::Fork => ("comes from a fork", "come from forks"),
        Reason::BaseNotAllowed => ("has another base", "have another base"),
        other => (other.word(), other.word()),
    }
}
