//! Several coordinators at once, and coordinators that die half-way: the name of a Job is the lock.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cluster::{Cluster, at_once, is_over, until};
use crate::fleet::{Fleet, Roster, slots};
use crate::history::History;

fn two_at_once(fleet: &Fleet<'_>) -> [Value; 2] {
    let cycles = [(); 2].map(|()| fleet.program().args(["reconcile", "-o", "json"]).spawn());
    cycles.map(|cycle| cycle.wait().json())
}

/// F.3-1.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn two_cycles_that_begin_together_fill_an_empty_fleet_once() {
    let cluster = Cluster::new("two-at-once");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 50));

    let reports = two_at_once(&fleet);

    let spawned: Vec<String> = reports.iter().flat_map(|report| slots(report, "spawned")).collect();
    let distinct: BTreeSet<&String> = spawned.iter().collect();
    assert_eq!((spawned.len(), distinct.len()), (50, 50), "{reports:#?}");
    for report in &reports {
        let [failed, held] = ["failed", "held"].map(|list| slots(report, list));
        assert!(failed.is_empty() && held.is_empty(), "{report:#}");
        let inventory = report["steps"]["inventory"]["running"].as_u64().unwrap_or_default();
        let found = slots(report, "spawned").len() + slots(report, "already_running").len();
        assert_eq!(
            inventory + found as u64,
            50,
            "a slot was seen, filled or found taken: {report:#}"
        );
    }
    assert_eq!(cluster.uids().len(), 50);
    assert_eq!(History::of(&cluster).done("create").len(), 50);
}

/// F.3-20: every session ends at once, so each cycle wants to replace all of them.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn two_cycles_that_replace_the_same_sessions_start_one_each_and_end_no_live_one() {
    let cluster = Cluster::new("replace-race");
    let mut roster = Roster::of("ui_builder", 10);
    roster.behaviour = vec![("exit".to_owned(), "0".to_owned())];
    let fleet = Fleet::new(&cluster, roster);
    fleet.cycle();

    for _ in 0..5 {
        until("all ten sessions are over", || cluster.jobs().iter().all(is_over).then_some(()));
        let before = History::of(&cluster).done("create").len();
        let reports = two_at_once(&fleet);

        assert!(reports.iter().all(|report| slots(report, "failed").is_empty()), "{reports:#?}");
        let spawned: usize = reports.iter().map(|report| slots(report, "spawned").len()).sum();
        let created = History::of(&cluster).done("create").len() - before;
        assert_eq!(spawned, created, "what was started is reported once: {reports:#?}");
        assert!(spawned >= 10, "every slot was refilled: {reports:#?}");
        assert_eq!(cluster.uids().len(), 10);
    }
    let history = History::of(&cluster);
    history.took_only_finished_jobs();
    one_job_at_a_time(&history);
}

/// Between two creations in a slot, the first Job was deleted.
fn one_job_at_a_time(history: &History) {
    let (created, deleted) = (history.done("create"), history.done("delete"));
    let mut by_slot: BTreeMap<&str, u64> = BTreeMap::new();
    for creation in &created {
        *by_slot.entry(creation["objectRef"]["name"].as_str().expect("a name")).or_default() += 1;
    }
    for (slot, created) in by_slot {
        let deleted =
            deleted.iter().filter(|event| event["objectRef"]["name"] == slot).count() as u64;
        assert_eq!(
            created,
            deleted + 1,
            "{slot}: each creation but the first took the place of one that went"
        );
    }
}

/// F.3-3: on an empty fleet first, then on one that is all finished.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_coordinator_killed_at_any_moment_leaves_nothing_that_the_next_cycle_does_not_mend() {
    let cluster = Cluster::new("killed");
    let mut roster = Roster::of("ui_builder", 40);
    roster.behaviour = vec![("exit".to_owned(), "0".to_owned())];
    let fleet = Fleet::new(&cluster, roster);
    let mut killed = 0;
    // Each dies some writes later than the one before it.
    for seen in [1, 3, 6, 10, 15, 21] {
        let before: BTreeSet<String> = cluster.uids().into_values().collect();
        let cycle = fleet.program().args(["reconcile"]).spawn();
        at_once("it has begun to write", || {
            let started = cluster.uids().into_values().filter(|uid| !before.contains(uid)).count();
            (started >= seen).then_some(())
        });
        cycle.signal("KILL");
        killed += usize::from(cycle.wait().code.is_none());
        until("what it started is over", || cluster.jobs().iter().all(is_over).then_some(()));
    }
    assert!(killed > 0, "no coordinator was killed before its end");

    let report = fleet.cycle();

    assert_eq!(slots(&report, "spawned").len(), 40, "{report:#}");
    assert_eq!(cluster.uids().len(), 40);
    History::of(&cluster).took_only_finished_jobs();
}
