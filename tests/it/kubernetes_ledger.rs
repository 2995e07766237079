//! What a slot remembers while no Job of it is there.

use serde_json::{Value, json};

use crate::kubernetes_fleet::{Fleet, OPEN, RECONCILE, SLOT, assert_idle, held, roster, slots};
use testkit::Fault;
use testkit::kubernetes::cluster::Cluster;
use testkit::kubernetes::request::Asked;
use testkit::kubernetes::status;
use testkit::kubernetes::trouble::{Call, Trouble};

const ONE: &[(&str, u32)] = &[("ui_builder", 1)];

/// A fleet whose sessions have all failed once.
fn ended(defaults: &str, count: u32) -> Fleet {
    let fleet = Fleet::of(&roster(defaults, &[("ui_builder", count)]));
    fleet.reconcile();
    for index in 0..count {
        fleet.cluster.state().finish(&format!("demo-ui-builder-s{index}"), 1, "error: no credit");
    }
    fleet.cluster.forget();
    fleet
}

/// A cycle that dies after it has removed an ended Job.
fn die_between_removal_and_creation(fleet: &Fleet) {
    fleet.cluster.script(Call::Create, [Fault::never()]);
    let before = fleet.cluster.count(Call::Create);
    let cycle = fleet.program(RECONCILE).spawn();
    fleet.cluster.await_calls(Call::Create, before + 1);
    cycle.signal("KILL");
    assert_eq!(cycle.wait().code, None);
    assert!(!fleet.cluster.state().jobs().contains(&SLOT.to_owned()), "the old Job was removed");
}

fn ledger(fleet: &Fleet) -> Vec<u64> {
    fleet.cluster.state().ledger(SLOT)
}

#[test]
fn a_cycle_that_dies_between_removal_and_creation_resets_no_generation_and_no_history() {
    let fleet = ended(OPEN, 1);
    for generation in 2..=4 {
        die_between_removal_and_creation(&fleet);
        assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
        assert_eq!(fleet.generation(SLOT), generation.to_string());
        fleet.cluster.state().finish(SLOT, 1, "error: no credit");
    }
    let sessions = fleet.sessions(SLOT);
    let shown = |key: &str| sessions.iter().map(|one| one[key].clone()).collect::<Vec<Value>>();
    assert_eq!(shown("generation"), [1, 2, 3, 4].map(Value::from));
    assert_eq!(shown("exit_code"), [1, 1, 1, 1].map(Value::from));
}

#[test]
fn a_slot_whose_job_is_gone_backs_off_by_what_the_ledger_remembers() {
    let fleet = ended("backoff_base = \"300s\"", 1);
    fleet.cluster.state().advance(600);
    die_between_removal_and_creation(&fleet);
    fleet.cluster.state().advance(-550);
    let report = fleet.reconcile();
    assert_idle(&report);
    assert_eq!(held(&report), ["backoff"], "{report:#}");
    fleet.cluster.state().advance(550);
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
    assert_eq!(fleet.generation(SLOT), "2");
}

#[test]
fn all_that_a_cycle_replaces_is_written_at_once_and_before_its_first_removal() {
    let fleet = ended(OPEN, 50);
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "spawned").len(), 50, "{report:#}");
    let calls = fleet.cluster.calls();
    let place =
        |wanted: Call| calls.iter().position(|call| *call == wanted).expect("the request was sent");
    assert!(place(Call::WriteLedger) < place(Call::Delete), "{calls:?}");
    assert_eq!(fleet.cluster.count(Call::WriteLedger), 1);
    assert_eq!(fleet.cluster.state().ledger("demo-ui-builder-s49"), [1]);
    let written = fleet.asked(Call::WriteLedger).remove(0);
    assert_eq!(written.body["metadata"]["labels"]["coordinator.dev/fleet"], "demo");
    let day = &humantime::format_rfc3339_seconds(fleet.cluster.state().now()).to_string()[..10];
    assert_eq!(written.name(), format!("demo-ledger-{day}"));
    assert_eq!(written.body["data"].as_object().expect("a map").len(), 50);
}

#[test]
fn a_later_cycle_adds_its_runs_to_the_same_days_ledger() {
    let fleet = ended(OPEN, 1);
    for generation in 1..=3 {
        fleet.reconcile();
        assert_eq!(ledger(&fleet), (1..=generation).collect::<Vec<u64>>());
        fleet.cluster.state().finish(SLOT, 1, "");
    }
    assert_eq!(fleet.cluster.state().namespace().config_maps.len(), 1);
    fleet.cluster.forget();
    fleet.reconcile();
    assert_eq!(fleet.cluster.count(Call::ReadLedger), 1);
    assert_eq!(fleet.cluster.count(Call::WriteLedger), 1);
}

/// Another cycle writes a run of another slot, just before this one does.
fn interfere(cluster: &mut Cluster) {
    let revision = cluster.next().to_string();
    let map = cluster.namespace().config_maps.values_mut().next().expect("the day's ledger");
    map["metadata"]["resourceVersion"] = revision.into();
    let run = r#"[{"gen":7,"outcome":"failed","started":1,"finished":2}]"#;
    map["data"]["demo-tester-s0"] = run.into();
}

#[test]
fn two_cycles_that_write_the_ledger_at_once_lose_nothing_of_each_other() {
    let fleet = ended(OPEN, 1);
    fleet.reconcile();
    fleet.cluster.state().finish(SLOT, 1, "");
    fleet.cluster.when(Call::WriteLedger, interfere);
    fleet.cluster.forget();
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
    let answers: Vec<u16> =
        fleet.asked(Call::WriteLedger).iter().map(|asked| asked.status).collect();
    assert_eq!(answers, [409, 200], "the older version replaces nothing");
    assert_eq!(ledger(&fleet), [1, 2]);
    assert_eq!(fleet.cluster.state().ledger("demo-tester-s0"), [7]);
}

#[test]
fn without_the_ledger_nothing_is_replaced_and_first_creations_continue() {
    let breaks: [fn(&Fleet); 3] = [
        |fleet| fleet.cluster.state().revoke("create", "configmaps"),
        |fleet| {
            fleet.cluster.always(Call::WriteLedger, status::internal("etcdserver: leader changed"));
        },
        |fleet| fleet.cluster.always(Call::WriteLedger, Fault::reset()),
    ];
    for broken in breaks {
        let fleet = ended(OPEN, 3);
        fleet.rewrite(&roster(OPEN, &[("ui_builder", 5)]));
        broken(&fleet);
        let report = fleet.reconcile();
        assert_eq!(
            slots(&report, "spawned"),
            ["demo-ui-builder-s3", "demo-ui-builder-s4"],
            "{report:#}"
        );
        assert_eq!(fleet.cluster.count(Call::Delete), 0);
        assert_eq!(slots(&report, "failed").len(), 1, "reported once: {report:#}");
        let why = report["steps"]["spawn"]["failed"][0]["error"]
            .as_str()
            .expect("a failure has an error");
        assert!(
            why.contains("the ledger demo-ledger-")
                && why.contains("no finished session is replaced"),
            "{why}"
        );
        assert_eq!(held(&report), ["role_failed", "role_failed"]);
        assert_eq!(report["status"], "degraded");
        fleet.cluster.heal();
    }
}

#[test]
fn a_ledgers_write_whose_answer_is_lost_is_looked_for_and_not_repeated() {
    for trouble in
        [Fault::reset().after_applying(), Fault::reply(status::timeout()).after_applying()]
    {
        let fleet = ended(OPEN, 1);
        fleet.cluster.script(Call::WriteLedger, [Trouble::Wire(trouble)]);
        assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
        assert_eq!(fleet.cluster.count(Call::WriteLedger), 1);
        assert_eq!(fleet.cluster.count(Call::ReadLedger), 1);
    }
}

#[test]
fn a_slot_whose_history_cannot_be_read_is_held_and_one_without_the_right_to_read_starts() {
    let fleet = Fleet::open(ONE);
    fleet.cluster.script(Call::ReadLedger, [status::internal("etcdserver: leader changed")]);
    let report = fleet.reconcile();
    assert_idle(&report);
    assert_eq!(held(&report), ["unknown"], "{report:#}");
    fleet.cluster.state().revoke("list", "configmaps");
    let finished = fleet.run(&RECONCILE);
    assert_eq!(slots(&finished.json(), "spawned"), [SLOT]);
    assert!(finished.stderr.contains("grant it in the coordinator's Role"), "{}", finished.stderr);
}

#[test]
fn a_failed_inventory_reads_the_ledger_after_it_found_the_slot_free() {
    let fleet = ended(OPEN, 1);
    die_between_removal_and_creation(&fleet);
    fleet.cluster.always(Call::ListJobs, status::unavailable(None));
    fleet.cluster.forget();
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
    assert_eq!(fleet.generation(SLOT), "2");
    let calls = [Call::ListJobs, Call::Get, Call::Get, Call::ReadLedger, Call::Create];
    assert_eq!(fleet.cluster.calls(), calls);
}

#[test]
fn a_ledger_older_than_two_days_is_removed_and_nothing_else() {
    let fleet = ended(OPEN, 1);
    {
        let mut cluster = fleet.cluster.state();
        let labels = json!({"coordinator.dev/fleet": "demo", "coordinator.dev/ledger": "demo"});
        for name in ["demo-ledger-2020-02-29", "demo-ledger-2020-02-29-1", "demo-notes"] {
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {},
                "metadata": {"name": name, "labels": labels, "resourceVersion": "1"}});
            cluster.namespace().config_maps.insert(name.to_owned(), map);
        }
    }
    // The first cycle of a day writes without a look.
    fleet.reconcile();
    fleet.cluster.state().finish(SLOT, 1, "");
    fleet.reconcile();
    let mut cluster = fleet.cluster.state();
    let names: Vec<&String> = cluster.namespace().config_maps.keys().collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().any(|name| *name == "demo-notes"), "{names:?}");
}

#[test]
fn a_dry_run_checks_the_write_of_the_ledger_and_writes_nothing() {
    let fleet = ended(OPEN, 1);
    let report = fleet.run(&["reconcile", "--dry-run", "-o", "json"]).json();
    assert_eq!(slots(&report, "spawned"), [SLOT], "{report:#}");
    let asked = fleet.asked(Call::WriteLedger);
    assert!(!asked.is_empty() && asked.iter().all(Asked::is_dry_run));
    assert_eq!(ledger(&fleet), [0; 0]);
}
