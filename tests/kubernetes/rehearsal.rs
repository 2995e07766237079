//! `--dry-run`: the server is asked what it would say, and keeps nothing.

use serde_json::json;

use crate::account;
use crate::cluster::Cluster;
use crate::fleet::{Fleet, Roster, slots, text};
use crate::history::{History, is_rehearsal};
use crate::policy;

const FIRST: &str = "demo-ui-builder-s0";

/// Nothing but rehearsals reached the server since then.
fn only_rehearsals(cluster: &Cluster, since: usize) {
    let history = History::of(cluster);
    let writes = history.events()[since..]
        .iter()
        .filter(|event| ["create", "delete"].iter().any(|verb| event["verb"] == *verb));
    let writes: Vec<_> = writes.collect();
    assert!(!writes.is_empty(), "the server was asked");
    assert!(writes.iter().all(|write| is_rehearsal(write)), "{writes:#?}");
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_dry_run_on_an_empty_fleet_asks_the_server_and_creates_nothing() {
    let cluster = Cluster::new("rehearsal");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 3));

    let finished = fleet.run(&["reconcile", "--dry-run", "--detailed-exitcode", "-o", "json"]);

    assert_eq!(finished.code, Some(3), "changes are pending: {}", finished.stderr);
    assert_eq!(slots(&finished.json(), "spawned").len(), 3, "{}", finished.stdout);
    assert_eq!(cluster.jobs().len(), 0);
    only_rehearsals(&cluster, 0);
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_dry_run_of_a_replacement_leaves_the_finished_job_as_it_is() {
    let cluster = Cluster::new("rehearsal-2");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    fleet.cycle();
    cluster.end(FIRST, 1, "");
    let before = cluster.job(FIRST).and_then(|job| job.metadata.resource_version);
    let since = History::of(&cluster).events().len();

    let report = fleet.json(&["reconcile", "--dry-run"]);

    assert_eq!(report["steps"]["spawn"]["spawned"][0]["generation"], 2, "{report:#}");
    assert_eq!(cluster.job(FIRST).and_then(|job| job.metadata.resource_version), before);
    let history = History::of(&cluster);
    let ours = history.events()[since..].iter().filter(|event| event["verb"] != "update");
    assert!(ours.clone().any(|event| event["verb"] == "delete"), "the removal is rehearsed, too");
    only_rehearsals(&cluster, since);
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_dry_run_shows_what_admission_will_refuse() {
    let cluster = Cluster::new("rehearsal-3");
    let _policy = policy::deny(&cluster, "no sessions during the freeze");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));

    for arguments in [&["reconcile", "--dry-run"][..], &["reconcile"]] {
        let report = fleet.json(arguments);
        assert_eq!(slots(&report, "failed"), [FIRST], "{report:#}");
        let error = text(&report, "/steps/spawn/failed/0/error");
        assert!(error.contains("no sessions during the freeze"), "{error}");
    }
    assert_eq!(cluster.jobs().len(), 0);
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_dry_run_shows_a_full_quota_and_a_missing_permission() {
    let cluster = Cluster::new("rehearsal-4");
    let mut fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    cluster.quota(0);
    let report = fleet.json(&["reconcile", "--dry-run"]);
    let held = &report["steps"]["spawn"]["held"][0];
    assert_eq!((text(held, "/slot"), text(held, "/reason")), (FIRST, "quota"), "{report:#}");
    assert!(text(held, "/detail").contains("count/jobs.batch"), "{report:#}");

    let rules = json!([{ "apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list"] }]);
    account::create(&cluster, "watcher", &rules);
    fleet.with_kubeconfig(&account::kubeconfig(&cluster, "watcher"));
    let report = fleet.json(&["reconcile", "--dry-run"]);
    let error = text(&report, "/steps/spawn/failed/0/error");
    assert!(error.contains("cannot create resource \"jobs\""), "{report:#}");
    assert_eq!(cluster.jobs().len(), 0);
}
