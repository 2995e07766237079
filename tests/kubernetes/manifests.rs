//! The manifests that are shipped, on a real API server: it takes every field, and what they make
//! works.

use k8s_openapi::api::admissionregistration::v1::{ExpressionWarning, ValidatingAdmissionPolicy};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use serde_json::{Value, json};

use crate::cluster::{Cluster, until};
use crate::shipped::{self, kind, path};

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn the_server_takes_every_field_of_every_manifest() {
    let cluster = Cluster::new("manifests");
    let mut taken = Vec::new();
    for document in shipped::documents(&cluster) {
        if kind(&document) == "Namespace" {
            continue;
        }
        let query = path(&document);
        let answer = cluster.rehearse(&query, &document);
        let answer = answer.unwrap_or_else(|said| panic!("{} is refused: {said}", kind(&document)));
        assert_eq!(answer["kind"], document["kind"]);
        taken.push(kind(&document).to_owned());
    }
    for wanted in
        ["CronJob", "NetworkPolicy", "ResourceQuota", "Role", "ValidatingAdmissionPolicyBinding"]
    {
        assert!(taken.iter().any(|kind| kind == wanted), "the base has a {wanted}: {taken:?}");
    }
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn the_server_finds_no_field_in_the_policy_that_it_does_not_know() {
    let cluster = Cluster::new("policy-types");
    let _policy = shipped::install(&cluster);
    let checked = until("the policy is checked", || {
        let found =
            cluster.wait(cluster.all::<ValidatingAdmissionPolicy>().get(cluster.namespace()));
        found.expect("it is there").status?.type_checking
    });
    // One policy for Jobs and ConfigMaps: each expression is about one of them, and is checked for
    // both.
    let is_unknown_to_both = |warning: &&ExpressionWarning| {
        ["Kind=Job:", "Kind=ConfigMap:"].iter().all(|kind| warning.warning.contains(kind))
    };
    let warnings = checked.expression_warnings.unwrap_or_default();
    let unknown: Vec<_> = warnings.iter().filter(is_unknown_to_both).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// `kubectl apply` sends a list whole unless its entries have names, so a default that the server
/// adds inside such a list would be a change at each `apply`.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_second_apply_changes_nothing() {
    let cluster = Cluster::new("apply-twice");
    for document in shipped::documents(&cluster) {
        if kind(&document) == "Namespace" {
            continue;
        }
        let kept = cluster.rehearse(&path(&document), &document).expect("the server takes it");
        let mut changes = Vec::new();
        compare(kind(&document), &document, &kept, &mut changes);
        assert!(changes.is_empty(), "the server adds to these lists: {changes:#?}");
    }
}

/// The lists and values below `path` that a second `kubectl apply` would send again.
fn compare(path: &str, sent: &Value, kept: &Value, changes: &mut Vec<String>) {
    let name =
        |entry: &Value| entry["name"].as_str().or(entry["mountPath"].as_str()).map(str::to_owned);
    match (sent, kept) {
        (Value::Object(sent), _) => {
            for (key, value) in sent {
                compare(&format!("{path}.{key}"), value, &kept[key], changes);
            }
        }
        (Value::Array(sent), Value::Array(kept))
            if sent.iter().all(|entry| name(entry).is_some()) =>
        {
            for entry in sent {
                let same = kept.iter().find(|kept| name(kept) == name(entry));
                compare(path, entry, same.unwrap_or(&Value::Null), changes);
            }
        }
        _ if sent == kept => {}
        _ => changes.push(format!("{path}: {kept}")),
    }
}

/// What `kubectl create job --from=cronjob/coordinator` does.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_cycle_of_the_cronjob_runs_in_a_pod_that_the_namespace_admits() {
    let cluster = Cluster::new("cronjob");
    let _policy = shipped::install(&cluster);
    let document = shipped::document(&cluster, "CronJob");
    cluster.post(&path(&document), &document).expect("the server takes it as it is");
    let cron = cluster.wait(cluster.api::<CronJob>().get("coordinator")).expect("it is there");
    let template: Value = serde_json::to_value(&cron.spec.job_template).expect("it is JSON");

    cluster.create::<Job>(json!({
        "metadata": { "name": "coordinator-by-hand", "labels": template["metadata"]["labels"] },
        "spec": template["spec"],
    }));

    cluster.running("coordinator-by-hand");
    let pod =
        cluster.pods("coordinator-by-hand").pop().and_then(|pod| pod.spec).expect("its pod runs");
    assert_eq!(pod.service_account_name.as_deref(), Some("coordinator"));
    let mounts =
        pod.containers[0].volume_mounts.iter().flatten().map(|mount| mount.mount_path.as_str());
    assert!(
        mounts.clone().any(|path| path == "/etc/coordinator/roster.toml"),
        "{:?}",
        mounts.collect::<Vec<_>>()
    );
    cluster.end("coordinator-by-hand", 0, "");
}
