//! What a list that is old, cut, refused or never answered does to a fleet: nothing but a cycle
//! without starts.

use k8s_openapi::api::core::v1::ResourceQuota;
use serde_json::{Value, json};

use crate::cluster::{Cluster, until};
use crate::fleet::{Fleet, Roster, slots, text};
use crate::proxy::{Asked, Exchange, Fault, Gate, Pause, Proxy};
use crate::witness::Witness;

const SESSION: &str = "demo-builder-s0";

fn is_first_page(asked: &Asked) -> bool {
    asked.is_list() && !asked.is_next_page()
}

fn writes(exchanges: &[Exchange]) -> Vec<&Exchange> {
    exchanges.iter().filter(|one| one.asked.changes_a_job()).collect()
}

/// A fleet of three whose lists need two pages, all running.
fn full_fleet(cluster: &Cluster) -> (Fleet<'_>, Proxy) {
    let roster = Roster { deadline: "12s".to_owned(), ..Roster::of("builder", 3) };
    let fleet = Fleet::new(cluster, roster);
    for session in slots(&fleet.cycle(), "spawned") {
        cluster.running(&session);
    }
    (fleet, Proxy::new(Some(2)))
}

/// The pause and every session were looked up on their own, these found live; nothing was written.
fn assert_found_live_one_by_one(report: &Value, proxy: &Proxy, who: &str) {
    assert_eq!(report["steps"]["inventory"]["outcome"], "failed", "{report:#}");
    assert_eq!(report["steps"]["inventory"]["running"], Value::Null, "{report:#}");
    let all = ["demo-builder-s0", "demo-builder-s1", "demo-builder-s2"];
    assert_eq!(slots(report, "already_running"), all, "{report:#}");
    let exchanges = proxy.of(who);
    assert_eq!(writes(&exchanges).len(), 0, "{exchanges:#?}");
    let looked_up = exchanges.iter().filter(|one| !one.asked.is_list());
    assert_eq!(looked_up.count(), 4, "the pause and three slots: {exchanges:#?}");
}

/// F.3-5.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_stale_list_that_shows_finished_what_is_live_ends_and_doubles_nothing() {
    let cluster = Cluster::new("stale-list");
    let (witness, proxy) = (Witness::new(&cluster), Proxy::new(None));
    let fleet = Fleet::new(&cluster, Roster::of("builder", 1));
    fleet.cycle();
    cluster.end(SESSION, 0, "done");
    let fresh = proxy.cycle(&fleet, "fresh");
    assert_eq!(slots(&fresh, "spawned"), [SESSION], "{fresh:#}");
    cluster.running(SESSION);

    proxy.disturb(|asked| if asked.is_list() { Fault::Stale(0) } else { Fault::None });
    let stale = proxy.cycle(&fleet, "stale");

    assert_eq!(slots(&stale, "already_running"), [SESSION], "{stale:#}");
    let exchanges = proxy.of("stale");
    let written: Vec<_> =
        writes(&exchanges).iter().map(|one| (one.asked.method.as_str(), one.answers[0])).collect();
    assert_eq!(written, [("DELETE", 409)], "by the uid of the one that is gone; {exchanges:#?}");
    assert_eq!(witness.violations(), Vec::<String>::new());
}

/// F.3-6.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_list_that_expires_on_its_second_page_begins_again() {
    let cluster = Cluster::new("expired-twice");
    let (fleet, proxy) = full_fleet(&cluster);
    let mut left = 2;
    proxy.disturb(move |asked| {
        let expires = asked.is_next_page() && left > 0;
        left -= i32::from(expires);
        if expires { Fault::Refuse(410, None) } else { Fault::None }
    });

    let report = proxy.cycle(&fleet, "a");

    assert_eq!(report["steps"]["inventory"]["running"], 3, "{report:#}");
    let exchanges = proxy.of("a");
    let pages: Vec<_> =
        exchanges.iter().map(|one| if is_first_page(&one.asked) { 1 } else { 2 }).collect();
    assert_eq!(pages, [1, 2, 1, 2, 1, 2], "{exchanges:#?}");
    assert_eq!(report["requests"]["platform"], 6);
}

/// F.3-6.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_list_that_expires_for_the_third_time_is_a_failed_inventory_and_nothing_is_started() {
    let cluster = Cluster::new("expired-thrice");
    let (fleet, proxy) = full_fleet(&cluster);
    proxy
        .disturb(|asked| if asked.is_next_page() { Fault::Refuse(410, None) } else { Fault::None });

    let report = proxy.cycle(&fleet, "a");

    assert_found_live_one_by_one(&report, &proxy, "a");
    assert_eq!(proxy.of("a").iter().filter(|one| is_first_page(&one.asked)).count(), 3);
}

/// F.3-6.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_list_that_breaks_off_is_a_failed_inventory_and_nothing_is_started() {
    for cut in [Fault::Cut, Fault::Drop] {
        let cluster = Cluster::new("cut-list");
        let (fleet, proxy) = full_fleet(&cluster);
        let fault = cut.clone();
        proxy.disturb(move |asked| if asked.is_next_page() { fault.clone() } else { Fault::None });

        let report = proxy.cycle(&fleet, "a");

        assert_found_live_one_by_one(&report, &proxy, "a");
        assert_eq!(proxy.counts().get(&cut.word()), Some(&1), "the list is not asked for again");
    }
}

fn used(cluster: &Cluster) -> Option<String> {
    let quota =
        cluster.wait(cluster.api::<ResourceQuota>().get("jobs")).expect("the quota is there");
    quota.status?.used?.get("count/jobs.batch").map(|quantity| quantity.0.clone())
}

/// A full fleet that has used up the namespace's quota, and whose lists have this fault.
fn full_quota(cluster: &Cluster, fault: Fault) -> (Fleet<'_>, Proxy) {
    let hard = json!({ "count/jobs.batch": "3" });
    cluster.create::<ResourceQuota>(
        json!({ "metadata": { "name": "jobs" }, "spec": { "hard": hard } }),
    );
    let quota = until("the quota is counted", || used(cluster));
    assert_eq!(quota, "0");
    let (fleet, proxy) = full_fleet(cluster);
    until("the quota is used up", || (used(cluster)? == "3").then_some(()));
    proxy.disturb(move |asked| if asked.is_list() { fault.clone() } else { Fault::None });
    (fleet, proxy)
}

/// F.3-7: a creation that ends in a conflict would be charged all the same.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_list_that_fails_on_the_server_starts_nothing_and_costs_no_quota() {
    let cluster = Cluster::new("no-inventory");
    let (fleet, proxy) = full_quota(&cluster, Fault::Refuse(500, None));

    let report = proxy.cycle(&fleet, "a");

    assert_eq!(used(&cluster).as_deref(), Some("3"));
    assert_found_live_one_by_one(&report, &proxy, "a");
    assert_eq!(report["status"], "degraded", "{report:#}");
}

/// F.3-7.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_list_that_is_refused_or_unanswered_is_the_last_request_and_every_slot_is_held() {
    let refuses = "the platform refuses the coordinator's requests";
    let is_silent = "the platform does not answer";
    for (fault, why) in [
        (Fault::Refuse(401, None), refuses),
        (Fault::Refuse(403, None), refuses),
        (Fault::Wait(Pause::Until(Gate::new())), is_silent),
    ] {
        let cluster = Cluster::new("no-access");
        let (fleet, proxy) = full_quota(&cluster, fault);

        let finished = proxy.program(&fleet, "a").run();

        let report = finished.json();
        assert_eq!((finished.code, text(&report, "/status")), (Some(1), "broken"), "{report:#}");
        assert_eq!(report["steps"]["inventory"]["outcome"], "failed", "{report:#}");
        assert_eq!(report["steps"]["inventory"]["running"], Value::Null, "{report:#}");
        let all = ["demo-builder-s0", "demo-builder-s1", "demo-builder-s2"];
        assert_eq!(slots(&report, "held"), all, "{report:#}");
        let held = report["steps"]["spawn"]["held"].as_array().expect("a list");
        let is_unknown = |one: &Value| one["reason"] == "unknown" && one["detail"] == why;
        assert!(held.iter().all(is_unknown), "{report:#}");
        let exchanges = proxy.of("a");
        assert_eq!(exchanges.len(), 1, "the list alone: {exchanges:#?}");
        assert_eq!(used(&cluster).as_deref(), Some("3"));
    }
}

/// F.3-7.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_slot_that_may_not_be_looked_up_after_a_failed_list_is_held() {
    let cluster = Cluster::new("no-lookup");
    let (fleet, proxy) = (Fleet::new(&cluster, Roster::of("builder", 2)), Proxy::new(None));
    proxy.disturb(|asked| Fault::Refuse(if asked.is_list() { 500 } else { 403 }, None));

    let report = proxy.cycle(&fleet, "a");

    assert_eq!(slots(&report, "held"), ["demo-builder-s0", "demo-builder-s1"], "{report:#}");
    let held = report["steps"]["spawn"]["held"].as_array().expect("a list");
    assert!(held.iter().all(|one| one["reason"] == "unknown"), "{report:#}");
    let detail = text(&held[0], "/detail");
    assert!(detail.contains("grant it in the coordinator's Role"), "{report:#}");
    let exchanges = proxy.of("a");
    assert!(exchanges.iter().all(|one| !one.asked.is_write()), "{exchanges:#?}");
    assert_eq!(cluster.jobs().len(), 0);
}

/// F.3-8.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_failed_inventory_does_not_let_a_slot_out_of_its_backoff() {
    let cluster = Cluster::new("blind-backoff");
    let defaults = "min_runtime = \"0s\"\nbackoff_base = \"10m\"\n".to_owned();
    let roster = Roster { defaults, ..Roster::of("builder", 1) };
    let (fleet, proxy) = (Fleet::new(&cluster, roster), Proxy::new(None));
    fleet.cycle();
    cluster.end(SESSION, 1, "no");
    let held = |report: &Value| report["steps"]["spawn"]["held"].clone();
    let seen = fleet.cycle();
    assert_eq!(seen["steps"]["inventory"]["running"], 0, "{seen:#}");
    assert_eq!(held(&seen)[0]["reason"], "backoff", "{seen:#}");

    proxy.disturb(|asked| if asked.is_list() { Fault::Refuse(500, None) } else { Fault::None });
    let blind = proxy.cycle(&fleet, "a");

    assert_eq!(blind["steps"]["inventory"]["outcome"], "failed", "{blind:#}");
    assert_eq!(held(&blind), held(&seen), "the same reason until the same time");
    assert_eq!(writes(&proxy.of("a")).len(), 0);
}
