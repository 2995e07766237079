//! The Job of a session: what the coordinator owns, over the user's template, over defaults. Pure.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Settings;
use super::record::{self, Predecessor};
use super::register;
use crate::merge::over;
use crate::{Toleration, Workspace};
use coordinator_core::environment::{Identity, OWN_PREFIX};
use coordinator_core::fleet::{Container, SessionSpec, Want};
use coordinator_core::placeholders::fill;
use coordinator_core::platform::CycleId;

/// The condition of a pod that the cluster takes away for reasons of its own.
pub(super) const DISRUPTION: &str = "DisruptionTarget";

/// The container that runs the agent.
pub(super) const AGENT: &str = "agent";

pub(super) const FLEET: &str = "coordinator.dev/fleet";
pub(super) const ROLE: &str = "coordinator.dev/role";
pub(super) const SLOT: &str = "coordinator.dev/slot";
pub(super) const GENERATION: &str = "coordinator.dev/generation";
pub(super) const CYCLE: &str = "coordinator.dev/cycle";
pub(super) const HISTORY: &str = "coordinator.dev/history";
/// What the session works on, as its store spells it.
pub(super) const ITEM: &str = "coordinator.dev/item";
/// What the item has used up: attempt, restarts, cost.
pub(super) const COUNTS: &str = "coordinator.dev/counts";
/// Who ended the session, where a person did.
pub(super) const STOPPED_BY: &str = "coordinator.dev/stopped-by";
const CONFIG_HASH: &str = "coordinator.dev/config-hash";
const BRIEF_REF: &str = "coordinator.dev/brief-ref";
const PREDECESSOR: &str = "coordinator.dev/prev-uid";
/// Kueue admits the Jobs that carry it.
const QUEUE: &str = "kueue.x-k8s.io/queue-name";

/// The working directory and home of every session.
const WORKSPACE: &str = "/workspace";

/// Who creates the Job, and after whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Birth<'a> {
    pub(super) cycle: &'a CycleId,
    pub(super) predecessor: Option<&'a Predecessor>,
}

impl Birth<'_> {
    /// 1 + the predecessor's: data, never part of the name.
    pub(super) fn generation(self) -> u64 {
        self.predecessor.map_or(1, |predecessor| predecessor.generation.saturating_add(1))
    }
}

/// The Job to create, in the namespace of the request.
pub(super) fn job(settings: &Settings, want: &Want, container: &Container, birth: Birth<'_>) -> Value {
    let template = settings.kubernetes.template.as_ref();
    let template = template.map_or_else(|| json!({}), |template| template.job.clone());
    let spec = spec(settings, want, container);
    let hash = digest(&json!([template, spec, want.spec.env, want.spec.prompt]).to_string());
    let identity = identity(settings, want, birth, &hash);
    over(over(over(defaults(), template), spec), identity)
}

/// The first 16 digits tell one configuration from the next.
fn digest(text: &str) -> String {
    let mut digits = format!("{:x}", Sha256::digest(text));
    digits.truncate(16);
    digits
}

/// What differs from one session to the next.
fn identity(settings: &Settings, want: &Want, birth: Birth<'_>, config_hash: &str) -> Value {
    let mut annotations = json!({
        CYCLE: birth.cycle.0,
        CONFIG_HASH: config_hash,
        BRIEF_REF: format!("{}@{}", want.role, digest(&want.spec.brief)),
        HISTORY: record::written(birth.predecessor.map_or(&[][..], |predecessor| &predecessor.history)),
    });
    if let Some(uid) = birth.predecessor.and_then(|predecessor| predecessor.uid.as_ref()) {
        annotations[PREDECESSOR] = json!(uid);
    }
    if let Some(item) = &want.item {
        annotations[ITEM] = json!(item.id);
        annotations[COUNTS] = json!(json!(item.counts).to_string());
    }
    let labels = labels(settings, want, birth.generation());
    let mut own = labels.clone();
    if let Some(queue) = &settings.kubernetes.queue_name {
        own[QUEUE] = json!(queue);
    }
    let environment = environment(settings, want, birth);
    json!({
        "metadata": { "name": want.slot.session_name(&settings.fleet), "labels": own, "annotations": annotations },
        "spec": { "template": {
            "metadata": { "labels": labels },
            "spec": { "containers": [{ "name": AGENT, "env": environment }] },
        } },
    })
}

fn labels(settings: &Settings, want: &Want, generation: u64) -> Value {
    json!({
        "app.kubernetes.io/name": "coordinator-session",
        "app.kubernetes.io/instance": settings.fleet.as_str(),
        "app.kubernetes.io/component": want.role.as_str(),
        "app.kubernetes.io/managed-by": "coordinator",
        "app.kubernetes.io/version": env!("CARGO_PKG_VERSION"),
        FLEET: settings.fleet.as_str(),
        ROLE: want.role.as_str(),
        SLOT: want.slot.session_name(&settings.fleet),
        GENERATION: generation.to_string(),
    })
}

/// What neither the template nor anything else may change, and what has a key in the roster.
///
/// One pod, started once: no second attempt (`backoffLimit` 0), none beside a pod that still terminates
/// (`podReplacementPolicy` Failed, KEP-3939). The pod's deadline is the session's limit and counts from its start; the
/// Job's counts from its creation, so the time to start comes on top. A pod that the cluster takes away (an eviction, a
/// preemption, a drained node) is soon gone, and with it the reason: the policy has the Job say it.
fn spec(settings: &Settings, want: &Want, container: &Container) -> Value {
    let kubernetes = &settings.kubernetes;
    let limit = want.spec.time_limit;
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": { "rules": [{
                "action": "FailJob",
                "onPodConditions": [{ "type": DISRUPTION, "status": "True" }],
            }] },
            "suspend": false,
            "activeDeadlineSeconds": seconds(limit + kubernetes.start_timeout),
            "ttlSecondsAfterFinished": seconds(kubernetes.ttl),
            "template": { "spec": pod(settings, want, container) },
        },
    })
}

fn pod(settings: &Settings, want: &Want, container: &Container) -> Value {
    let kubernetes = &settings.kubernetes;
    let workspace = match &kubernetes.workspace {
        Workspace::EmptyDir { size_limit: None } => json!({ "name": "workspace", "emptyDir": {} }),
        Workspace::EmptyDir { size_limit } => {
            json!({ "name": "workspace", "emptyDir": { "sizeLimit": size_limit } })
        }
        Workspace::Claim => {
            let claim = want.slot.session_name(&settings.fleet);
            json!({ "name": "workspace", "persistentVolumeClaim": { "claimName": claim } })
        }
    };
    let mut pod = json!({
        "restartPolicy": "Never",
        "activeDeadlineSeconds": seconds(want.spec.time_limit),
        "volumes": [workspace],
        "containers": [agent(settings, want, container)],
    });
    let texts = [
        ("serviceAccountName", &kubernetes.service_account),
        ("priorityClassName", &kubernetes.priority_class),
        ("runtimeClassName", &kubernetes.runtime_class),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            pod[key] = json!(text);
        }
    }
    if !kubernetes.node_selector.is_empty() {
        pod["nodeSelector"] = json!(kubernetes.node_selector);
    }
    if !kubernetes.tolerations.is_empty() {
        pod["tolerations"] = kubernetes.tolerations.iter().map(toleration).collect();
    }
    if !kubernetes.image_pull_secrets.is_empty() {
        let secrets = kubernetes.image_pull_secrets.iter().map(|name| json!({ "name": name }));
        pod["imagePullSecrets"] = secrets.collect();
    }
    pod
}

fn toleration(toleration: &Toleration) -> Value {
    let operator = if toleration.value.is_some() { "Equal" } else { "Exists" };
    let mut written = json!({ "operator": operator });
    let parts = [("key", &toleration.key), ("value", &toleration.value), ("effect", &toleration.effect)];
    for (key, text) in parts {
        if let Some(text) = text {
            written[key] = json!(text);
        }
    }
    written
}

fn agent(settings: &Settings, want: &Want, container: &Container) -> Value {
    let from = container.env_from.iter().map(|name| json!({ "secretRef": { "name": name } }));
    json!({
        "name": AGENT,
        "image": container.image,
        "command": command(settings, want),
        "envFrom": from.collect::<Vec<_>>(),
        "workingDir": WORKSPACE,
        "volumeMounts": [{ "name": "workspace", "mountPath": WORKSPACE }],
        "resources": { "requests": container.requests, "limits": container.limits },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    })
}

/// `$` begins a reference in a command and in an environment value; doubled, it is itself.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// The prompt is a reference to its variable, so that the Job carries it once.
fn command(settings: &Settings, want: &Want) -> Vec<String> {
    let session = want.slot.session_name(&settings.fleet);
    let brief = literal(&want.spec.brief);
    let item = want.item.as_ref().map_or_else(String::new, |item| literal(&item.id));
    let values = [
        ("{prompt}", "$(COORDINATOR_PROMPT)"),
        ("{brief}", brief.as_str()),
        ("{role}", want.role.as_str()),
        ("{item}", item.as_str()),
        ("{slot}", session.as_str()),
        ("{fleet}", settings.fleet.as_str()),
    ];
    want.spec.command.iter().map(|argument| fill(&literal(argument), &values)).collect()
}

/// What the role adds, then the session's names, which a role cannot take.
fn environment(settings: &Settings, want: &Want, birth: Birth<'_>) -> Value {
    let SessionSpec { env, prompt, .. } = &*want.spec;
    let identity = Identity {
        fleet: &settings.fleet,
        slot: &want.slot,
        role: &want.role,
        item: want.item.as_ref(),
        generation: birth.generation(),
        cycle: &birth.cycle.0,
        prompt,
        repository: settings.repository.as_deref(),
    };
    let home =
        [("HOME".to_owned(), WORKSPACE.to_owned())].into_iter().filter(|(name, _)| !env.contains_key(name));
    let role = env.iter().map(|(name, value)| (name.clone(), value.clone()));
    let all = home.chain(role.filter(|(name, _)| !name.starts_with(OWN_PREFIX))).chain(identity.variables());
    let all = all.map(|(name, value)| json!({ "name": name, "value": literal(&value) }));
    all.chain(want.item.is_some().then(|| start_permit(settings, want, birth))).collect()
}

/// The container does not start before the register has the key, nor once it has it no more.
fn start_permit(settings: &Settings, want: &Want, birth: Birth<'_>) -> Value {
    let register = want.slot.session_name(&settings.fleet);
    let key = register::start_key(birth.generation());
    json!({
        "name": format!("{OWN_PREFIX}START_PERMIT"),
        "valueFrom": { "configMapKeyRef": { "name": register, "key": key, "optional": false } },
    })
}

/// Passes the `restricted` Pod Security Standard.
fn defaults() -> Value {
    json!({ "spec": { "template": { "spec": {
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
        "volumes": [{ "name": "tmp", "emptyDir": {} }],
        "containers": [{
            "name": AGENT,
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
            "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
        }],
    } } } })
}

/// Kubernetes counts whole seconds; a session is never cut short by rounding.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
