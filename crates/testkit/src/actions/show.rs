//! Runs, jobs and workflows as the APIs show them.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::{Job, Run, Workflow};
use crate::pull::commit_id;

const API: &str = "https://api.github.com/repos/demo/app/actions";
const PAGES: &str = "https://github.com/demo/app/actions";

/// Where people look at a run.
pub fn page_of(id: u64) -> String {
    format!("{PAGES}/runs/{id}")
}

/// Where programs look at a run.
pub fn address_of(id: u64) -> String {
    format!("{API}/runs/{id}")
}

/// The global id of a run.
pub fn node_id(id: u64) -> String {
    format!("WFR_{id}")
}

/// A workflow, as `GET .../workflows/{file}` shows it.
pub fn workflow(workflow: &Workflow) -> Value {
    let Workflow { file, id, name, state, .. } = workflow;
    json!({
        "id": id, "node_id": format!("W_{id}"), "name": name,
        "path": format!(".github/workflows/{file}"), "state": state,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        "url": format!("{API}/workflows/{id}"),
        "html_url": format!("https://github.com/demo/app/blob/main/.github/workflows/{file}"),
        "badge_url": format!("https://github.com/demo/app/workflows/{name}/badge.svg"),
    })
}

/// A run, as a list shows it.
pub fn run(run: &Run, workflow_id: u64) -> Value {
    let Run { id, title, status, conclusion, event, branch, attempt, .. } = run;
    let (address, page) = (address_of(*id), page_of(*id));
    json!({
        "id": id, "node_id": node_id(*id), "name": title, "display_title": title, "run_number": 1,
        "run_attempt": attempt, "event": event, "status": status, "conclusion": conclusion,
        "workflow_id": workflow_id, "head_branch": branch, "head_sha": commit_id("main"),
        "path": format!(".github/workflows/{}@{branch}", run.workflow),
        "created_at": stamp(run.created_at), "run_started_at": stamp(run.started_at),
        "updated_at": stamp(run.updated_at), "url": address, "html_url": page,
        "jobs_url": format!("{address}/jobs"), "logs_url": format!("{address}/logs"),
        "check_suite_url": format!("{address}/suite"),
        "artifacts_url": format!("{address}/artifacts"),
        "cancel_url": format!("{address}/cancel"), "rerun_url": format!("{address}/rerun"),
        "workflow_url": format!("{API}/workflows/{workflow_id}"),
    })
}

/// A job, as `GET .../runs/{id}/jobs` shows it.
pub fn job(run: &Run, job: &Job) -> Value {
    let Job { id, name, status, conclusion, .. } = job;
    json!({
        "id": id, "run_id": run.id, "node_id": format!("CR_{id}"), "run_url": address_of(run.id),
        "run_attempt": run.attempt,
        "head_sha": commit_id("main"), "head_branch": run.branch, "workflow_name": "agent session",
        "name": name,
        "url": format!("{API}/jobs/{id}"), "html_url": format!("{}/job/{id}", page_of(run.id)),
        "status": status, "conclusion": conclusion, "created_at": stamp(run.created_at),
        "started_at": stamp(job.started_at), "completed_at": job.completed_at.map(stamp),
        "check_run_url": format!("https://api.github.com/repos/demo/app/check-runs/{id}"),
        "labels": ["ubuntu-latest"], "runner_id": null, "runner_name": null,
        "runner_group_id": null,
        "runner_group_name": null, "steps": [],
    })
}

/// A group with its members, as GitHub shows them: the member that holds the group is in progress,
/// whatever the status of its run.
pub fn group(name: &str, members: &[&Run]) -> Value {
    let member = |run: &&Run| {
        let status = if run.status == "pending" { "pending" } else { "in_progress" };
        json!({
            "run_id": run.id, "run_name": run.title, "run_url": address_of(run.id),
            "run_html_url": page_of(run.id),
            "status": status,
        })
    };
    json!({
        "group_name": name, "group_url": format!("{API}/concurrency_groups/{name}"),
        "total_count": members.len(),
        "group_members": members.iter().map(member).collect::<Vec<_>>(),
    })
}

/// A run with its jobs, as GraphQL shows them.
pub fn node(run: &Run) -> Value {
    let upper = |word: &String| word.to_uppercase();
    let rows = run.jobs.iter().map(|job| {
        let started = (job.status != "queued").then(|| stamp(job.started_at));
        json!({
            "__typename": "CheckRun", "id": format!("CR_{}", job.id), "databaseId": job.id,
            "name": job.name,
            "status": upper(&job.status), "conclusion": job.conclusion.as_ref().map(upper),
            "startedAt": started, "completedAt": job.completed_at.map(stamp),
            "annotations": job.annotations.iter().map(|(title, message)| json!({
                "__typename": "CheckAnnotation", "title": title, "message": message,
            })).collect::<Vec<_>>(),
        })
    });
    let suite =
        json!({"__typename": "CheckSuite", "id": "CS_1", "checkRuns": rows.collect::<Vec<_>>()});
    json!({"__typename": "WorkflowRun", "id": node_id(run.id), "checkSuite": suite})
}

fn stamp(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
