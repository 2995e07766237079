//! The jobs of many runs in one request: the conclusion of a run does not show which of its jobs
//! ran.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::graphql::Response;
use crate::{Error, documents};
use coordinator_core::timestamp;

use super::{Conclusion, RunStatus, Workflow};

/// `nodes` takes no more ids at once.
const MAX_RUNS: usize = 100;

const WHAT: &str = "read the jobs of runs";

/// A job of a run, the last one of that name where it was run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowJob {
    /// As the workflow names it.
    pub name: String,
    pub status: RunStatus,
    pub conclusion: Option<Conclusion>,
    pub started_at: Option<SystemTime>,
    pub completed_at: Option<SystemTime>,
    /// The message of its last annotation titled [`END_TITLE`]: untrusted text.
    pub end: Option<String>,
}

/// The title of the annotation in which a session's wrapper says how its agent ended.
pub const END_TITLE: &str = "coordinator-end";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunNode {
    id: String,
    check_suite: CheckSuite,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CheckSuite {
    check_runs: CheckRuns,
}

#[derive(Deserialize)]
struct CheckRuns {
    nodes: Vec<Option<CheckRun>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CheckRun {
    name: String,
    status: String,
    conclusion: Option<String>,
    started_at: Option<String>,
    completed_at: Option<String>,
    annotations: Option<Annotations>,
}

#[derive(Deserialize)]
struct Annotations {
    nodes: Option<Vec<Option<Annotation>>>,
}

#[derive(Deserialize)]
struct Annotation {
    title: Option<String>,
    message: String,
}

impl Annotations {
    fn end(self) -> Option<String> {
        let all = self.nodes.into_iter().flatten().flatten();
        let mut ends = all.filter(|one| one.title.as_deref() == Some(END_TITLE));
        ends.next_back().map(|one| one.message)
    }
}

impl From<CheckRun> for WorkflowJob {
    fn from(row: CheckRun) -> Self {
        let time = |text: Option<String>| timestamp::parse(&text?);
        Self {
            name: row.name,
            status: RunStatus::from_word(&row.status),
            conclusion: row.conclusion.as_deref().map(Conclusion::from_word),
            started_at: time(row.started_at),
            completed_at: time(row.completed_at),
            end: row.annotations.and_then(Annotations::end),
        }
    }
}

impl Workflow {
    /// The jobs of these runs by the run's node id, one request per hundred runs. A run that is
    /// gone is left out; one that cannot be read is an error.
    pub async fn jobs(
        &self,
        node_ids: &[String],
    ) -> Result<BTreeMap<String, Vec<WorkflowJob>>, Error> {
        let mut jobs = BTreeMap::new();
        for ids in node_ids.chunks(MAX_RUNS) {
            self.reserve(1)?;
            let response =
                self.github.graphql(WHAT, documents::RUN_JOBS, &json!({ "ids": ids })).await?;
            jobs.extend(read(&response)?);
        }
        Ok(jobs)
    }
}

fn read(response: &Response) -> Result<Vec<(String, Vec<WorkflowJob>)>, Error> {
    if let Some(error) = response.errors.iter().find(|error| !error.is_not_found()) {
        let why = error.text();
        return Err(failed(&format!("GitHub answered: {why}; give the token `checks: read`")));
    }
    let nodes = response.data["nodes"].as_array().ok_or_else(|| failed(NOT_DOCUMENTED))?;
    nodes.iter().filter(|node| !node.is_null()).map(run).collect()
}

fn run(node: &Value) -> Result<(String, Vec<WorkflowJob>), Error> {
    let node = RunNode::deserialize(node).map_err(|_| failed(NOT_DOCUMENTED))?;
    let rows = node.check_suite.check_runs.nodes.into_iter().flatten();
    Ok((node.id, rows.map(WorkflowJob::from).collect()))
}

const NOT_DOCUMENTED: &str = "GitHub's answer is not what it documents";

fn failed(why: &str) -> Error {
    Error::Failed(format!("could not {WHAT}: {why}"))
}
