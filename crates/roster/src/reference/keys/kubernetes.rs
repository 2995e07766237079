//! `[platform.kubernetes]` and `[role.kubernetes]`.

use crate::reference::forms::{DNS_LABEL, DNS_NAME, IMAGE, LABEL_KEY, LABEL_VALUE, QUANTITY, RESOURCE};
use crate::reference::{Fallback, Key, Kind, Section};

pub(super) static PLATFORM: Section = Section {
    heading: "[platform.kubernetes]",
    doc: "Settings of the `kubernetes` platform.",
    keys: &[
        Key {
            name: "image",
            kind: Kind::Formed(&IMAGE),
            default: Fallback::Derived("each role names its own"),
            doc: "Image of the agents: the command's program is in it.",
        },
        Key {
            name: "namespace",
            kind: Kind::Formed(&DNS_LABEL),
            default: Fallback::Derived("that of the coordinator's own pod, or of the kubeconfig's context"),
            doc: "Where the Jobs are.",
        },
        Key {
            name: "service_account",
            kind: Kind::Formed(&DNS_NAME),
            default: Fallback::Derived("the namespace's default"),
            doc: "Service account of the sessions; they get no token of it. Not the coordinator's own, `coordinator`.",
        },
        Key {
            name: "env_from",
            kind: Kind::ListOf(&DNS_NAME),
            default: Fallback::Toml("[]"),
            doc: "Secrets whose entries the agents get as environment variables. Not the coordinator's own: those called `coordinator`, or `coordinator-` and more.",
        },
        Key {
            name: "resources",
            kind: Kind::Section(&RESOURCES),
            default: Fallback::Toml("{}"),
            doc: "What an agent's container asks for, and what it may use.",
        },
        Key {
            name: "node_selector",
            kind: Kind::TableOf(&LABEL_KEY, &LABEL_VALUE),
            default: Fallback::Toml("{}"),
            doc: "Labels that a node must carry.",
        },
        Key {
            name: "tolerations",
            kind: Kind::Sections(&TOLERATION),
            default: Fallback::Toml("[]"),
            doc: "Taints of nodes that the sessions tolerate.",
        },
        Key {
            name: "image_pull_secrets",
            kind: Kind::ListOf(&DNS_NAME),
            default: Fallback::Toml("[]"),
            doc: "Secrets to pull the image with.",
        },
        Key {
            name: "priority_class",
            kind: Kind::Formed(&DNS_NAME),
            default: Fallback::Derived("the cluster's default"),
            doc: "Priority class of the pods.",
        },
        Key {
            name: "runtime_class",
            kind: Kind::Formed(&DNS_NAME),
            default: Fallback::Derived("the cluster's default"),
            doc: "Runtime class of the pods: a sandbox such as gVisor or Kata.",
        },
        Key {
            name: "queue_name",
            kind: Kind::Formed(&DNS_LABEL),
            default: Fallback::Derived("no queue"),
            doc: "Kueue's local queue that admits the Jobs; give it preemption `Never`.",
        },
        Key {
            name: "start_timeout",
            kind: Kind::Duration { min_ms: 1000 },
            default: Fallback::Toml(r#""10m""#),
            doc: "From the creation of a Job to the start of its agent. A session that waits longer is reported; it ends after this and its `time_limit` together.",
        },
        Key {
            name: "ttl",
            kind: Kind::Duration { min_ms: 1000 },
            default: Fallback::Toml(r#""24h""#),
            doc: "How long a finished Job stays. It carries the history of its slot: longer than every wait that `backoff_cap` and `min_interval` ask for, and ten minutes longer than `deadline`.",
        },
        Key {
            name: "workspace",
            kind: Kind::Word(&["empty-dir", "claim"]),
            default: Fallback::Toml(r#""empty-dir""#),
            doc: "The working directory: `empty-dir` goes with the pod, `claim` is the persistent volume claim that you made under the slot's name, such as `demo-ui-builder-s0`.",
        },
        Key {
            name: "workspace_size",
            kind: Kind::Formed(&QUANTITY),
            default: Fallback::Derived("no limit"),
            doc: "The most that an `empty-dir` may hold.",
        },
        Key {
            name: "template",
            kind: Kind::Path,
            default: Fallback::Derived("none"),
            doc: "A Job in YAML, merged under the generated one, for all that has no key here: volumes, further containers, affinity, security context, annotations. The agent's container is called `agent`.",
        },
    ],
    inherits: &[],
};

static RESOURCES: Section = Section {
    heading: "[platform.kubernetes.resources]",
    doc: "What an agent's container asks for, and what it may use.",
    keys: &[
        Key {
            name: "requests",
            kind: Kind::TableOf(&RESOURCE, &QUANTITY),
            default: Fallback::Toml(r#"{ cpu = "500m", memory = "1Gi" }"#),
            doc: "Kept free for it on its node.",
        },
        Key {
            name: "limits",
            kind: Kind::TableOf(&RESOURCE, &QUANTITY),
            default: Fallback::Toml(r#"{ cpu = "1000m", memory = "2Gi" }"#),
            doc: "The most that it gets; no less than it requests.",
        },
    ],
    inherits: &[],
};

static TOLERATION: Section = Section {
    heading: "[[platform.kubernetes.tolerations]]",
    doc: "A taint that the sessions tolerate.",
    keys: &[
        Key {
            name: "key",
            kind: Kind::Formed(&LABEL_KEY),
            default: Fallback::Derived("every key"),
            doc: "The taint's key.",
        },
        Key {
            name: "value",
            kind: Kind::Formed(&LABEL_VALUE),
            default: Fallback::Derived("every value"),
            doc: "The taint's value; takes a `key`.",
        },
        Key {
            name: "effect",
            kind: Kind::Word(&["NoSchedule", "PreferNoSchedule", "NoExecute"]),
            default: Fallback::Derived("every effect"),
            doc: "The taint's effect.",
        },
    ],
    inherits: &[],
};

pub(super) static ROLE: Section = Section {
    heading: "[role.kubernetes]",
    doc: "What differs for this role on the `kubernetes` platform; below its `[[role]]`.",
    keys: &[
        Key {
            name: "image",
            kind: Kind::Formed(&IMAGE),
            default: Fallback::Derived("that of `[platform.kubernetes]`"),
            doc: "Image of its agents.",
        },
        Key {
            name: "env_from",
            kind: Kind::ListOf(&DNS_NAME),
            default: Fallback::Derived("those of `[platform.kubernetes]`"),
            doc: "Secrets for its agents, instead of the platform's.",
        },
        Key {
            name: "resources",
            kind: Kind::Section(&ROLE_RESOURCES),
            default: Fallback::Toml("{}"),
            doc: "What its containers ask for, and what they may use.",
        },
    ],
    inherits: &[],
};

static ROLE_RESOURCES: Section = Section {
    heading: "[role.kubernetes.resources]",
    doc: "Each table here stands instead of the platform's.",
    keys: &[
        Key {
            name: "requests",
            kind: Kind::TableOf(&RESOURCE, &QUANTITY),
            default: Fallback::Derived("that of `[platform.kubernetes.resources]`"),
            doc: "Kept free for it on its node.",
        },
        Key {
            name: "limits",
            kind: Kind::TableOf(&RESOURCE, &QUANTITY),
            default: Fallback::Derived("that of `[platform.kubernetes.resources]`"),
            doc: "The most that it gets; no less than it requests.",
        },
    ],
    inherits: &[],
};
