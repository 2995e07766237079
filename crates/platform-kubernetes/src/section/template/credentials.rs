//! What a template must not give to an agent: the coordinator's credentials, a token of the
//! cluster, a second start.

use serde_json::Value;

use super::super::credentials::{ACCOUNT, SECRETS, is_account, is_secret};
use super::{Mistake, walk};

const POD: &str = "spec.template.spec";

const NO_CREDENTIALS: &str = "take it out: an agent gets no credentials of the cluster";

/// What of `job` is refused, whatever the roster says.
pub(super) fn mistakes(job: &Value) -> Vec<Mistake> {
    let Some(pod) = job.pointer("/spec/template/spec") else { return Vec::new() };
    let mut found = Vec::new();
    let mut add = |what: String, hint: &str| found.push(Mistake { what, hint: hint.to_owned() });
    walk(POD, pod, &mut |path, key, value| {
        if let Some(name) = secret(path, key, value).filter(|name| is_secret(name)) {
            add(format!("names `{name}`, a Secret of the coordinator, in {path}.{key}"), SECRETS);
        }
        let is_token = ["serviceAccountToken", "podCertificate"].contains(&key);
        if is_token && path.contains(".projected.sources[") {
            add(format!("sets {path}.{key}"), NO_CREDENTIALS);
        }
    });
    for key in ["serviceAccountName", "serviceAccount"] {
        if pod[key].as_str().is_some_and(is_account) {
            let what = format!("names `{ACCOUNT}` in {POD}.{key}");
            add(what, "name another account: this one is the coordinator's");
        }
    }
    if pod["automountServiceAccountToken"] == true {
        add(format!("sets {POD}.automountServiceAccountToken to true"), NO_CREDENTIALS);
    }
    for path in restarted(pod) {
        add(format!("sets {path}.restartPolicy"), "take it out: a session is started once");
    }
    found
}

/// The name of the Secret that this field holds. Today's fields and tomorrow's: every `secretName`,
/// and every `name` below a field that is called after Secrets (`secretRef`, `secretKeyRef`,
/// `nodePublishSecretRef`, `imagePullSecrets`, ..).
fn secret<'a>(path: &str, key: &str, value: &'a Value) -> Option<&'a str> {
    let (_, table) = path.rsplit_once('.')?;
    let field = table.split('[').next().unwrap_or(table).to_lowercase();
    let is_meant = key == "secretName" || key == "name" && field.contains("secret");
    value.as_str().filter(|_| is_meant)
}

/// Containers that are started again. An init container that always is is a sidecar: the agent does
/// not start a second time.
fn restarted(pod: &Value) -> Vec<String> {
    let lists = ["containers", "initContainers"].into_iter();
    let containers = lists.flat_map(|list| {
        let entries = pod[list].as_array().into_iter().flatten();
        entries.map(move |container| (list, container))
    });
    let set = containers.filter(|(list, container)| {
        let policy = container.get("restartPolicy");
        policy.is_some_and(|policy| *list == "containers" || policy != "Always")
    });
    let name = |container: &Value| container["name"].as_str().unwrap_or_default().to_owned();
    set.map(|(list, container)| format!("{POD}.{list}[{}]", name(container))).collect()
}
