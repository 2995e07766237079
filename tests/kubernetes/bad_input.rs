//! What people get wrong: one line each that says what to do, and nothing half-made is lost from
//! view.

use serde_json::{Value, json};

use crate::account;
use crate::cluster::Cluster;
use crate::fleet::{Fleet, Roster, slots, text};
use testkit::Finished;

const FIRST: &str = "demo-ui-builder-s0";

/// What the inventory, or the first start, says in a report that came all the same.
fn complaint(report: &Value) -> String {
    let inventory = text(report, "/steps/inventory/error");
    let failed = text(report, "/steps/spawn/failed/0/error");
    let said = if inventory.is_empty() { failed } else { inventory };
    assert!(!said.is_empty() && !said.contains('\n'), "one line says what is wrong: {report:#}");
    said.to_owned()
}

#[track_caller]
fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
}

/// A cycle is refused before it begins: exit 2, and the file is named.
#[track_caller]
fn is_refused(finished: &Finished, parts: &[&str]) {
    assert_eq!(finished.code, Some(2), "{}{}", finished.stdout, finished.stderr);
    says(&finished.stderr, parts);
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_cluster_that_is_not_there_leaves_every_slot_held_and_says_where_it_was_looked_for() {
    let cluster = Cluster::new("no-cluster");
    let mut fleet = Fleet::new(&cluster, Roster::of("ui_builder", 2));
    let nobody = "https://127.0.0.1:1";
    fleet.with_kubeconfig(&account::edited(|config| {
        config["clusters"][0]["cluster"]["server"] = json!(nobody);
    }));

    let finished = fleet.run(&["reconcile", "-o", "json"]);

    let report = finished.json();
    says(
        &complaint(&report),
        &[
            "no answer from the API server",
            "refused",
            "check that the cluster is up, and `server` in the kubeconfig",
        ],
    );
    let held = report["steps"]["spawn"]["held"].as_array().expect("a list");
    assert!(held.len() == 2 && held.iter().all(|one| one["reason"] == "unknown"), "{report:#}");
    assert_eq!(report["requests"]["platform"], 1, "no slot is looked up: {report:#}");
    assert_eq!((finished.code, text(&report, "/status")), (Some(1), "broken"), "{report:#}");
    let sessions = fleet.run(&["sessions"]);
    assert_eq!(sessions.code, Some(1));
    says(&sessions.stderr, &["no answer from the API server", "refused"]);
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_kubeconfig_or_a_context_that_is_not_there_is_named() {
    let cluster = Cluster::new("no-kubeconfig");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    let missing = fleet
        .program()
        .env("KUBECONFIG", "/no/such/kubeconfig")
        .args(["reconcile", "-o", "json"])
        .run();
    let report = missing.json();
    says(&complaint(&report), &["KUBECONFIG", "/no/such/kubeconfig"]);
    assert_eq!((missing.code, text(&report, "/status")), (Some(1), "broken"), "{report:#}");

    let report = fleet.json(&["reconcile", "--context", "staging"]);
    says(&complaint(&report), &["\"staging\"", "--context"]);
    for command in [&["sessions"][..], &["logs", "ui-builder-s0"]] {
        let finished = fleet.run(&[command, &["--context", "staging"]].concat());
        assert_eq!(finished.code, Some(1), "{}", finished.stdout);
        says(&finished.stderr, &["\"staging\"", "--context"]);
    }
    assert_eq!(cluster.jobs().len(), 0);
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_token_that_is_not_accepted_is_to_be_renewed() {
    let cluster = Cluster::new("bad-token");
    let mut fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    let stale = "token-that-expired-5b1f";
    fleet.with_kubeconfig(&account::edited(|config| {
        config["users"][0]["user"] = json!({ "token": stale });
    }));

    let finished = fleet.run(&["reconcile", "-o", "json"]);

    let report = finished.json();
    says(&complaint(&report), &["401", "expired", "renew the kubeconfig"]);
    assert_eq!(report["steps"]["spawn"]["held"][0]["reason"], "unknown", "{report:#}");
    assert_eq!(report["requests"]["platform"], 1, "no slot is looked up: {report:#}");
    assert_eq!((finished.code, text(&report, "/status")), (Some(1), "broken"), "{report:#}");
    finished.hides(stale);
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_namespace_that_is_not_there_is_to_be_created_or_named() {
    let cluster = Cluster::new("no-namespace");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    let roster = std::fs::read_to_string(fleet.workplace.roster()).expect("the roster is there");
    fleet.workplace.write("roster.toml", roster.replace(cluster.namespace(), "no-such-namespace"));

    for arguments in [&["reconcile"][..], &["reconcile", "--dry-run"]] {
        let said = complaint(&fleet.json(arguments));
        says(
            &said,
            &["namespaces \"no-such-namespace\" not found", "create the namespace", "`namespace`"],
        );
    }
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_queue_without_kueue_starts_nothing_uncounted() {
    let cluster = Cluster::new("no-kueue");
    let mut roster = Roster::of("ui_builder", 2);
    roster.kubernetes = "queue_name = \"agents\"\n".to_owned();
    let fleet = Fleet::new(&cluster, roster);

    for arguments in [&["reconcile"][..], &["reconcile", "--dry-run"]] {
        let said = complaint(&fleet.json(arguments));
        says(
            &said,
            &[
                "`queue_name` is \"agents\"",
                "has no Kueue; install it",
                "take `queue_name` out of [platform.kubernetes]",
            ],
        );
    }
    assert_eq!(cluster.jobs().len(), 0);
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_slip_in_the_template_is_refused_by_the_server_and_named_in_a_dry_run_too() {
    let cluster = Cluster::new("slip");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    let slip = "apiVersion: batch/v1\nkind: Job\nspec:\n  template:\n    spec:\n      \
                priorityClasName: high\n";
    fleet.workplace.write("template.yaml", slip);

    for arguments in [&["reconcile"][..], &["reconcile", "--dry-run"]] {
        let report = fleet.json(arguments);
        says(
            &complaint(&report),
            &["unknown field \"spec.template.spec.priorityClasName\"", "the template"],
        );
        assert_eq!(slots(&report, "failed"), [FIRST], "{report:#}");
    }
    assert_eq!(cluster.jobs().len(), 0);
}

/// What the roster can know is said before anything is asked; no cluster is needed for it.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn what_can_be_known_without_the_cluster_is_refused_with_exit_2() {
    let cluster = Cluster::new("refused");
    let mut roster = Roster::of("ui_builder", 1);
    roster.kubernetes = "service_account = \"A B\"\n".to_owned();
    is_refused(&Fleet::new(&cluster, roster).run(&["reconcile"]), &["service_account", "A B"]);

    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    let spaced = std::fs::read_to_string(fleet.workplace.roster()).expect("the roster is there");
    fleet
        .workplace
        .write("roster.toml", spaced.replace("example.com/agent:1", "example.com/my agent:1"));
    for command in [["check"], ["reconcile"]] {
        is_refused(&fleet.run(&command), &["image", "example.com/my agent:1"]);
    }

    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    fleet.workplace.write("template.yaml", "apiVersion: apps/v1\nkind: Deployment\n");
    is_refused(&fleet.run(&["reconcile"]), &["template.yaml", "Job"]);

    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    fleet.workplace.write("briefs/ui_builder.md", "x".repeat(98_300));
    is_refused(
        &fleet.run(&["reconcile"]),
        &["the prompt of `ui_builder` is too long", "of at most 96"],
    );
    assert_eq!(cluster.jobs().len(), 0);
}

/// The server takes the first two sessions and no more: they are seen, counted and never started
/// twice.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn what_was_started_before_the_refusals_began_stays_in_view() {
    let cluster = Cluster::new("half-made");
    let mut roster = Roster::of("ui_builder", 2);
    roster.roles.push(("tester".to_owned(), 2));
    let mut fleet = Fleet::new(&cluster, roster);
    fleet.cycle();
    let started = cluster.uids();
    let bad = "apiVersion: batch/v1\nkind: Job\nspec:\n  template:\n    spec:\n      \
               restartPolicyy: Never\n";
    fleet.edit(|roster| roster.roles[1].1 = 4);
    fleet.workplace.write("template.yaml", bad);

    let report = fleet.cycle();

    assert_eq!(report["steps"]["inventory"]["running"], 4, "{report:#}");
    assert_eq!(slots(&report, "failed"), ["demo-tester-s2", "demo-tester-s3"], "{report:#}");
    assert_eq!(report["status"], "degraded", "{report:#}");
    assert_eq!(cluster.uids(), started);
}
