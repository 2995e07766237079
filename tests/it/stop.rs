//! `coordinator stop`: a person ends a session; no cycle can.

use crate::process_fleet::{Fleet, OPEN, SLEEPER, held, slots};

fn stop(fleet: &Fleet, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = fleet.command(&[&["stop"], arguments].concat());
    let output = command.env("USER", "alice").output().expect("run the coordinator");
    (output.status.code(), String::from_utf8(output.stdout).expect("output is text"))
}

#[test]
fn a_stopped_session_is_recorded_with_who_stopped_it_and_its_slot_does_not_back_off() {
    let settings = "min_free = \"0\"\nbackoff_base = \"1h\"\nbackoff_cap = \"1h\"\n";
    let fleet = Fleet::new(settings, &[("ui_builder", 2, SLEEPER)]);
    fleet.reconcile();
    assert_eq!(stop(&fleet, &["ui-builder-s1", "-y"]), (Some(0), "ui-builder-s1: stopping\n".to_owned()));
    let ended = fleet.await_end("ui-builder-s1");
    assert_eq!(
        (ended["outcome"].as_str(), ended["detail"].as_str()),
        (Some("stopped"), Some("stopped by alice"))
    );
    assert_eq!(fleet.newest("ui-builder-s0")["state"], "running", "the other slot is left alone");
    let report = fleet.reconcile();
    assert_eq!((slots(&report, "spawned").len(), held(&report).len()), (1, 0), "{report:#}");
    assert_eq!(report["status"], "healthy");
}

#[test]
fn a_slot_without_a_live_session_is_named_and_an_unknown_name_is_refused() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, SLEEPER)]);
    assert_eq!(stop(&fleet, &["ui-builder-s0"]), (Some(0), "ui-builder-s0: no session is live\n".to_owned()));
    assert_eq!(stop(&fleet, &["../etc"]).0, Some(1));
}

#[test]
fn an_agent_that_ignores_the_signal_is_ended_after_its_grace_by_the_shim_alone() {
    let fleet = Fleet::new(
        OPEN,
        &[(
            "stubborn",
            1,
            "trap 'echo deaf > $WITNESS/heard' TERM\necho on > $WITNESS/on\nwhile :; do sleep 0.1; done",
        )],
    );
    fleet.reconcile();
    fleet.await_witness("on");
    assert_eq!(stop(&fleet, &["stubborn-s0", "-y"]).0, Some(0));
    fleet.await_witness("heard");
    assert_eq!(fleet.newest("stubborn-s0")["state"], "running", "its grace has not passed");
}
