//! Live sessions that are stuck: they are reported, hold their slots, and nothing touches them.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod, ResourceQuota};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::cluster::{Cluster, has_condition, is_over, read, uid, until};
use crate::fleet::{Fleet, Roster, slots, text};
use crate::history::History;
use crate::shipped;

const FIRST: &str = "demo-ui-builder-s0";

fn stuck(fleet: &Fleet<'_>) -> Value {
    until("a stuck session is reported", || {
        let report = fleet.cycle();
        let first = report["steps"]["inventory"]["stuck"].get(0).is_some();
        assert_eq!(
            slots(&report, "spawned"),
            Vec::<String>::new(),
            "its slot is taken: {report:#}"
        );
        first.then_some(report)
    })
}

/// F.3-15.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn an_image_that_cannot_be_pulled_is_reported_with_the_reason_and_left_alone() {
    let cluster = Cluster::new("image-pull");
    let mut roster = Roster::of("ui_builder", 1);
    roster.kubernetes = "start_timeout = \"1s\"\n".to_owned();
    let behaviour =
        [("stuck", "ImagePullBackOff"), ("message", "Back-off pulling image example.com/agent:1")];
    roster.behaviour = behaviour.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let fleet = Fleet::new(&cluster, roster);
    fleet.cycle();
    let before = cluster.uids();

    let report = until("the pod says why", || {
        let report = stuck(&fleet);
        let detail = text(&report["steps"]["inventory"]["stuck"][0], "/detail").to_owned();
        (!detail.contains("its agent has not started")).then_some(report)
    });

    let found = &report["steps"]["inventory"]["stuck"][0];
    assert_eq!((text(found, "/slot"), text(found, "/reason")), (FIRST, "pending"), "{report:#}");
    let detail = text(found, "/detail");
    assert!(
        detail.contains("ImagePullBackOff: Back-off pulling image example.com/agent:1"),
        "{detail}"
    );
    assert!(found["since"].is_string(), "{report:#}");
    assert_eq!(report["steps"]["inventory"]["running"], 1, "it is live: {report:#}");
    assert_eq!(cluster.uids(), before);
    assert_eq!(History::of(&cluster).asked("delete").len(), 0);
    let shown = fleet.run(&["sessions"]).stdout;
    assert!(shown.contains("pending") && shown.contains("ImagePullBackOff"), "{shown}");
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_session_that_no_node_takes_is_reported_as_unschedulable() {
    let cluster = Cluster::new("no-node");
    let mut roster = Roster::of("ui_builder", 1);
    roster.kubernetes = "start_timeout = \"1s\"\nnode_selector = { disk = \"none\" }\n".to_owned();
    let fleet = Fleet::new(&cluster, roster);
    fleet.cycle();

    let report = until("the scheduler's reason is reported", || {
        let report = stuck(&fleet);
        text(&report, "/steps/inventory/stuck/0/detail")
            .contains("Unschedulable: 0/")
            .then_some(report)
    });

    assert_eq!(text(&report, "/steps/inventory/stuck/0/reason"), "pending", "{report:#}");
    assert_eq!(cluster.uids().len(), 1);
}

/// With the shipped account, which may list events.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_pod_that_runs_and_is_not_ready_is_reported_with_its_conditions_and_its_newest_event() {
    let cluster = Cluster::new("not-ready");
    let _policy = shipped::install(&cluster);
    let mut fleet = shipped::fleet(&cluster, 1);
    fleet.edit(|roster| roster.kubernetes += "start_timeout = \"1s\"\n");
    fleet.cycle();
    cluster.running(FIRST);
    let pod = cluster.pods(FIRST).pop().expect("its pod is there");
    let name = pod.metadata.name.clone().expect("a pod has a name");
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).expect("it has a node");
    let why = "containers with unready status: [agent]";
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": "False", "reason": "ContainersNotReady", "message": why,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let status =
        json!({ "status": { "conditions": [condition("ContainersReady"), condition("Ready")] } });
    let pods = cluster.api::<Pod>();
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&status));
    cluster.wait(pods.patch_status(&name, &parameters, &patch)).expect("a kubelet may say so");
    let probe = "Readiness probe failed: HTTP probe failed with statuscode: 503";
    cluster.create::<Event>(json!({
        "metadata": { "name": format!("{name}.probe") },
        "type": "Warning", "reason": "Unhealthy", "message": probe,
        "involvedObject": {
            "kind": "Pod", "namespace": cluster.namespace(), "name": name, "uid": uid(&pod),
        },
        "lastTimestamp": "2026-01-01T00:00:01Z",
    }));

    let expected = format!(
        "its pod runs on node {node} and is not ready: Ready is False (ContainersNotReady: {why}); \
         Unhealthy: {probe}"
    );
    let report = until("the pod is reported as not ready", || {
        let report = stuck(&fleet);
        (text(&report, "/steps/inventory/stuck/0/detail") == expected).then_some(report)
    });
    assert_eq!(text(&report, "/steps/inventory/stuck/0/reason"), "pending", "{report:#}");
    assert_eq!(
        text(&report, "/steps/inventory/stuck/0/since"),
        "2026-01-01T00:00:00Z",
        "{report:#}"
    );
    assert_eq!(report["steps"]["inventory"]["running"], 1, "it is live: {report:#}");
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_pod_that_the_quota_refuses_is_explained_by_the_event_of_its_job() {
    let cluster = Cluster::new("no-pods");
    cluster.create::<ResourceQuota>(
        json!({ "metadata": { "name": "none" }, "spec": { "hard": { "pods": "0" } } }),
    );
    let container = json!({ "name": "one", "image": "example.com/one:1" });
    let one: Pod =
        read(json!({ "metadata": { "name": "one" }, "spec": { "containers": [container] } }));
    let rehearsal = PostParams { dry_run: true, field_manager: None };
    until("the quota is enforced", || {
        cluster.wait(cluster.api::<Pod>().create(&rehearsal, &one)).err()
    });
    let mut roster = Roster::of("ui_builder", 1);
    roster.kubernetes = "start_timeout = \"1s\"\n".to_owned();
    let fleet = Fleet::new(&cluster, roster);
    fleet.cycle();

    let report = until("the event is there", || {
        let report = stuck(&fleet);
        text(&report, "/steps/inventory/stuck/0/detail").contains("FailedCreate").then_some(report)
    });

    let detail = text(&report, "/steps/inventory/stuck/0/detail");
    let expected =
        "it has no pod: FailedCreate: Error creating: pods is forbidden: exceeded quota: none";
    assert!(detail.starts_with(expected), "{detail}");
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_workspace_claim_that_nobody_made_is_reported_by_name() {
    let cluster = Cluster::new("no-claim");
    let mut roster = Roster::of("ui_builder", 1);
    roster.kubernetes = "start_timeout = \"1s\"\nworkspace = \"claim\"\n".to_owned();
    let fleet = Fleet::new(&cluster, roster);
    fleet.cycle();

    until("the claim is named", || {
        let report = stuck(&fleet);
        let detail = text(&report, "/steps/inventory/stuck/0/detail");
        detail.contains("persistentvolumeclaim \"demo-ui-builder-s0\" not found").then_some(())
    });
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_suspended_session_is_live_and_reported_until_somebody_resumes_it() {
    let cluster = Cluster::new("suspended");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    fleet.cycle();
    cluster.running(FIRST);
    cluster.patch::<Job>(FIRST, &json!({ "spec": { "suspend": true } }));
    until("its pod is gone", || cluster.pods(FIRST).is_empty().then_some(()));

    let report = stuck(&fleet);
    assert_eq!(text(&report, "/steps/inventory/stuck/0/reason"), "suspended", "{report:#}");
    assert_eq!(report["steps"]["inventory"]["running"], 1, "{report:#}");

    cluster.patch::<Job>(FIRST, &json!({ "spec": { "suspend": false } }));
    cluster.running(FIRST);
    assert_eq!(fleet.cycle()["steps"]["inventory"]["stuck"], json!([]));
}

/// F.3-13, and the forced removal of F.3-14.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_job_that_failed_holds_its_slot_until_its_pod_has_ended() {
    let cluster = Cluster::new("lingers");
    let mut roster = Roster::of("ui_builder", 1);
    let behaviour = [("stuck", "CreateContainerConfigError"), ("lingers", "600s")];
    roster.behaviour = behaviour.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let fleet = Fleet::new(&cluster, roster);
    fleet.cycle();
    // A pod without a node does not linger: the API server removes it at once.
    until("its pod waits on a node", || {
        let status = cluster.pods(FIRST).pop()?.status?;
        status.container_statuses.is_some().then_some(())
    });
    cluster.patch::<Job>(FIRST, &json!({ "spec": { "activeDeadlineSeconds": 1 } }));
    until("its deadline has passed", || {
        has_condition(&cluster.job(FIRST)?, "FailureTarget").then_some(())
    });
    let failing = cluster.job(FIRST).expect("it is there");
    assert!(!is_over(&failing), "its pod still ends");

    let report = fleet.cycle();
    assert_eq!(report["steps"]["inventory"]["running"], 1, "{report:#}");
    assert_eq!(slots(&report, "spawned"), Vec::<String>::new(), "{report:#}");
    assert_eq!(cluster.uids()[FIRST], uid(&failing));

    let pod =
        cluster.pods(FIRST).pop().and_then(|pod| pod.metadata.name).expect("its pod is there");
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    cluster.wait(cluster.api::<Pod>().delete(&pod, &now)).expect("a person can force it");
    until("the Job is over", || is_over(&cluster.job(FIRST)?).then_some(()));
    assert_eq!(slots(&fleet.cycle(), "spawned"), [FIRST]);
    History::of(&cluster).took_only_finished_jobs();
}

/// F.3-12.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_name_that_a_job_being_deleted_still_has_is_held_until_its_finalizer_is_gone() {
    let cluster = Cluster::new("finalizer");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    fleet.cycle();
    cluster.patch::<Job>(FIRST, &json!({ "metadata": { "finalizers": ["example.com/archive"] } }));
    cluster.end(FIRST, 0, "");
    cluster.delete_job(FIRST);

    for arguments in [&["reconcile"][..], &["reconcile", "--dry-run"]] {
        let report = fleet.json(arguments);
        let held = &report["steps"]["spawn"]["held"][0];
        assert_eq!((text(held, "/slot"), text(held, "/reason")), (FIRST, "orphan"), "{report:#}");
        assert!(text(held, "/detail").contains("finalizers"), "{report:#}");
    }

    cluster.patch::<Job>(FIRST, &json!({ "metadata": { "finalizers": null } }));
    until("the Job is gone", || cluster.job(FIRST).is_none().then_some(()));
    assert_eq!(slots(&fleet.cycle(), "spawned"), [FIRST]);
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_strangers_job_with_a_slots_name_is_never_touched_running_or_finished() {
    let cluster = Cluster::new("stranger");
    let container = json!({ "name": "theirs", "image": "example.com/theirs:1" });
    cluster.create::<Job>(json!({
        "metadata": { "name": FIRST },
        "spec": { "template": { "spec": { "restartPolicy": "Never", "containers": [container] } } },
    }));
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 2));
    let before = cluster.uids();
    let refused = |report: &Value| {
        assert_eq!(slots(report, "failed"), [FIRST], "{report:#}");
        let error = text(report, "/steps/spawn/failed/0/error");
        assert!(error.contains("another program's Job has this name"), "{error}");
        assert!(error.contains("rename it"), "{error}");
    };

    refused(&fleet.json(&["reconcile", "--dry-run"]));
    refused(&fleet.cycle());
    cluster.end(FIRST, 0, "");
    refused(&fleet.cycle());

    assert_eq!(cluster.uids()[FIRST], before[FIRST]);
    assert_eq!(History::of(&cluster).asked("delete").len(), 0);
    assert!(cluster.uids().contains_key("demo-ui-builder-s1"), "the other slot is filled");
}
