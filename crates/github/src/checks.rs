//! The checks of a head, out of `StatusCheckRollup`.

use serde::Deserialize;

use coordinator_core::pull::{
    CheckResult, Checks, Counts, Page, Rollup, RollupState, Row, RowSource, Sha,
};
use coordinator_core::timestamp;

use super::pull::{Commit, PageInfo};

/// `StatusCheckRollup`.
#[derive(Debug, Deserialize)]
pub(crate) struct RollupNode {
    state: Option<String>,
    commit: Option<Commit>,
    contexts: Option<Contexts>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Contexts {
    total_count: u64,
    check_run_counts_by_state: Option<Vec<StateCount>>,
    status_context_counts_by_state: Option<Vec<StateCount>>,
    page_info: Option<PageInfo>,
    #[serde(default)]
    nodes: Option<Vec<Option<RowNode>>>,
}

#[derive(Debug, Deserialize)]
struct StateCount {
    state: String,
    count: u64,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "__typename")]
enum RowNode {
    #[serde(rename_all = "camelCase")]
    CheckRun {
        database_id: Option<u64>,
        name: String,
        status: Option<String>,
        conclusion: Option<String>,
        check_suite: Option<CheckSuite>,
        is_required: Option<bool>,
    },
    #[serde(rename_all = "camelCase")]
    StatusContext {
        context: String,
        state: Option<String>,
        created_at: Option<String>,
        is_required: Option<bool>,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CheckSuite {
    database_id: Option<u64>,
    app: Option<App>,
    workflow_run: Option<WorkflowRun>,
}

#[derive(Debug, Deserialize)]
struct App {
    slug: String,
}

#[derive(Debug, Deserialize)]
struct WorkflowRun {
    event: Option<String>,
    workflow: Option<Workflow>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Workflow {
    database_id: Option<u64>,
}

impl RollupNode {
    /// The checks, and where their next page starts.
    pub(crate) fn into_checks(self) -> (Checks, Option<PageInfo>) {
        let Some(contexts) = self.contexts else {
            return (Checks::Unreadable("GitHub shows a result without checks".to_owned()), None);
        };
        let more = contexts.page_info.filter(|info| info.has_next_page);
        let rows: Vec<Row> =
            contexts.nodes.unwrap_or_default().into_iter().flatten().filter_map(row).collect();
        let complete = rows.len() as u64 == contexts.total_count;
        let rollup = Rollup {
            commit: self.commit.map(Sha::from),
            state: match self.state.as_deref() {
                Some("SUCCESS") => RollupState::Success,
                Some("PENDING" | "EXPECTED") => RollupState::Pending,
                Some("FAILURE" | "ERROR") => RollupState::Failure,
                _ => RollupState::Unknown,
            },
            total: contexts.total_count,
            counts: counts(
                contexts.check_run_counts_by_state,
                contexts.status_context_counts_by_state,
            ),
            rows: Page { items: rows, complete },
        };
        (Checks::Rollup(rollup), more)
    }
}

fn row(node: RowNode) -> Option<Row> {
    match node {
        RowNode::CheckRun { database_id, name, status, conclusion, check_suite, is_required } => {
            let result = check_run(status.as_deref(), conclusion.as_deref());
            Some(Row {
                name,
                source: source(check_suite, database_id),
                result,
                required: is_required,
            })
        }
        RowNode::StatusContext { context, state, created_at, is_required } => {
            let created_at = created_at.and_then(|text| timestamp::parse(&text));
            let result = commit_status(state.as_deref());
            Some(Row {
                name: context,
                source: RowSource::Status { created_at },
                result,
                required: is_required,
            })
        }
        RowNode::Unknown => None,
    }
}

fn source(suite: Option<CheckSuite>, id: Option<u64>) -> RowSource {
    let Some(suite) = suite else {
        return RowSource::CheckRun { app: None, workflow: None, event: None, suite: None, id };
    };
    let (workflow, event) =
        suite.workflow_run.map(|run| (run.workflow, run.event)).unwrap_or_default();
    RowSource::CheckRun {
        app: suite.app.map(|app| app.slug),
        workflow: workflow.and_then(|workflow| workflow.database_id),
        event,
        suite: suite.database_id,
        id,
    }
}

/// A run that has not ended may have the conclusion of its last attempt, so the status comes first.
fn check_run(status: Option<&str>, conclusion: Option<&str>) -> CheckResult {
    if status != Some("COMPLETED") {
        return match status.and_then(meaning) {
            Some(result @ CheckResult::Pending(_)) => result,
            Some(CheckResult::Succeeded | CheckResult::Neutral | CheckResult::Failed(_)) | None => {
                CheckResult::Pending("has not ended")
            }
        };
    }
    match conclusion.and_then(meaning) {
        Some(CheckResult::Pending(_)) | None => CheckResult::Failed("ended without saying how"),
        Some(result @ (CheckResult::Succeeded | CheckResult::Neutral | CheckResult::Failed(_))) => {
            result
        }
    }
}

fn commit_status(state: Option<&str>) -> CheckResult {
    match state.and_then(meaning) {
        Some(CheckResult::Neutral) | None => CheckResult::Failed("is in an unknown state"),
        Some(
            result @ (CheckResult::Succeeded | CheckResult::Pending(_) | CheckResult::Failed(_)),
        ) => result,
    }
}

/// GitHub's words for the state of a check, in all of its enumerations.
fn meaning(word: &str) -> Option<CheckResult> {
    Some(match word {
        "SUCCESS" => CheckResult::Succeeded,
        "NEUTRAL" | "SKIPPED" => CheckResult::Neutral,
        "IN_PROGRESS" => CheckResult::Pending("is in progress"),
        "QUEUED" => CheckResult::Pending("is queued"),
        "PENDING" => CheckResult::Pending("is pending"),
        "WAITING" => CheckResult::Pending("is waiting"),
        "REQUESTED" => CheckResult::Pending("is requested"),
        "EXPECTED" => CheckResult::Pending("has not reported"),
        "FAILURE" => CheckResult::Failed("failed"),
        "ERROR" => CheckResult::Failed("ended with an error"),
        "CANCELLED" => CheckResult::Failed("was cancelled"),
        "TIMED_OUT" => CheckResult::Failed("timed out"),
        "ACTION_REQUIRED" => CheckResult::Failed("needs a person to act"),
        "STALE" => CheckResult::Failed("is stale"),
        "STARTUP_FAILURE" => CheckResult::Failed("could not start"),
        _ => return None,
    })
}

fn counts(check_runs: Option<Vec<StateCount>>, statuses: Option<Vec<StateCount>>) -> Counts {
    let mut counts = Counts::default();
    for StateCount { state, count } in check_runs.into_iter().chain(statuses).flatten() {
        let place = match meaning(&state) {
            Some(CheckResult::Succeeded) => &mut counts.succeeded,
            Some(CheckResult::Neutral) => &mut counts.neutral,
            Some(CheckResult::Pending(_)) => &mut counts.pending,
            Some(CheckResult::Failed(_)) => &mut counts.failed,
            None => &mut counts.unknown,
        };
        *place = place.saturating_add(count);
    }
    counts
}
