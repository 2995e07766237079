//! `[platform.kubernetes]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// `[platform.kubernetes]`.
#[derive(Debug, Clone)]
pub struct KubernetesSettings {
    /// Where the Jobs are; `None`: the namespace of the kubeconfig's context, or of the coordinator's own pod.
    pub namespace: Option<String>,
    /// The service account of the sessions; `None`: the namespace's default, without its token either way.
    pub service_account: Option<String>,
    /// Labels that a node must carry.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that a session tolerates.
    pub tolerations: Vec<Toleration>,
    /// Secrets to pull the image with.
    pub image_pull_secrets: Vec<String>,
    /// The pod's priority class.
    pub priority_class: Option<String>,
    /// The pod's runtime class: gVisor, Kata, ...
    pub runtime_class: Option<String>,
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

/// An entry of `tolerations`.
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
    /// The file, for messages.
    pub path: PathBuf,
    /// A Job; what the coordinator owns is not in it.
    pub job: serde_json::Value,
}
