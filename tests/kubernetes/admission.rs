//! The admission policy that is shipped: what a Role cannot say, the API server enforces all the same.

use serde_json::{Value, json};

use crate::cluster::{Cluster, until};
use crate::history::History;
use crate::shipped::{self, ACCOUNT};

const FIRST: &str = "demo-ui-builder-s0";

/// F.3-21.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn the_server_lets_the_coordinator_delete_finished_sessions_alone_and_people_what_they_want() {
    let cluster = Cluster::new("policy-delete");
    let _policy = shipped::install(&cluster);
    let fleet = shipped::fleet(&cluster, 1);
    fleet.cycle();
    cluster.running(FIRST);

    let refused = cluster.delete_as(ACCOUNT, FIRST).expect_err("a live session");
    assert!(refused.contains("is not finished, and the coordinator ends no live session"), "{refused}");
    assert!(cluster.job(FIRST).is_some_and(|job| job.metadata.deletion_timestamp.is_none()));

    cluster.end(FIRST, 0, "");
    cluster.delete_as(ACCOUNT, FIRST).expect("a finished session may go");
    until("it is gone", || cluster.job(FIRST).is_none().then_some(()));

    fleet.cycle();
    cluster.running(FIRST);
    cluster.delete_job(FIRST);
    until("a person may end a live one", || cluster.job(FIRST).is_none().then_some(()));
}

/// One change to a Job, and a part of what the server says of it.
type Flaw = (&'static str, Value, &'static str);

fn flaws() -> Vec<Flaw> {
    let ignores = json!({ "rules": [{ "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] }] });
    let one_pod = "a session is one pod that is never replaced";
    vec![
        ("/metadata/name", json!("demo-other-s0"), "the name of a Job is the lock of its slot"),
        (
            "/metadata/labels/coordinator.dev~1slot",
            json!("demo-ui-builder-s1"),
            "the name of a Job is the lock",
        ),
        ("/metadata/labels/coordinator.dev~1fleet", json!("other"), "belongs to the fleet demo"),
        ("/metadata/labels/app.kubernetes.io~1managed-by", json!("me"), "managed-by must be coordinator"),
        ("/spec/parallelism", json!(2), one_pod),
        ("/spec/completions", json!(2), one_pod),
        ("/spec/backoffLimit", json!(1), one_pod),
        ("/spec/podReplacementPolicy", json!("TerminatingOrFailed"), one_pod),
        ("/spec/template/spec/restartPolicy", json!("OnFailure"), one_pod),
        ("/spec/podFailurePolicy", ignores, one_pod),
        ("/spec/activeDeadlineSeconds", Value::Null, "a session must end some day"),
        (
            "/spec/template/spec/automountServiceAccountToken",
            json!(true),
            "a session gets no access to the cluster",
        ),
        (
            "/spec/template/spec/serviceAccountName",
            json!("coordinator"),
            "a session gets no access to the cluster",
        ),
    ]
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn the_server_takes_only_well_formed_sessions_from_the_coordinator() {
    let cluster = Cluster::new("policy-create");
    let _policy = shipped::install(&cluster);
    shipped::fleet(&cluster, 1).cycle();
    let created = History::of(&cluster).done("create")[0]["requestObject"].clone();
    let mut well_formed = json!({ "metadata": {}, "spec": created["spec"] });
    for key in ["labels", "annotations"] {
        well_formed["metadata"][key] = created["metadata"][key].clone();
    }
    well_formed["metadata"]["labels"]["coordinator.dev/slot"] = json!("demo-ui-builder-s9");
    well_formed["metadata"]["name"] = json!("demo-ui-builder-s9");
    let path = cluster.jobs_path();
    cluster.rehearse_as(ACCOUNT, &path, &well_formed).expect("what the coordinator makes is well-formed");

    // With one, the server itself insists on some of what the policy asks for.
    well_formed["spec"].as_object_mut().expect("a spec").remove("podFailurePolicy");
    for (pointer, value, why) in flaws() {
        let mut job = well_formed.clone();
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        let parent = job.pointer_mut(parent).and_then(Value::as_object_mut).expect("it is there");
        parent.insert(key.replace("~1", "/"), value);
        let refused = cluster.rehearse_as(ACCOUNT, &path, &job).expect_err(pointer);
        assert!(refused.contains(why), "{pointer}: {refused}");
    }
}
