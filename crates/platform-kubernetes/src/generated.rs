//! The generated part of a session's Job, which no template changes.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use coordinator_core::environment::{Identity, OWN_PREFIX};
use coordinator_core::fleet::{Container, SessionSpec, Want};
use coordinator_core::placeholders::fill;
use coordinator_core::platform::CycleId;

use super::merge::over;
use super::{Settings, Toleration, Workspace};

/// The condition of a pod that the cluster takes away for reasons of its own.
pub(crate) const DISRUPTION: &str = "DisruptionTarget";

/// The container that runs the agent.
pub(crate) const AGENT: &str = "agent";

pub(crate) const FLEET: &str = "coordinator.dev/fleet";
pub(crate) const ROLE: &str = "coordinator.dev/role";
pub(crate) const SLOT: &str = "coordinator.dev/slot";
pub(crate) const GENERATION: &str = "coordinator.dev/generation";
pub(crate) const CYCLE: &str = "coordinator.dev/cycle";
pub(crate) const HISTORY: &str = "coordinator.dev/history";
/// The work item's id, as its store spells it.
pub(crate) const ITEM: &str = "coordinator.dev/item";
/// The item's counts so far: attempt, restarts, cost.
pub(crate) const COUNTS: &str = "coordinator.dev/counts";
const CONFIG_HASH: &str = "coordinator.dev/config-hash";
const BRIEF_REF: &str = "coordinator.dev/brief-ref";
const PREDECESSOR: &str = "coordinator.dev/prev-uid";
/// Kueue admits the Jobs that carry it.
const QUEUE: &str = "kueue.x-k8s.io/queue-name";

/// The file of a container whose content becomes its termination message, unless its spec says
/// otherwise.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// The working directory and home of every session.
const WORKSPACE: &str = "/workspace";

/// A session that a Job is generated for.
#[derive(Debug)]
pub(crate) struct NewSession<'a> {
    pub(crate) cycle: &'a CycleId,
    /// 1 + the predecessor's: data, never part of the name.
    pub(crate) generation: u64,
    /// The uid of the ended Job that it replaces.
    pub(crate) replaces: Option<&'a str>,
    /// The annotation with the runs before it.
    pub(crate) history: String,
}

/// The generated part of the Job; a template adds to it and changes nothing in it.
pub(crate) fn generated(
    settings: &Settings,
    want: &Want,
    container: &Container,
    new: &NewSession<'_>,
) -> Value {
    let template = settings.kubernetes.template.as_ref().map(|template| &template.job);
    let spec = spec(settings, want, container);
    let hash = digest(&json!([template, spec, want.spec.env, want.spec.prompt]).to_string());
    over(spec, identity(settings, want, new, &hash))
}

/// 16 digits are enough to distinguish configurations.
fn digest(text: &str) -> String {
    let mut digits = format!("{:x}", Sha256::digest(text));
    digits.truncate(16);
    digits
}

/// The fields that differ from one session to the next.
fn identity(settings: &Settings, want: &Want, new: &NewSession<'_>, config_hash: &str) -> Value {
    let mut annotations = json!({
        CYCLE: new.cycle.0,
        CONFIG_HASH: config_hash,
        BRIEF_REF: format!("{}@{}", want.role, digest(&want.spec.brief)),
        HISTORY: new.history,
    });
    if let Some(uid) = new.replaces {
        annotations[PREDECESSOR] = json!(uid);
    }
    if let Some(item) = &want.item {
        annotations[ITEM] = json!(item.id);
        annotations[COUNTS] = json!(json!(item.counts).to_string());
    }
    let labels = labels(settings, want, new.generation);
    let mut own = labels.clone();
    if let Some(queue) = &settings.kubernetes.queue_name {
        own[QUEUE] = json!(queue);
    }
    let environment = environment(settings, want, new);
    json!({
        "metadata": {
            "name": want.slot.session_name(&settings.fleet), "labels": own,
            "annotations": annotations,
        },
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

/// The fields that have a key in the roster, and those that make a Job run one session.
///
/// One pod, started once: no second attempt (`backoffLimit` 0), none beside a pod that still
/// terminates (`podReplacementPolicy` Failed, KEP-3939). The pod's deadline is the session's limit
/// and counts from its start; the Job's counts from its creation, so the time to start comes on
/// top. A pod that the cluster disrupts (an eviction, a preemption, a drained node) is soon
/// removed, and its reason with it: the failure policy writes the reason into the Job.
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
        "volumes": [{ "name": "tmp", "emptyDir": {} }, workspace],
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
    let parts =
        [("key", &toleration.key), ("value", &toleration.value), ("effect", &toleration.effect)];
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
        "volumeMounts": [
            { "name": "tmp", "mountPath": "/tmp" },
            { "name": "workspace", "mountPath": WORKSPACE },
        ],
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
    let command = want.spec.command.iter().map(|argument| fill(&literal(argument), &values));
    wrapper(settings, &want.spec).into_iter().chain(command).collect()
}

/// The words before an agent's command that run it under this program.
fn wrapper(settings: &Settings, spec: &SessionSpec) -> Vec<String> {
    let Some(path) = &settings.kubernetes.wrapper else { return Vec::new() };
    let timeout = humantime::format_duration(spec.stall_timeout).to_string();
    let words = [
        path.as_str(),
        "session-agent",
        "--wrap",
        "--agent",
        spec.agent.word(),
        "--stall-timeout",
        &timeout,
        "--end-file",
        TERMINATION_LOG,
        "--",
    ];
    words.map(str::to_owned).to_vec()
}

/// The role's variables, then those of the session, which a role cannot set.
fn environment(settings: &Settings, want: &Want, new: &NewSession<'_>) -> Value {
    let SessionSpec { env, prompt, .. } = &*want.spec;
    let identity = Identity {
        fleet: &settings.fleet,
        slot: &want.slot,
        role: &want.role,
        item: want.item.as_ref(),
        generation: new.generation,
        cycle: &new.cycle.0,
        prompt,
        repository: settings.repository.as_deref(),
    };
    let home = [("HOME".to_owned(), WORKSPACE.to_owned())]
        .into_iter()
        .filter(|(name, _)| !env.contains_key(name));
    let role = env.iter().map(|(name, value)| (name.clone(), value.clone()));
    let all = home
        .chain(role.filter(|(name, _)| !name.starts_with(OWN_PREFIX)))
        .chain(identity.variables());
    let all = all.map(|(name, value)| json!({ "name": name, "value": literal(&value) }));
    all.chain(want.item.is_some().then(|| start_permit(settings, want, new))).collect()
}

/// The container does not start before the register has the key, nor once it has it no more.
fn start_permit(settings: &Settings, want: &Want, new: &NewSession<'_>) -> Value {
    let register = want.slot.session_name(&settings.fleet);
    let key = start_key(new.generation);
    json!({
        "name": format!("{OWN_PREFIX}START_PERMIT"),
        "valueFrom": { "configMapKeyRef": { "name": register, "key": key, "optional": false } },
    })
}

/// The key without which the pod of this generation does not start.
pub(crate) fn start_key(generation: u64) -> String {
    format!("g{generation}")
}

/// Kubernetes counts whole seconds; a session is never cut short by rounding.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
