//! `coordinator stop`: a person ends a session; no cycle can.

use std::process::Stdio;

use crate::process_fleet::{Fleet, OPEN, SLEEPER, held, slots};
use testkit::BEARER;
use testkit::kubernetes::ADMINISTRATOR;
use testkit::kubernetes::trouble::Call;

/// The line of a session that was stopped, with its slot's name for SLOT.
const STOPPED: &str = "SLOT: stopped; it waits until `coordinator retry SLOT` or `resume`\n";

fn stop(fleet: &Fleet, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = fleet.command(&[&["stop"], arguments].concat());
    let output = command.env("USER", "alice").output().expect("run the coordinator");
    (output.status.code(), String::from_utf8(output.stdout).expect("output is text"))
}

#[test]
fn a_stopped_session_is_recorded_with_who_stopped_it_and_its_slot_waits_until_it_may_go_on() {
    let settings = "min_free = \"0\"\nbackoff_base = \"1h\"\nbackoff_cap = \"1h\"\n";
    let fleet = Fleet::new(settings, &[("ui_builder", 2, SLEEPER)]);
    fleet.reconcile();
    assert_eq!(
        stop(&fleet, &["ui-builder-s1", "-y"]),
        (Some(0), STOPPED.replace("SLOT", "ui-builder-s1"))
    );
    let ended = fleet.newest("ui-builder-s1");
    assert_eq!(
        (ended["outcome"].as_str(), ended["detail"].as_str()),
        (Some("stopped"), Some("stopped by alice"))
    );
    assert_eq!(fleet.newest("ui-builder-s0")["state"], "running", "the other slot is left alone");
    let report = fleet.reconcile();
    assert_eq!((slots(&report, "spawned").len(), held(&report)), (0, vec!["stopped".to_owned()]));
    assert_eq!(report["status"], "healthy");
    let resumed = fleet.run(&["resume", "ui-builder-s1"]);
    let resumed = String::from_utf8(resumed.stdout).expect("output is text");
    assert_eq!(resumed, "ui-builder-s1 goes on with the next cycle\n");
    let report = fleet.reconcile();
    assert_eq!((slots(&report, "spawned").len(), held(&report).len()), (1, 0), "{report:#}");
}

#[test]
fn a_slot_without_a_live_session_is_named_and_an_unknown_name_is_refused() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, SLEEPER)]);
    assert_eq!(
        stop(&fleet, &["ui-builder-s0"]),
        (Some(0), "ui-builder-s0: not running\n".to_owned())
    );
    assert_eq!(stop(&fleet, &["../etc"]).0, Some(1));
}

#[test]
fn an_agent_that_ignores_the_signal_is_ended_after_its_grace_by_the_shim_alone() {
    let fleet = Fleet::new(
        OPEN,
        &[(
            "stubborn",
            1,
            "trap 'echo ignored > $WITNESS/signal' TERM\necho on > $WITNESS/on\n\
             while :; do sleep 0.1; done",
        )],
    );
    fleet.reconcile();
    fleet.await_witness("on");
    let mut command = fleet.command(&["stop", "stubborn-s0", "-y"]);
    let mut waiting = command.stdout(Stdio::null()).spawn().expect("run the coordinator");
    fleet.await_witness("signal");
    assert_eq!(fleet.newest("stubborn-s0")["state"], "running", "its grace has not passed");
    assert!(waiting.try_wait().expect("look at it").is_none(), "it waits for the end");
    waiting.kill().and_then(|()| waiting.wait()).expect("it ends");
}

#[test]
fn on_a_cluster_a_person_stops_a_session_and_the_coordinators_own_account_cannot() {
    let fleet = crate::kubernetes_fleet::Fleet::open(&[("ui_builder", 2)]);
    fleet.reconcile();
    let refused = fleet.run(&["stop", "ui-builder-s0", "-y"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stdout.contains("cannot patch resource \"jobs\""), "{}", refused.stdout);
    let kubeconfig = fleet.cluster.kubeconfig().replace(BEARER, ADMINISTRATOR);
    fleet.workplace().write("person.yaml", kubeconfig);
    let file = fleet.workplace().path().join("person.yaml");
    let person = |slot: &str| {
        let program = fleet.program(["stop", slot, "-y"]).env("USER", "alice");
        program.env("KUBECONFIG", file.to_str().expect("a path is text")).run().stdout
    };
    fleet.cluster.forget();
    assert_eq!(person("ui-builder-s0"), STOPPED.replace("SLOT", "ui-builder-s0"));
    let [patch] = &fleet.asked(Call::Patch)[..] else { panic!("one patch") };
    assert_eq!(
        patch.body["spec"],
        serde_json::json!({
            "activeDeadlineSeconds": 1, "ttlSecondsAfterFinished": null
        })
    );
    assert_eq!(person("ui-builder-s0"), "ui-builder-s0: not running\n");
    let ended = fleet.sessions("demo-ui-builder-s0").remove(0);
    assert_eq!(
        (&ended["outcome"], &ended["detail"]),
        (&"stopped".into(), &"stopped by alice".into())
    );
    assert_eq!(fleet.sessions("demo-ui-builder-s1")[0]["state"], "running");
    // A Job that took the name meanwhile is not meant.
    fleet.cluster.when(Call::Patch, |cluster| {
        let uid = cluster.new_uid();
        cluster.job("demo-ui-builder-s1")["metadata"]["uid"] = uid.into();
    });
    assert!(person("ui-builder-s1").contains("Precondition failed"));
    assert_eq!(fleet.sessions("demo-ui-builder-s1")[0]["state"], "running");
}
