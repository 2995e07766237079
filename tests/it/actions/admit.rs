//! `coordinator session-admit`: the last word before an agent starts.

use super::{Fleet, Past};
use testkit::actions::life::Admission;
use testkit::actions::{Groups, Run};
use testkit::{Fault, Finished, Route};

/// A run that a cycle dispatched, in progress.
fn dispatched(fleet: &Fleet) -> Run {
    fleet.cycle();
    let id = fleet.queued()[0];
    fleet.actions(|actions, now| {
        actions.start(id, now);
        actions.run(id).clone()
    })
}

#[test]
fn a_fresh_ticket_for_a_free_slot_may_go() {
    let fleet = Fleet::of(1);
    let run = dispatched(&fleet);
    let (admission, step) = fleet.admit_step(&run);
    assert_eq!(
        (admission, step.stdout.as_str()),
        (Admission::Go, "go: the slot is free, and nothing holds it\n")
    );
}

#[test]
fn github_s_clock_decides_whether_a_ticket_has_expired() {
    let fleet = Fleet::of(1);
    let run = dispatched(&fleet);
    fleet.github.state().clock_offset = 301;
    let (admission, step) = fleet.admit_step(&run);
    assert_eq!(admission, Admission::Skip);
    assert!(step.stdout.starts_with("skip: ") && step.stdout.contains("ticket"), "{}", step.stdout);
}

#[test]
fn a_slot_that_backs_off_or_waits_for_its_interval_is_skipped() {
    let fleet = Fleet::with(1, "", "min_interval = \"1h\"");
    let run = dispatched(&fleet);
    fleet.past(Past { generation: 1, ended: 600, runtime: 900, ..Past::default() });
    assert_eq!(fleet.admit_step(&run).0, Admission::Skip, "it started less than an hour ago");
    let fleet = Fleet::of(1);
    let run = dispatched(&fleet);
    fleet.past(Past {
        generation: 1,
        conclusion: "failure",
        ended: 5,
        runtime: 60,
        ..Past::default()
    });
    assert_eq!(fleet.admit_step(&run).0, Admission::Skip, "it failed a moment ago");
}

#[test]
fn another_run_in_progress_is_reason_enough_whatever_the_group_does() {
    let fleet = Fleet::of(1);
    let run = dispatched(&fleet);
    fleet.actions(|actions, now| {
        actions.groups = Groups::Broken;
        let other = actions.add_live("demo", "ui-builder-s0", 5, now);
        "in_progress".clone_into(&mut actions.run(other).status);
    });
    let (admission, step) = fleet.admit_step(&run);
    assert_eq!(admission, Admission::Skip, "{}", step.stdout);
}

#[test]
fn a_history_that_cannot_be_read_lets_nothing_through() {
    for (route, fault) in [
        (Route::Runs, Fault::status(500, "Server Error")),
        (Route::Runs, Fault::reset()),
        (Route::Runs, Fault::primary_rate_limit(403, 60)),
        (Route::Any, Fault::status(401, "Bad credentials")),
    ] {
        let fleet = Fleet::of(1);
        let run = dispatched(&fleet);
        fleet.github.always(route, fault);
        let (admission, step) = fleet.admit_step(&run);
        assert_eq!(
            (admission, step.code),
            (Admission::Skip, Some(0)),
            "{}{}",
            step.stdout,
            step.stderr
        );
    }
}

fn with_input(name: &str, value: &str) -> Finished {
    let fleet = Fleet::of(1);
    let mut run = dispatched(&fleet);
    run.inputs.insert(name.to_owned(), value.to_owned());
    let (admission, step) = fleet.admit_step(&run);
    assert_ne!(admission, Admission::Go, "{name}");
    step
}

#[test]
fn inputs_that_are_none_are_refused_and_not_obeyed() {
    for (name, value) in [
        ("fleet", "De mo"),
        ("slot", "ui-builder-s0\ngo=true"),
        ("slot", "demo-"),
        ("generation", "0"),
        ("expires_at", "tomorrow"),
        ("task_json", "{}"),
        ("task_json", "::add-mask::x"),
    ] {
        let step = with_input(name, value);
        assert_eq!(step.code, Some(2), "{name}: {}{}", step.stdout, step.stderr);
        assert!(
            step.stderr.starts_with("error: ") && step.stderr.lines().count() == 1,
            "{}",
            step.stderr
        );
    }
}
