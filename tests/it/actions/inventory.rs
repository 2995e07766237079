//! Who counts as live, who as a session that is over, and what that means for the slot.

use serde_json::{Value, json};

use super::{Fleet, Past};
use testkit::actions::life::Admission;
use testkit::actions::{Groups, Workflow};

#[test]
fn a_full_fleet_costs_one_list_and_one_look_whether_it_is_paused() {
    let fleet = Fleet::of(2);
    for slot in ["ui-builder-s0", "ui-builder-s1"] {
        fleet.past(Past { slot, ..Past::default() });
        fleet.live(slot);
    }
    let cycle = fleet.cycle();
    assert_eq!((cycle.asked.as_slice(), cycle.requests()), (&["GET runs 1".to_owned()][..], 2));
    assert_eq!(cycle.step("inventory")["running"], 2);
}

#[test]
fn whatever_is_not_completed_is_live() {
    for status in ["requested", "queued", "pending", "waiting", "in_progress", "a_word_of_tomorrow"]
    {
        let fleet = Fleet::of(1);
        let id = fleet.live("ui-builder-s0");
        fleet.actions(|actions, _| status.clone_into(&mut actions.run(id).status));
        let cycle = fleet.cycle();
        assert_eq!(cycle.step("inventory")["running"], 1, "{status}");
        assert_eq!(cycle.dispatches(), 0, "{status}");
    }
}

#[test]
fn runs_of_other_workflows_and_fleets_are_left_aside() {
    let fleet = Fleet::of(1);
    fleet.actions(|actions, now| {
        actions.workflows.insert("ci.yml".to_owned(), Workflow::foreign("ci.yml"));
        actions.trigger("ci.yml", "main", std::collections::BTreeMap::new(), now);
        actions.add_live("other", "ui-builder-s0", 60, now)
    });
    let cycle = fleet.cycle();
    assert_eq!(cycle.slots("spawned"), ["ui-builder-s0"]);
    assert_eq!(cycle.step("inventory")["unmanaged"], json!([]));
}

#[test]
fn sessions_of_a_role_that_is_gone_and_runs_started_by_hand_are_named_and_left_alone() {
    let fleet = Fleet::of(1);
    fleet.live("ui-builder-s0");
    fleet.live("designer-s0");
    fleet.actions(|actions, now| {
        actions.groups = Groups::Broken;
        let id = actions.add_live("demo", "ui-builder-s0", 10, now);
        actions.run(id).title = "\u{1b}[31mtry it\n::error::x ##[error]y".to_owned();
        actions.run(id).group = None;
        // A run of another workflow, which the witness ignores.
        actions.run(id).inputs.clear();
        actions.take_breaches()
    });
    let cycle = fleet.cycle();
    let inventory = cycle.step("inventory");
    let unmanaged: Vec<&str> = inventory["unmanaged"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| row["slot"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(unmanaged.len(), 2, "{inventory:#}");
    assert!(unmanaged.contains(&"demo-designer-s0"), "{unmanaged:?}");
    let text = fleet.run(&["reconcile", "--only", "spawn"]).finished.stdout;
    assert!(!text.contains('\u{1b}') && text.contains("try it"), "{text}");
    assert_eq!(cycle.dispatches(), 0);
}

#[test]
fn a_surplus_drains_and_nothing_ends_it() {
    let fleet = Fleet::of(1);
    for slot in ["ui-builder-s0", "ui-builder-s1", "ui-builder-s2"] {
        fleet.live(slot);
    }
    let cycle = fleet.cycle();
    let inventory = cycle.step("inventory");
    assert_eq!((&inventory["running"], &inventory["roles"][0]["surplus"]), (&json!(3), &json!(2)));
    assert!(
        fleet.github.journal().iter().all(|entry| !entry.path.contains("cancel")),
        "nothing is cancelled"
    );
}

#[test]
fn a_run_that_waits_too_long_is_stuck_and_one_that_waits_for_a_person_at_once() {
    let fleet = Fleet::of(2);
    let (slow, asked) = (fleet.live("ui-builder-s0"), fleet.live("ui-builder-s1"));
    fleet.actions(|actions, now| {
        "queued".clone_into(&mut actions.run(slow).status);
        actions.run(slow).started_at = now - std::time::Duration::from_secs(1_200);
        "waiting".clone_into(&mut actions.run(asked).status);
    });
    let cycle = fleet.cycle();
    let stuck = cycle.step("inventory")["stuck"].clone();
    let reasons: Vec<(&Value, &Value)> = stuck
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| (&row["slot"], &row["reason"]))
        .collect();
    let expected = [
        (json!("demo-ui-builder-s0"), json!("pending")),
        (json!("demo-ui-builder-s1"), json!("suspended")),
    ];
    assert_eq!(reasons, expected.iter().map(|(slot, reason)| (slot, reason)).collect::<Vec<_>>());
}

/// A cycle after this past: the sessions that it spawned, and those that it held.
fn after(past: Past<'_>) -> (Vec<String>, Vec<(String, String)>) {
    let fleet = Fleet::of(1);
    fleet.past(past);
    let cycle = fleet.cycle();
    (cycle.slots("spawned"), cycle.held())
}

#[test]
fn a_session_that_failed_backs_off_and_one_that_went_well_does_not() {
    let started = (vec!["ui-builder-s0".to_owned()], Vec::new());
    let held = (Vec::new(), vec![("ui-builder-s0".to_owned(), "backoff".to_owned())]);
    let ended =
        |conclusion, runtime| after(Past { conclusion, ended: 20, runtime, ..Past::default() });
    assert_eq!(ended("success", 300), started);
    assert_eq!(ended("failure", 300), held);
    assert_eq!(ended("timed_out", 300), held);
    let idle = (Vec::new(), vec![("ui-builder-s0".to_owned(), "idle".to_owned())]);
    assert_eq!(ended("success", 5), idle, "it found nothing to do");
    let stopped = (Vec::new(), vec![("ui-builder-s0".to_owned(), "stopped".to_owned())]);
    assert_eq!(ended("cancelled", 300), stopped, "a person stopped it, and says when to go on");
    assert_eq!(ended("skipped", 5), started, "it was not admitted: it was not a session");
}

#[test]
fn an_agent_that_is_cancelled_at_its_time_limit_has_timed_out() {
    let fleet = Fleet::with(1, "", "time_limit = \"10m\"");
    fleet.past(Past { conclusion: "cancelled", ended: 20, runtime: 595, ..Past::default() });
    let sessions = fleet.run(&["sessions", "-o", "json"]).finished.json();
    assert_eq!(sessions["sessions"][0]["outcome"], "timed_out", "{sessions:#}");
}

#[test]
fn a_run_that_was_cancelled_while_it_waited_is_not_a_session() {
    let fleet = Fleet::of(1);
    fleet.cycle();
    let id = fleet.queued()[0];
    fleet.actions(|actions, now| actions.cancel(id, now));
    let cycle = fleet.cycle();
    assert_eq!(cycle.step("spawn")["spawned"][0]["generation"], 2, "its number is used up");
    let sessions = fleet.run(&["sessions", "-o", "json"]).finished.json();
    assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(1), "{sessions:#}");
}

#[test]
fn an_admission_that_failed_is_a_failure_of_its_slot_under_either_name_of_its_job() {
    for name in ["admit", "gate"] {
        the_failure_names(name);
    }
}

fn the_failure_names(job: &str) {
    let fleet = Fleet::of(1);
    fleet.actions(|actions, _| job.clone_into(&mut actions.sessions().jobs[0]));
    fleet.cycle();
    let id = fleet.queued()[0];
    fleet.actions(|actions, now| {
        actions.start(id, now);
        actions.end_admission(id, Admission::Failed, now);
    });
    let cycle = fleet.cycle();
    let held = cycle.step("spawn")["held"][0].clone();
    assert_eq!(held["reason"], "backoff");
    let expected = format!("its job `{job}` failed");
    assert!(held["detail"].as_str().is_some_and(|detail| detail.contains(&expected)), "{held}");
}

#[test]
fn a_pending_run_behind_a_running_one_hides_it_not() {
    let fleet = Fleet::of(1);
    let running = fleet.live("ui-builder-s0");
    let pending = fleet.actions(|actions, now| {
        let inputs = actions.run(running).inputs.clone();
        actions.trigger("agent-session.yml", "main", inputs, now)
    });
    assert_eq!(fleet.actions(|actions, _| actions.run(pending).status.clone()), "pending");
    let sessions = fleet.run(&["sessions", "-o", "json"]).finished.json();
    assert_eq!(sessions["sessions"][0]["state"], "running", "{sessions:#}");
    assert_eq!(fleet.cycle().step("inventory")["running"], 1);
}
