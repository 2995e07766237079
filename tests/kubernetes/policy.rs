//! Admission policies of one namespace.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy as Policy, ValidatingAdmissionPolicyBinding as Binding,
};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::cluster::{Cluster, read, until};

/// A policy and its binding, which belong to the whole cluster; dropping this removes them.
pub(crate) struct Bound<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) name: String,
}

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        let options = DeleteParams::default();
        let binding =
            self.cluster.wait(self.cluster.all::<Binding>().delete(&self.name, &options)).map(drop);
        let policy =
            self.cluster.wait(self.cluster.all::<Policy>().delete(&self.name, &options)).map(drop);
        let gone = binding.and(policy);
        assert!(gone.is_ok() || std::thread::panicking(), "the policy stays: {:?}", gone.err());
    }
}

/// Refuses every new Job of the namespace with this message, from now on.
pub(crate) fn deny<'a>(cluster: &'a Cluster, message: &str) -> Bound<'a> {
    let name = cluster.namespace().to_owned();
    let policy: Policy = read(json!({
        "metadata": { "name": name },
        "spec": {
            "matchConstraints": { "resourceRules": [{
                "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"],
                "operations": ["CREATE"],
            }] },
            "validations": [{ "expression": "false", "message": message }],
        },
    }));
    let binding: Binding = read(json!({
        "metadata": { "name": name },
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": { "namespaceSelector": {
                "matchLabels": { "kubernetes.io/metadata.name": name },
            } },
        },
    }));
    let options = PostParams::default();
    cluster.wait(cluster.all::<Policy>().create(&options, &policy)).expect("a policy can be made");
    cluster
        .wait(cluster.all::<Binding>().create(&options, &binding))
        .expect("a policy can be bound");
    let bound = Bound { cluster, name };
    let rehearsal = PostParams { dry_run: true, field_manager: None };
    let container = json!({ "name": "one", "image": "example.com/one:1" });
    let job: Job = read(json!({
        "metadata": { "name": "one" },
        "spec": { "template": { "spec": { "restartPolicy": "Never", "containers": [container] } } },
    }));
    until("the policy is enforced", || {
        cluster.wait(cluster.api::<Job>().create(&rehearsal, &job)).is_err().then_some(())
    });
    bound
}
