//! Work items as the shipped service account keeps them, and a session that a person ends.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use coordinator_core::fleet::{Run, SlotRecord};
use coordinator_core::platform::Start;

use crate::account;
use crate::cluster::{Cluster, is_over, note, until};
use crate::fleet::{Fleet, Roster, slots, text};
use crate::history::History;
use crate::shipped::{self, ACCOUNT};
use testkit::item_fleet::{ItemFleet, held, started};
use testkit::tasks::TaskState;

const SESSION: &str = "demo-queue-i7";

/// A source of tasks on the shipped manifests.
fn items(cluster: &Cluster) -> ItemFleet {
    let fleet = shipped::of(cluster, Roster::of("builder", 0));
    let items = ItemFleet::at(&fleet.workplace.roster(), account::kubeconfig(cluster, ACCOUNT));
    items.open("7");
    items
}

fn register(cluster: &Cluster) -> Option<ConfigMap> {
    cluster.wait(cluster.api::<ConfigMap>().get_opt(SESSION)).expect("it can be looked up")
}

/// The register as a person sees it.
#[expect(clippy::print_stdout, reason = "an item's life is worth seeing")]
fn show(cluster: &Cluster, what: &str) {
    let data = register(cluster).and_then(|map| map.data).unwrap_or_default();
    let job = cluster.job(SESSION);
    let state = match &job {
        None => "no Job".to_owned(),
        Some(job) => {
            let over = if is_over(job) { "ended" } else { "live" };
            format!(
                "Job {over}, generation {}, item {}",
                note(job, "generation"),
                note(job, "item")
            )
        }
    };
    println!("{what}: {state}; register generation {}, runs {}", data["generation"], data["runs"]);
}

fn attempt(number: u32, generation: u64) -> Vec<(String, u32, u64)> {
    vec![("7".to_owned(), number, generation)]
}

fn record(cluster: &Cluster, items: &ItemFleet) -> SlotRecord {
    let mut listing = cluster.wait(items.list());
    listing.slots.remove(&items.tasks.slot("7")).expect("the slot is remembered")
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn the_life_of_a_work_item_start_fail_next_attempt_superseded_done() {
    let cluster = Cluster::new("item-life");
    let _policy = shipped::install(&cluster);
    let items = items(&cluster);
    let cycle = || cluster.wait(items.cycle());

    let (slow, planned) = cluster.wait(items.planned());
    assert_eq!(started(&cycle()), attempt(1, 1));
    show(&cluster, "start");
    cluster.end(SESSION, 3, "no model answers");
    let of = record(&cluster, &items)
        .history
        .pop()
        .expect("it ended")
        .item
        .expect("it worked on an item");
    assert_eq!(
        (of.role.as_str(), of.item.id.as_str(), of.item.counts.attempt),
        ("builder", "7", 1)
    );
    show(&cluster, "fail");
    assert_eq!(started(&cycle()), attempt(2, 2));
    cluster.running(SESSION);
    show(&cluster, "next attempt");
    let live = record(&cluster, &items).live.expect("it runs").item.expect("it works on an item");
    assert_eq!(live.item.counts.attempt, 2);

    let before = cluster.uids();
    assert_eq!(cluster.wait(items.start(&slow, &planned[0], "slow")), Start::Superseded);
    show(&cluster, "superseded: what planned attempt 1 before all this starts nothing");
    let (late, planned) = cluster.wait(items.planned());
    cluster.end(SESSION, 3, "");
    assert_eq!(cluster.wait(items.start(&late, &planned[0], "late")), Start::AlreadyRunning);
    assert_eq!(cluster.uids(), before);

    assert_eq!(started(&cycle()), attempt(3, 3));
    cluster.end(SESSION, 0, "");
    assert_eq!(started(&cycle()), []);
    assert_eq!(items.state("7"), Some(TaskState::Done));
    show(&cluster, "done");
    History::of(&cluster).took_only_finished_jobs();
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn of_items_started_by_overlapping_cycles_each_attempt_runs_once_and_what_ended_is_written_down() {
    let cluster = Cluster::new("item-overlap");
    let _policy = shipped::install(&cluster);
    let items = items(&cluster);
    let all = || cluster.wait(async { tokio::join!(items.cycle(), items.cycle(), items.cycle()) });
    // Cycles that saw a start which then lost may use up generations.
    let mut generation = 0;
    for number in 1..=2 {
        let (one, two, three) = all();
        let reports = [one, two, three];
        let started: Vec<_> = reports.iter().flat_map(started).collect();
        let held: Vec<_> = reports.iter().map(held).collect();
        let [(_, _, newest)] = started[..] else {
            panic!("one start: {started:?}, held: {held:?}")
        };
        assert!(newest > generation, "{newest} after {generation}");
        generation = newest;
        assert_eq!(started, attempt(number, generation), "held: {held:?}");
        cluster.end(SESSION, 1, "");
    }
    items.tasks.store.borrow_mut().broken = Some("the database is locked".to_owned());
    cluster.wait(items.cycle());
    cluster.keep_for(SESSION, 1);
    until("the finished Job is removed", || cluster.job(SESSION).is_none().then_some(()));
    let record = record(&cluster, &items);
    let attempt_of = |run: &Run| run.item.as_ref().map(|item| item.item.counts.attempt);
    assert_eq!(record.history.iter().map(attempt_of).collect::<Vec<_>>(), [Some(1), Some(2)]);
    items.tasks.store.borrow_mut().broken = None;
    assert_eq!(started(&cluster.wait(items.cycle())), attempt(3, generation + 1));
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn the_server_lets_no_register_of_items_go_back_and_takes_none_under_another_name() {
    let cluster = Cluster::new("item-policy");
    let _policy = shipped::install(&cluster);
    let items = items(&cluster);
    cluster.wait(items.cycle());
    cluster.end(SESSION, 1, "");
    cluster.wait(items.cycle());
    let path = format!("/api/v1/namespaces/{}/configmaps", cluster.namespace());
    let mut map = serde_json::to_value(register(&cluster).expect("it is there")).expect("JSON");
    map["apiVersion"] = json!("v1");
    map["kind"] = json!("ConfigMap");
    let replace = |map: &Value| cluster.replace_as(ACCOUNT, &format!("{path}/{SESSION}"), map);
    for generation in [json!("1"), json!("many"), json!("-3")] {
        let mut back = map.clone();
        back["data"]["generation"] = generation;
        let refused = replace(&back).expect_err("it may not go back");
        assert!(refused.contains("is a number that never goes back"), "{refused}");
    }
    let mut forgetful = map.clone();
    forgetful["data"].as_object_mut().expect("a map").remove("runs");
    let refused = replace(&forgetful).expect_err("it may not forget");
    assert!(refused.contains("forget nothing"), "{refused}");
    let mut unlabelled = map.clone();
    unlabelled["metadata"]["labels"]["coordinator.dev/register"] = json!("other");
    let refused = replace(&unlabelled).expect_err("it stays a register");
    assert!(refused.contains("neither of the ledger nor a register"), "{refused}");
    let labels = json!({ "coordinator.dev/fleet": "demo", "coordinator.dev/register": "demo" });
    for name in ["demo-notes", "kube-root-ca.crt", "other-queue-i7", "demo-queue-s7"] {
        let stray = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": { "generation": "1" },
            "metadata": { "name": name, "labels": labels },
        });
        let refused =
            cluster.rehearse_as(ACCOUNT, &path, &stray).expect_err("it is not a register");
        assert!(refused.contains("neither of the ledger nor a register"), "{refused}");
    }
    map["data"]["generation"] = json!("9");
    replace(&map).expect("forward is the way");
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_person_stops_a_session_of_items_or_roles_and_the_coordinator_may_not() {
    let cluster = Cluster::new("stop-items");
    let _policy = shipped::install(&cluster);
    let coordinator = shipped::fleet(&cluster, 2);
    coordinator.cycle();
    let (stopped, other) = ("demo-ui-builder-s0", "demo-ui-builder-s1");
    cluster.running(stopped);
    cluster.running(other);

    let refused = coordinator.run(&["stop", "ui-builder-s0", "-y"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stdout.contains("cannot patch resource \"jobs\""), "{}", refused.stdout);
    assert!(cluster.job(stopped).is_some_and(|job| !is_over(&job)));

    let person = Fleet::new(&cluster, Roster::of("ui_builder", 2));
    let program = person.program().env("USER", "alice").args(["stop", "ui-builder-s0", "-y"]).run();
    assert_eq!(program.code, Some(0), "{}", program.stdout);
    assert!(program.stdout.starts_with("ui-builder-s0: stopped; it waits"), "{}", program.stdout);
    assert!(cluster.job(stopped).is_some_and(|job| is_over(&job)), "it waited for the end");
    let sessions = person.json(&["sessions"]);
    let sessions = sessions["sessions"].as_array().expect("a list").clone();
    let ended = sessions.iter().find(|one| one["slot"] == stopped).expect("it is remembered");
    assert_eq!(
        (&ended["outcome"], &ended["detail"]),
        (&json!("stopped"), &json!("stopped by alice"))
    );
    let live: Job = cluster.job(other).expect("the other slot is left alone");
    assert!(!is_over(&live));
    let again = person.run(&["stop", "ui-builder-s0"]);
    assert_eq!(again.stdout, "ui-builder-s0: not running\n");
    let held = coordinator.cycle();
    assert_eq!(slots(&held, "spawned").len(), 0, "{held:#}");
    assert_eq!(text(&held, "/steps/spawn/held/0/reason"), "stopped", "{held:#}");
    let refused = coordinator.run(&["resume", "ui-builder-s0"]);
    assert_eq!(refused.code, Some(1), "the coordinator may not: {}", refused.stdout);
    let resumed = person.run(&["resume", "ui-builder-s0"]);
    assert_eq!(resumed.stdout, "ui-builder-s0 goes on with the next cycle\n");
    let next = coordinator.cycle();
    assert_eq!(slots(&next, "spawned"), [stopped], "{next:#}");
    let written = note(&cluster.job(stopped).expect("it was replaced"), "history");
    assert!(written.contains("stopped by alice"), "{written}");
    let history = person.json(&["history"]);
    assert_eq!(text(&history, "/sessions/0/slot"), stopped, "{history:#}");
    assert_eq!(text(&history, "/sessions/0/reason"), "stopped by alice", "{history:#}");
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_person_pauses_the_fleet_with_a_suspended_job_and_the_next_list_shows_it() {
    let cluster = Cluster::new("pause");
    let _policy = shipped::install(&cluster);
    let coordinator = shipped::fleet(&cluster, 1);
    let person = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    let pause = |reason: &str| {
        let program = person.program().env("USER", "alice").args(["pause", "-m", reason]).run();
        assert_eq!(program.code, Some(0), "{}{}", program.stdout, program.stderr);
    };
    pause("the first reason");
    pause("the demo is on");
    let paused = coordinator.cycle();
    assert_eq!(slots(&paused, "spawned").len(), 0, "{paused:#}");
    assert_eq!(text(&paused, "/steps/spawn/held/0/reason"), "paused", "{paused:#}");
    assert_eq!(text(&paused, "/paused/by"), "alice", "{paused:#}");
    assert_eq!(text(&paused, "/paused/reason"), "the demo is on", "{paused:#}");
    assert_eq!(paused["steps"]["inventory"]["unmanaged"], json!([]), "{paused:#}");
    assert_eq!(paused["steps"]["inventory"]["running"], 0, "it is not counted: {paused:#}");
    let retried = person.run(&["retry", "ui-builder-s0"]);
    assert!(retried.code == Some(1) && retried.stderr.contains("paused"), "{}", retried.stderr);
    assert_eq!(cluster.pods("demo-paused").len(), 0, "it never has a pod");
    assert_eq!(person.run(&["resume"]).stdout, "demo goes on\n");
    until("the Job is gone", || cluster.job("demo-paused").is_none().then_some(()));
    let next = coordinator.cycle();
    assert_eq!(slots(&next, "spawned"), ["demo-ui-builder-s0"], "{next:#}");
    assert_eq!(next["paused"], Value::Null);
}
