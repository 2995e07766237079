//! What holds a slot back: the history that its Job carries, and the quota of the namespace.

use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::api::EvictParams;
use serde_json::{Value, json};

use crate::cluster::{Cluster, is_over, note, until};
use crate::fleet::{Fleet, Roster, slots, text};
use crate::history::History;

const FIRST: &str = "demo-ui-builder-s0";

/// `backoff_base` is long where a hold is looked at, and short where its end is waited for.
fn one_session(base: &str, min_runtime: &str) -> Roster {
    let defaults = format!(
        "min_runtime = \"{min_runtime}\"\nbackoff_base = \"{base}\"\nbackoff_cap = \"10m\"\n"
    );
    Roster { defaults, ..Roster::of("ui_builder", 1) }
}

fn set_base(fleet: &mut Fleet<'_>, from: &str, to: &str) {
    let [from, to] = [from, to].map(|base| format!("backoff_base = \"{base}\""));
    fleet.edit(|roster| roster.defaults = roster.defaults.replace(&from, &to));
}

/// How long the slot waits for this reason, from the end of its last session.
fn wait(fleet: &Fleet<'_>, report: &Value, reason: &str) -> Duration {
    let held = &report["steps"]["spawn"]["held"][0];
    assert_eq!(held["reason"], reason, "{report:#}");
    let sessions = fleet.json(&["sessions"]);
    let ended = text(
        sessions["sessions"].as_array().and_then(|all| all.last()).expect("a session"),
        "/finished_at",
    );
    let time = |text: &str| humantime::parse_rfc3339(text).expect("a time");
    let until: SystemTime = time(text(held, "/until"));
    until.duration_since(time(ended)).expect("a hold is over after the end")
}

/// A tenth more or less, so that slots do not start all at once; the report gives whole seconds.
fn is_about(wait: Duration, seconds: u64) -> bool {
    let wait = wait.as_secs_f64();
    let full = Duration::from_secs(seconds).as_secs_f64();
    (full * 0.9 - 1.0..=full * 1.1 + 1.0).contains(&wait)
}

fn replaced(fleet: &Fleet<'_>) -> Value {
    until("its backoff has passed", || {
        let report = fleet.cycle();
        (!slots(&report, "spawned").is_empty()).then_some(report)
    })
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_slot_whose_sessions_fail_waits_longer_after_each_and_then_starts_again() {
    let cluster = Cluster::new("backoff");
    let mut fleet = Fleet::new(&cluster, one_session("60s", "0s"));
    fleet.cycle();
    for (failures, seconds) in [(1, 60), (2, 120), (3, 240)] {
        cluster.end(FIRST, 1, "no quota left");
        let held = fleet.cycle();
        assert_eq!(slots(&held, "held"), [FIRST], "{held:#}");
        let found = wait(&fleet, &held, "backoff");
        assert!(is_about(found, seconds), "{failures} failures: {found:?}");
        let role = &held["steps"]["inventory"]["roles"][0];
        assert_eq!((&role["backing_off"], &role["idle"]), (&json!(1), &json!(0)), "{held:#}");
        let (status, reasons) = match failures {
            3 => ("degraded", json!(["ui-builder-s0 keeps failing"])),
            _ => ("healthy", json!([])),
        };
        assert_eq!((text(&held, "/status"), &held["reasons"]), (status, &reasons), "{held:#}");

        set_base(&mut fleet, "60s", "1s");
        let report = replaced(&fleet);
        assert_eq!(
            report["steps"]["spawn"]["spawned"][0]["generation"],
            failures + 1,
            "{report:#}"
        );
        set_base(&mut fleet, "1s", "60s");
    }
    cluster.running(FIRST);
    let history = note(&cluster.job(FIRST).expect("it runs"), "history");
    let history: Value = serde_json::from_str(&history).expect("the history is JSON");
    let generations = history.as_array().expect("a list").iter().map(|run| run["gen"].as_u64());
    assert_eq!(
        generations.collect::<Vec<_>>(),
        [Some(1), Some(2), Some(3)],
        "oldest first: {history:#}"
    );
    History::of(&cluster).took_only_finished_jobs();
}

/// F.3-18.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn sessions_that_find_nothing_to_do_wait_longer_after_each_until_one_lasts() {
    let cluster = Cluster::new("idle");
    let mut fleet = Fleet::new(&cluster, one_session("60s", "10s"));
    fleet.cycle();
    for seconds in [60, 120] {
        cluster.end(FIRST, 0, "");
        let held = fleet.cycle();
        let found = wait(&fleet, &held, "idle");
        assert!(is_about(found, seconds), "{found:?}");
        let role = &held["steps"]["inventory"]["roles"][0];
        assert_eq!((&role["backing_off"], &role["idle"]), (&json!(0), &json!(1)), "{held:#}");
        assert_eq!(held["status"], "healthy", "an idle session is not a failure: {held:#}");
        set_base(&mut fleet, "60s", "1s");
        replaced(&fleet);
        set_base(&mut fleet, "1s", "60s");
    }
    cluster.running(FIRST);
    cluster.tell(FIRST, &[("exit", "0"), ("after", "11s")]);
    until("a session that lasted is over", || is_over(&cluster.job(FIRST)?).then_some(()));

    let report = fleet.cycle();

    assert_eq!(slots(&report, "spawned"), [FIRST], "one good session ends the streak: {report:#}");
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_slot_starts_at_most_once_per_interval() {
    let cluster = Cluster::new("interval");
    let mut roster = Roster::of("ui_builder", 1);
    roster.defaults += "min_interval = \"30m\"\n";
    let fleet = Fleet::new(&cluster, roster);
    fleet.cycle();
    cluster.end(FIRST, 0, "nothing to do");

    let report = fleet.cycle();

    assert_eq!(report["steps"]["spawn"]["held"][0]["reason"], "interval", "{report:#}");
    assert_eq!(report["status"], "healthy", "finding nothing to do is not a failure: {report:#}");
}

fn used(cluster: &Cluster) -> String {
    let quota =
        cluster.wait(cluster.api::<ResourceQuota>().get("small")).expect("the quota is there");
    let used = quota.status.and_then(|status| status.used).unwrap_or_default();
    used.get("count/jobs.batch").map(|amount| amount.0.clone()).unwrap_or_default()
}

/// F.3-11, the genuine create.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_full_quota_holds_the_rest_of_the_role_and_converged_cycles_do_not_touch_it() {
    let cluster = Cluster::new("quota-full");
    cluster.quota(2);
    let mut fleet = Fleet::new(&cluster, Roster::of("ui_builder", 45));

    let first = fleet.cycle();

    assert_eq!(slots(&first, "spawned").len(), 2, "{first:#}");
    assert_eq!(slots(&first, "held").len(), 43, "{first:#}");
    let held = first["steps"]["spawn"]["held"].as_array().expect("a list");
    assert!(held.iter().all(|one| one["reason"] == "quota"), "{first:#}");
    assert!(text(&held[0], "/detail").contains("exceeded quota: small"), "{first:#}");
    let asked = History::of(&cluster).asked("create").len();
    assert!(asked <= 2 + 32, "32 at once, and no further start after a refusal: {asked}");
    assert_eq!(cluster.uids().len(), 2);

    fleet.edit(|roster| roster.roles[0].1 = 2);
    for _ in 0..3 {
        let report = fleet.cycle();
        assert_eq!(report["steps"]["inventory"]["running"], 2, "{report:#}");
    }
    let after = History::of(&cluster).asked("create").len();
    assert_eq!(after, asked, "a converged cycle creates nothing");
    until("the quota counts the two Jobs", || (used(&cluster) == "2").then_some(()));
}

/// F.3-11, the duplicate: it is refused for the quota, not for the name.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn two_cycles_that_race_for_the_last_of_a_quota_share_it_and_neither_fails() {
    let cluster = Cluster::new("quota-race");
    cluster.quota(4);
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 4));

    let at_once = [(); 2].map(|()| fleet.program().args(["reconcile", "-o", "json"]).spawn());
    let reports = at_once.map(|cycle| cycle.wait().json());

    assert!(reports.iter().all(|report| slots(report, "failed").is_empty()), "{reports:#?}");
    let spawned: usize = reports.iter().map(|report| slots(report, "spawned").len()).sum();
    assert_eq!(cluster.uids().len(), spawned, "{reports:#?}");
    until("the next cycle finds or fills all four", || {
        (fleet.cycle()["steps"]["inventory"]["running"] == 4).then_some(())
    });
    until("the quota counts each Job once", || (used(&cluster) == "4").then_some(()));
}

/// An eviction, as a node that is drained makes it, says nothing about the agent.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn an_evicted_session_is_replaced_at_once_and_counts_as_no_failure() {
    let cluster = Cluster::new("eviction");
    let fleet = Fleet::new(&cluster, one_session("60s", "0s"));
    fleet.cycle();
    cluster.running(FIRST);
    let pod = cluster.pods(FIRST).pop().and_then(|pod| pod.metadata.name).expect("its pod runs");
    let evicted = cluster.wait(cluster.api::<Pod>().evict(&pod, &EvictParams::default()));
    evicted.expect("a pod can be evicted");
    until("its session is over", || is_over(&cluster.job(FIRST)?).then_some(()));

    let report = fleet.cycle();

    assert_eq!(slots(&report, "spawned"), [FIRST], "{report:#}");
    let history = note(&cluster.job(FIRST).expect("it was replaced"), "history");
    assert!(history.contains("\"disrupted\":true"), "{history}");
}
