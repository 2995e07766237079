//! Overlapping coordinators on one plugin: never two sessions in a slot.

use std::fs;
use std::time::{Duration, Instant};

use crate::coordinator;
use testkit::Workplace;
use testkit::plugin::{OPEN, Plugin, sessions};
use testkit::program::Running;
use testkit::workplace::RosterText;

fn await_true(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "{what} does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn spawned(report: &serde_json::Value) -> usize {
    report["steps"]["spawn"]["spawned"].as_array().map_or(0, Vec::len)
}

fn reconcile(workplace: &Workplace) -> Running {
    coordinator(workplace).args(["reconcile", "-o", "json"]).spawn()
}

#[test]
fn eight_coordinators_at_once_start_one_session_per_slot_of_an_exclusive_plugin() {
    let roster = RosterText::exec("timeout = \"30s\"").role("qa", 3, "[\"agent\"]");
    let workplace = Plugin::default().at(&roster);
    let running: Vec<Running> = (0..8).map(|_| reconcile(&workplace)).collect();
    let started: usize = running.into_iter().map(|running| spawned(&running.wait().json())).sum();
    assert_eq!((started, sessions(&workplace).len()), (3, 3));
}

/// Every spawn makes a session, and takes its time.
fn open() -> Plugin {
    Plugin {
        capabilities: format!("echo '{OPEN}'"),
        spawn:
            "sleep 0.3; mkdir \"$HOME/store/$slot-$$\"; echo '{\"ok\":true,\"result\":\"created\"}'"
                .to_owned(),
        ..Plugin::default()
    }
}

fn careful() -> RosterText {
    let roster = RosterText::exec("timeout = \"30s\"").platform("on_inventory_failure = \"skip\"");
    roster.role("qa", 1, "[\"agent\"]")
}

#[test]
fn four_coordinators_at_once_start_one_session_of_a_plugin_that_excludes_nothing() {
    let workplace = open().at(&careful());
    let running: Vec<Running> = (0..4).map(|_| reconcile(&workplace)).collect();
    let reports: Vec<_> = running.into_iter().map(|running| running.wait().json()).collect();
    assert_eq!(reports.iter().map(spawned).sum::<usize>(), 1);
    assert_eq!(sessions(&workplace).len(), 1);
    for report in &reports {
        assert_eq!(report["steps"]["inventory"]["outcome"], "ok", "{report:#}");
    }
    let again = reconcile(&workplace).wait().json();
    assert_eq!((spawned(&again), &again["steps"]["inventory"]["running"]), (0, &1.into()));
}

#[test]
fn a_killed_coordinator_whose_plugin_still_spawns_keeps_the_lock() {
    let spawn = "touch \"$HOME/spawning\"; while [ ! -e \"$HOME/go\" ]; do sleep 0.02; done\n\
        mkdir \"$HOME/store/$slot-$$\"; echo '{\"ok\":true,\"result\":\"created\"}'";
    let workplace = Plugin { spawn: spawn.to_owned(), ..open() }.at(&careful());
    let first = reconcile(&workplace);
    await_true("the spawn", || workplace.path().join("spawning").exists());
    first.signal("KILL");
    assert_eq!(first.wait().code, None);
    let second = reconcile(&workplace).wait().json();
    assert_eq!(second["steps"]["inventory"]["running"], 0, "{second:#}");
    let held = &second["steps"]["spawn"]["held"][0];
    assert_eq!(held["reason"], "unknown", "{second:#}");
    assert!(held["detail"].as_str().is_some_and(|detail| detail.contains("exec.lock")), "{held}");
    workplace.write("go", "");
    await_true("the end of the plugin", || workplace.processes().is_empty());
    let third = reconcile(&workplace).wait().json();
    assert_eq!(
        (&third["steps"]["inventory"]["running"], spawned(&third)),
        (&1.into(), 0),
        "{third:#}"
    );
    assert_eq!(sessions(&workplace).len(), 1);
}

#[test]
fn a_session_that_inherited_the_lock_does_not_keep_it_beyond_the_run() {
    let spawn = "setsid sleep 1000 >/dev/null 2>&1 & mkdir \"$HOME/store/$slot-$$\"\n\
        echo '{\"ok\":true,\"result\":\"created\"}'";
    let workplace = Plugin { spawn: spawn.to_owned(), ..open() }.at(&careful());
    assert_eq!(spawned(&reconcile(&workplace).wait().json()), 1);
    fs::remove_dir_all(workplace.path().join("store")).expect("the session is forgotten");
    let second = reconcile(&workplace).wait().json();
    assert_eq!(spawned(&second), 1, "{second:#}");
}

#[test]
fn looking_takes_no_lock() {
    let workplace = open().at(&careful());
    for arguments in [&["reconcile", "--dry-run"][..], &["sessions"], &["doctor"], &["check"]] {
        coordinator(&workplace).args(arguments.iter().copied()).run();
        assert!(
            !workplace.path().join("state/coordinator/demo/exec.lock").exists(),
            "{arguments:?}"
        );
    }
    reconcile(&workplace).wait();
    assert!(workplace.path().join("state/coordinator/demo/exec.lock").exists());
}
