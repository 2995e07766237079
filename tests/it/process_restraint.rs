//! How a slot is kept from starting too often, from the records alone. Time passes by ageing the
//! records.

use serde_json::Value;

use crate::process_fleet::{Fleet, held, report, shift, slots};

const SLOT: &str = "crasher-s0";

/// Makes every record of the slot older.
fn age(fleet: &Fleet, generations: u64, seconds: i64) {
    for generation in 1..=generations {
        for (name, fields) in
            [("start.json", &["started_at"][..]), ("exit.json", &["started_at", "finished_at"][..])]
        {
            let mut record = fleet.record(SLOT, generation, name);
            for field in fields {
                shift(&mut record, field, -seconds);
            }
            fleet.write_record(SLOT, generation, name, &record);
        }
    }
}

fn printed(fleet: &Fleet, arguments: &[&str]) -> String {
    String::from_utf8(fleet.run(arguments).stdout).expect("the output is text")
}

/// From the newest session's end to the time until which the slot is held.
fn wait_seconds(fleet: &Fleet, generation: u64, report: &Value) -> f64 {
    let until =
        report["steps"]["spawn"]["held"][0]["until"].as_str().expect("a backoff has an end");
    let ended = fleet.record(SLOT, generation, "exit.json")["finished_at"].clone();
    let parse = |text: &str| humantime::parse_rfc3339(text).expect("a time");
    let ended = parse(ended.as_str().expect("a time is text"));
    parse(until)
        .duration_since(ended)
        .expect("the end of the wait is after the end of the session")
        .as_secs_f64()
}

/// Runs one session and returns the wait after it, jitter included, in seconds.
fn next_wait(fleet: &Fleet, generation: u64) -> f64 {
    assert_eq!(slots(&fleet.reconcile(), "spawned").len(), 1, "generation {generation}");
    fleet.await_end(SLOT);
    let report = fleet.reconcile();
    assert_eq!(held(&report), ["idle"], "generation {generation}");
    wait_seconds(fleet, generation, &report)
}

#[test]
fn an_idle_agent_waits_longer_and_longer_up_to_the_cap() {
    let settings = "min_free = \"0\"\nbackoff_base = \"60s\"\nbackoff_cap = \"200s\"\n";
    let fleet = Fleet::new(settings, &[("crasher", 1, "exit 0")]);
    for (generation, expected) in [(1, 60.0), (2, 120.0), (3, 200.0), (4, 200.0)] {
        let wait = next_wait(&fleet, generation);
        // The report has whole seconds.
        let allowed = expected * 0.9 - 2.0..=expected * 1.1 + 2.0;
        assert!(allowed.contains(&wait), "generation {generation} waits {wait} s");
        age(&fleet, generation, 300);
    }
}

#[test]
fn a_healthy_run_resets_the_backoff() {
    let fleet = Fleet::new("min_free = \"0\"\n", &[("crasher", 1, "exit 0")]);
    next_wait(&fleet, 1);
    age(&fleet, 1, 300);
    next_wait(&fleet, 2);
    for name in ["start.json", "exit.json"] {
        let mut record = fleet.record(SLOT, 2, name);
        shift(&mut record, "started_at", -60);
        fleet.write_record(SLOT, 2, name, &record);
    }
    let wait = next_wait(&fleet, 3);
    assert!(wait < 70.0, "the streak did not end: {wait} s");
}

#[test]
fn an_agent_with_nothing_to_do_is_idle_in_every_report_and_the_fleet_is_healthy() {
    let settings = "min_free = \"0\"\nmin_runtime = \"30s\"\n";
    let fleet = Fleet::new(settings, &[("crasher", 1, "exit 0")]);
    fleet.reconcile();
    fleet.await_end(SLOT);
    let metrics = fleet.path("metrics.prom").display().to_string();
    let text = printed(&fleet, &["reconcile", "--metrics-file", &metrics]);
    let why = "found nothing to do (exited with 0 after 0s, less than min_runtime 30s)";
    assert!(text.contains("crasher s0  idle until ") && text.contains(why), "{text}");
    assert!(text.contains("\nhealthy") && !text.contains("fail"), "{text}");
    let report = fleet.reconcile();
    assert_eq!(report["steps"]["inventory"]["roles"][0]["idle"], 1, "{report:#}");
    assert_eq!(report["steps"]["inventory"]["roles"][0]["backing_off"], 0, "{report:#}");
    assert_eq!(report["status"], "healthy", "{report:#}");
    let metrics = std::fs::read_to_string(metrics).expect("the metrics");
    assert!(metrics.contains("coordinator_agents_idle{fleet=\"demo\",role=\"crasher\"} 1"));
    let session = fleet.newest(SLOT);
    assert_eq!(
        (session["outcome"].as_str(), session["exit_code"].as_i64()),
        (Some("idle"), Some(0))
    );
    let table = printed(&fleet, &["sessions"]);
    assert!(table.contains("idle after "), "{table}");
    assert_eq!(fleet.record(SLOT, 1, "exit.json")["outcome"], "succeeded", "the record is a fact");
}

#[test]
fn a_slot_that_failed_three_times_is_degraded_also_in_the_cycle_that_starts_the_fourth_session() {
    let fleet = Fleet::new("min_free = \"0\"\n", &[("crasher", 1, "exit 1")]);
    for generation in 1..=4 {
        let report = fleet.reconcile();
        assert_eq!(slots(&report, "spawned").len(), 1, "{report:#}");
        let is_degraded = generation == 4;
        let failing: &[&str] = if is_degraded { &["demo-crasher-s0"] } else { &[] };
        assert_eq!(report["steps"]["inventory"]["failing"], serde_json::json!(failing));
        let status = if is_degraded { "degraded" } else { "healthy" };
        assert_eq!(report["status"], status, "{generation}: {report:#}");
        fleet.await_end(SLOT);
        age(&fleet, generation, 4000);
    }
    let text = printed(&fleet, &["reconcile", "--dry-run"]);
    assert!(text.contains("degraded: crasher-s0 keeps failing"), "{text}");
    assert!(text.contains("look at `coordinator logs crasher-s0`"), "{text}");
}

#[test]
fn a_slot_starts_at_most_once_per_interval() {
    let settings = "min_free = \"0\"\nbackoff_base = \"0s\"\nmin_interval = \"30m\"\n";
    let fleet = Fleet::new(settings, &[("crasher", 1, "exit 0")]);
    fleet.reconcile();
    fleet.await_end(SLOT);
    assert_eq!(held(&fleet.reconcile()), ["interval"]);
    age(&fleet, 1, 1801);
    assert_eq!(slots(&fleet.reconcile(), "spawned").len(), 1);
}

#[test]
fn a_dry_run_shows_what_disk_and_backoff_hold_also_without_an_inventory() {
    let fleet = Fleet::new("min_free = \"9000TB\"\n", &[("crasher", 1, "exit 1")]);
    for arguments in [&["--dry-run"][..], &["--dry-run", "--skip", "inventory"][..]] {
        let arguments = [&["reconcile", "-o", "json"], arguments].concat();
        let report = report(&fleet.run(&arguments));
        assert_eq!(held(&report), ["disk"], "{arguments:?}");
        assert_eq!(slots(&report, "spawned").len(), 0);
    }
    assert!(!fleet.path("state").exists(), "a dry run makes nothing");
}

#[test]
fn a_dry_run_without_an_inventory_finds_who_is_live() {
    let fleet =
        Fleet::new(crate::process_fleet::OPEN, &[("ui_builder", 2, crate::process_fleet::SLEEPER)]);
    fleet.reconcile();
    let arguments = ["reconcile", "-o", "json", "--dry-run", "--skip", "inventory"];
    let report = report(&fleet.run(&arguments));
    assert_eq!(slots(&report, "already_running").len(), 2);
    assert_eq!(slots(&report, "spawned").len(), 0);
}
