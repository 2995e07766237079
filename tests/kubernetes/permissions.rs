//! The permissions that are shipped: with them everything works, and each one that is missing is
//! named.

use k8s_openapi::api::rbac::v1::Role;
use serde_json::{Value, json};

use crate::account::{self, Access, await_access};
use crate::cluster::{Cluster, note};
use crate::fleet::{Fleet, Roster, slots, text};
use crate::history::History;
use crate::shipped::{self, ACCOUNT};

const FIRST: &str = "demo-ui-builder-s0";

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn the_shipped_service_account_may_do_all_that_a_fleet_needs() {
    let cluster = Cluster::new("shipped");
    let _policy = shipped::install(&cluster);
    let fleet = shipped::fleet(&cluster, 2);

    assert_eq!(slots(&fleet.cycle(), "spawned").len(), 2);
    cluster.running("demo-ui-builder-s1");
    cluster.end(FIRST, 3, "the disk is full");
    assert_eq!(
        fleet.json(&["reconcile", "--dry-run"])["steps"]["spawn"]["spawned"][0]["generation"],
        2
    );
    let finished = fleet.run(&["reconcile", "-o", "json"]);
    assert_eq!(
        finished.json()["steps"]["spawn"]["spawned"][0]["generation"],
        2,
        "{}",
        finished.stdout
    );
    assert_eq!(finished.stderr, "", "nothing is missing");
    let history = note(&cluster.job(FIRST).expect("it was replaced"), "history");
    assert!(history.contains("the disk is full"), "{history}");
    cluster.running(FIRST);
    assert_eq!(fleet.json(&["sessions"])["sessions"].as_array().map(Vec::len), Some(3));
    let log = fleet.run(&["logs", "ui-builder-s0"]);
    assert!(
        log.stdout.starts_with("the first line of a session\n"),
        "{}{}",
        log.stdout,
        log.stderr
    );
}

/// What the coordinator says without a permission, and what it does all the same.
struct Without<'a> {
    fleet: &'a Fleet<'a>,
    /// As Kubernetes says it: `cannot list resource "jobs"`.
    denied: String,
}

impl Without<'_> {
    fn is_named_in(&self, said: &str) {
        assert!(said.contains(&self.denied), "{:?} is not in {said:?}", self.denied);
        assert!(said.contains("grant it in the coordinator's Role"), "{said:?}");
    }

    /// F.3-7: every slot is held, and nothing is created or removed.
    fn list_jobs(&self) {
        let created = History::of(self.fleet.cluster).asked("create").len();
        let before = self.fleet.cluster.uids();
        let finished = self.fleet.run(&["reconcile", "-o", "json"]);
        let report = finished.json();
        assert_eq!((finished.code, text(&report, "/status")), (Some(1), "broken"), "{report:#}");
        assert_eq!(report["steps"]["inventory"]["outcome"], "failed", "{report:#}");
        self.is_named_in(text(&report, "/steps/inventory/error"));
        assert_eq!(slots(&report, "held"), [FIRST, "demo-ui-builder-s1"], "{report:#}");
        let held = report["steps"]["spawn"]["held"].as_array().expect("a list");
        assert!(held.iter().all(|one| one["reason"] == "unknown"), "{report:#}");
        assert_eq!(report["requests"]["platform"], 1, "no slot is looked up: {report:#}");
        assert_eq!(History::of(self.fleet.cluster).asked("create").len(), created);
        assert_eq!(self.fleet.cluster.uids(), before);
    }

    fn get_jobs(&self) {
        self.is_named_in(&self.fleet.run(&["logs", "ui-builder-s0"]).stderr);
        assert_eq!(slots(&self.fleet.cycle(), "spawned"), [FIRST]);
    }

    fn create_jobs(&self) {
        self.is_named_in(text(
            &self.fleet.json(&["reconcile", "--dry-run"]),
            "/steps/spawn/failed/0/error",
        ));
        let report = self.fleet.cycle();
        assert_eq!(report["steps"]["inventory"]["outcome"], "ok", "{report:#}");
        self.is_named_in(text(&report, "/steps/spawn/failed/0/error"));
    }

    fn delete_jobs(&self) {
        let before = self.fleet.cluster.uids();
        for arguments in [&["reconcile"][..], &["reconcile", "--dry-run"]] {
            let report = self.fleet.json(arguments);
            self.is_named_in(text(&report, "/steps/spawn/failed/0/error"));
        }
        assert_eq!(self.fleet.cluster.uids(), before);
    }

    /// The session is replaced without what its pod knows.
    fn list_pods(&self) {
        let finished = self.fleet.run(&["reconcile", "-o", "json"]);
        self.is_named_in(&finished.stderr);
        assert_eq!(slots(&finished.json(), "spawned"), [FIRST], "{}", finished.stdout);
        let history = note(&self.fleet.cluster.job(FIRST).expect("it was replaced"), "history");
        let history: Value = serde_json::from_str(&history).expect("the history is JSON");
        let last = history.as_array().and_then(|runs| runs.last()).expect("a run");
        assert_eq!(
            (&last["outcome"], &last["exit"]),
            (&json!("failed"), &Value::Null),
            "{history:#}"
        );
        self.is_named_in(&self.fleet.run(&["logs", "ui-builder-s0"]).stderr);
    }

    fn get_logs(&self) {
        self.is_named_in(&self.fleet.run(&["logs", "ui-builder-s0"]).stderr);
        assert_eq!(slots(&self.fleet.cycle(), "spawned"), [FIRST]);
    }

    /// Nothing is taken away that cannot be written down.
    fn list_or_update_config_maps(&self) {
        let uids = self.fleet.cluster.uids();
        let report = self.fleet.cycle();
        self.is_named_in(text(&report, "/steps/spawn/failed/0/error"));
        assert_eq!(self.fleet.cluster.uids(), uids);
    }

    fn replaces_all_the_same(&self) {
        assert_eq!(slots(&self.fleet.cycle(), "spawned"), [FIRST]);
    }
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn each_permission_that_is_missing_is_named_and_stops_only_what_needs_it() {
    let cluster = Cluster::new("missing-verbs");
    let _policy = shipped::install(&cluster);
    let fleet = shipped::fleet(&cluster, 2);
    let rules = shipped::document(&cluster, "Role")["rules"].clone();
    for (group, resource, verb) in granted(&rules) {
        fleet.cycle();
        cluster.running("demo-ui-builder-s1");
        cluster.end(FIRST, 1, "");
        let access = Access { group: &group, resource: &resource, verb: &verb };
        cluster.patch::<Role>(ACCOUNT, &json!({ "rules": less(&rules, &resource, &verb) }));
        await_access(&cluster, ACCOUNT, access, false);

        let without =
            Without { fleet: &fleet, denied: format!("cannot {verb} resource \"{resource}\"") };
        match (verb.as_str(), resource.as_str()) {
            ("list", "jobs") => without.list_jobs(),
            ("get", "jobs") => without.get_jobs(),
            ("create", "jobs") => without.create_jobs(),
            ("delete", "jobs") => without.delete_jobs(),
            ("list", "pods") => without.list_pods(),
            ("get", "pods/log") => without.get_logs(),
            ("list" | "update", "configmaps") => without.list_or_update_config_maps(),
            // People read pods; the day's ledger is there already, and old ones stay; nothing is
            // stuck, so no event is needed.
            ("get", "pods") | ("create" | "delete", "configmaps") | ("list", "events") => {
                without.replaces_all_the_same();
            }
            _ => panic!("nothing needs to {verb} {resource}, and the least Role grants it"),
        }
        cluster.patch::<Role>(ACCOUNT, &json!({ "rules": rules }));
        await_access(&cluster, ACCOUNT, access, true);
    }
    History::of(&cluster).took_only_finished_jobs();
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn without_permission_to_list_every_slot_is_held_and_nothing_is_created() {
    let cluster = Cluster::new("blind");
    let rules = json!([{ "apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"] }]);
    account::create(&cluster, "blind", &rules);
    let mut fleet = Fleet::new(&cluster, Roster::of("ui_builder", 2));
    fleet.with_kubeconfig(&account::kubeconfig(&cluster, "blind"));

    let finished = fleet.run(&["reconcile", "-o", "json"]);

    let report = finished.json();
    assert_eq!((finished.code, text(&report, "/status")), (Some(1), "broken"), "{report:#}");
    let error = text(&report, "/steps/inventory/error");
    assert!(error.contains("cannot list resource \"jobs\""), "{report:#}");
    let held = report["steps"]["spawn"]["held"].as_array().expect("a list");
    assert_eq!(held.len(), 2, "{report:#}");
    let why = "the platform refuses the coordinator's requests";
    let is_unknown = |one: &Value| one["reason"] == "unknown" && one["detail"] == why;
    assert!(held.iter().all(is_unknown), "{report:#}");
    assert_eq!(report["requests"]["platform"], 1, "no slot is looked up: {report:#}");
    assert_eq!(cluster.jobs().len(), 0);
}

/// Group, resource and verb of each permission.
fn granted(rules: &Value) -> Vec<(String, String, String)> {
    let words = |list: &Value| -> Vec<String> {
        let list = list.as_array().expect("a list").iter();
        list.map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    let mut all = Vec::new();
    for rule in rules.as_array().expect("a list") {
        let group = words(&rule["apiGroups"]).concat();
        for resource in words(&rule["resources"]) {
            all.extend(
                words(&rule["verbs"])
                    .into_iter()
                    .map(|verb| (group.clone(), resource.clone(), verb)),
            );
        }
    }
    all
}

/// The rules without one verb on one resource.
fn less(rules: &Value, resource: &str, verb: &str) -> Value {
    let mut rules = rules.clone();
    for rule in rules.as_array_mut().expect("a list") {
        if rule["resources"] == json!([resource]) {
            rule["verbs"].as_array_mut().expect("a list").retain(|one| one != verb);
        }
    }
    // A rule without a verb is none.
    rules.as_array_mut().expect("a list").retain(|rule| rule["verbs"] != json!([]));
    rules
}
