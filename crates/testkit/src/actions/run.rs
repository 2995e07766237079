//! Runs of workflows and their jobs; states are GitHub's own words.

use std::collections::BTreeMap;
use std::time::SystemTime;

/// A run of a workflow.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: u64,
    /// File name of its workflow.
    pub workflow: String,
    /// `display_title`.
    pub title: String,
    /// `queued`, `pending`, `waiting`, `requested`, `in_progress`, `completed`.
    pub status: String,
    pub conclusion: Option<String>,
    pub created_at: SystemTime,
    /// Start of its last attempt.
    pub started_at: SystemTime,
    pub updated_at: SystemTime,
    pub attempt: u64,
    pub event: String,
    pub branch: String,
    pub inputs: BTreeMap<String, String>,
    /// The concurrency group, in lower case: names do not differ by case.
    pub group: Option<String>,
    /// None exist before the group lets the run in.
    pub jobs: Vec<Job>,
    /// The list shows it.
    pub indexed: bool,
}

/// A job of a run.
#[derive(Debug, Clone)]
pub struct Job {
    pub id: u64,
    pub name: String,
    /// `queued`, `in_progress`, `completed`.
    pub status: String,
    pub conclusion: Option<String>,
    /// Of one that has not started: when it was made.
    pub started_at: SystemTime,
    pub completed_at: Option<SystemTime>,
    /// To be had once the job is over.
    pub log: String,
    /// Title and message of each.
    pub annotations: Vec<(String, String)>,
}

impl Run {
    /// Whether it is not over.
    pub fn is_live(&self) -> bool {
        self.status != "completed"
    }

    /// Fleet and slot of a session's run.
    pub fn slot(&self) -> Option<(&str, &str)> {
        Some((self.inputs.get("fleet")?, self.inputs.get("slot")?))
    }

    /// The generation that its inputs name.
    pub fn generation(&self) -> Option<u64> {
        self.inputs.get("generation")?.parse().ok()
    }

    /// One of its jobs.
    pub fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name == name)
    }

    pub(super) fn job_mut(&mut self, name: &str) -> &mut Job {
        let id = self.id;
        let found = self.jobs.iter_mut().find(|job| job.name == name);
        found.unwrap_or_else(|| panic!("run {id} has no job {name}"))
    }

    /// The first job, which decides whether the agent may start.
    fn admission(&self) -> Option<&Job> {
        self.jobs.first()
    }

    pub(super) fn admission_mut(&mut self) -> &mut Job {
        let id = self.id;
        self.jobs.first_mut().unwrap_or_else(|| panic!("run {id} has no job"))
    }

    /// Whether it was admitted and is not over: a live session.
    pub fn is_admitted(&self) -> bool {
        let passed =
            self.admission().is_some_and(|job| job.conclusion.as_deref() == Some("success"));
        self.is_live()
            && passed
            && self.job("agent").is_some_and(|agent| agent.status != "completed")
    }
}

impl Job {
    pub(super) fn start(&mut self, now: SystemTime) {
        "in_progress".clone_into(&mut self.status);
        self.started_at = now;
    }

    /// Ends the job from any state; a job that never ran takes no time.
    pub(super) fn end(&mut self, conclusion: &str, now: SystemTime) {
        if self.status != "in_progress" {
            self.started_at = now;
        }
        "completed".clone_into(&mut self.status);
        self.conclusion = Some(conclusion.to_owned());
        self.completed_at = Some(now);
    }
}
