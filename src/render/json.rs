//! The report for programs: `coordinator.report/v1`. Fields are only ever added.

use serde::Serialize;

use super::words::{millis, rfc3339, sentence};
use coordinator_core::report::{Interrupt, Report, Step};
use steps::{HealthView, InventoryView, MergeView, SpawnView};

mod steps;

const SCHEMA: &str = "coordinator.report/v1";

/// One line of JSON. Text from elsewhere has lost its control characters and is otherwise as it was.
pub fn report(report: &Report) -> serde_json::Result<String> {
    let mut json = serde_json::to_string(&ReportView::of(report))?;
    json.push('\n');
    Ok(json)
}

#[derive(Serialize)]
struct ReportView<'a> {
    schema: &'static str,
    fleet: &'a str,
    started_at: String,
    duration_ms: u64,
    dry_run: bool,
    status: &'static str,
    reasons: Vec<String>,
    steps: StepsView<'a>,
    advice: Vec<AdviceView>,
    requests: RequestsView,
    interrupted: Option<&'static str>,
}

#[derive(Serialize)]
struct StepsView<'a> {
    inventory: StepView<InventoryView<'a>>,
    spawn: StepView<SpawnView<'a>>,
    merge: StepView<MergeView<'a>>,
    health: StepView<HealthView>,
}

#[derive(Serialize)]
struct StepView<B> {
    outcome: &'static str,
    duration_ms: u64,
    error: Option<String>,
    #[serde(flatten)]
    body: B,
}

#[derive(Serialize)]
struct AdviceView {
    signal: String,
    action: String,
}

#[derive(Serialize)]
struct RequestsView {
    github: u64,
    platform: u64,
    health: u64,
}

impl<'a> ReportView<'a> {
    fn of(report: &'a Report) -> Self {
        let advice = report.advice.iter();
        Self {
            schema: SCHEMA,
            fleet: report.fleet.as_str(),
            started_at: rfc3339(report.started_at),
            duration_ms: millis(report.duration),
            dry_run: report.dry_run,
            status: report.status.word(),
            reasons: report.reasons.iter().map(|reason| sentence(&reason.text)).collect(),
            steps: StepsView {
                inventory: StepView::of(&report.inventory, |inventory| {
                    InventoryView::of(inventory, &report.fleet)
                }),
                spawn: StepView::of(&report.spawn, |spawn| SpawnView::of(spawn, &report.fleet)),
                merge: StepView::of(&report.merge, MergeView::of),
                health: StepView::of(&report.health, HealthView::of),
            },
            advice: advice
                .map(|a| AdviceView { signal: sentence(&a.signal), action: sentence(&a.action) })
                .collect(),
            requests: RequestsView {
                github: report.requests.github,
                platform: report.requests.platform,
                health: report.requests.health,
            },
            interrupted: report.interrupted.map(Interrupt::word),
        }
    }
}

impl<B> StepView<B> {
    fn of<'a, T>(step: &'a Step<T>, body: impl FnOnce(&'a T) -> B) -> Self {
        Self {
            outcome: step.outcome.word(),
            duration_ms: millis(step.duration),
            error: step.outcome.error().map(sentence),
            body: body(&step.body),
        }
    }
}
