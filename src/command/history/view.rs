//! The past for people: the newest sessions, the merges, and the totals.

use super::totals::Total;
use super::{Past, PastMerge, PastSession};
use crate::command::sessions;
use crate::render::Form;
use crate::render::table::{Cell, Table, Tone, View};
use crate::render::words::{Clock, count, sentence, span};
use coordinator_core::fleet::Outcome;

/// Sessions that are listed without `-v`.
const MAX_LISTED: usize = 50;
/// Merges that are listed without `-v`.
const MAX_MERGES: usize = 20;
/// Characters of a reason.
const MAX_REASON: usize = 120;

pub(super) fn view(past: &Past, form: Form<'_>) -> View {
    let clock = Clock { now: past.now, zone: form.zone };
    let hidden = if form.verbose { 0 } else { past.sessions.len().saturating_sub(MAX_LISTED) };
    let rows = past.sessions[hidden..].iter().map(|session| row(session, clock));
    let table = Table {
        headings: &["ended", "slot", "outcome", "after", "cost", "why"],
        rows: rows.collect(),
    };
    let mut lines = Vec::new();
    if hidden > 0 {
        lines.push(format!("{} before these; `-v` lists all", count(hidden as u64, "session")));
    }
    lines.extend(merges(past, clock, form.verbose));
    let since = clock.time(past.since);
    lines.push(format!("since {since}: {}", total(&past.totals.all)));
    let by_role = past.totals.by_role.iter();
    lines.extend(by_role.map(|(role, of_role)| format!("{role}: {}", total(of_role))));
    lines.extend(past.unreadable.iter().map(|what| format!("not read: {}", sentence(what))));
    View { table, lines }
}

fn row(session: &PastSession, clock: Clock<'_>) -> Vec<Cell> {
    let run = &session.run;
    let item = run.item.as_ref().map(|of| format!("{}/{}", session.slot.group, of.item.id));
    let tone = match session.outcome {
        Outcome::Succeeded => Tone::Done,
        Outcome::Idle | Outcome::Stopped => Tone::Detail,
        Outcome::Failed | Outcome::TimedOut | Outcome::Lost => Tone::Failed,
    };
    let cost = run.result.as_ref().and_then(|result| result.usage.cost_usd);
    let exit = run.exit_code.filter(|code| *code != 0).map(|code| format!("exit {code}"));
    let why = session.reason().map(sentence).or(exit).unwrap_or_default();
    vec![
        Cell::ours(clock.time(run.finished_at)),
        Cell::new(item.unwrap_or_else(|| session.slot.name())),
        Cell::ours(sessions::word(session.outcome)).tone(tone),
        Cell::ours(span(run.runtime())),
        Cell::ours(cost.map_or_else(|| "unknown".to_owned(), |cost| cost.to_string())),
        Cell::new(why).max(MAX_REASON),
    ]
}

fn merges(past: &Past, clock: Clock<'_>, verbose: bool) -> Vec<String> {
    let Some(merges) = &past.merges else { return Vec::new() };
    let shown = if verbose { merges.len() } else { merges.len().min(MAX_MERGES) };
    let mut lines = vec![format!("{} merged", count(merges.len() as u64, "pull request"))];
    lines.extend(merges[..shown].iter().map(|PastMerge { pull, role }| {
        let role = role.as_ref().map(|role| format!(" by {role}")).unwrap_or_default();
        format!("#{} {}{role}, {}", pull.number, pull.title, clock.time(pull.merged_at))
    }));
    if shown < merges.len() {
        lines.push(format!("{} more; `-v` lists all", merges.len() - shown));
    }
    lines
}

fn total(total: &Total) -> String {
    let sessions = count(total.sessions, "session");
    let unknown = match total.unknown_cost {
        0 => String::new(),
        unknown => format!(", the cost of {unknown} unknown"),
    };
    if total.unknown_cost == total.sessions {
        return format!("{sessions}{unknown}");
    }
    format!("{sessions}, {}{unknown}", total.cost_usd)
}
