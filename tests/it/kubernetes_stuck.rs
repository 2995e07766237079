//! Sessions that are stuck, sessions that are no longer in the roster, and clocks that disagree:
//! reported, judged by the cluster's own time, and never touched.

use serde_json::{Value, json};

use crate::kubernetes_fleet::{Fleet, OPEN, SLOT, START_TIMEOUT, assert_idle, held, roster, slots};
use testkit::kubernetes::cluster::Nodes;
use testkit::kubernetes::status;
use testkit::kubernetes::trouble::Call;

const ONE: &[(&str, u32)] = &[("ui_builder", 1)];

#[test]
fn a_job_that_has_failed_while_its_pod_still_ends_is_live_and_then_stuck() {
    let fleet = Fleet::open(ONE);
    fleet.reconcile();
    fleet.cluster.state().failing(SLOT);
    let report = fleet.reconcile_alone();
    assert_idle(&report);
    assert_eq!(report["steps"]["inventory"]["running"], 1);
    assert_eq!(report["steps"]["inventory"]["stuck"], json!([]));
    fleet.cluster.state().advance(600);
    let report = fleet.reconcile_alone();
    assert_idle(&report);
    assert_eq!(stuck(&report), [(SLOT.to_owned(), "terminating".to_owned())]);
    assert!(fleet.cluster.journal().iter().all(|asked| asked.method == "GET"));
}

fn stuck(report: &Value) -> Vec<(String, String)> {
    let all = report["steps"]["inventory"]["stuck"].as_array().expect("arrays are always present");
    let text = |one: &Value, key: &str| one[key].as_str().expect("text").to_owned();
    all.iter().map(|one| (text(one, "slot"), text(one, "reason"))).collect()
}

#[test]
fn a_pod_whose_image_never_comes_is_stuck_until_the_jobs_deadline_frees_its_slot() {
    let fleet = Fleet::of(&roster("", ONE));
    fleet.reconcile();
    let message = "Back-off pulling image \"example.com/agent:1\"";
    fleet.cluster.state().wait(SLOT, "ImagePullBackOff", message);
    assert_eq!(stuck(&fleet.reconcile()), [], "it may still come");
    fleet.cluster.state().advance(START_TIMEOUT + 5);
    let report = fleet.reconcile_alone();
    assert_idle(&report);
    assert_eq!(stuck(&report), [(SLOT.to_owned(), "pending".to_owned())]);
    let detail = report["steps"]["inventory"]["stuck"][0]["detail"].to_string();
    assert!(
        detail.contains("ImagePullBackOff") && detail.contains("example.com/agent:1"),
        "{detail}"
    );
    assert_eq!(fleet.cluster.calls(), [Call::ListJobs, Call::ListPods]);
    fleet.cluster.state().advance(7_200);
    fleet.cluster.state().deadline_exceeded(SLOT);
    fleet.cluster.state().advance(7_200);
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
    assert_eq!(fleet.sessions(SLOT)[0]["outcome"], "timed_out");
}

fn detail(report: &Value) -> String {
    report["steps"]["inventory"]["stuck"][0]["detail"].as_str().unwrap_or_default().to_owned()
}

/// A fleet of one whose session runs, one start timeout later.
fn aged() -> Fleet {
    let fleet = Fleet::open(ONE);
    fleet.reconcile();
    fleet.cluster.state().advance(START_TIMEOUT + 5);
    fleet
}

#[test]
fn a_pod_that_runs_and_is_not_ready_is_named_as_such_and_its_probe_is_quoted() {
    let fleet = aged();
    assert_eq!(stuck(&fleet.reconcile_alone()), [], "it is ready");
    assert_eq!(
        fleet.cluster.calls(),
        [Call::ListJobs],
        "no further request while nothing is stuck"
    );
    let mut cluster = fleet.cluster.state();
    cluster.unready(SLOT, "containers with unready status: [agent]");
    cluster.warn_of_pod(
        SLOT,
        "Unhealthy",
        "Readiness probe failed: HTTP probe failed with statuscode: 503",
    );
    drop(cluster);
    let report = fleet.reconcile_alone();
    assert_idle(&report);
    assert_eq!(stuck(&report), [(SLOT.to_owned(), "pending".to_owned())]);
    assert_eq!(
        detail(&report),
        "its pod runs on node node-1 and is not ready: Ready is False (ContainersNotReady: \
         containers with unready status: [agent]); Unhealthy: Readiness probe failed: HTTP probe \
         failed with statuscode: 503"
    );
    assert_eq!(fleet.cluster.calls(), [Call::ListJobs, Call::ListPods, Call::ListEvents]);
}

#[test]
fn sessions_whose_node_is_gone_are_reported_as_such_and_not_as_pending() {
    let fleet = Fleet::open(&[("ui_builder", 3)]);
    fleet.reconcile();
    let mut cluster = fleet.cluster.state();
    cluster.advance(START_TIMEOUT + 5);
    for index in 0..3 {
        cluster.lose_node(&format!("demo-ui-builder-s{index}"));
    }
    drop(cluster);
    let report = fleet.reconcile_alone();
    assert_idle(&report);
    assert_eq!(stuck(&report).len(), 3, "{report:#}");
    let expected = "its pod runs on node node-1 and is not ready: Ready is False; NodeNotReady: \
        Node is not ready";
    assert_eq!(detail(&report), expected);
    assert_eq!(fleet.cluster.count(Call::ListEvents), 1, "one request explains all");
    let text = fleet.run(&["reconcile"]).stdout;
    assert_eq!(text.matches("NodeNotReady").count(), 1, "one cause is reported once: {text}");
    assert!(fleet.cluster.journal().iter().all(|asked| asked.method == "GET"));
}

#[test]
fn a_job_whose_pod_is_refused_quotes_its_event_and_guesses_only_without_one() {
    let fleet = Fleet::open(ONE);
    fleet.cluster.state().nodes = Nodes::Asleep;
    fleet.reconcile();
    fleet.cluster.state().advance(START_TIMEOUT + 5);
    let guessed = detail(&fleet.reconcile_alone());
    assert!(
        guessed.starts_with("it has no pod, and no event explains it; `kubectl get events`"),
        "{guessed}"
    );
    let refused =
        format!("Error creating: pods \"{SLOT}-x7f2k\" is forbidden: exceeded quota: fleet");
    fleet.cluster.state().warn(SLOT, "FailedCreate", &refused);
    let quoted = detail(&fleet.reconcile_alone());
    assert_eq!(
        quoted,
        "it has no pod: FailedCreate: Error creating: pods is forbidden: exceeded quota: fleet"
    );
}

#[test]
fn without_the_right_to_events_the_fleet_runs_and_the_log_names_the_right() {
    let fleet = Fleet::open(&[("ui_builder", 2)]);
    fleet.reconcile();
    let mut cluster = fleet.cluster.state();
    cluster.revoke("list", "events");
    cluster.advance(START_TIMEOUT + 5);
    cluster.unready(SLOT, "containers with unready status: [agent]");
    cluster.finish("demo-ui-builder-s1", 0, "");
    drop(cluster);
    let finished = fleet.run(&["reconcile", "-o", "json"]);
    assert!(finished.stderr.contains("cannot list resource \"events\""), "{}", finished.stderr);
    let report = finished.json();
    assert_eq!(slots(&report, "spawned"), ["demo-ui-builder-s1"], "{report:#}");
    assert!(detail(&report).contains("is not ready: Ready is False"), "{report:#}");
}

#[test]
fn sessions_that_do_not_get_on_are_reported_each_with_its_reason_and_left_alone() {
    let fleet = Fleet::open(&[("ui_builder", 4)]);
    fleet.reconcile();
    let slot = |index: u32| format!("demo-ui-builder-s{index}");
    let mut cluster = fleet.cluster.state();
    cluster.suspend(&slot(0));
    cluster.terminate(&slot(1));
    cluster.wait(&slot(2), "CreateContainerConfigError", "secret \"model-key\" not found");
    cluster.advance(START_TIMEOUT + 5);
    drop(cluster);
    let report = fleet.reconcile_alone();
    assert_idle(&report);
    let expected = [(slot(0), "suspended"), (slot(1), "terminating"), (slot(2), "pending")];
    assert_eq!(
        stuck(&report),
        expected.map(|(slot, reason)| (slot, reason.to_owned())),
        "{report:#}"
    );
    fleet.cluster.state().advance(100_000);
    assert!(stuck(&fleet.reconcile()).contains(&(slot(3), "over_deadline".to_owned())));
    assert!(fleet.cluster.journal().iter().all(|asked| asked.method == "GET"));
}

#[test]
fn a_fleet_shrinks_by_attrition_and_grows_into_its_lowest_free_slots() {
    let fleet = Fleet::open(&[("ui_builder", 5)]);
    fleet.reconcile();
    fleet.rewrite(&roster(OPEN, &[("ui_builder", 3)]));
    let smaller = fleet.reconcile();
    assert_idle(&smaller);
    let beyond = json!(["demo-ui-builder-s3", "demo-ui-builder-s4"]);
    assert_eq!(smaller["steps"]["inventory"]["out_of_range"], beyond);
    assert_eq!(smaller["steps"]["inventory"]["roles"][0]["surplus"], 2);
    fleet.cluster.state().finish(SLOT, 1, "");
    assert_idle(&fleet.reconcile());
    fleet.cluster.state().finish("demo-ui-builder-s4", 1, "");
    assert_idle(&fleet.reconcile());
    fleet.cluster.state().finish("demo-ui-builder-s3", 1, "");
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT], "two are live, the roster has three");
    fleet.rewrite(&roster(OPEN, &[("ui_builder", 5)]));
    let larger = slots(&fleet.reconcile(), "spawned");
    assert_eq!(larger, ["demo-ui-builder-s3", "demo-ui-builder-s4"]);
    assert_eq!(fleet.generation("demo-ui-builder-s3"), "2");
}

#[test]
fn sessions_of_a_role_that_is_gone_are_reported_and_run_to_their_end() {
    let fleet = Fleet::open(&[("old_role", 1)]);
    fleet.reconcile();
    fleet.rewrite(&roster(OPEN, &[("new_role", 1)]));
    fleet.write_roster("roster.toml", &roster(OPEN, &[("new_role", 1)]));
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "spawned"), ["demo-new-role-s0"]);
    let unmanaged = report["steps"]["inventory"]["unmanaged"].to_string();
    assert!(unmanaged.contains("demo-old-role-s0"), "{unmanaged}");
    assert_eq!(fleet.cluster.count(Call::Delete), 0);
    fleet.cluster.state().finish("demo-old-role-s0", 0, "");
    let report = fleet.reconcile_alone();
    assert_idle(&report);
    assert_eq!(fleet.cluster.count(Call::Delete), 0, "its TTL removes it");
}

/// Backoff, stuck sessions and intervals follow the clock that wrote the records.
#[test]
fn a_coordinator_whose_clock_is_a_day_off_decides_as_all_others() {
    for offset in [-86_400, 0, 86_400] {
        let fleet = Fleet::of(&roster("", &[("ui_builder", 2)]));
        fleet.cluster.state().clock_offset = offset;
        fleet.reconcile();
        fleet.cluster.state().finish(SLOT, 1, "");
        let report = fleet.reconcile();
        assert_eq!(held(&report), ["backoff"], "{offset}");
        assert_eq!(stuck(&report), [], "{offset}");
        fleet.cluster.state().advance(120);
        assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT], "{offset}");
        fleet.cluster.state().finish(SLOT, 1, "");
        fleet.cluster.always(Call::ListJobs, status::unavailable(None));
        assert_eq!(
            held(&fleet.reconcile()),
            ["backoff"],
            "{offset}: also for a slot that is looked up on its own"
        );
    }
}
