//! What a real API server does to many writes at once: quota conflicts, GOAWAY, a restart within
//! the cycle; and what a slot remembers when coordinators are killed.

#![allow(clippy::print_stdout, reason = "what happened is there to be read")]

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

use crate::audit::Audit;
use crate::cluster::{Cluster, at_once, is_over, note, read, until};
use crate::fleet::{Fleet, Roster, slots};
use crate::second_server::SecondServer;
use crate::shipped::{self, ACCOUNT};

const FIRST: &str = "demo-ui-builder-s0";

/// Sessions that end on their own, well or not.
fn short_lived(count: u32) -> Roster {
    Roster {
        deadline: "200s".to_owned(),
        platform: format!("max_spawns = {count}"),
        behaviour: vec![("random".to_owned(), "true".to_owned())],
        ..Roster::of("ui_builder", count)
    }
}

fn all_are_over(cluster: &Cluster, count: usize) {
    let end = Instant::now() + Duration::from_secs(300);
    loop {
        let over = cluster.jobs().iter().filter(|job| is_over(job)).count();
        if over == count {
            return;
        }
        assert!(Instant::now() < end, "{over} of {count} sessions are over");
        thread::sleep(Duration::from_secs(1));
    }
}

/// How a cycle's creations were answered, by the API server's own log.
fn creations(audit: &Audit, cluster: &Cluster) -> BTreeMap<u64, usize> {
    let mut answers = BTreeMap::new();
    let requests = audit.requests(cluster.namespace(), |agent| agent.starts_with("coordinator/"));
    for request in requests {
        if request["verb"] == "create" && request["objectRef"]["resource"] == "jobs" {
            *answers
                .entry(request["responseStatus"]["code"].as_u64().unwrap_or_default())
                .or_default() += 1;
        }
    }
    answers
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn every_ended_session_is_replaced_in_one_cycle_under_the_shipped_quota() {
    const COUNT: u32 = 400;
    let cluster = Cluster::new("conflict");
    let _policy = shipped::install(&cluster);
    shipped::make_room(&cluster, 2 * COUNT as usize);
    let mut fleet = shipped::of(&cluster, short_lived(COUNT));
    fleet.cycle();
    all_are_over(&cluster, COUNT as usize);
    fleet.edit(|roster| roster.behaviour.clear());
    let audit = Audit::new();
    let report = fleet.cycle();
    println!("creations by answer: {:?}", creations(&audit, &cluster));
    assert_eq!(
        slots(&report, "spawned").len(),
        COUNT as usize,
        "{:#}",
        report["steps"]["spawn"]["failed"]
    );
    assert_eq!(report["steps"]["spawn"]["held"], json!([]));
    assert_eq!(report["status"], "healthy", "{:#}", report["reasons"]);
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_server_that_closes_its_connections_now_and_then_stops_no_cycle() {
    const COUNT: u32 = 400;
    let cluster = Cluster::new("goaway");
    let _policy = shipped::install(&cluster);
    shipped::make_room(&cluster, 2 * COUNT as usize);
    let server = SecondServer::start(&cluster, &["--goaway-chance=0.02"]);
    let mut fleet = shipped::of(
        &cluster,
        Roster { platform: format!("max_spawns = {COUNT}"), ..short_lived(COUNT) },
    );
    fleet.with_kubeconfig(&server.kubeconfig(&cluster, ACCOUNT));
    let finished = fleet.run(&["reconcile", "-o", "json", "-vv"]);
    let repeated =
        finished.stderr.lines().filter(|line| line.contains("the server did nothing; once more"));
    println!("sent again: {}", repeated.count());
    let report = finished.json();
    assert_eq!(
        slots(&report, "spawned").len(),
        COUNT as usize,
        "{:#}",
        report["steps"]["spawn"]["failed"]
    );
    assert_eq!(cluster.jobs().len(), COUNT as usize);
    assert!(cluster.jobs().iter().all(|job| note(job, "generation") == "1"), "none was made twice");
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_server_that_restarts_within_the_cycle_costs_a_pause_and_not_the_role() {
    const COUNT: u32 = 600;
    let cluster = Cluster::new("restart");
    let _policy = shipped::install(&cluster);
    shipped::make_room(&cluster, 2 * COUNT as usize);
    let mut server = SecondServer::start(&cluster, &[]);
    let mut fleet = shipped::of(&cluster, short_lived(COUNT));
    fleet.edit(|roster| roster.behaviour.clear());
    fleet.with_kubeconfig(&server.kubeconfig(&cluster, ACCOUNT));
    let cycle = fleet.program().args(["reconcile", "-o", "json", "-vv"]).spawn();
    let early = FIRST.replace("-s0", "-s60");
    at_once("some sessions have started", || cluster.job(&early));
    server.stop();
    let left = COUNT as usize - cluster.jobs().len();
    thread::sleep(Duration::from_secs(5));
    server.restart();
    let finished = cycle.wait();
    let report = finished.json();
    let mut answers = BTreeMap::<&str, usize>::new();
    for line in
        finished.stderr.lines().filter_map(|line| line.split_once("the API server answered "))
    {
        *answers.entry(line.1).or_default() += 1;
    }
    println!("answers: {answers:?}");
    let failed = report["steps"]["spawn"]["failed"].as_array().expect("a list").clone();
    println!("left when it was killed: {left}; failed: {failed:#?}");
    assert!(left > 50, "the server was killed in the middle");
    assert_eq!(report["steps"]["spawn"]["held"], json!([]), "the role goes on");
    assert!(failed.len() <= 32, "no more than were under way: {failed:#?}");
    for failure in &failed {
        let why = failure["error"].as_str().unwrap_or_default();
        assert!(why.contains("it may still start"), "{why}");
    }
    assert_eq!(slots(&report, "spawned").len() + failed.len(), COUNT as usize);
}

/// Eight coordinators at once, each killed at some moment, round after round.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn coordinators_that_are_killed_at_any_moment_begin_no_slot_anew() {
    const COUNT: u32 = 20;
    const ROUNDS: u64 = 12;
    let cluster = Cluster::new("killed");
    let _policy = shipped::install(&cluster);
    let fleet = shipped::of(&cluster, short_lived(COUNT));
    let audit = Audit::new();
    let eight = || {
        (0..8)
            .map(|_| fleet.program().args(["reconcile", "-o", "json"]).spawn())
            .collect::<Vec<_>>()
    };
    // How long eight cycles take here: each is killed at some moment of that time.
    let began = Instant::now();
    for cycle in eight() {
        cycle.wait();
    }
    let pause_ms = u64::try_from(began.elapsed().as_millis()).expect("a short time") / 6 + 1;
    let (mut killed, mut seed) = (0, 88_172_645_463_325_252_u64);
    for _ in 0..ROUNDS {
        for cycle in eight() {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            thread::sleep(Duration::from_millis(seed % pause_ms));
            cycle.signal("KILL");
            killed += usize::from(cycle.wait().code.is_none());
        }
        until("some sessions are over", || {
            let jobs = cluster.jobs();
            (jobs.len() < COUNT as usize || jobs.iter().filter(|job| is_over(job)).count() > 10)
                .then_some(())
        });
    }
    fleet.cycle();
    let (anew, all) = creations_of_slots_with_history(&audit, &cluster);
    println!(
        "killed {killed}; creations of slots with a history: {all}, of them at generation 1: \
         {anew:?}"
    );
    assert!(all > 40 && killed > 25, "it was a storm: {all} creations, {killed} killed");
    assert_eq!(anew, Vec::<String>::new());
    assert!(
        ledger(&cluster)
            .iter()
            .any(|map| map.data.as_ref().is_some_and(|data| data.contains_key(FIRST)))
    );
}

/// Creations that were carried out after a deletion of their slot, and those of them that began at
/// 1.
fn creations_of_slots_with_history(audit: &Audit, cluster: &Cluster) -> (Vec<String>, usize) {
    let mut removed: BTreeMap<String, Value> = BTreeMap::new();
    let (mut anew, mut all) = (Vec::new(), 0);
    for request in audit.requests(cluster.namespace(), |agent| agent.starts_with("coordinator/")) {
        let is_done = request["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300);
        if request["objectRef"]["resource"] != "jobs" || !is_done {
            continue;
        }
        let name = request["objectRef"]["name"].as_str().unwrap_or_default().to_owned();
        if request["verb"] == "delete" {
            removed.insert(name, request["auditID"].clone());
        } else if request["verb"] == "create" && removed.contains_key(&name) {
            all += 1;
            let generation =
                &request["requestObject"]["metadata"]["labels"]["coordinator.dev/generation"];
            if generation == "1" {
                anew.push(name);
            }
        }
    }
    (anew, all)
}

fn ledger(cluster: &Cluster) -> Vec<ConfigMap> {
    let ours = ListParams::default().labels("coordinator.dev/ledger=demo");
    cluster.wait(cluster.api::<ConfigMap>().list(&ours)).expect("ConfigMaps can be listed").items
}

/// Of the `ConfigMap`s the coordinator writes the ledger alone, and takes nothing out of it.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn the_server_lets_the_coordinator_write_the_ledger_and_no_other_config_map() {
    let cluster = Cluster::new("policy-ledger");
    let _policy = shipped::install(&cluster);
    let fleet: Fleet = shipped::fleet(&cluster, 1);
    fleet.cycle();
    cluster.end(FIRST, 1, "");
    assert_eq!(slots(&fleet.cycle(), "spawned"), [FIRST]);
    let [written] = &ledger(&cluster)[..] else { panic!("one ledger: {:?}", ledger(&cluster)) };
    let name = written.metadata.name.clone().expect("a name");

    let path = format!("/api/v1/namespaces/{}/configmaps", cluster.namespace());
    let mut other =
        json!({ "metadata": { "name": "coordinator-roster", "labels": written.metadata.labels } });
    let refused = cluster.rehearse_as(ACCOUNT, &path, &other).expect_err("another ConfigMap");
    assert!(
        refused.contains("coordinator-roster is neither of the ledger nor a register"),
        "{refused}"
    );
    other["metadata"]["name"] = json!("demo-ledger-2027-01-15");
    cluster.rehearse_as(ACCOUNT, &path, &other).expect("a ledger may be made");
    other["metadata"]["labels"]["coordinator.dev/fleet"] = json!("other");
    let refused = cluster.rehearse_as(ACCOUNT, &path, &other).expect_err("another fleet's");
    assert!(refused.contains("belongs to the fleet demo"), "{refused}");

    let account =
        kube::config::Kubeconfig::from_yaml(&crate::account::kubeconfig(&cluster, ACCOUNT));
    let refused = cluster.wait(async {
        let options = kube::config::KubeConfigOptions::default();
        let config =
            kube::Config::from_custom_kubeconfig(account.expect("a kubeconfig"), &options).await;
        let client = kube::Client::try_from(config.expect("it is good")).expect("a client");
        let maps: kube::Api<ConfigMap> = kube::Api::namespaced(client, cluster.namespace());
        let emptied: ConfigMap = read(json!({ "metadata": written.metadata, "data": {} }));
        let emptied = maps.replace(&name, &PostParams::default(), &emptied).await;
        emptied.expect_err("a ledger without its slots").to_string()
    });
    assert!(refused.contains("ledger and registers forget nothing"), "{refused}");
}
