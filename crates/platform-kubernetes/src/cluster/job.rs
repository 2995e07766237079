//! The Job to create: what is generated, over the user's template, over defaults.

use serde_json::{Value, json};

use crate::Settings;
use crate::generated::{AGENT, NewSession, generated};
use crate::merge::over;
use coordinator_core::fleet::{Container, Want};
use coordinator_core::platform::CycleId;

use super::record::{self, Predecessor};

impl<'a> NewSession<'a> {
    /// The session that `cycle` starts after this one.
    pub(super) fn after(predecessor: Option<&'a Predecessor>, cycle: &'a CycleId) -> Self {
        Self {
            cycle,
            generation: predecessor.map_or(1, |ended| ended.generation.saturating_add(1)),
            replaces: predecessor.and_then(|ended| ended.uid.as_deref()),
            history: record::written(predecessor.map_or(&[], |ended| &ended.history)),
        }
    }
}

/// The Job to create, in the namespace of the request.
pub(super) fn job(
    settings: &Settings,
    want: &Want,
    container: &Container,
    new: &NewSession<'_>,
) -> Value {
    let template = settings.kubernetes.template.as_ref();
    let template = template.map_or_else(|| json!({}), |template| template.job.clone());
    over(over(defaults(), template), generated(settings, want, container, new))
}

/// What a template may set otherwise. Passes the `restricted` Pod Security Standard.
fn defaults() -> Value {
    json!({ "spec": { "template": {
        "metadata": { "annotations": {
            // A session that is moved is a session that is lost: without these, the cluster
            // autoscaler and Karpenter drain its node to save money.
            "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
            "karpenter.sh/do-not-disrupt": "true",
        } },
        "spec": {
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 30,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "fsGroup": 1000,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": AGENT,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
            }],
        },
    } } })
}
