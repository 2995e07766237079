//! `coordinator budget`: the caps of `[budget]`, what counts against each, and when one that holds
//! has room again. It plans a cycle and changes nothing.

use crate::cli::Global;
use crate::command::{Finished, status};
use crate::render::Form;
use crate::render::json::{Json, dollars, object};
use crate::render::table::{Cell, Table, Tone, View};
use crate::render::words::{Clock, rfc3339, sentence};
use crate::steps::StepName;
use coordinator_core::budget::{BudgetReport, CapState, WINDOW};
use coordinator_core::report::Report;
use coordinator_roster::Roster;

/// Exits with 1 where what was spent is unknown.
pub(super) async fn run(
    global: &Global,
    roster: &Roster,
    form: Form<'_>,
) -> anyhow::Result<Finished> {
    let steps = vec![StepName::Inventory, StepName::Spawn];
    let report = status::look(steps, global, roster).await?.report;
    if !roster.budget.is_set() {
        let stdout = form.show(without, |secrets| document(&report, None).pretty(secrets))?;
        return Ok(Finished { stdout, code: 0 });
    }
    let budget = report.spawn.body.budget.clone().unwrap_or_else(|| BudgetReport {
        unknown: Some(report.spawn.outcome.error().unwrap_or("nothing was planned").to_owned()),
        ..BudgetReport::default()
    });
    let clock = Clock { now: report.started_at, zone: form.zone };
    let stdout = form.show(
        || view(&budget, clock),
        |secrets| document(&report, Some(&budget)).pretty(secrets),
    )?;
    Ok(Finished { stdout, code: u8::from(budget.unknown.is_some()) })
}

fn without() -> View {
    let lines = vec!["no [budget] is set; see docs/spend.md".to_owned()];
    View { lines, ..View::default() }
}

fn view(budget: &BudgetReport, clock: Clock<'_>) -> View {
    let rows = budget.caps.iter().map(|cap| row(cap, clock)).collect();
    let table = Table { headings: &["cap", "limit", "spent", "reserved", "state"], rows };
    let mut lines = Vec::new();
    if let Some(limit) = budget.sessions_per_hour {
        lines.push(format!("{} of {limit} starts in the last hour", budget.sessions_in_hour));
    }
    let costs = budget.cost_by_role.iter().map(|(role, cost)| format!("{role} {cost}"));
    let costs = costs.collect::<Vec<_>>().join(", ");
    if !costs.is_empty() {
        lines.push(format!("in 24 h, with what live sessions may still cost: {costs}"));
    }
    lines.extend(budget.unknown.iter().map(|why| unknown(why)));
    View { table, lines }
}

fn unknown(why: &str) -> String {
    format!("what was spent is unknown, so nothing starts under a cap: {}", sentence(why))
}

fn row(cap: &CapState, clock: Clock<'_>) -> Vec<Cell> {
    let state = match (cap.is_held, cap.free_at) {
        (false, _) => Cell::ours("has room").tone(Tone::Done),
        (true, until) => {
            let when = until.map_or_else(
                || "holds until a live session ends".to_owned(),
                |until| format!("holds until {}", clock.time(until)),
            );
            Cell::ours(when).tone(Tone::Held)
        }
    };
    let amounts = [cap.limit, cap.spent, cap.reserved].map(|usd| Cell::ours(usd.to_string()));
    [Cell::new(&cap.cap)].into_iter().chain(amounts).chain([state]).collect()
}

/// `coordinator.budget/v1`. Fields are only ever added.
fn document(report: &Report, budget: Option<&BudgetReport>) -> Json {
    let caps = budget.into_iter().flat_map(|budget| &budget.caps).map(cap).collect();
    let rate = budget.and_then(|budget| {
        let limit = budget.sessions_per_hour?;
        Some(object([("limit", limit.into()), ("used", budget.sessions_in_hour.into())]))
    });
    object([
        ("schema", "coordinator.budget/v1".into()),
        ("fleet", report.fleet.as_str().into()),
        ("caps", caps),
        ("sessions_per_hour", rate.into()),
        ("unknown", budget.and_then(|it| it.unknown.as_deref()).map(sentence).into()),
    ])
}

fn cap(cap: &CapState) -> Json {
    object([
        ("cap", cap.cap.as_str().into()),
        ("window_s", u32::try_from(WINDOW.as_secs()).unwrap_or(u32::MAX).into()),
        ("limit_usd", dollars(cap.limit)),
        ("spent_usd", dollars(cap.spent)),
        ("reserved_usd", dollars(cap.reserved)),
        ("held", cap.is_held.into()),
        ("free_at", cap.free_at.map(rfc3339).into()),
    ])
}
