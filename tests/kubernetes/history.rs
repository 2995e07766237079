//! What became of the Jobs of a namespace, as the API server logged it.

use serde_json::Value;

use crate::audit::Audit;
use crate::cluster::Cluster;

/// What was asked about the Jobs of one namespace, oldest first, with the answers.
pub(crate) struct History(Vec<Value>);

impl History {
    /// Every request that was answered until now.
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let mut events = Audit::whole().requests(cluster.namespace(), |_| true);
        events.retain(|event| event["objectRef"]["resource"] == "jobs");
        Self(events)
    }

    /// All requests.
    pub(crate) fn events(&self) -> &[Value] {
        &self.0
    }

    /// The requests of one kind for whole Jobs, such as `create`.
    pub(crate) fn asked(&self, verb: &str) -> Vec<&Value> {
        let whole = |event: &&Value| {
            event["verb"] == verb && event["objectRef"].get("subresource").is_none()
        };
        self.0.iter().filter(whole).collect()
    }

    /// Those that were carried out, not only rehearsed.
    pub(crate) fn done(&self, verb: &str) -> Vec<&Value> {
        let is_done = |event: &&Value| {
            let code = event["responseStatus"]["code"].as_u64().unwrap_or_default();
            (200..300).contains(&code) && !is_rehearsal(event)
        };
        self.asked(verb).into_iter().filter(is_done).collect()
    }

    /// Fails unless every deletion was bound to a uid and took a Job that was over.
    pub(crate) fn took_only_finished_jobs(&self) {
        // What a Role forbids is not even read.
        let was_read = |event: &&&Value| event["responseStatus"]["code"] != 403;
        for deletion in self.asked("delete").iter().filter(was_read) {
            let uid = &deletion["requestObject"]["preconditions"]["uid"];
            assert!(uid.is_string(), "a deletion by name alone: {deletion:#}");
            assert_eq!(
                deletion["requestObject"]["propagationPolicy"], "Background",
                "{deletion:#}"
            );
        }
        for deletion in self.done("delete") {
            let uid = &deletion["requestObject"]["preconditions"]["uid"];
            let before = self.0.iter().take_while(|event| event["auditID"] != deletion["auditID"]);
            let mut states =
                before.filter(|event| event["requestObject"]["metadata"]["uid"] == *uid);
            assert!(
                states.any(|event| says_over(&event["requestObject"])),
                "a live Job went: {deletion:#}"
            );
        }
    }
}

/// The server did not keep what it answered.
pub(crate) fn is_rehearsal(event: &Value) -> bool {
    let options = &event["requestObject"]["dryRun"];
    event["requestURI"].as_str().is_some_and(|uri| uri.contains("dryRun=All"))
        || options[0] == "All"
}

fn says_over(job: &Value) -> bool {
    let mut conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|one| {
        one["status"] == "True" && (one["type"] == "Complete" || one["type"] == "Failed")
    })
}
