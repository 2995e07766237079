//! The admission policy that is shipped: what a Role cannot say, the API server enforces all the
//! same.

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
    assert!(
        refused.contains("is not finished, and the coordinator ends no live session"),
        "{refused}"
    );
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
    let disrupted = json!([{ "type": "DisruptionTarget", "status": "True" }]);
    let ignores = json!({ "rules": [{ "action": "Ignore", "onPodConditions": disrupted }] });
    let one_pod = "a session is one pod that is never replaced";
    let started_once = "a session is started once";
    let again =
        json!({ "name": "again", "image": "example.com/a:1", "restartPolicy": "OnFailure" });
    let token = json!({ "serviceAccountToken": { "path": "token", "expirationSeconds": 3600 } });
    vec![
        ("/metadata/name", json!("demo-other-s0"), "the name of a Job is the lock of its slot"),
        (
            "/metadata/labels/coordinator.dev~1slot",
            json!("demo-ui-builder-s1"),
            "the name of a Job is the lock",
        ),
        ("/metadata/labels/coordinator.dev~1fleet", json!("other"), "belongs to the fleet demo"),
        (
            "/metadata/labels/app.kubernetes.io~1managed-by",
            json!("me"),
            "managed-by must be coordinator",
        ),
        ("/spec/parallelism", json!(2), one_pod),
        ("/spec/completions", json!(2), one_pod),
        ("/spec/backoffLimit", json!(1), one_pod),
        ("/spec/podReplacementPolicy", json!("TerminatingOrFailed"), one_pod),
        ("/spec/template/spec/restartPolicy", json!("OnFailure"), one_pod),
        ("/spec/podFailurePolicy", ignores, one_pod),
        ("/spec/activeDeadlineSeconds", Value::Null, "a session must end some day"),
        ("/spec/activeDeadlineSeconds", json!(31_536_001), "a session must end some day"),
        ("/spec/template/spec/containers/0/restartPolicy", json!("OnFailure"), started_once),
        ("/spec/template/spec/initContainers", json!([again]), started_once),
        (
            "/spec/template/spec/volumes",
            json!([projected(&token)]),
            "a session gets no access to the cluster",
        ),
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

fn projected(source: &Value) -> Value {
    json!({ "name": "given", "projected": { "sources": [source] } })
}

/// Every field by which a pod can name a Secret: where it goes, and what goes there.
fn namings(secret: &str) -> Vec<(&'static str, Value)> {
    let reference = json!({ "name": secret });
    let key =
        json!({ "name": "X", "valueFrom": { "secretKeyRef": { "name": secret, "key": "x" } } });
    let init = json!({
        "name": "first", "image": "example.com/a:1", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
        },
    });
    let with = |key: &str, value: Value| {
        let mut init = init.clone();
        init[key] = value;
        json!([init])
    };
    let init_containers = "/spec/template/spec/initContainers";
    let mut namings = vec![
        ("/spec/template/spec/containers/0/envFrom", json!([{ "secretRef": reference }])),
        ("/spec/template/spec/containers/0/env", json!([key])),
        (init_containers, with("envFrom", json!([{ "secretRef": reference }]))),
        (init_containers, with("env", json!([key]))),
        ("/spec/template/spec/imagePullSecrets", json!([reference])),
    ];
    let volumes = [
        json!({ "name": "given", "secret": { "secretName": secret } }),
        projected(&json!({ "secret": reference })),
        json!({ "name": "given", "csi": {
            "driver": "example.com", "nodePublishSecretRef": reference,
        } }),
        json!({ "name": "given", "azureFile": { "secretName": secret, "shareName": "s" } }),
        json!({ "name": "given", "cephfs": { "monitors": ["m"], "secretRef": reference } }),
        json!({ "name": "given", "cinder": { "volumeID": "v", "secretRef": reference } }),
        json!({ "name": "given", "flexVolume": {
            "driver": "example.com/d", "secretRef": reference,
        } }),
        json!({ "name": "given", "iscsi": {
            "targetPortal": "10.0.0.1:3260", "iqn": "iqn.2001-04.com.example:storage", "lun": 0,
            "chapAuthSession": true, "secretRef": reference,
        } }),
        json!({ "name": "given", "rbd": {
            "monitors": ["m"], "image": "i", "secretRef": reference,
        } }),
        json!({ "name": "given", "scaleIO": {
            "gateway": "https://g", "system": "s", "volumeName": "v", "secretRef": reference,
        } }),
        json!({ "name": "given", "storageos": { "volumeName": "v", "secretRef": reference } }),
    ];
    namings
        .extend(volumes.into_iter().map(|volume| ("/spec/template/spec/volumes", json!([volume]))));
    namings
}

/// A session like those that the coordinator makes, in a slot of its own.
fn well_formed(cluster: &Cluster) -> Value {
    shipped::fleet(cluster, 1).cycle();
    let created = History::of(cluster).done("create")[0]["requestObject"].clone();
    let mut well_formed = json!({ "metadata": {}, "spec": created["spec"] });
    for key in ["labels", "annotations"] {
        well_formed["metadata"][key] = created["metadata"][key].clone();
    }
    well_formed["metadata"]["labels"]["coordinator.dev/slot"] = json!("demo-ui-builder-s9");
    well_formed["metadata"]["name"] = json!("demo-ui-builder-s9");
    well_formed
}

/// This value at this place; a list of volumes or of variables grows by it.
fn changed(job: &Value, pointer: &str, value: Value) -> Value {
    let mut job = job.clone();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = job.pointer_mut(parent).and_then(Value::as_object_mut).expect("it is there");
    let key = key.replace("~1", "/");
    match (parent.get_mut(&key).and_then(Value::as_array_mut), value) {
        (Some(there), Value::Array(more)) => there.extend(more),
        (_, value) => drop(parent.insert(key, value)),
    }
    job
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn the_server_gives_no_agent_a_secret_of_the_coordinator_by_whichever_field() {
    let cluster = Cluster::new("policy-secrets");
    let _policy = shipped::install(&cluster);
    let well_formed = well_formed(&cluster);
    let path = cluster.jobs_path();
    for name in ["coordinator-github", "coordinator"] {
        for (pointer, value) in namings(name) {
            let job = changed(&well_formed, pointer, value.clone());
            let refused = cluster.rehearse_as(ACCOUNT, &path, &job).expect_err(&value.to_string());
            assert!(
                refused.contains("a session gets no Secret of the coordinator"),
                "{value}: {refused}"
            );
        }
    }
    for (pointer, value) in namings("coordinators-friends") {
        let job = changed(&well_formed, pointer, value.clone());
        let taken = cluster.rehearse_as(ACCOUNT, &path, &job);
        assert!(taken.is_ok(), "any other Secret is the fleet's own affair: {value}: {taken:?}");
    }
    let sidecar =
        json!([{ "name": "proxy", "image": "example.com/p:1", "restartPolicy": "Always" }]);
    let job = changed(&well_formed, "/spec/template/spec/initContainers", sidecar);
    cluster.rehearse_as(ACCOUNT, &path, &job).expect("a sidecar is not a second start");
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn the_server_takes_only_well_formed_sessions_from_the_coordinator() {
    let cluster = Cluster::new("policy-create");
    let _policy = shipped::install(&cluster);
    let mut well_formed = well_formed(&cluster);
    let path = cluster.jobs_path();
    cluster
        .rehearse_as(ACCOUNT, &path, &well_formed)
        .expect("what the coordinator makes is well-formed");

    // With one, the server itself insists on some of what the policy asks for.
    well_formed["spec"].as_object_mut().expect("a spec").remove("podFailurePolicy");
    for (pointer, value, why) in flaws() {
        let job = changed(&well_formed, pointer, value);
        let refused = cluster.rehearse_as(ACCOUNT, &path, &job).expect_err(pointer);
        assert!(refused.contains(why), "{pointer}: {refused}");
    }
}
