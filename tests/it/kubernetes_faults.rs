//! Overlap, crashes, stale knowledge and a cluster that misbehaves: a slot never has two live
//! sessions, and no live one is ended. The fake cluster watches for both in every test.

use serde_json::{Value, json};

use crate::kubernetes_fleet::{
    Fleet, OPEN, RECONCILE, SLOT, assert_idle, failure, held, occupy, roster, slots,
};
use testkit::Fault;
use testkit::kubernetes::request::Asked;
use testkit::kubernetes::status;
use testkit::kubernetes::trouble::{Call, Route, Trouble};
use testkit::server::Gate;

const ONE: &[(&str, u32)] = &[("ui_builder", 1)];

/// A fleet whose one session has just ended.
fn ended(defaults: &str) -> Fleet {
    let fleet = Fleet::of(&roster(defaults, ONE));
    fleet.reconcile();
    fleet.cluster.state().finish(SLOT, 1, "");
    fleet.cluster.forget();
    fleet
}

/// A cycle that has requested the list and waits for its answer, which is already fixed.
fn cycle_behind(fleet: &Fleet, gate: &Gate) -> testkit::program::Running {
    let before = fleet.cluster.count(Call::ListJobs);
    fleet.cluster.script(Call::ListJobs, [Trouble::Held(gate.clone())]);
    let cycle = fleet.program(RECONCILE).spawn();
    fleet.cluster.await_calls(Call::ListJobs, before + 1);
    cycle
}

#[test]
fn two_cycles_that_start_at_the_same_moment_share_fifty_slots() {
    let fleet = Fleet::open(&[("ui_builder", 50)]);
    let gate = Gate::default();
    let cycles = [cycle_behind(&fleet, &gate), cycle_behind(&fleet, &gate)];
    gate.open();
    let reports = cycles.map(|cycle| cycle.wait().json());
    let [one, other] = reports.each_ref().map(|report| slots(report, "spawned").len());
    assert_eq!(one + other, 50, "every Job was started by one of them");
    for report in &reports {
        assert_eq!(slots(report, "failed"), [""; 0]);
        assert_eq!(slots(report, "spawned").len() + slots(report, "already_running").len(), 50);
    }
    assert_eq!(fleet.cluster.state().jobs().len(), 50);
}

#[test]
fn cycles_with_different_rosters_never_share_a_slot() {
    let fleet = Fleet::open(&[("ui_builder", 5)]);
    fleet.write_roster("small.toml", &roster(OPEN, &[("ui_builder", 3)]));
    let small = fleet.workplace().path().join("small.toml");
    let gate = Gate::default();
    fleet.cluster.script(Call::ListJobs, vec![Trouble::Held(gate.clone()); 2]);
    let large = fleet.program(RECONCILE).spawn();
    let small =
        fleet.program(RECONCILE).env("COORDINATOR_CONFIG", small.to_str().expect("UTF-8")).spawn();
    fleet.cluster.await_calls(Call::ListJobs, 2);
    gate.open();
    let spawned: usize =
        [large, small].map(|cycle| slots(&cycle.wait().json(), "spawned").len()).iter().sum();
    assert_eq!(spawned, 5);
    assert_eq!(fleet.cluster.state().jobs().len(), 5);
}

#[test]
fn a_cycle_that_sleeps_between_its_list_and_its_writes_ends_no_session() {
    let fleet = ended(OPEN);
    let gate = Gate::default();
    let sleeper = cycle_behind(&fleet, &gate);
    sleeper.signal("STOP");
    gate.open();
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT], "another cycle fills the slot");
    fleet.cluster.state().advance(600);
    let live = fleet.uid(SLOT);
    sleeper.signal("CONT");
    let report = sleeper.wait().json();
    assert_idle(&report);
    assert_eq!(slots(&report, "already_running"), [SLOT]);
    assert_eq!(fleet.uid(SLOT), live);
}

#[test]
fn a_crash_between_the_removal_and_the_creation_leaves_a_slot_that_the_next_cycle_fills() {
    let fleet = ended(OPEN);
    fleet.cluster.script(Call::Create, [Fault::never()]);
    let cycle = fleet.program(RECONCILE).spawn();
    fleet.cluster.await_calls(Call::Create, 1);
    cycle.signal("KILL");
    assert_eq!(cycle.wait().code, None);
    assert_eq!(fleet.cluster.state().jobs(), [""; 0], "the old Job was removed");
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
    assert_eq!(fleet.generation(SLOT), "2", "the ledger has the history of the slot");
}

/// The record that decides vanishes between two lists: with generations in names this gives two
/// sessions.
#[test]
fn a_record_that_its_ttl_removes_between_two_lists_does_not_double_the_session() {
    let fleet = ended(OPEN);
    let gate = Gate::default();
    let slow = cycle_behind(&fleet, &gate);
    fleet.cluster.state().remove(SLOT);
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
    let live = fleet.uid(SLOT);
    gate.open();
    assert_idle(&slow.wait().json());
    assert_eq!(fleet.uid(SLOT), live);
}

#[test]
fn a_stale_list_that_shows_a_live_session_as_finished_ends_no_session() {
    let fleet = ended(OPEN);
    fleet.cluster.state().remember();
    fleet.reconcile();
    let live = fleet.uid(SLOT);
    fleet.cluster.script(Call::ListJobs, [Trouble::Stale]);
    let report = fleet.reconcile();
    assert_idle(&report);
    assert_eq!(slots(&report, "already_running"), [SLOT]);
    assert_eq!(fleet.uid(SLOT), live);
}

#[test]
fn a_stale_list_that_does_not_show_a_live_session_starts_no_second() {
    let fleet = Fleet::open(ONE);
    fleet.cluster.state().remember();
    fleet.reconcile();
    fleet.cluster.script(Call::ListJobs, [Trouble::Stale]);
    let report = fleet.reconcile();
    assert_idle(&report);
    assert_eq!(slots(&report, "already_running"), [SLOT]);
}

/// Three slots of the roster and as many live ones beyond it as make a second page.
fn two_pages() -> Fleet {
    let fleet = Fleet::open(&[("ui_builder", 3)]);
    occupy(&mut fleet.cluster.state(), "ui_builder", 0..501);
    fleet
}

#[test]
fn a_list_whose_second_page_has_expired_is_begun_again() {
    for times in [1, 2] {
        let fleet = two_pages();
        fleet.cluster.script(Call::MoreJobs, vec![Trouble::Expired; times]);
        let report = fleet.reconcile();
        assert_eq!(report["steps"]["inventory"]["running"], 501, "{times}: {report:#}");
        assert_eq!(fleet.cluster.count(Call::ListJobs), times + 1);
        assert_idle(&report);
    }
}

#[test]
fn a_list_that_keeps_expiring_or_breaks_off_is_a_failed_list() {
    let cut = Trouble::Wire(Fault::truncated());
    for trouble in [Trouble::Expired, cut, Trouble::Wire(Fault::reset())] {
        let fleet = two_pages();
        fleet.cluster.always(Call::MoreJobs, trouble.clone());
        let report = fleet.reconcile();
        assert_eq!(report["steps"]["inventory"]["outcome"], "failed", "{trouble:?}");
        assert_eq!(
            report["steps"]["inventory"]["running"],
            Value::Null,
            "half a list counts no session"
        );
        assert_idle(&report);
        assert!(fleet.cluster.count(Call::ListJobs) <= 3);
        assert_eq!(fleet.cluster.count(Call::Create), 0);
        let pages = fleet.asked(Call::MoreJobs);
        let offered: Vec<&Value> =
            pages.iter().map(|asked| &asked.reply["metadata"]["continue"]).collect();
        let asked_for = |asked: &Asked| offered.contains(&&json!(asked.parameter("continue")));
        assert!(!pages.iter().any(asked_for), "{trouble:?}: the inconsistent rest was requested");
    }
}

#[test]
fn without_an_inventory_nothing_is_created_beside_live_sessions_and_no_quota_is_charged() {
    let broken: [fn(&Fleet); 2] = [
        |fleet| fleet.cluster.always(Call::ListJobs, status::timeout()),
        |fleet| fleet.cluster.always(Call::ListJobs, status::unavailable(None)),
    ];
    for breaks in broken {
        let fleet = Fleet::of(&roster(OPEN, &[("ui_builder", 3)]).deadline("8s"));
        fleet.reconcile();
        fleet.cluster.state().limit_jobs(10);
        breaks(&fleet);
        let report = fleet.reconcile_alone();
        assert_eq!(report["steps"]["inventory"]["outcome"], "failed");
        assert_idle(&report);
        assert_eq!(slots(&report, "already_running").len(), 3);
        assert_eq!(fleet.cluster.count(Call::Create), 0);
        let looks = fleet.cluster.count(Call::Get);
        assert_eq!(looks, 4, "the pause and each slot are looked up on their own");
        assert_eq!(fleet.cluster.state().namespace().quota.as_ref().expect("a quota").used, 3);
    }
}

#[test]
fn without_an_inventory_a_slot_that_is_certainly_free_is_filled() {
    let fleet = Fleet::open(&[("ui_builder", 2)]);
    occupy(&mut fleet.cluster.state(), "ui_builder", 0..1);
    fleet.cluster.always(Call::ListJobs, status::unavailable(None));
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "spawned"), ["demo-ui-builder-s1"], "{report:#}");
    assert_eq!(slots(&report, "already_running"), [SLOT]);
}

#[test]
fn a_server_that_refuses_us_or_does_not_answer_is_broken_and_no_slot_is_looked_up() {
    type Breaks = fn(&Fleet);
    let broken: [(Breaks, &str); 3] = [
        (|fleet| fleet.cluster.state().revoke("list", "jobs"), "cannot list resource"),
        (
            |fleet| fleet.cluster.always(Route::Any, status::unauthorized()),
            "not authenticated to the API server (401)",
        ),
        (|fleet| fleet.cluster.always(Route::Any, Fault::never()), "timed out after"),
    ];
    for (breaks, why) in broken {
        let fleet = Fleet::of(&roster(OPEN, &[("ui_builder", 100)]).deadline("8s"));
        breaks(&fleet);
        let finished = fleet.run(&RECONCILE);
        let report = finished.json();
        assert_eq!((finished.code, &report["status"]), (Some(1), &json!("broken")), "{why}");
        let error = report["steps"]["inventory"]["error"].to_string();
        assert!(error.contains(why), "{error}");
        assert_idle(&report);
        assert_eq!(held(&report), ["unknown"; 100]);
        assert_eq!(fleet.cluster.calls(), [Call::ListJobs], "{why}");
    }
}

#[test]
fn a_slot_that_cannot_even_be_looked_up_is_held() {
    let fleet = Fleet::open(ONE);
    fleet.cluster.always(Call::ListJobs, status::unavailable(None));
    fleet.cluster.always(Call::Get, status::unavailable(None));
    let report = fleet.reconcile();
    assert_idle(&report);
    assert_eq!(held(&report), ["unknown"]);
    assert_eq!(fleet.cluster.count(Call::Create), 0);
}

#[test]
fn a_failed_inventory_bypasses_no_backoff() {
    let fleet = ended("");
    fleet.cluster.always(Call::ListJobs, status::unavailable(None));
    let report = fleet.reconcile();
    assert_eq!(report["steps"]["inventory"]["outcome"], "failed");
    assert_eq!(held(&report), ["backoff"], "{report:#}");
    assert_eq!(fleet.cluster.count(Call::Delete) + fleet.cluster.count(Call::Create), 0);
}

#[test]
fn a_failed_inventory_replaces_what_has_ended_and_carries_its_history_on() {
    let fleet = ended(OPEN);
    fleet.cluster.always(Call::ListJobs, status::unavailable(None));
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
    assert_eq!(fleet.generation(SLOT), "2");
    fleet.cluster.heal();
    assert_eq!(fleet.sessions(SLOT)[0]["exit_code"], 1);
}

/// The server creates the Job after it has answered the client with a timeout.
#[test]
fn a_create_that_comes_to_pass_after_its_timeout_is_the_slots_session() {
    let fleet = Fleet::open(ONE);
    fleet.cluster.script(Call::Create, [Trouble::Late]);
    assert!(failure(&fleet.reconcile()).contains("may still start"));
    fleet.cluster.land();
    let report = fleet.reconcile_alone();
    assert_idle(&report);
    assert_eq!(report["steps"]["inventory"]["running"], 1);
    assert_eq!(fleet.cluster.calls(), [Call::ListJobs]);
}

#[test]
fn a_create_that_comes_to_pass_after_the_next_cycles_own_finds_the_name_taken() {
    let fleet = Fleet::open(ONE);
    fleet.cluster.script(Call::Create, [Trouble::Late]);
    fleet.reconcile();
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
    let live = fleet.uid(SLOT);
    fleet.cluster.land();
    assert_eq!(fleet.uid(SLOT), live);
}

#[test]
fn a_deletion_that_comes_to_pass_late_finds_another_session_and_spares_it() {
    let fleet = ended(OPEN);
    fleet.cluster.script(Call::Delete, [Trouble::Late]);
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [""; 0]);
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
    let live = fleet.uid(SLOT);
    fleet.cluster.land();
    assert_eq!(fleet.uid(SLOT), live);
}

#[test]
fn a_long_retry_after_does_not_delay_the_end_of_a_cycle() {
    let fleet = Fleet::of(&roster(OPEN, &[("ui_builder", 3)]).deadline("6s"));
    for call in [Call::ListJobs, Call::Get, Call::Create] {
        fleet.cluster.always(call, status::too_many_requests(32));
    }
    let report = fleet.reconcile();
    assert_eq!(report["steps"]["inventory"]["outcome"], "failed");
    assert_idle(&report);
    let writes = fleet.cluster.count(Call::Create) + fleet.cluster.count(Call::Delete);
    assert_eq!(writes, 0, "nothing is written without a list");
}

#[test]
fn a_full_quota_refuses_a_duplicate_and_a_new_session_alike_and_is_not_an_error() {
    let fleet = Fleet::open(&[("ui_builder", 2)]);
    fleet.cluster.state().remember();
    occupy(&mut fleet.cluster.state(), "ui_builder", 0..1);
    fleet.cluster.state().limit_jobs(1);
    fleet.cluster.script(Call::ListJobs, [Trouble::Stale]);
    let finished = fleet.run(&RECONCILE);
    let report = finished.json();
    assert_eq!(held(&report), ["quota", "quota"], "{report:#}");
    assert_eq!(finished.code, Some(0));
    assert_eq!(fleet.cluster.state().jobs(), [SLOT]);
}

#[test]
fn a_full_quota_that_has_not_noticed_the_removal_yet_costs_a_cycle_and_no_more() {
    let fleet = ended(OPEN);
    fleet.cluster.state().limit_jobs(1);
    fleet.cluster.state().namespace().quota.as_mut().expect("a quota").lags = true;
    assert_eq!(held(&fleet.reconcile()), ["quota"]);
    fleet.cluster.state().recount();
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
}

#[test]
fn a_job_that_a_finalizer_keeps_holds_its_slot_until_it_is_gone() {
    let fleet = ended(OPEN);
    fleet.cluster.state().hold(SLOT);
    for _ in 0..2 {
        let report = fleet.reconcile();
        assert_idle(&report);
        assert_eq!(held(&report), ["orphan"], "{report:#}");
    }
    assert_eq!(fleet.cluster.count(Call::Delete), 1, "what is on its way out is not deleted again");
    assert_eq!(fleet.cluster.count(Call::Create), 1);
    fleet.cluster.state().remove(SLOT);
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
}

#[test]
fn a_removal_that_races_another_cycles_replacement_spares_the_new_session() {
    let fleet = ended(OPEN);
    fleet.cluster.when(Call::Delete, |cluster| {
        cluster.remove(SLOT);
        occupy(cluster, "ui_builder", 0..1);
    });
    let report = fleet.reconcile();
    assert_idle(&report);
    assert_eq!(slots(&report, "already_running"), [SLOT]);
    let conflict = fleet.asked(Call::Delete).remove(0);
    assert_eq!((conflict.status, &conflict.reply["reason"]), (409, &json!("Conflict")));
    assert_eq!(fleet.cluster.count(Call::Create), 0);
}

#[test]
fn a_record_that_is_gone_before_its_removal_is_left_to_the_next_cycle() {
    let fleet = ended(OPEN);
    fleet.cluster.when(Call::Delete, |cluster| cluster.remove(SLOT));
    assert_idle(&fleet.reconcile());
    assert_eq!(fleet.cluster.count(Call::Create), 0, "another cycle advanced the slot");
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
}

#[test]
fn a_slow_cycle_does_not_remove_a_session_that_started_after_its_list() {
    let fleet = ended(OPEN);
    let gate = Gate::default();
    let slow = cycle_behind(&fleet, &gate);
    fleet.reconcile();
    fleet.cluster.state().finish(SLOT, 1, "");
    fleet.reconcile();
    let third = fleet.uid(SLOT);
    gate.open();
    assert_idle(&slow.wait().json());
    assert_eq!(fleet.uid(SLOT), third);
    assert_eq!(fleet.generation(SLOT), "3");
}

#[test]
fn four_coordinators_at_once_over_a_bad_line_never_double_a_session() {
    let fleet = Fleet::open(&[("ui_builder", 6)]);
    for round in 0..6_usize {
        let bad = [
            Trouble::Twice,
            Trouble::Late,
            Trouble::Wire(Fault::reset().after_applying()),
            Trouble::Wire(Fault::reset()),
            Trouble::Wire(Fault::reply(status::timeout()).after_applying()),
            Trouble::Stale,
        ];
        fleet.cluster.state().remember();
        for (place, trouble) in bad.iter().cycle().skip(round).take(6).enumerate() {
            let call = [Call::Create, Call::Delete, Call::Get, Call::ListJobs][place % 4];
            fleet.cluster.script(call, [trouble.clone()]);
        }
        let cycles: Vec<_> = (0..4).map(|_| fleet.program(RECONCILE).spawn()).collect();
        for cycle in cycles {
            assert!(cycle.wait().code.is_some(), "round {round}");
        }
        fleet.cluster.land();
        for index in 0..6 {
            let slot = format!("demo-ui-builder-s{index}");
            let ends = index % 3 == round % 3;
            let mut cluster = fleet.cluster.state();
            if ends && cluster.jobs().contains(&slot) && cluster.job(&slot)["status"]["active"] == 1
            {
                cluster.finish(&slot, 1, "");
            }
        }
    }
    fleet.cluster.heal();
    fleet.reconcile();
    assert_eq!(fleet.reconcile()["steps"]["inventory"]["running"], 6);
}
