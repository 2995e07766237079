//! The manifests of deploy/kubernetes as they are shipped, in a namespace of their own.

use std::path::Path;

use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::account;
use crate::cluster::{Cluster, until};
use crate::fleet::{Fleet, Roster};
use crate::policy::Bound;

/// The service account of the coordinator.
pub(crate) const ACCOUNT: &str = "coordinator";

/// Every object of the base, moved into the cluster's namespace as an overlay moves it.
pub(crate) fn documents(cluster: &Cluster) -> Vec<Value> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes/base");
    let read = |name: &str| std::fs::read_to_string(base.join(name)).expect("the file is there");
    let list: Value =
        serde_saphyr::from_str(&read("kustomization.yaml")).expect("kustomizations are YAML");
    let files = list["resources"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|name| name.as_str().expect("a file"));
    let documents = files.flat_map(|name| -> Vec<Value> {
        serde_saphyr::from_multiple(&read(name)).expect("manifests are YAML")
    });
    documents.map(|document| moved(document, cluster.namespace())).collect()
}

fn moved(mut document: Value, namespace: &str) -> Value {
    let name = json!(namespace);
    match kind(&document) {
        "Namespace" | "ValidatingAdmissionPolicy" => document["metadata"]["name"] = name,
        "ValidatingAdmissionPolicyBinding" => {
            let selector =
                &mut document["spec"]["matchResources"]["namespaceSelector"]["matchLabels"];
            selector["kubernetes.io/metadata.name"] = name.clone();
            document["spec"]["policyName"] = name.clone();
            document["metadata"]["name"] = name;
        }
        _ => {
            for subject in
                document.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten()
            {
                subject["namespace"] = name.clone();
            }
            document["metadata"]["namespace"] = name;
        }
    }
    document
}

/// `CronJob`, `Role`, ...
pub(crate) fn kind(document: &Value) -> &str {
    document["kind"].as_str().expect("a manifest has a kind")
}

/// The object of this kind, of which the base has one.
pub(crate) fn document(cluster: &Cluster, wanted: &str) -> Value {
    let mut all = documents(cluster).into_iter().filter(|document| kind(document) == wanted);
    all.next().unwrap_or_else(|| panic!("the base has no {wanted}"))
}

/// Where the API server takes it.
pub(crate) fn path(document: &Value) -> String {
    let version = document["apiVersion"].as_str().expect("a manifest has a version");
    let root = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
    let plural = match kind(document).to_lowercase() {
        kind if kind.ends_with('y') => format!("{}ies", &kind[..kind.len() - 1]),
        kind => format!("{kind}s"),
    };
    match document["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}"),
        None => format!("{root}/{plural}"),
    }
}

/// Applies everything but the `CronJob`, and waits until the policy is enforced. Dropping it
/// removes the policy.
pub(crate) fn install(cluster: &Cluster) -> Bound<'_> {
    let bound = Bound { cluster, name: cluster.namespace().to_owned() };
    for document in documents(cluster) {
        match kind(&document) {
            "Namespace" => label(cluster, &document),
            "CronJob" => {}
            _ => drop(
                cluster.post(&path(&document), &document).expect("the server takes it as it is"),
            ),
        }
    }
    let container = json!({ "name": "one", "image": "example.com/one:1" });
    let ill_formed = json!({
        "metadata": { "name": "one" },
        "spec": { "template": { "spec": { "restartPolicy": "Never", "containers": [container] } } },
    });
    until("the policy is enforced", || {
        let refused = cluster.rehearse_as(ACCOUNT, &cluster.jobs_path(), &ill_formed).err()?;
        refused.contains("ValidatingAdmissionPolicy").then_some(())
    });
    bound
}

/// The shipped quota with room for so many Jobs, and for as many pods.
pub(crate) fn make_room(cluster: &Cluster, jobs: usize) {
    let hard = json!({ "count/jobs.batch": jobs.to_string(), "pods": jobs.to_string(),
        "requests.cpu": jobs.to_string(), "requests.memory": format!("{jobs}Gi") });
    cluster.patch::<ResourceQuota>("coordinator", &json!({ "spec": { "hard": hard } }));
    until("the quota has room", || {
        let quota =
            cluster.wait(cluster.api::<ResourceQuota>().get("coordinator")).expect("it is shipped");
        // 6,000 come back as 6k.
        let hard = quota.status?.hard?;
        (hard.get("count/jobs.batch")? == quota.spec?.hard?.get("count/jobs.batch")?).then_some(())
    });
}

/// A fleet of `count` sessions, kept with the shipped permissions.
pub(crate) fn fleet(cluster: &Cluster, count: u32) -> Fleet<'_> {
    of(cluster, Roster::of("ui_builder", count))
}

/// A fleet by this roster, kept with the shipped permissions.
pub(crate) fn of(cluster: &Cluster, roster: Roster) -> Fleet<'_> {
    let kubernetes = format!("service_account = \"coordinator-session\"\n{}", roster.kubernetes);
    let mut fleet = Fleet::new(cluster, Roster { kubernetes, ..roster });
    fleet.with_kubeconfig(&account::kubeconfig(cluster, ACCOUNT));
    fleet
}

/// The namespace exists, because every test has one.
fn label(cluster: &Cluster, document: &Value) {
    let labels = json!({ "metadata": { "labels": document["metadata"]["labels"] } });
    let namespaces = cluster.all::<Namespace>();
    cluster
        .wait(namespaces.patch(cluster.namespace(), &PatchParams::default(), &Patch::Merge(labels)))
        .expect("the namespace can be labelled");
}
