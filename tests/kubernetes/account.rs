//! Service accounts with few permissions, and kubeconfigs that act for them.

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::cluster::{Cluster, read, until};

/// A service account that may do what these rules of a Role say.
pub(crate) fn create(cluster: &Cluster, name: &str, rules: &Value) {
    let metadata = json!({ "name": name });
    cluster.create::<ServiceAccount>(json!({ "metadata": metadata }));
    cluster.create::<Role>(json!({ "metadata": metadata, "rules": rules }));
    cluster.create::<RoleBinding>(json!({
        "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": cluster.namespace() }],
    }));
    for rule in rules.as_array().expect("a list") {
        let first = |key: &str| rule[key][0].as_str().expect("a rule has one of each");
        let access = Access {
            group: first("apiGroups"),
            resource: first("resources"),
            verb: first("verbs"),
        };
        await_access(cluster, name, access, true);
    }
}

/// One verb on one kind of object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access<'a> {
    /// The API group; empty for the core's.
    pub(crate) group: &'a str,
    /// `pods/log` is a resource, too.
    pub(crate) resource: &'a str,
    /// `get`, `list`, ...
    pub(crate) verb: &'a str,
}

/// Waits until the server's authorizer knows that the account may do this, or no longer may.
pub(crate) fn await_access(cluster: &Cluster, account: &str, access: Access<'_>, allowed: bool) {
    let Access { group, resource, verb } = access;
    let namespace = cluster.namespace();
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let review: SubjectAccessReview = read(json!({ "metadata": {}, "spec": {
        "user": cluster.username(account),
        "resourceAttributes": {
            "namespace": namespace, "group": group, "verb": verb,
            "resource": resource, "subresource": subresource,
        },
    } }));
    until(&format!("{access:?} is {allowed} for {account}"), || {
        let answer = cluster.all::<SubjectAccessReview>();
        let answer = cluster
            .wait(answer.create(&PostParams::default(), &review))
            .expect("an access can be reviewed");
        (answer.status?.allowed == allowed).then_some(())
    });
}

/// A kubeconfig for the same API server with the account's token.
pub(crate) fn kubeconfig(cluster: &Cluster, account: &str) -> String {
    let request: TokenRequest = read(json!({ "metadata": {}, "spec": { "audiences": [] } }));
    let accounts = cluster.api::<ServiceAccount>();
    let granted =
        cluster.wait(accounts.create_token_request(account, &PostParams::default(), &request));
    let token =
        granted.expect("a token can be had").status.expect("the token is in the answer").token;
    edited(|config| config["users"][0]["user"] = json!({ "token": token }))
}

/// The administrator's kubeconfig, changed.
pub(crate) fn edited(edit: impl FnOnce(&mut Value)) -> String {
    let path = std::env::var("KUBECONFIG").expect("the cluster was reached with it");
    let text = std::fs::read_to_string(path).expect("the kubeconfig can be read");
    let mut config: Value = serde_saphyr::from_str(&text).expect("a kubeconfig is YAML");
    edit(&mut config);
    config.to_string()
}
