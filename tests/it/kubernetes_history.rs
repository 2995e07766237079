//! The history that a slot carries from one Job to the next, and its effects: backoff, `sessions`,
//! `logs`.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::kubernetes_fleet::{Fleet, OPEN, SLOT, assert_idle, held, roster, slots};
use testkit::kubernetes::trouble::Call;

const ONE: &[(&str, u32)] = &[("ui_builder", 1)];

/// Runs one session for so long and ends it.
fn live_through(fleet: &Fleet, seconds: i64, exit: i32, last_words: &str) {
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "spawned"), [SLOT], "{report:#}");
    let mut cluster = fleet.cluster.state();
    cluster.advance(seconds);
    cluster.finish(SLOT, exit, last_words);
}

fn history(fleet: &Fleet) -> Vec<Value> {
    let annotations = fleet.cluster.state().job(SLOT)["metadata"]["annotations"].clone();
    let text = annotations["coordinator.dev/history"].as_str().unwrap_or("[]").to_owned();
    serde_json::from_str(&text).expect("the history is JSON")
}

fn time(value: &Value) -> SystemTime {
    humantime::parse_rfc3339(value.as_str().expect("a time is text")).expect("a time")
}

#[test]
fn a_slot_remembers_its_last_eight_sessions_with_exit_code_and_last_words() {
    let fleet = Fleet::open(ONE);
    for exit in 1..=10 {
        live_through(&fleet, 60, exit, &format!("line\nended with {exit}\n"));
    }
    fleet.reconcile();
    let remembered = history(&fleet);
    let generations: Vec<_> =
        remembered.iter().map(|run| run["gen"].as_u64().expect("a number")).collect();
    assert_eq!(generations, [3, 4, 5, 6, 7, 8, 9, 10]);
    let last = &remembered[7];
    assert_eq!(
        (&last["outcome"], &last["exit"], &last["runtime_s"]),
        (&json!("failed"), &json!(10), &json!(60))
    );
    assert_eq!(last["reason"], "ended with 10", "the reason is the end of the log");
    assert_eq!(fleet.generation(SLOT), "11");
    let sessions = fleet.sessions(SLOT);
    let shown: Vec<_> =
        sessions.iter().map(|one| one["generation"].as_u64().expect("a number")).collect();
    assert_eq!(shown, [3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(
        (&sessions[7]["exit_code"], &sessions[7]["outcome"]),
        (&json!(10), &json!("failed"))
    );
    assert_eq!(sessions[8]["state"], "running");
}

#[test]
fn last_words_of_four_kibibytes_leave_room_for_eight_of_them() {
    let fleet = Fleet::open(ONE);
    let words = "\u{1b}[31mno ".repeat(512);
    for _ in 0..9 {
        live_through(&fleet, 60, 1, &words);
    }
    fleet.reconcile();
    let annotations = fleet.cluster.state().job(SLOT)["metadata"]["annotations"].to_string();
    assert!(annotations.len() < 6 * 1024, "{} bytes", annotations.len());
    assert_eq!(history(&fleet).len(), 8);
    assert!(!annotations.contains("u001b"), "escape sequences of agents go no further");
}

#[test]
fn each_end_of_a_session_has_its_outcome() {
    let fleet = Fleet::open(&[("ui_builder", 5)]);
    fleet.reconcile();
    let slot = |index: u32| format!("demo-ui-builder-s{index}");
    let mut cluster = fleet.cluster.state();
    cluster.advance(60);
    cluster.finish(&slot(0), 0, "");
    cluster.finish(&slot(1), 7, "out of tokens");
    cluster.deadline_exceeded(&slot(2));
    cluster.time_out(&slot(3));
    cluster.finish(&slot(4), 1, "");
    cluster.lose_pod(&slot(4));
    drop(cluster);
    let last = |index: u32| fleet.sessions(&slot(index)).pop().expect("a session");
    let outcomes =
        [0, 1, 2, 3, 4].map(|index| last(index)["outcome"].as_str().expect("a word").to_owned());
    assert_eq!(outcomes, ["succeeded", "failed", "timed_out", "timed_out", "failed"]);
    assert_eq!((&last(1)["exit_code"], &last(4)["exit_code"]), (&json!(7), &Value::Null));
    let table = fleet.run(&["sessions"]).stdout;
    assert!(table.contains("out of tokens") || table.contains("exit 7"), "{table}");
}

#[test]
fn an_evicted_session_does_not_count_against_its_agent() {
    let fleet = Fleet::of(&roster("", ONE));
    fleet.reconcile();
    fleet.cluster.state().advance(5);
    fleet.cluster.state().evict(SLOT);
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "spawned"), [SLOT], "{report:#}");
    assert_eq!(history(&fleet)[0]["disrupted"], true);
}

/// From the newest session's end to the time until which the slot is held, in seconds.
fn wait(fleet: &Fleet) -> f64 {
    let report = fleet.reconcile();
    assert_eq!(held(&report), ["idle"], "{report:#}");
    let until = time(&report["steps"]["spawn"]["held"][0]["until"]);
    let ended = time(&fleet.sessions(SLOT).pop().expect("a session")["finished_at"]);
    until.duration_since(ended).expect("the wait ends after the session").as_secs_f64()
}

/// Exit 0 in 2 s in a loop.
#[test]
fn short_successes_back_off_longer_up_to_the_cap_and_a_long_run_resets_it() {
    let fleet = Fleet::of(&roster("backoff_base = \"60s\"\nbackoff_cap = \"200s\"", ONE));
    for expected in [60.0, 120.0, 200.0, 200.0] {
        live_through(&fleet, 2, 0, "");
        let wait = wait(&fleet);
        // The report has whole seconds.
        let allowed = expected * 0.9 - 2.0..=expected * 1.1 + 2.0;
        assert!(allowed.contains(&wait), "{wait} s instead of {expected}");
        fleet.cluster.state().advance(300);
    }
    live_through(&fleet, 120, 0, "");
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "spawned"), [SLOT], "a healthy end is followed at once: {report:#}");
    fleet.cluster.state().advance(2);
    fleet.cluster.state().finish(SLOT, 0, "");
    let wait = wait(&fleet);
    assert!(wait < 70.0, "the streak did not end: {wait} s");
}

#[test]
fn a_slot_starts_at_most_once_per_interval() {
    let fleet = Fleet::of(&roster(&format!("{OPEN}\nmin_interval = \"30m\""), ONE));
    live_through(&fleet, 60, 0, "");
    assert_eq!(held(&fleet.reconcile()), ["interval"]);
    fleet.cluster.state().advance(1_800);
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
}

#[test]
fn a_held_slot_costs_a_list_of_jobs_and_one_of_pods_and_nothing_is_removed() {
    let fleet = Fleet::of(&roster("", ONE));
    live_through(&fleet, 2, 1, "");
    let report = fleet.reconcile_alone();
    assert_eq!(held(&report), ["backoff"]);
    assert_eq!(fleet.cluster.calls(), [Call::ListJobs, Call::ListPods]);
}

#[test]
fn a_garbled_history_is_an_empty_one_and_not_a_failure() {
    let fleet = Fleet::open(ONE);
    for garbage in ["", "[", "{}", "[{\"gen\":\"one\"}]", "[1,2]"] {
        live_through(&fleet, 60, 1, "");
        let mut cluster = fleet.cluster.state();
        cluster.job(SLOT)["metadata"]["annotations"]["coordinator.dev/history"] = garbage.into();
        drop(cluster);
        let report = fleet.reconcile();
        assert_eq!(slots(&report, "spawned"), [SLOT], "{garbage}: {report:#}");
        assert_eq!(history(&fleet).len(), 1, "{garbage}: the run of the Job itself is kept");
        fleet.cluster.state().advance(60);
        fleet.cluster.state().finish(SLOT, 1, "");
    }
}

#[test]
fn a_log_of_a_pod_that_waits_or_is_gone_is_explained() {
    let fleet = Fleet::open(ONE);
    fleet.reconcile();
    fleet.cluster.state().wait(SLOT, "ImagePullBackOff", "Back-off pulling image");
    let waiting = fleet.run(&["logs", SLOT]);
    assert!(waiting.stderr.contains("waiting to start"), "{waiting:?}");
    fleet.cluster.state().deadline_exceeded(SLOT);
    let gone = fleet.run(&["logs", SLOT]);
    assert!(gone.code != Some(0) && gone.stderr.contains("no pod"), "{gone:?}");
}

#[test]
fn a_log_without_the_right_to_read_logs_names_the_right() {
    let fleet = Fleet::open(ONE);
    fleet.reconcile();
    fleet.cluster.state().revoke("get", "pods/log");
    let refused = fleet.run(&["logs", SLOT]);
    assert!(refused.stderr.contains("pods/log"), "{refused:?}");
}

#[test]
fn backing_off_slots_are_counted_by_the_clusters_clock() {
    for offset in [-86_400, 86_400] {
        let fleet = Fleet::of(&roster("", &[("ui_builder", 2)]));
        fleet.cluster.state().clock_offset = offset;
        fleet.reconcile();
        fleet.cluster.state().finish(SLOT, 1, "");
        let report = fleet.reconcile();
        assert_idle(&report);
        assert_eq!(
            report["steps"]["inventory"]["roles"][0]["backing_off"], 1,
            "{offset}: {report:#}"
        );
    }
}
