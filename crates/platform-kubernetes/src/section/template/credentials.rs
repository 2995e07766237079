//! What a template must not give to an agent: the coordinator's credentials, a token of the
//! cluster, a second start.

use serde_json::{Map, Value};

use super::super::credentials::{ACCOUNT, SECRETS, is_account, is_secret};
use super::Mistake;

const POD: &str = "spec.template.spec";

/// What of `job` is refused, whatever the roster says.
pub(super) fn mistakes(named: &str, job: &Value) -> Vec<Mistake> {
    let Some(pod) = job.pointer("/spec/template/spec") else { return Vec::new() };
    let mut found = Vec::new();
    let mut add = |message: String, hint: &str| {
        found.push(Mistake { message: format!("{message} in the template {named}"), hint: hint.to_owned() });
    };
    walk(POD, pod, &mut |path, key, value| {
        if let Some(name) = secret(path, key, value).filter(|name| is_secret(name)) {
            add(format!("{path}.{key} names `{name}`, a Secret of the coordinator,"), SECRETS);
        }
        if ["serviceAccountToken", "podCertificate"].contains(&key) && path.contains(".projected.sources[") {
            add(format!("{path}.{key} is set"), "take it out: an agent gets no credentials of the cluster");
        }
    });
    for key in ["serviceAccountName", "serviceAccount"] {
        if pod[key].as_str().is_some_and(is_account) {
            add(format!("{POD}.{key} is `{ACCOUNT}`"), "name another account: this one is the coordinator's");
        }
    }
    if pod["automountServiceAccountToken"] == true {
        let hint = "take it out: an agent gets no credentials of the cluster";
        add(format!("{POD}.automountServiceAccountToken is true"), hint);
    }
    for (path, policy) in restart_policies(pod) {
        add(format!("{path}.restartPolicy is {policy}"), "take it out: a session is started once");
    }
    found
}

/// Calls `see` with the path of each table, and with each of its keys and values.
fn walk(path: &str, value: &Value, see: &mut impl FnMut(&str, &str, &Value)) {
    for (key, value) in value.as_object().into_iter().flat_map(Map::iter) {
        see(path, key, value);
        walk(&format!("{path}.{key}"), value, see);
    }
    for (index, entry) in value.as_array().into_iter().flatten().enumerate() {
        let index = entry["name"].as_str().map_or_else(|| index.to_string(), str::to_owned);
        walk(&format!("{path}[{index}]"), entry, see);
    }
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

/// Those that start a container again; the agent's own is refused with the fields of the
/// coordinator. An init container that is always restarted is a sidecar: the agent does not start a
/// second time.
fn restart_policies(pod: &Value) -> Vec<(String, &Value)> {
    let lists = ["containers", "initContainers"].into_iter();
    let containers =
        lists.flat_map(|list| pod[list].as_array().into_iter().flatten().map(move |one| (list, one)));
    let set = containers.filter_map(|(list, container)| {
        let (name, policy) =
            (container["name"].as_str().unwrap_or_default(), container.get("restartPolicy")?);
        let is_known = list == "containers" && name == "agent";
        let is_sidecar = list == "initContainers" && policy == "Always";
        (!is_known && !is_sidecar).then(|| (format!("{POD}.{list}[{name}]"), policy))
    });
    set.collect()
}
