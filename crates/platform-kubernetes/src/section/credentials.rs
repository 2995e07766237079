//! The coordinator's own credentials on a cluster, which no agent may be given. The admission
//! policy in `deploy/kubernetes/base/admission.yaml` has the same rule.

use serde_json::Value;

use coordinator_core::section::{DnsName, Placed, Problem};

use super::template::{Mistake, walk};
use super::{RoleFacts, Section};

const POD: &str = "spec.template.spec";

const NO_CREDENTIALS: &str = "take it out: an agent gets no credentials of the cluster";

/// The service account that the manifests give to the coordinator.
const ACCOUNT: &str = "coordinator";

const SECRETS: &str = "name another Secret: `coordinator` and all that begin with \
    `coordinator-` hold the coordinator's own credentials";

/// Whether a Secret of this name is the coordinator's. A rule for names, because neither a roster
/// nor an admission policy can look at a Secret's labels. It covers the token Secrets of the
/// coordinator's service account, too.
fn is_secret(name: &str) -> bool {
    name.strip_prefix("coordinator").is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn is_account(name: &str) -> bool {
    name == ACCOUNT
}

/// Refuses the coordinator's Secrets and its account in `[platform.kubernetes]` and in the
/// `[role.kubernetes]` of each role.
pub(super) fn check(platform: &Section, roles: &[RoleFacts<'_>], problems: &mut Vec<Problem>) {
    check_secrets("env_from", &platform.env_from, problems);
    check_secrets("image_pull_secrets", &platform.image_pull_secrets, problems);
    for names in roles.iter().filter_map(|role| role.own.env_from.as_ref()) {
        check_secrets("env_from", names, problems);
    }
    if let Some(account) = platform.service_account.as_ref().filter(|name| is_account(name)) {
        let message = format!("`service_account` is `{ACCOUNT}`, the coordinator's own");
        let hint = "name another account; the manifests make `coordinator-session`";
        problems.push(Problem::new(message, account.span.clone()).hint(hint));
    }
}

fn check_secrets(key: &str, names: &Placed<Vec<DnsName>>, problems: &mut Vec<Problem>) {
    for name in names.iter().filter(|name| is_secret(name)) {
        let message = format!("`{key}` gives the coordinator's Secret `{name}` to agents");
        problems.push(Problem::new(message, names.span.clone()).hint(SECRETS));
    }
}

/// The parts of a template that are refused, whatever the roster says: the coordinator's
/// credentials, a token of the cluster, a second start.
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

#[cfg(test)]
mod tests {
    use super::*;

    const THEIRS: [&str; 5] =
        ["agents", "coordinators", "my-coordinator", "coordinator.github", ""];

    const OURS: [&str; 4] =
        ["coordinator", "coordinator-github", "coordinator-token-x7f2k", "coordinator-"];

    #[test]
    fn the_coordinators_secrets_are_told_by_their_names() {
        assert!(OURS.into_iter().all(is_secret));
        assert!(!THEIRS.into_iter().any(is_secret));
    }

    #[test]
    fn the_admission_policy_tells_them_by_the_same_rule() {
        let policy = include_str!("../../../../deploy/kubernetes/base/admission.yaml");
        let patterns =
            policy.split(".matches('").skip(1).filter_map(|rest| rest.split('\'').next());
        // Others are about the names of ConfigMaps.
        let patterns: Vec<&str> =
            patterns.filter(|pattern| pattern.starts_with("^coordinator")).collect();
        assert_eq!(
            patterns.len(),
            5,
            "variables, whole Secrets, pull secrets, projected volumes, all other volumes"
        );
        for pattern in patterns {
            let pattern = regex::Regex::new(pattern).expect("a pattern");
            assert!(OURS.into_iter().all(|name| pattern.is_match(name)), "{pattern}");
            assert!(!THEIRS.into_iter().any(|name| pattern.is_match(name)), "{pattern}");
        }
    }
}
