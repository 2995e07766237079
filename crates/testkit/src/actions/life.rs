//! What runners, agents and people do to runs: the knobs of a test.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::workflow::expand;
use super::{Actions, Job, Run};

/// How the first job of a session's run ended, which decides whether the agent may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Go,
    Skip,
    /// The job itself failed.
    Failed,
}

impl Actions {
    /// Creates a run of this workflow, for any event.
    pub fn trigger(
        &mut self,
        file: &str,
        branch: &str,
        inputs: BTreeMap<String, String>,
        now: SystemTime,
    ) -> u64 {
        let id = self.next_id();
        let workflow = self.workflows.get(file).expect("a workflow that exists is triggered");
        let run = Run {
            id,
            workflow: file.to_owned(),
            title: expand(&workflow.run_name, &inputs),
            status: "requested".to_owned(),
            conclusion: None,
            created_at: now,
            started_at: now,
            updated_at: now,
            attempt: 1,
            event: "workflow_dispatch".to_owned(),
            branch: branch.to_owned(),
            group: workflow.group.as_deref().map(|group| expand(group, &inputs).to_lowercase()),
            inputs,
            jobs: Vec::new(),
            indexed: !self.index.lags,
        };
        self.runs.insert(id, run);
        self.enter(id, now);
        id
    }

    pub(super) fn new_job(&mut self, name: &str, now: SystemTime) -> Job {
        Job {
            id: self.next_id(),
            name: name.to_owned(),
            status: "queued".to_owned(),
            conclusion: None,
            started_at: now,
            completed_at: None,
            log: String::new(),
            annotations: Vec::new(),
        }
    }

    /// The runs whose first job waits for a runner, oldest first.
    pub fn queued(&self) -> Vec<u64> {
        self.runs.values().filter(|run| run.status == "queued").map(|run| run.id).collect()
    }

    /// A runner takes the first job.
    pub fn start(&mut self, id: u64, now: SystemTime) {
        let run = self.run(id);
        assert_eq!(run.status, "queued", "run {id} waits for no runner");
        "in_progress".clone_into(&mut run.status);
        run.updated_at = now;
        run.admission_mut().start(now);
    }

    /// The first job has ended; the agent waits for a runner, or the run is over.
    pub fn end_admission(&mut self, id: u64, admission: Admission, now: SystemTime) {
        let agent = self.new_job("agent", now);
        let run = self.run(id);
        run.admission_mut()
            .end(if admission == Admission::Failed { "failure" } else { "success" }, now);
        run.jobs.push(agent);
        run.updated_at = now;
        match admission {
            Admission::Go => self.witness(id),
            Admission::Skip | Admission::Failed => {
                run.job_mut("agent").end("skipped", now);
                self.close(
                    id,
                    if admission == Admission::Skip { "success" } else { "failure" },
                    now,
                );
            }
        }
    }

    /// A runner takes the agent.
    pub fn start_agent(&mut self, id: u64, now: SystemTime) {
        let run = self.run(id);
        assert!(run.is_admitted(), "no agent of run {id} waits for a runner");
        run.job_mut("agent").start(now);
        run.updated_at = now;
        self.witness(id);
    }

    /// The agent ends, and the run with it. `timed_out` is what a job's time limit should give;
    /// GitHub reports `cancelled` there.
    pub fn end(&mut self, id: u64, conclusion: &str, now: SystemTime) {
        self.run(id).job_mut("agent").end(conclusion, now);
        self.close(id, conclusion, now);
    }

    /// A person cancels a run, or a newer one in its group does. One that waits for its group never
    /// gets jobs.
    pub fn cancel(&mut self, id: u64, now: SystemTime) {
        let run = self.run(id);
        assert!(run.is_live(), "run {id} is over");
        for job in run.jobs.iter_mut().filter(|job| job.status != "completed") {
            job.end("cancelled", now);
        }
        self.close(id, "cancelled", now);
    }

    /// A person starts the last attempt's jobs that did not succeed once more.
    pub fn rerun(&mut self, id: u64, now: SystemTime) {
        let run = self.run(id);
        assert!(!run.is_live(), "run {id} has not ended");
        run.attempt += 1;
        run.started_at = now;
        run.jobs.clear();
        run.conclusion = None;
        "requested".clone_into(&mut run.status);
        self.enter(id, now);
    }

    /// A person deletes the record of a run that is over.
    pub fn delete(&mut self, id: u64) {
        assert!(!self.run(id).is_live(), "GitHub refuses to delete a run that has not ended");
        self.runs.remove(&id);
    }

    /// The list catches up with what happened.
    pub fn index(&mut self) {
        for run in self.runs.values_mut() {
            run.indexed = true;
        }
    }
}
