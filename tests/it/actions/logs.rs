//! `logs`, `sessions` and `doctor` of a fleet on GitHub Actions.

use super::{Fleet, Past};
use crate::coordinator;
use testkit::actions::LogStore;
use testkit::actions::logs::Shelf;
use testkit::{Fault, Reply, Route, TOKEN};

/// A fleet with one session that is over, and its log at another server.
fn with_log(text: &str) -> (Fleet, LogStore) {
    let (fleet, store) = (Fleet::of(1), LogStore::start());
    let id = fleet.past(Past { generation: 3, ..Past::default() });
    let job = fleet.actions(|actions, _| {
        actions.logs = Some(store.shelf());
        actions.run(id).job("agent").map(|job| job.id).expect("it ran")
    });
    store.shelves().logs.insert(job, text.to_owned());
    (fleet, store)
}

#[test]
fn a_log_is_fetched_from_another_host_without_the_token() {
    let (fleet, store) = with_log("2026-01-01T00:00:00Z built\n\u{1b}[31mall green\u{1b}[0m\n");
    let run = fleet.run(&["logs", "ui-builder-s0"]).finished;
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (Some(0), "2026-01-01T00:00:00Z built\nall green\n"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("https://github.com/demo/app/actions/runs/"), "{}", run.stderr);
    let shelves = store.shelves();
    assert_eq!(shelves.asked.len(), 1);
    for (name, value) in &shelves.asked[0] {
        assert!(!value.to_str().unwrap_or_default().contains(TOKEN), "{name} carries the token");
    }
    assert!(!shelves.asked[0].contains_key("authorization"));
}

#[test]
fn a_long_log_is_its_end() {
    let lines: Vec<String> = (0..20_000).map(|line| format!("line {line}\n")).collect();
    let (fleet, _store) = with_log(&lines.concat());
    let run = fleet.run(&["logs", "ui-builder-s0"]).finished;
    assert!(run.stdout.len() <= 64 << 10, "{} bytes", run.stdout.len());
    assert!(run.stdout.starts_with("line ") && run.stdout.ends_with("line 19999\n"), "whole lines");
}

#[test]
fn a_log_in_clear_from_elsewhere_is_refused() {
    for address in ["http://logs.example.com/log/", "ftp://127.0.0.1/log/", "/log/"] {
        let (fleet, store) = with_log("x\n");
        fleet.actions(|actions, _| actions.logs = Some(Shelf { address: address.to_owned() }));
        let run = fleet.run(&["logs", "ui-builder-s0"]).finished;
        assert_eq!(run.code, Some(1), "{address}: {}", run.stderr);
        assert!(store.shelves().asked.is_empty());
    }
}

#[test]
fn a_live_session_has_a_page_and_no_log_yet() {
    let fleet = Fleet::of(1);
    fleet.live("ui-builder-s0");
    let run = fleet.run(&["logs", "ui-builder-s0"]).finished;
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
    assert!(
        run.stderr.contains("/actions/runs/") && run.stderr.contains("still runs"),
        "{}",
        run.stderr
    );
}

#[cfg(target_os = "linux")]
#[test]
fn the_log_of_a_followed_session_is_printed_whole_when_its_job_has_ended() {
    let (fleet, store) = (Fleet::of(1), LogStore::start());
    let id = fleet.live("ui-builder-s0");
    let job = fleet.actions(|actions, _| {
        actions.logs = Some(store.shelf());
        actions.run(id).job("agent").map(|job| job.id).expect("it runs")
    });
    store.shelves().logs.insert(job, "one\ntwo\n".to_owned());
    let follower = coordinator(&fleet.workplace).args(["logs", "ui-builder-s0", "-f"]).spawn();
    crate::process_fleet::await_some("a look at the job", || {
        fleet.github.journal().iter().any(|entry| entry.path.contains("/jobs")).then_some(())
    });
    fleet.actions(|actions, now| actions.end(id, "success", now));
    let run = follower.wait();
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "one\ntwo\n"), "{}", run.stderr);
    assert!(run.stderr.contains("it still runs") && run.stderr.contains("printed then"));
}

#[test]
fn a_generation_or_slot_that_is_not_there_is_an_error() {
    let (fleet, _store) = with_log("x\n");
    assert_eq!(fleet.run(&["logs", "ui-builder-s0", "--generation", "9"]).finished.code, Some(1));
    assert_eq!(fleet.run(&["logs", "ui-builder-s7"]).finished.code, Some(1));
    assert_eq!(fleet.run(&["logs", "ui-builder-s0", "--generation", "3"]).finished.stdout, "x\n");
}

#[test]
fn sessions_lists_how_each_session_ended() {
    let fleet = Fleet::of(3);
    for (slot, conclusion) in [("ui-builder-s0", "success"), ("ui-builder-s1", "failure")] {
        fleet.past(Past { slot, conclusion, ..Past::default() });
    }
    fleet.live("ui-builder-s2");
    let json = fleet.run(&["sessions", "-o", "json"]).finished.json();
    let rows: Vec<(&str, Option<&str>)> = json["sessions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| (row["slot"].as_str().unwrap_or_default(), row["outcome"].as_str()))
        .collect();
    let expected = [
        ("demo-ui-builder-s0", Some("succeeded")),
        ("demo-ui-builder-s1", Some("failed")),
        ("demo-ui-builder-s2", None),
    ];
    assert_eq!(rows, expected);
}

/// The lines of `doctor`.
fn doctor(change: impl FnOnce(&Fleet)) -> (Option<i32>, String) {
    let fleet = Fleet::of(1);
    change(&fleet);
    let run = fleet.run(&["doctor"]).finished;
    (run.code, run.stdout)
}

#[test]
fn doctor_looks_for_the_workflow_its_branch_and_the_runs() {
    let (code, text) = doctor(|_| {});
    assert!(code == Some(0) && text.contains("agent-session.yml"), "{text}");
    let (code, text) = doctor(|fleet| fleet.actions(|actions, _| actions.workflows.clear()));
    assert!(code == Some(1) && text.contains("coordinator init --github-actions"), "{text}");
    let (code, text) = doctor(|fleet| {
        fleet.actions(|actions, _| actions.sessions().state = "disabled_manually".to_owned());
    });
    assert!(code == Some(1) && text.contains("enable"), "{text}");
    let (code, text) = doctor(|fleet| {
        fleet.github.always(
            Route::Any,
            Fault::reply(Reply::json(401, &serde_json::json!({"message": "Bad credentials"}))),
        );
    });
    assert!(code == Some(1) && text.contains("401"), "{text}");
}

#[test]
fn a_person_stops_a_session_and_what_waits_behind_it_by_cancelling_its_runs() {
    let fleet = Fleet::of(1);
    fleet.live("ui-builder-s0");
    let run = fleet.run(&["stop", "ui-builder-s0", "-y"]).finished;
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (Some(0), "ui-builder-s0: stopping\n"),
        "{}",
        run.stderr
    );
    let run = fleet.run(&["sessions", "-o", "json"]).finished;
    assert!(run.stdout.contains("\"outcome\": \"stopped\""), "{}", run.stdout);
    let run = fleet.run(&["stop", "ui-builder-s0"]).finished;
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "ui-builder-s0: not running\n"));
}
