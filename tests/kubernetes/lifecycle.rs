//! A fleet's life: it starts, heals, grows, shrinks and changes, and no live session is ever
//! touched.

use serde_json::{Value, json};

use crate::cluster::{Cluster, has_condition, is_over, note, uid, until};
use crate::fleet::{Fleet, Roster, slots, text};
use crate::history::History;

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_cold_start_fills_every_slot_and_the_next_cycle_starts_nothing() {
    let cluster = Cluster::new("cold-start");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 3));

    let first = fleet.cycle();
    assert_eq!(
        slots(&first, "spawned"),
        ["demo-ui-builder-s0", "demo-ui-builder-s1", "demo-ui-builder-s2"]
    );
    for session in slots(&first, "spawned") {
        cluster.running(&session);
    }
    let second = fleet.cycle();

    assert_eq!(second["steps"]["inventory"]["running"], 3, "{second:#}");
    assert_eq!(slots(&second, "spawned"), Vec::<String>::new());
    assert_eq!(second["requests"]["platform"], 1, "a converged cycle is one list: {second:#}");
    assert_eq!(cluster.jobs().len(), 3);
}

const FIRST: &str = "demo-ui-builder-s0";

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_failed_session_is_replaced_by_the_next_cycle_which_remembers_how_it_ended() {
    let cluster = Cluster::new("self-healing");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    fleet.cycle();
    let failed = cluster.job(FIRST).expect("it was started");
    cluster.end(FIRST, 3, "the disk is full");

    let report = fleet.cycle();

    assert_eq!(slots(&report, "spawned"), [FIRST], "{report:#}");
    assert_eq!(report["steps"]["spawn"]["spawned"][0]["generation"], 2);
    let next = cluster.job(FIRST).expect("it was replaced");
    assert_eq!(note(&next, "generation"), "2");
    assert_eq!(note(&next, "prev-uid"), uid(&failed));
    let history: Value =
        serde_json::from_str(&note(&next, "history")).expect("the history is JSON");
    assert_eq!(history.as_array().map(Vec::len), Some(1), "{history:#}");
    for (key, value) in [
        ("gen", json!(1)),
        ("outcome", json!("failed")),
        ("exit", json!(3)),
        ("reason", json!("the disk is full")),
    ] {
        assert_eq!(history[0][key], value, "{history:#}");
    }
    cluster.running(FIRST);
    until("the first pod is gone", || (cluster.pods(FIRST).len() == 1).then_some(()));
    History::of(&cluster).took_only_finished_jobs();
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_role_that_shrinks_loses_nobody_and_its_surplus_counts_until_it_has_drained() {
    let cluster = Cluster::new("scale");
    let mut fleet = Fleet::new(&cluster, Roster::of("ui_builder", 3));
    let name = |index: u32| format!("demo-ui-builder-s{index}");
    fleet.cycle();
    fleet.edit(|roster| roster.roles[0].1 = 5);
    assert_eq!(slots(&fleet.cycle(), "spawned"), [name(3), name(4)]);
    (0..5).for_each(|index| cluster.running(&name(index)));
    let all = cluster.uids();

    fleet.edit(|roster| roster.roles[0].1 = 2);
    let shrunk = fleet.cycle();
    assert_eq!(shrunk["steps"]["inventory"]["running"], 5, "{shrunk:#}");
    assert_eq!(shrunk["steps"]["inventory"]["roles"][0]["surplus"], 3, "{shrunk:#}");
    assert_eq!(
        shrunk["steps"]["inventory"]["out_of_range"],
        json!([name(2), name(3), name(4)]),
        "{shrunk:#}"
    );
    assert_eq!(cluster.uids(), all, "nobody is touched");

    cluster.end(&name(0), 0, "");
    cluster.end(&name(3), 0, "");
    let draining = fleet.cycle();
    assert_eq!(draining["steps"]["inventory"]["running"], 3, "{draining:#}");
    assert_eq!(
        slots(&draining, "spawned"),
        Vec::<String>::new(),
        "surplus fills the count: {draining:#}"
    );

    cluster.end(&name(2), 0, "");
    cluster.end(&name(4), 0, "");
    let drained = fleet.cycle();
    assert_eq!(slots(&drained, "spawned"), [name(0)], "{drained:#}");
    assert_eq!(drained["steps"]["inventory"]["out_of_range"], json!([]), "{drained:#}");
    assert_eq!(cluster.uids()[&name(1)], all[&name(1)], "a live session is never touched");
    History::of(&cluster).took_only_finished_jobs();
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn sessions_of_a_role_that_was_removed_are_reported_and_left_to_finish() {
    let cluster = Cluster::new("role-removed");
    let mut fleet = Fleet::new(&cluster, Roster::of("ui_builder", 2));
    fleet.cycle();
    let before = cluster.uids();

    fleet.edit(|roster| roster.roles = vec![("tester".to_owned(), 1)]);
    let report = fleet.cycle();

    let unmanaged = report["steps"]["inventory"]["unmanaged"].as_array().expect("a list");
    let named: Vec<&str> = unmanaged.iter().map(|one| text(one, "/slot")).collect();
    assert_eq!(named, [FIRST, "demo-ui-builder-s1"], "{report:#}");
    assert!(text(&unmanaged[0], "/reason").contains("no role `ui_builder`"), "{report:#}");
    assert_eq!(slots(&report, "spawned"), ["demo-tester-s0"]);
    let after = cluster.uids();
    assert!(before.iter().all(|(name, uid)| after.get(name) == Some(uid)), "{after:?}");
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn two_cycles_with_different_rosters_never_fill_more_than_the_larger_one_and_end_nobody() {
    let cluster = Cluster::new("two-rosters");
    let (large, small) = (
        Fleet::new(&cluster, Roster::of("ui_builder", 5)),
        Fleet::new(&cluster, Roster::of("ui_builder", 3)),
    );

    let at_once =
        [&large, &small].map(|fleet| fleet.program().args(["reconcile", "-o", "json"]).spawn());
    let reports = at_once.map(|cycle| cycle.wait().json());
    assert!(reports.iter().all(|report| slots(report, "failed").is_empty()), "{reports:#?}");
    large.cycle();
    let filled = cluster.uids();
    assert_eq!(filled.len(), 5, "{filled:?}");

    let surplus = small.cycle();
    let beyond = json!(["demo-ui-builder-s3", "demo-ui-builder-s4"]);
    assert_eq!(surplus["steps"]["inventory"]["out_of_range"], beyond, "{surplus:#}");
    assert_eq!(slots(&large.cycle(), "spawned"), Vec::<String>::new());
    assert_eq!(cluster.uids(), filled);
    assert_eq!(History::of(&cluster).asked("delete").len(), 0);
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_session_that_outlives_its_time_limit_is_ended_by_the_platform_and_replaced() {
    let cluster = Cluster::new("time-limit");
    let mut roster = Roster::of("ui_builder", 1);
    roster.defaults += "time_limit = \"1s\"\n";
    let fleet = Fleet::new(&cluster, roster);
    fleet.cycle();
    until("its time is up", || is_over(&cluster.job(FIRST)?).then_some(()));

    assert_eq!(slots(&fleet.cycle(), "spawned"), [FIRST]);

    let next = cluster.job(FIRST).expect("it was replaced");
    assert!(
        note(&next, "history").contains("\"outcome\":\"timed_out\""),
        "{}",
        note(&next, "history")
    );
}

/// F.3-15: the Job's own deadline covers the time that it waits for a node.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_session_that_never_starts_frees_its_slot_at_the_deadline_of_its_job() {
    let cluster = Cluster::new("never-starts");
    let mut roster = Roster::of("ui_builder", 1);
    roster.defaults += "time_limit = \"1s\"\n";
    roster.kubernetes = "start_timeout = \"1s\"\nnode_selector = { disk = \"none\" }\n".to_owned();
    let fleet = Fleet::new(&cluster, roster);
    fleet.cycle();
    until("its deadline has passed", || {
        has_condition(&cluster.job(FIRST)?, "Failed").then_some(())
    });

    let report = fleet.cycle();

    assert_eq!(slots(&report, "spawned"), [FIRST], "{report:#}");
    let next = cluster.job(FIRST).expect("it was replaced");
    let history: Value =
        serde_json::from_str(&note(&next, "history")).expect("the history is JSON");
    assert_eq!(history[0]["outcome"], "timed_out", "{history:#}");
    assert_eq!(history[0]["exit"], Value::Null, "it never ran: {history:#}");
}

/// F.3-4: with the record the history is gone, which a slot survives.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_slot_whose_record_the_cluster_has_removed_starts_anew() {
    let cluster = Cluster::new("ttl");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    fleet.cycle();
    cluster.running(FIRST);
    cluster.keep_for(FIRST, 1);
    cluster.tell(FIRST, &[("exit", "1")]);
    until("the finished Job is removed", || cluster.job(FIRST).is_none().then_some(()));

    let report = fleet.cycle();

    assert_eq!(
        report["steps"]["spawn"]["spawned"],
        json!([{ "slot": FIRST, "role": "ui_builder", "generation": 1 }])
    );
    assert_eq!(note(&cluster.job(FIRST).expect("it was started"), "history"), "[]");
    assert_eq!(History::of(&cluster).done("create").len(), 2);
}

/// F.3-34: what the roster takes as a name, the API server takes too.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn the_longest_names_and_those_that_look_alike_are_slots_of_their_own() {
    let cluster = Cluster::new("names");
    let longest = "r".repeat(28);
    let mut roster = Roster::of(&longest, 11);
    roster.roles.extend([("dev".to_owned(), 2), ("dev_1".to_owned(), 2), ("dev_s1".to_owned(), 2)]);
    let fleet = Fleet::new(&cluster, roster);

    let report = fleet.cycle();
    assert_eq!(slots(&report, "spawned").len(), 17, "{report:#}");
    let next = fleet.cycle();

    let running = |role: usize| next["steps"]["inventory"]["roles"][role]["running"].as_u64();
    assert_eq!([0, 1, 2, 3].map(running), [Some(11), Some(2), Some(2), Some(2)], "{next:#}");
    assert_eq!(next["steps"]["inventory"]["unmanaged"], json!([]));
    cluster.running(&format!("demo-{longest}-s10"));
}
