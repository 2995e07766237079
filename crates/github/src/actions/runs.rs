//! The runs of a workflow, newest first.
//!
//! They are listed without any filter: a filtered list comes from an index that may lag or lack
//! runs, and ends after 1,000 results.

use std::time::SystemTime;

use http::HeaderName;
use serde::Deserialize;

use crate::Error;
use crate::request::shown;
use coordinator_core::timestamp;

use super::{Workflow, segment};

/// GitHub's maximum per page.
pub const PAGE_SIZE: usize = 100;

const WHAT: &str = "list the runs of the session workflow";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPage {
    /// Newest first.
    pub runs: Vec<WorkflowRun>,
    /// The total over all pages, by GitHub's count.
    pub total: u64,
    /// Whether another page follows.
    pub has_next: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowRun {
    pub id: u64,
    /// The same for GraphQL.
    pub node_id: String,
    /// As the workflow names it: untrusted text.
    pub title: String,
    pub status: RunStatus,
    pub conclusion: Option<Conclusion>,
    pub created_at: SystemTime,
    /// The same, but of the last time where it was run again.
    pub started_at: SystemTime,
    /// When it last changed.
    pub updated_at: SystemTime,
    /// Its page, for people; safe to show.
    pub url: String,
}

/// How far a run or a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// Not yet in progress: `queued`, `pending`, `requested`, and any word that GitHub may add.
    Queued,
    /// It waits for the approval of an environment.
    Waiting,
    /// A job of it runs.
    InProgress,
    /// It is over; no other state means that.
    Completed,
}

impl RunStatus {
    /// The word of the REST API, or that of GraphQL in capitals.
    pub(super) fn from_word(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "completed" => Self::Completed,
            "in_progress" => Self::InProgress,
            "waiting" => Self::Waiting,
            _ => Self::Queued,
        }
    }
}

/// How a run or a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    Success,
    /// A step failed.
    Failure,
    /// It could not begin.
    StartupFailure,
    /// Its time was up; GitHub mostly calls that cancelled.
    TimedOut,
    /// A person, a newer run of its group, or a time limit ended it.
    Cancelled,
    /// Its condition was not met.
    Skipped,
    /// GitHub gave it up, or ended it with a word that is unknown.
    Other,
}

impl Conclusion {
    /// The word of the REST API, or that of GraphQL in capitals.
    pub(super) fn from_word(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "success" => Self::Success,
            "failure" => Self::Failure,
            "startup_failure" => Self::StartupFailure,
            "timed_out" => Self::TimedOut,
            "cancelled" => Self::Cancelled,
            "skipped" => Self::Skipped,
            _ => Self::Other,
        }
    }
}

#[derive(Deserialize)]
struct Body {
    total_count: u64,
    workflow_runs: Vec<RunBody>,
}

#[derive(Deserialize)]
struct RunBody {
    id: u64,
    node_id: String,
    #[serde(default)]
    display_title: Option<String>,
    status: Option<String>,
    conclusion: Option<String>,
    created_at: String,
    #[serde(default)]
    run_started_at: Option<String>,
    updated_at: String,
    html_url: String,
}

impl RunBody {
    fn run(self) -> Option<WorkflowRun> {
        let created_at = timestamp::parse(&self.created_at)?;
        let started_at = self.run_started_at.as_deref().and_then(timestamp::parse);
        Some(WorkflowRun {
            id: self.id,
            node_id: self.node_id,
            title: self.display_title.unwrap_or_default(),
            status: self.status.as_deref().map_or(RunStatus::Queued, RunStatus::from_word),
            conclusion: self.conclusion.as_deref().map(Conclusion::from_word),
            created_at,
            started_at: started_at.unwrap_or(created_at),
            updated_at: timestamp::parse(&self.updated_at)?,
            url: shown(&self.html_url),
        })
    }
}

impl Workflow {
    /// A page of runs, counted from 1. An error where a run on it cannot be read.
    pub async fn runs(&self, page: usize) -> Result<RunPage, Error> {
        let path = format!(
            "actions/workflows/{}/runs?per_page={PAGE_SIZE}&page={page}",
            segment(self.file())
        );
        let answer = self.get(&path).await?;
        if answer.status == http::StatusCode::NOT_FOUND {
            return Err(Error::Failed(self.absent(WHAT)));
        }
        let answer = answer.succeeded(WHAT)?;
        let body: Body = answer.json()?;
        let has_link = answer
            .header(&HeaderName::from_static("link"))
            .is_some_and(|link| link.contains("rel=\"next\""));
        let has_next = has_link || body.workflow_runs.len() == PAGE_SIZE;
        let runs: Option<Vec<WorkflowRun>> =
            body.workflow_runs.into_iter().map(RunBody::run).collect();
        let runs = runs.ok_or_else(|| {
            Error::Failed(format!("could not {WHAT}: a run has no creation time"))
        })?;
        Ok(RunPage { runs, total: body.total_count, has_next })
    }

    /// When another workflow of the repository last ran; `None` where there is none, or it never
    /// did.
    pub async fn last_run_of(&self, file: &str) -> Result<Option<SystemTime>, Error> {
        let path = format!("actions/workflows/{}/runs?per_page=1", segment(file));
        let answer = self.get(&path).await?;
        if answer.status == http::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let body: Body = answer.succeeded("look for the last cycle")?.json()?;
        let newest = body.workflow_runs.into_iter().next().and_then(RunBody::run);
        Ok(newest.map(|run| run.started_at))
    }

    /// What a 404 about the workflow means.
    pub(super) fn absent(&self, what: &str) -> String {
        let repository = self.repository();
        format!(
            "could not {what}: {}/{} has no workflow {} on its default branch, \
             or the token may not see it (`actions: read`); \
             `coordinator init --github-actions` writes it",
            repository.owner, repository.name, self.file
        )
    }
}
