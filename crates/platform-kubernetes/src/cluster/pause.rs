//! The pause of a fleet: a suspended Job `<fleet>-paused`, which the list of Jobs shows and which
//! never has a pod.

use serde_json::{Value, json};

use super::record::Job;
use crate::generated::{AGENT, FLEET};
use coordinator_core::fleet::{FleetName, Pause};

const BY: &str = "coordinator.dev/paused-by";
const SINCE: &str = "coordinator.dev/paused-since";
const REASON: &str = "coordinator.dev/paused-reason";

/// The name of the Job, which no slot can have.
pub(super) fn name(fleet: &FleetName) -> String {
    format!("{fleet}-paused")
}

/// The pause that the Job is.
pub(super) fn of(job: &Job) -> Pause {
    let text = |name: &str| job.annotation(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let since = job.annotation(SINCE).and_then(|since| humantime::parse_rfc3339(since).ok());
    Pause { by: text(BY), since: since.or_else(|| job.created_at()), reason: text(REASON) }
}

/// The annotations of a pause; an empty one stands for what is not known.
pub(super) fn annotations(pause: &Pause) -> Value {
    let since = pause.since.map(|since| humantime::format_rfc3339_seconds(since).to_string());
    json!({
        BY: pause.by.as_deref().unwrap_or_default(),
        SINCE: since.unwrap_or_default(),
        REASON: pause.reason.as_deref().unwrap_or_default(),
    })
}

/// The Job to create. It is suspended, and its image is not one: a person who starts it by hand
/// starts nothing.
pub(super) fn job(fleet: &FleetName, pause: &Pause) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name(fleet),
            "labels": {
                "app.kubernetes.io/name": "coordinator-pause",
                "app.kubernetes.io/managed-by": "coordinator",
                FLEET: fleet.as_str(),
            },
            "annotations": annotations(pause),
        },
        "spec": {
            "suspend": true,
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "template": { "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "securityContext": {
                    "runAsNonRoot": true,
                    "runAsUser": 65532,
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": [{
                    "name": AGENT,
                    "image": "paused",
                    "imagePullPolicy": "Never",
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "capabilities": { "drop": ["ALL"] },
                    },
                }],
            } },
        },
    })
}
