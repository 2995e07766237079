//! `[platform.kubernetes]` and `[role.kubernetes]`: the settings of the Kubernetes platform.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use coordinator_core::section::{
    DnsLabel, DnsName, FilePath, Image, LabelKey, LabelValue, Line, Placed, Quantity, Resource,
    Table, Time,
};

mod credentials;
mod rules;
mod template;

pub use rules::{Chosen, Context, RoleFacts, container, settings};
pub use template::MAX_TEMPLATE;

coordinator_core::section! {
    /// Settings of the `kubernetes` platform.
    pub struct Section {
        /// Image of the agents, with the program of `command`. Default: each role names its own.
        image: Option<Image> = None,
        /// Where the Jobs are. Default: that of the coordinator's own pod, or of the kubeconfig's
        /// context.
        namespace: Option<DnsLabel> = None,
        /// Service account of the sessions; they get no token of it. Not the coordinator's own,
        /// `coordinator`. Default: the namespace's default.
        service_account: Option<Placed<DnsName>> = None,
        /// Secrets whose entries the agents get as environment variables. Not the coordinator's
        /// own: `coordinator` and all names that begin with `coordinator-`.
        env_from: Placed<Vec<DnsName>> = Vec::new().into(),
        resources: Resources = Resources::default(),
        /// Labels that a node must carry.
        node_selector: Placed<Table<LabelKey, LabelValue>> = Table::default().into(),
        /// Taints of nodes that the sessions tolerate.
        tolerations: Placed<Vec<TolerationSection>> = Vec::new().into(),
        /// Secrets to pull the image with.
        image_pull_secrets: Placed<Vec<DnsName>> = Vec::new().into(),
        /// Priority class of the pods. Default: the cluster's default.
        priority_class: Option<DnsName> = None,
        /// Runtime class of the pods: a sandbox such as gVisor or Kata. Default: the cluster's
        /// default.
        runtime_class: Option<DnsName> = None,
        /// Absolute path of this program in the agents' image, such as
        /// `/usr/local/bin/coordinator`: it runs the agent, ends it at its `stall_timeout`, and
        /// writes down what it left. Default: the agent is the container's first process.
        wrapper: Placed<Line> = Line::default().into(),
        /// Kueue's local queue that admits the Jobs; give it preemption `Never`. Default: no queue.
        queue_name: Option<DnsLabel> = None,
        /// From the creation of a Job to the start of its agent. A session that waits longer is
        /// reported; it ends after this and its `time_limit` together.
        start_timeout: Placed<Time<1000>> = Time::seconds(600).into(),
        /// How long a finished Job stays. It carries the history of its slot: longer than every
        /// wait that `backoff_cap` and `min_interval` can cause, and ten minutes longer than
        /// `deadline`.
        ttl: Placed<Time<1000>> = Time::seconds(24 * 3600).into(),
        /// The working directory: `empty-dir` goes with the pod, `claim` is the persistent volume
        /// claim that you made under the slot's name, such as `demo-ui-builder-s0`.
        workspace: WorkspaceKind = WorkspaceKind::EmptyDir,
        /// The size limit of an `empty-dir`. Default: no limit.
        workspace_size: Option<Placed<Quantity>> = None,
        /// A Job in YAML, merged under the generated one, for settings without a key here: volumes,
        /// further containers, affinity, security context, annotations. The agent's container is
        /// called `agent`. Default: none.
        template: Option<Placed<FilePath>> = None,
    }
}

coordinator_core::section! {
    /// Resource requests and limits of an agent's container.
    pub struct Resources {
        /// Reserved on the node.
        requests: Amounts = amounts("500m", "1Gi"),
        /// The upper limit; at least what it requests.
        limits: Amounts = amounts("1000m", "2Gi"),
    }
}

coordinator_core::section! {
    /// A taint that the sessions tolerate.
    pub struct TolerationSection {
        /// The taint's key. Default: every key.
        key: Option<LabelKey> = None,
        /// The taint's value; takes a `key`. Default: every value.
        value: Option<Placed<LabelValue>> = None,
        /// The taint's effect. Default: every effect.
        effect: Option<Effect> = None,
    }
}

coordinator_core::section! {
    /// Settings of one role on the `kubernetes` platform; below its `[[role]]`.
    pub struct RoleSection {
        /// Image of its agents. Default: that of `[platform.kubernetes]`.
        image: Option<Image> = None,
        /// Secrets for its agents, instead of the platform's. Default: those of
        /// `[platform.kubernetes]`.
        env_from: Option<Placed<Vec<DnsName>>> = None,
        resources: RoleResources = RoleResources::default(),
    }
}

coordinator_core::section! {
    /// Resource requests and limits of the role's containers. Each table here replaces the
    /// platform's.
    pub struct RoleResources {
        /// Reserved on the node. Default: that of `[platform.kubernetes.resources]`.
        requests: Option<Amounts> = None,
        /// The upper limit; at least what it requests. Default: that of
        /// `[platform.kubernetes.resources]`.
        limits: Option<Amounts> = None,
    }
}

type Amounts = Table<Resource, Quantity>;

fn amounts(cpu: &str, memory: &str) -> Amounts {
    Table(BTreeMap::from([("cpu".into(), cpu.into()), ("memory".into(), memory.into())]))
}

/// `workspace`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkspaceKind {
    /// Goes with the pod.
    EmptyDir,
    /// A persistent volume claim.
    Claim,
}

/// `effect` of a taint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Effect {
    /// No new pod.
    NoSchedule,
    /// No new pod if another node has room.
    PreferNoSchedule,
    /// No pod at all.
    NoExecute,
}

impl Effect {
    fn word(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}
/// `[platform.kubernetes]`, checked.
#[derive(Debug, Clone)]
pub struct KubernetesSettings {
    /// Where the Jobs are; `None`: the namespace of the kubeconfig's context, or of the
    /// coordinator's own pod.
    pub namespace: Option<String>,
    /// The service account of the sessions; `None`: the namespace's default, without its token
    /// either way.
    pub service_account: Option<String>,
    /// Labels that a node must carry.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that a session tolerates.
    pub tolerations: Vec<Toleration>,
    /// Secrets to pull the image with.
    pub image_pull_secrets: Vec<String>,
    pub priority_class: Option<String>,
    /// The pod's runtime class: gVisor, Kata, ...
    pub runtime_class: Option<String>,
    /// The path of this program in the agents' image; `None`: the agent runs without it.
    pub wrapper: Option<String>,
    /// The Kueue queue that admits the Jobs.
    pub queue_name: Option<String>,
    /// How long a session may take from the creation of its Job to the start of its agent.
    pub start_timeout: Duration,
    /// How long a finished Job stays: it carries the history of its slot.
    pub ttl: Duration,
    /// What a session's working directory is made of.
    pub workspace: Workspace,
    /// A Job under the generated one, for all that has no key of its own.
    pub template: Option<JobTemplate>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toleration {
    /// The taint's key; `None` tolerates all keys.
    pub key: Option<String>,
    /// The taint's value; `None` tolerates all values.
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`; `None` tolerates all effects.
    pub effect: Option<String>,
}

/// What a session's working directory is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Workspace {
    /// An empty directory that goes with the pod; at most this large.
    EmptyDir {
        /// A quantity such as "10Gi".
        size_limit: Option<String>,
    },
    /// The persistent volume claim named after the slot, which the cluster's administrator made.
    Claim,
}

/// The user's Job, read from YAML.
#[derive(Debug, Clone)]
pub struct JobTemplate {
    pub path: PathBuf,
    /// A Job; what the coordinator owns is not in it.
    pub job: serde_json::Value,
}
