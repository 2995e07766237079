//! The objects that the roster names: a session whose Secret or class is missing waits forever, or
//! is refused.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use http::StatusCode;

use super::Kubernetes;
use super::answer::refusal;
use super::api::Ask;
use coordinator_core::finding::Finding;
use coordinator_core::fleet::Role;

/// An object that the roster names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    kind: Kind,
    name: String,
    /// The key of the roster.
    key: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Secret,
    ServiceAccount,
    PriorityClass,
    RuntimeClass,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ServiceAccount => "service account",
            Self::PriorityClass => "priority class",
            Self::RuntimeClass => "runtime class",
        }
    }

    fn path(self, namespace: &str, name: &str) -> String {
        match self {
            Self::Secret => format!("/api/v1/namespaces/{namespace}/secrets/{name}"),
            Self::ServiceAccount => {
                format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}")
            }
            Self::PriorityClass => format!("/apis/scheduling.k8s.io/v1/priorityclasses/{name}"),
            Self::RuntimeClass => format!("/apis/node.k8s.io/v1/runtimeclasses/{name}"),
        }
    }
}

/// Whether an object exists.
enum Existence {
    Exists,
    Missing,
    /// These credentials may not read it.
    Forbidden,
    Unknown(String),
}

impl Kubernetes {
    /// Looks up the Secrets, the service account and the classes that `roles` and the platform's
    /// section name, and of each its metadata alone. All that these credentials may not read is one
    /// finding: the coordinator's own account needs no right to read them.
    pub(super) async fn check_named(&self, roles: &[Role]) -> Vec<Finding> {
        let named = self.named(roles);
        let looks = join_all(named.iter().map(|one| self.existence(one))).await;
        let (mut findings, mut found, mut forbidden) = (Vec::new(), Vec::new(), Vec::new());
        for (one, existence) in named.iter().zip(looks) {
            let label = format!("{} {}", one.kind.word(), one.name);
            match existence {
                Existence::Exists => found.push(label),
                Existence::Forbidden => forbidden.push(label),
                Existence::Missing => findings.push(missing(one, self.namespace())),
                Existence::Unknown(why) => findings.push(Finding::warn(
                    format!("not checked: {label}: {why}"),
                    "run `coordinator doctor` again",
                )),
            }
        }
        if !found.is_empty() {
            findings.push(Finding::ok(format!(
                "all objects that the roster names exist: {}",
                found.join(", ")
            )));
        }
        if !forbidden.is_empty() {
            findings.push(Finding::ok(format!(
                "not checked, because these credentials may not read them: {}",
                forbidden.join(", ")
            )));
        }
        findings
    }

    fn named(&self, roles: &[Role]) -> BTreeSet<Named> {
        let settings = &self.settings.kubernetes;
        let containers = roles.iter().filter_map(|role| role.spec.container.as_ref());
        let secrets = containers.flat_map(|container| &container.env_from);
        let named = |kind, name: &String, key| Named { kind, name: name.clone(), key };
        let of_section = [
            (Kind::ServiceAccount, &settings.service_account, "service_account"),
            (Kind::PriorityClass, &settings.priority_class, "priority_class"),
            (Kind::RuntimeClass, &settings.runtime_class, "runtime_class"),
        ];
        secrets
            .map(|name| named(Kind::Secret, name, "env_from"))
            .chain(
                settings
                    .image_pull_secrets
                    .iter()
                    .map(|name| named(Kind::Secret, name, "image_pull_secrets")),
            )
            .chain(
                of_section
                    .into_iter()
                    .filter_map(|(kind, name, key)| Some(named(kind, name.as_ref()?, key))),
            )
            .collect()
    }

    async fn existence(&self, named: &Named) -> Existence {
        let path = named.kind.path(self.namespace(), &named.name);
        let ask = Ask { path, metadata_only: true, ..Ask::default() };
        match self.api.ask(&ask).await {
            Err(lost) => Existence::Unknown(lost.0),
            Ok(answer) => match answer.status {
                StatusCode::OK => Existence::Exists,
                StatusCode::NOT_FOUND => Existence::Missing,
                StatusCode::FORBIDDEN => Existence::Forbidden,
                _ => Existence::Unknown(refusal(&answer)),
            },
        }
    }
}

fn missing(named: &Named, namespace: &str) -> Finding {
    let Named { kind, name, key } = named;
    let place = match kind {
        Kind::Secret | Kind::ServiceAccount => format!(" in namespace {namespace}"),
        Kind::PriorityClass | Kind::RuntimeClass => String::new(),
    };
    let what = format!("no {} named {name}{place} (`{key}` in the roster)", kind.word());
    let remedy = format!("create it, or correct `{key}`");
    if *key == "image_pull_secrets" {
        // The kubelet pulls without it, which a public image allows.
        return Finding::warn(what, remedy);
    }
    Finding::fail(what, format!("{remedy}; until then its sessions do not start"))
}
