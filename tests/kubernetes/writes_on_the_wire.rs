//! What a write that is late, lost, repeated or overtaken does: at most one session, and a report
//! that says so.

use std::time::Duration;

use crate::cluster::{Cluster, until};
use crate::fleet::{Fleet, Roster, slots};
use crate::proxy::{Asked, Fault, Gate, Pause, Proxy};
use crate::witness::Witness;
use testkit::program::Running;

const SESSION: &str = "demo-builder-s0";

/// A cluster, and a fleet of one on it.
fn one(cluster: &Cluster) -> (Fleet<'_>, Proxy, Witness<'_>) {
    let roster = Roster { deadline: "20s".to_owned(), ..Roster::of("builder", 1) };
    (Fleet::new(cluster, roster), Proxy::new(None), Witness::new(cluster))
}

fn uid(cluster: &Cluster) -> String {
    cluster.job(SESSION).expect("the Job is there").metadata.uid.expect("an object has a uid")
}

/// A cycle that goes as far as the first request of this kind, and sleeps.
fn asleep_before(
    proxy: &Proxy,
    fleet: &Fleet,
    is_meant: impl Fn(&Asked) -> bool + Send + 'static,
) -> (Running, Gate) {
    let gate = Gate::new();
    let held = gate.clone();
    proxy.disturb(move |asked| {
        if asked.who == "slow" && is_meant(asked) {
            Fault::Wait(Pause::Until(held.clone()))
        } else {
            Fault::None
        }
    });
    let slow = proxy.program(fleet, "slow").spawn();
    until("the request is on its way", || (gate.arrived() > 0).then_some(()));
    slow.signal("STOP");
    (slow, gate)
}

/// The methods and answers of its writes of Jobs.
fn writes(proxy: &Proxy, who: &str) -> Vec<(String, Vec<u16>)> {
    let writes = proxy.of(who).into_iter().filter(|one| one.asked.changes_a_job());
    writes.map(|one| (one.asked.method.to_string(), one.answers)).collect()
}

/// F.3-2.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_cycle_that_sleeps_before_its_creation_makes_no_second_session_in_a_slot_that_was_refilled() {
    let cluster = Cluster::new("slept-create");
    let (fleet, proxy, witness) = one(&cluster);
    let (slow, gate) = asleep_before(&proxy, &fleet, Asked::is_creation);
    for _ in 0..2 {
        fleet.cycle();
        cluster.end(SESSION, 0, "done");
    }
    fleet.cycle();
    cluster.running(SESSION);
    let live = uid(&cluster);

    gate.open();
    slow.signal("CONT");
    let slow = slow.wait().json();

    assert_eq!(writes(&proxy, "slow"), [("POST".to_owned(), vec![409])]);
    assert_eq!(slots(&slow, "spawned"), Vec::<String>::new(), "{slow:#}");
    assert_eq!(uid(&cluster), live);
    assert_eq!(witness.violations(), Vec::<String>::new());
}

/// F.3-20.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_deletion_that_another_cycles_replacement_overtook_removes_nothing_and_creates_nothing() {
    let cluster = Cluster::new("overtaken");
    let (fleet, proxy, witness) = one(&cluster);
    fleet.cycle();
    cluster.end(SESSION, 0, "done");
    let (slow, gate) = asleep_before(&proxy, &fleet, Asked::changes_a_job);
    let fast = fleet.cycle();
    assert_eq!(slots(&fast, "spawned"), [SESSION], "{fast:#}");
    let live = uid(&cluster);

    gate.open();
    slow.signal("CONT");
    let slow = slow.wait().json();

    assert_eq!(writes(&proxy, "slow"), [("DELETE".to_owned(), vec![409])]);
    assert_eq!(slots(&slow, "already_running"), [SESSION], "{slow:#}");
    assert_eq!(uid(&cluster), live);
    assert_eq!(witness.violations(), Vec::<String>::new());
}

/// F.3-4 and F.3-20.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_deletion_that_comes_after_the_clusters_own_and_a_new_session_removes_nothing() {
    let cluster = Cluster::new("after-ttl");
    let (mut fleet, proxy, witness) = one(&cluster);
    fleet.edit(|roster| {
        roster.defaults += "backoff_cap = \"0s\"\n";
    });
    fleet.cycle();
    cluster.keep_for(SESSION, 5);
    cluster.end(SESSION, 0, "done");
    let (slow, gate) = asleep_before(&proxy, &fleet, Asked::changes_a_job);
    until("its time to live is over", || cluster.job(SESSION).is_none().then_some(()));
    fleet.cycle();
    let live = uid(&cluster);

    gate.open();
    slow.signal("CONT");
    slow.wait();

    assert_eq!(writes(&proxy, "slow"), [("DELETE".to_owned(), vec![409])]);
    assert_eq!(uid(&cluster), live);
    assert_eq!(witness.violations(), Vec::<String>::new());
}

/// F.3-3.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_cycle_killed_between_deletion_and_creation_leaves_a_slot_that_the_next_one_fills() {
    let cluster = Cluster::new("killed-between");
    let (fleet, proxy, witness) = one(&cluster);
    fleet.cycle();
    cluster.end(SESSION, 0, "done");
    let (slow, late) = asleep_before(&proxy, &fleet, Asked::is_creation);
    slow.signal("KILL");
    assert_eq!(slow.wait().code, None);
    assert!(cluster.job(SESSION).is_none(), "it was deleted");

    let next = fleet.cycle();

    assert_eq!(slots(&next, "spawned"), [SESSION], "{next:#}");
    late.open();
    until("the dead cycle's creation has arrived", || proxy.is_idle().then_some(()));
    let expected = [("DELETE".to_owned(), vec![200]), ("POST".to_owned(), vec![409])];
    assert_eq!(writes(&proxy, "slow"), expected);
    assert_eq!(witness.violations(), Vec::<String>::new());
}

/// F.3-9.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_creation_whose_answer_is_lost_or_that_arrives_twice_is_reported_as_started() {
    for (fault, answers) in [(Fault::LoseReply, vec![201]), (Fault::Twice, vec![201, 409])] {
        let cluster = Cluster::new("lost-answer");
        let (fleet, proxy, witness) = one(&cluster);
        proxy.disturb(move |asked| if asked.is_write() { fault.clone() } else { Fault::None });

        let report = proxy.cycle(&fleet, "a");

        assert_eq!(slots(&report, "spawned"), [SESSION], "{report:#}");
        assert_eq!(writes(&proxy, "a"), [("POST".to_owned(), answers)]);
        assert_eq!(witness.violations(), Vec::<String>::new());
    }
}

/// F.3-9.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_creation_that_the_server_carries_out_after_its_504_is_announced_and_seen_by_the_next_cycle() {
    let cluster = Cluster::new("late-create");
    let (fleet, proxy, witness) = one(&cluster);
    let late = Gate::new();
    let held = late.clone();
    proxy.disturb(move |asked| {
        if asked.is_write() { Fault::Late(Pause::Until(held.clone())) } else { Fault::None }
    });

    let first = proxy.cycle(&fleet, "first");
    late.open();
    until("the server has carried it out", || proxy.is_idle().then_some(()));
    let second = proxy.cycle(&fleet, "second");

    let failed = &first["steps"]["spawn"]["failed"];
    assert_eq!(failed[0]["slot"], SESSION, "{first:#}");
    let error = failed[0]["error"].as_str().expect("a failure says why");
    assert!(error.contains("it may still start"), "{error}");
    assert_eq!(second["steps"]["inventory"]["running"], 1, "{second:#}");
    assert_eq!(writes(&proxy, "second"), []);
    assert_eq!(witness.violations(), Vec::<String>::new());
}

/// F.3-9, for the deletion before it: what became of it is looked up, and the cycle goes on.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_deletion_whose_answer_is_lost_is_followed_by_the_creation() {
    let cluster = Cluster::new("lost-deletion");
    let (fleet, proxy, witness) = one(&cluster);
    fleet.cycle();
    cluster.end(SESSION, 0, "done");
    let is_deletion = |asked: &Asked| asked.is_write() && !asked.is_creation();
    proxy.disturb(move |asked| if is_deletion(asked) { Fault::LoseReply } else { Fault::None });

    let report = proxy.cycle(&fleet, "a");

    assert_eq!(slots(&report, "spawned"), [SESSION], "{report:#}");
    assert_eq!(witness.violations(), Vec::<String>::new());
}

/// F.3-10.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_server_without_time_ends_the_cycle_by_its_deadline_and_nothing_is_written_later() {
    for (retry_after, asked_again) in [(32, false), (1, true)] {
        let cluster = Cluster::new("no-time");
        let (mut fleet, proxy, witness) = one(&cluster);
        fleet.edit(|roster| roster.deadline = "6s".to_owned());
        proxy.disturb(move |asked| {
            if asked.is_write() { Fault::Refuse(429, Some(retry_after)) } else { Fault::None }
        });

        let report = proxy.cycle(&fleet, "a");
        proxy.calm();

        let error = report["steps"]["spawn"]["failed"][0]["error"].as_str().unwrap_or_default();
        assert!(error.contains("429") || error.contains("before the cycle ended"), "{report:#}");
        let duration = Duration::from_millis(report["duration_ms"].as_u64().expect("a duration"));
        assert!(
            duration < Duration::from_secs(30),
            "it does not wait for as long as it is told: {duration:?}"
        );
        assert_eq!(writes(&proxy, "a").len() > 1, asked_again, "{:#?}", proxy.of("a"));
        assert!(proxy.is_idle(), "nothing is under way after the end");
        assert_eq!(witness.violations(), Vec::<String>::new());
        assert!(cluster.job(SESSION).is_none());
    }
}
