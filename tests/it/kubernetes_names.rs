//! Names and sizes at their limits.

use crate::kubernetes_fleet::{Fleet, OPEN, RECONCILE, roster, slots};
use testkit::workplace::RosterText;

#[test]
fn a_prompt_over_the_limit_is_a_mistake_of_configuration_and_touches_nothing() {
    let fleet = Fleet::open(&[("ui_builder", 1)]);
    fleet.workplace().write("briefs/ui_builder.md", "x".repeat(129 * 1024));
    let finished = fleet.run(&RECONCILE);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains("96"), "the error has the limit: {}", finished.stderr);
    assert_eq!(fleet.cluster.journal().len(), 0);
}

#[test]
fn a_prompt_just_below_the_limit_reaches_the_session() {
    let fleet = Fleet::open(&[("ui_builder", 1)]);
    fleet.workplace().write("briefs/ui_builder.md", "x".repeat(95 * 1024));
    assert_eq!(slots(&fleet.reconcile(), "spawned").len(), 1);
}

#[test]
fn the_longest_names_fit_a_job_its_labels_and_its_pod() {
    let long = "r".repeat(28);
    let text = RosterText::kubernetes("").defaults(OPEN).role(&long, 1, r#"["agent"]"#);
    let fleet = Fleet::of(&text.fleet(&"f".repeat(16)));
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "failed"), [""; 0], "{report:#}");
    let jobs = fleet.cluster.state().jobs();
    assert_eq!(jobs, [format!("{}-{long}-s0", "f".repeat(16))]);
    let pods = fleet.cluster.state().pods_of(&jobs[0]);
    assert!(pods[0].len() <= 63, "{}", pods[0]);
}

#[test]
fn roles_whose_names_look_like_slots_of_each_other_do_not_meet() {
    let fleet = Fleet::open(&[("dev", 2), ("dev_1", 2), ("dev_s1", 1)]);
    let spawned = slots(&fleet.reconcile(), "spawned");
    let names = ["demo-dev-s0", "demo-dev-s1", "demo-dev-1-s0", "demo-dev-1-s1", "demo-dev-s1-s0"];
    assert_eq!(spawned, names);
    let report = fleet.reconcile_alone();
    assert_eq!(
        report["steps"]["inventory"]["running"], 5,
        "each is read back as its own: {report:#}"
    );
    assert_eq!(report["steps"]["inventory"]["unmanaged"].to_string(), "[]");
}

#[test]
fn names_that_a_job_cannot_have_are_refused_before_the_first_request() {
    for key in ["Dev", "dev-1", "dev_", &"r".repeat(63)] {
        let fleet = Fleet::of(&roster(OPEN, &[(key, 1)]));
        let finished = fleet.run(&RECONCILE);
        assert_eq!(finished.code, Some(2), "{key}: {finished:?}");
        assert_eq!(fleet.cluster.journal().len(), 0, "{key}");
    }
}
