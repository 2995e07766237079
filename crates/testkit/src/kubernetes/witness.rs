//! An independent eye on the invariant: one live session per slot at every instant, and no live
//! session is ended.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cluster::Cluster;

/// The label that names the slot.
const SLOT: &str = "coordinator.dev/slot";

/// Whether a condition of this type is true.
pub fn has_condition(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .is_some_and(|all| all.iter().any(|one| one["type"] == kind && one["status"] == "True"))
}

/// A Job that is not over may still run its agent.
pub fn is_live_job(job: &Value) -> bool {
    !has_condition(job, "Complete") && !has_condition(job, "Failed")
}

/// A pod that is not over may still run its agent, also while it is being deleted.
pub fn is_live_pod(pod: &Value) -> bool {
    !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

impl Cluster {
    /// Looks at the slot of this Job, just after a request changed it.
    pub fn witness(&mut self, job: &str) {
        let objects = self.namespace();
        let slot = objects
            .jobs
            .get(job)
            .and_then(|job| job["metadata"]["labels"][SLOT].as_str())
            .unwrap_or(job);
        let in_slot = |object: &&Value| object["metadata"]["labels"][SLOT] == slot;
        let jobs = objects.jobs.values().filter(in_slot).filter(|job| is_live_job(job));
        let mut sessions: BTreeSet<String> =
            jobs.map(|job| job["metadata"]["uid"].to_string()).collect();
        // A pod that outlived its Job still names that Job as its controller.
        let pods: Vec<&Value> =
            objects.pods.values().filter(in_slot).filter(|pod| is_live_pod(pod)).collect();
        let maker = |pod: &&Value| {
            pod["metadata"]["labels"]["batch.kubernetes.io/controller-uid"].to_string()
        };
        sessions.extend(pods.iter().map(maker));
        if sessions.len() > 1 || pods.len() > 1 {
            let breach =
                format!("{slot} has {} live sessions and {} live pods", sessions.len(), pods.len());
            self.breaches.push(breach);
        }
    }

    /// Looks at a Job that a request is about to remove. One without a slot, such as that of a
    /// pause, is not a session.
    pub fn witness_removal(&mut self, name: &str) {
        let job = self.job(name);
        if is_live_job(job) && job["metadata"]["labels"][SLOT].is_string() {
            self.breaches.push(format!("the live Job {name} was deleted"));
        }
    }

    /// The violations so far; the fake forgets them.
    pub fn take_breaches(&mut self) -> Vec<String> {
        std::mem::take(&mut self.breaches)
    }
}
