//! Concurrency groups with `queue: single`, as GitHub's page "Control the concurrency of workflows
//! and jobs" has them: one run of a group is in progress, one is pending, and a newer run replaces
//! the pending one.

use std::time::SystemTime;

use super::{Actions, Run};

/// Whether concurrency groups are enforced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Groups {
    /// As documented.
    #[default]
    Kept,
    /// Every run starts at once: a world with violations for the witness to find.
    Broken,
}

impl Actions {
    /// The runs that hold a group or wait for it, oldest first.
    pub fn members(&self, group: &str) -> Vec<&Run> {
        let group = group.to_lowercase();
        let in_group = |run: &&Run| run.is_live() && run.group.as_deref() == Some(&group);
        let mut members: Vec<&Run> = self.runs.values().filter(in_group).collect();
        members.sort_by_key(|run| (run.status == "pending", run.id));
        members
    }

    /// Gives a run that is about to be queued its group, or makes it the pending one instead of the
    /// run that was.
    pub(super) fn enter(&mut self, id: u64, now: SystemTime) {
        let group = self.run(id).group.clone();
        let others = group.as_deref().map(|group| self.members(group)).unwrap_or_default();
        let others: Vec<(u64, bool)> = others
            .into_iter()
            .filter(|run| run.id != id)
            .map(|run| (run.id, run.status == "pending"))
            .collect();
        if self.groups == Groups::Broken || others.is_empty() {
            return self.admit(id, now);
        }
        for (waiting, _) in others.into_iter().filter(|(_, waits)| *waits) {
            self.close(waiting, "cancelled", now);
        }
        "pending".clone_into(&mut self.run(id).status);
    }

    /// The group lets the run in: its first job waits for a runner.
    fn admit(&mut self, id: u64, now: SystemTime) {
        let workflow = self.run(id).workflow.clone();
        let first =
            self.workflows.get(&workflow).and_then(|workflow| workflow.jobs.first().cloned());
        let job = first.map(|name| self.new_job(&name, now));
        let run = self.run(id);
        "queued".clone_into(&mut run.status);
        run.jobs.extend(job);
        run.updated_at = now;
    }

    /// A run is over; the one that waits for its group starts at once.
    pub(super) fn close(&mut self, id: u64, conclusion: &str, now: SystemTime) {
        let run = self.run(id);
        "completed".clone_into(&mut run.status);
        run.conclusion = Some(conclusion.to_owned());
        run.updated_at = now;
        let group = run.group.clone();
        let members = group.as_deref().map(|group| self.members(group)).unwrap_or_default();
        let is_free = members.iter().all(|run| run.status == "pending");
        let next = members.first().filter(|_| is_free).map(|run| run.id);
        if let Some(next) = next {
            self.admit(next, now);
        }
    }
}
