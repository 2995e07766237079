//! The REST API of Actions, as far as the program may use it.

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};

use super::{Actions, Run, dispatch, show};
use crate::rest::error;
use crate::server::Reply;
use crate::state::State;

/// The answer to a request below `/repos/{repository}/actions/`.
pub fn answer(
    state: &mut State,
    repository: &str,
    parts: &[&str],
    request: &Request<Bytes>,
    body: &Value,
) -> Reply {
    if let (&Method::POST, ["workflows", file, "dispatches"]) = (request.method(), parts) {
        return dispatch::answer(state, repository, file, body);
    }
    if let (&Method::POST, ["runs", id, "cancel"]) = (request.method(), parts) {
        return cancel(state, repository, id);
    }
    if let (&Method::PUT, ["workflows", file, verb @ ("enable" | "disable")]) =
        (request.method(), parts)
    {
        let enabled = *verb == "enable";
        return enable(state, repository, file, enabled);
    }
    let Some(repository) = state.repositories.get(repository) else {
        return error(404, "Not Found");
    };
    let actions = &repository.actions;
    match (request.method(), parts) {
        (&Method::GET, ["workflows", file]) => actions
            .workflows
            .get(*file)
            .map_or_else(not_found, |it| Reply::json(200, &show::workflow(it))),
        (&Method::GET, ["workflows", file, "runs"]) => runs(actions, file, request),
        (&Method::GET, ["concurrency_groups", name]) => group(actions, name),
        (&Method::GET, ["runs", id, "jobs"]) => {
            let run = id.parse().ok().and_then(|id: u64| actions.runs.get(&id));
            run.map_or_else(not_found, jobs)
        }
        (&Method::GET, ["jobs", id, "logs"]) => log(actions, id.parse().unwrap_or_default()),
        _ => not_found(),
    }
}

fn enable(state: &mut State, repository: &str, file: &str, enabled: bool) -> Reply {
    let workflows = state.repositories.get_mut(repository).map(|it| &mut it.actions.workflows);
    let Some(workflow) = workflows.and_then(|it| it.get_mut(file)) else { return not_found() };
    let state = if enabled { "active" } else { "disabled_manually" };
    state.clone_into(&mut workflow.state);
    Reply::new(204, "")
}

/// A person's client cancels a run. One that is over cannot be cancelled.
fn cancel(state: &mut State, repository: &str, id: &str) -> Reply {
    let now = state.now();
    let Some(repository) = state.repositories.get_mut(repository) else { return not_found() };
    let actions = &mut repository.actions;
    match id.parse().ok().and_then(|id: u64| Some((id, actions.runs.get(&id)?.is_live()))) {
        Some((id, true)) => {
            actions.cancel(id, now);
            Reply::json(202, &json!({}))
        }
        Some((_, false)) => error(409, "Cannot cancel a workflow run that is completed."),
        None => not_found(),
    }
}

fn not_found() -> Reply {
    error(404, "Not Found")
}

/// Newest first; what the index has not seen yet counts as little as it shows.
fn runs(actions: &Actions, file: &str, request: &Request<Bytes>) -> Reply {
    let Some(workflow) = actions.workflows.get(file) else { return not_found() };
    let query = request.uri().query().unwrap_or_default();
    let parameter = |name: &str| -> Option<usize> {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)?
            .1
            .parse()
            .ok()
    };
    let per_page = parameter("per_page").unwrap_or(30).clamp(1, 100);
    let page = parameter("page").unwrap_or(1).max(1);
    let mut all: Vec<&Run> =
        actions.runs.values().filter(|run| run.workflow == file && run.indexed).collect();
    all.sort_by_key(|run| std::cmp::Reverse((run.created_at, run.id)));
    let total = all.len();
    let shown = &all[..total.min(actions.index.cap.unwrap_or(usize::MAX))];
    let start = (page - 1) * per_page;
    let rows: Vec<Value> =
        shown.iter().skip(start).take(per_page).map(|run| show::run(run, workflow.id)).collect();
    let reply = Reply::json(200, &json!({"total_count": total, "workflow_runs": rows}));
    if start + per_page >= shown.len() {
        return reply;
    }
    let host =
        request.headers().get("host").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path = request.uri().path();
    let next = format!("<http://{host}{path}?per_page={per_page}&page={}>; rel=\"next\"", page + 1);
    reply.header("link", next)
}

fn group(actions: &Actions, name: &str) -> Reply {
    let members = actions.members(name);
    if members.is_empty() { not_found() } else { Reply::json(200, &show::group(name, &members)) }
}

fn jobs(run: &Run) -> Reply {
    let jobs: Vec<Value> = run.jobs.iter().map(|job| show::job(run, job)).collect();
    Reply::json(200, &json!({"total_count": jobs.len(), "jobs": jobs}))
}

/// GitHub has the log of a job that is over, and points to where it is kept.
fn log(actions: &Actions, id: u64) -> Reply {
    let jobs = actions.runs.values().flat_map(|run| &run.jobs);
    let is_over = jobs.filter(|job| job.id == id).any(|job| job.status == "completed");
    match &actions.logs {
        Some(shelf) if is_over => {
            Reply::new(302, "").header("location", format!("{}{id}?sig=abc", shelf.address))
        }
        Some(_) | None => not_found(),
    }
}
