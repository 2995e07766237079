//! Read-only requests about the cluster: its version, our user and rights, Kueue.

use std::fmt;
use std::time::SystemTime;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Kubernetes;
use super::answer::refusal;
use super::api::Ask;
use super::kubeconfig;

/// The API group of Kueue.
const KUEUE: &str = "/apis/kueue.x-k8s.io";

/// The user of a request without credentials, who may not even review themselves.
const ANONYMOUS: &str = "system:anonymous";

/// A verb on a resource of the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permission {
    pub(crate) verb: &'static str,
    /// The API group; empty for the core.
    pub(crate) group: &'static str,
    /// `pods`, or `pods/log` for a part of one.
    pub(crate) resource: &'static str,
}

const fn on_jobs(verb: &'static str) -> Permission {
    Permission { verb, group: "batch", resource: "jobs" }
}

const fn on_pods(verb: &'static str) -> Permission {
    Permission { verb, group: "", resource: "pods" }
}

/// The ledger, and the registers of work items.
const fn on_config_maps(verb: &'static str) -> Permission {
    Permission { verb, group: "", resource: "configmaps" }
}

/// The rights that a cycle, `sessions` and `logs` need.
pub(crate) const NEEDED: [Permission; 11] = [
    on_jobs("get"),
    on_jobs("list"),
    on_jobs("create"),
    on_jobs("delete"),
    on_pods("get"),
    on_pods("list"),
    Permission { resource: "pods/log", ..on_pods("get") },
    on_config_maps("list"),
    on_config_maps("create"),
    on_config_maps("update"),
    on_config_maps("delete"),
];

/// For the reason why a session is stuck. A cycle works without it.
pub(crate) const USEFUL: [Permission; 1] =
    [Permission { verb: "list", group: "", resource: "events" }];

/// Rights that no request of ours needs, and that could end or change a live session.
pub(crate) const SURPLUS: [Permission; 4] =
    [on_jobs("patch"), on_jobs("update"), on_jobs("deletecollection"), on_pods("delete")];

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)
    }
}

/// The version of an API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// As the server has it: `v1.33.1-gke.100`.
    pub(crate) name: String,
    /// Major and minor; `None` when they are not numbers.
    pub(crate) number: Option<(u32, u32)>,
}

/// The source of the credentials, for people: the kubeconfig's `context`, or this pod.
pub(crate) fn source(context: Option<&str>) -> String {
    let current = || kubeconfig::read().ok()?.current_context;
    match context.map(str::to_owned).or_else(current) {
        Some(context) => format!("context {context}"),
        None => "the service account of this pod".to_owned(),
    }
}

impl Kubernetes {
    pub(crate) fn namespace(&self) -> &str {
        self.api.namespace()
    }

    /// The time by the API server's clock, to a second; `None` before its first answer.
    pub(crate) fn server_time(&self) -> Option<SystemTime> {
        self.api.server_time()
    }

    /// Fails when the server cannot be reached and when it refuses the credentials.
    pub(crate) async fn version(&self) -> anyhow::Result<Version> {
        let version = self.expect(Method::GET, "/version".to_owned(), None).await?;
        let text = |key: &str| version[key].as_str().unwrap_or_default();
        // Some vendors write `27+`.
        let number = |key: &str| text(key).trim_end_matches('+').parse().ok();
        let number = number("major").zip(number("minor"));
        Ok(Version { name: text("gitVersion").to_owned(), number })
    }

    /// Our user name on the server. Fails without authentication, which `/version` does not need.
    pub(crate) async fn user(&self) -> anyhow::Result<String> {
        let review =
            json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews".to_owned();
        let review = self.expect(Method::POST, path, Some(&review)).await;
        let is_anonymous = |error: &anyhow::Error| error.to_string().contains(ANONYMOUS);
        match review {
            Err(error) if is_anonymous(&error) => anyhow::bail!(
                "not authenticated to the API server; add a token or client certificate to the \
                 kubeconfig user"
            ),
            review => Ok(review?["status"]["userInfo"]["username"]
                .as_str()
                .unwrap_or_default()
                .to_owned()),
        }
    }

    /// Whether the namespace exists; `None` where we have no right to read it, and need none.
    pub(crate) async fn has_namespace(&self) -> Option<bool> {
        let path = format!("/api/v1/namespaces/{}", self.namespace());
        let ask = Ask { path, ..Ask::default() };
        match self.api.ask(&ask).await.ok()?.status {
            StatusCode::OK => Some(true),
            StatusCode::NOT_FOUND => Some(false),
            _ => None,
        }
    }

    /// Whether the server would allow it in the namespace.
    pub(crate) async fn may(&self, permission: Permission) -> anyhow::Result<bool> {
        let Permission { verb, group, resource } = permission;
        let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "namespace": self.namespace(),
                "verb": verb,
                "group": group,
                "resource": resource,
                "subresource": part,
            } },
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned();
        let review = self.expect(Method::POST, path, Some(&review)).await?;
        Ok(review["status"]["allowed"].as_bool().unwrap_or(false))
    }

    /// Fails where the roster names a queue and Kueue is not installed: without it the queue's
    /// label has no effect, and all Jobs would start at once. One request per run.
    pub(crate) async fn queue_is_there(&self) -> anyhow::Result<()> {
        let Some(queue) = &self.settings.kubernetes.queue_name else { return Ok(()) };
        let known = self.queue.get_or_init(|| self.ask_for_kueue(queue)).await;
        known.clone().map_err(|why| anyhow::anyhow!(why))
    }

    async fn ask_for_kueue(&self, queue: &str) -> Result<(), String> {
        let ask = Ask { path: KUEUE.to_owned(), ..Ask::default() };
        let answer = self.api.ask(&ask).await.map_err(|lost| lost.0)?;
        match answer.status {
            StatusCode::OK => Ok(()),
            StatusCode::NOT_FOUND => Err(format!(
                "`queue_name` is {queue:?}, and this cluster has no Kueue; install it, or take \
                 `queue_name` out of [platform.kubernetes]"
            )),
            _ => Err(refusal(&answer)),
        }
    }

    /// Whether Kueue has the local queue in the namespace; the error says why that is unknown.
    pub(crate) async fn has_local_queue(&self, queue: &str) -> Result<bool, String> {
        let group = Ask { path: KUEUE.to_owned(), ..Ask::default() };
        let group = self.api.ask(&group).await.map_err(|lost| lost.0)?;
        let group: Value = group.parse().map_err(|lost| lost.0)?;
        let version = group["preferredVersion"]["version"].as_str();
        let version = version.ok_or("Kueue does not name its preferred version")?;
        let namespace = self.namespace();
        let path = format!("{KUEUE}/{version}/namespaces/{namespace}/localqueues/{queue}");
        let answer = self.api.ask(&Ask { path, ..Ask::default() }).await.map_err(|lost| lost.0)?;
        match answer.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            StatusCode::FORBIDDEN => Err("these credentials may not read it".to_owned()),
            _ => Err(refusal(&answer)),
        }
    }

    async fn expect(
        &self,
        method: Method,
        path: String,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let ask = Ask { method, path, body, ..Ask::default() };
        let answer = self.api.ask(&ask).await.map_err(|lost| anyhow::anyhow!(lost.0))?;
        anyhow::ensure!(answer.status.is_success(), "{}", refusal(&answer));
        answer.parse().map_err(|lost| anyhow::anyhow!(lost.0))
    }
}
