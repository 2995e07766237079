//! The searches: shipped designs, variants that hold, and mutants.

use stateright::Property;

use super::github::{self, Actions, Newest, Sight, Since};
use super::kubernetes::{self, Guard, Kubernetes, Lists, Missing, Order};
use super::process::{self, Naming, Process};
use super::source::Counting;
use super::{Effects, Items, Platform, Reads, World, Wrong, never, one_live_session, recovery};
use crate::check::{hold, prove, refute};

#[test]
fn an_item_on_one_machine_holds_for_five_cycles() {
    prove("items, process, 5 cycles", Items::shipped(Process::SHIPPED, World::of(5, 1, 1)));
}

#[test]
fn an_item_on_a_cluster_holds_for_four_cycles() {
    prove("items, kubernetes, 4 cycles", Items::shipped(Kubernetes::SHIPPED, World::of(4, 1, 0)));
}

#[test]
fn an_item_of_a_workflow_holds_for_four_cycles() {
    prove("items, github, 4 cycles, 1 copy", Items::shipped(Actions::SHIPPED, World::of(4, 1, 1)));
}

#[test]
fn an_item_on_a_cluster_whose_pods_compare_holds_without_a_wait_and_with_copies() {
    let design = Kubernetes { guard: Guard::Pod, ..Kubernetes::SHIPPED };
    prove(
        "items, kubernetes, the pod compares, 3 cycles, 1 copy",
        Items::shipped(design, World::of(3, 1, 1)),
    );
}

#[test]
fn the_jobs_may_be_listed_before_the_registers() {
    let design = Kubernetes { lists: Lists::JobsFirst, ..Kubernetes::SHIPPED };
    hold(
        "items, kubernetes, Jobs listed before registers, 3 cycles",
        Items::shipped(design, World::of(3, 1, 0)),
    );
}

fn breaks<P: Platform>(
    name: &str,
    design: P,
    world: World,
    property: fn() -> Vec<Property<Items<P>>>,
) {
    refute(&format!("items, {name}"), Items::other(design, world, property));
}

fn two_live<P: Platform>() -> Vec<Property<Items<P>>> {
    vec![one_live_session()]
}

fn overtaken<P: Platform>() -> Vec<Property<Items<P>>> {
    vec![never("a session starts only as the attempt that was planned", Wrong::Overtaken)]
}

fn twice<P: Platform>() -> Vec<Property<Items<P>>> {
    vec![never("no attempt has two sessions", Wrong::Twice)]
}

fn past_bound<P: Platform>() -> Vec<Property<Items<P>>> {
    vec![never("no session starts past its item's bound", Wrong::PastBound)]
}

fn done<P: Platform>() -> Vec<Property<Items<P>>> {
    vec![never("no session starts for an item that is done", Wrong::Done)]
}

fn put_away<P: Platform>() -> Vec<Property<Items<P>>> {
    vec![never("no older decision puts away what a person opened anew", Wrong::PutAway)]
}

#[test]
fn the_attempt_in_the_name_leaves_two_live() {
    let design = Process { naming: Naming::Attempt, ..Process::SHIPPED };
    breaks("process, attempt in the name", design, World::of(3, 1, 0), two_live);
}

#[test]
fn the_role_in_the_name_leaves_two_live() {
    let design = Process { naming: Naming::Role, ..Process::SHIPPED };
    breaks("process, role in the name", design, World::of(2, 0, 0), two_live);
}

#[test]
fn without_a_comparison_an_overtaken_attempt_starts() {
    let design = Process { compare: process::Compare::Never, ..Process::SHIPPED };
    breaks("process, no comparison", design, World::of(2, 0, 0), overtaken);
    let design = Kubernetes { compare: kubernetes::Compare::Never, ..Kubernetes::SHIPPED };
    breaks("kubernetes, no comparison", design, World::of(3, 0, 0), overtaken);
    let design = Actions { compare: github::Compare::Never, ..Actions::SHIPPED };
    breaks("github, no comparison", design, World::of(2, 0, 0), overtaken);
}

#[test]
fn with_a_comparison_outside_the_lock_an_overtaken_attempt_starts() {
    let design = Process { compare: process::Compare::BeforeLock, ..Process::SHIPPED };
    breaks("process, comparison before the lock", design, World::of(2, 0, 0), overtaken);
    let design = Kubernetes { compare: kubernetes::Compare::Outside, ..Kubernetes::SHIPPED };
    breaks(
        "kubernetes, register compared, then written without its version",
        design,
        World::of(3, 0, 0),
        overtaken,
    );
    let design = Actions { compare: github::Compare::BeforeDispatch, ..Actions::SHIPPED };
    breaks("github, comparison before the dispatch", design, World::of(2, 0, 0), overtaken);
}

#[test]
fn a_register_that_is_written_after_the_job_lets_an_attempt_run_twice() {
    let design = Kubernetes { order: Order::JobFirst, ..Kubernetes::SHIPPED };
    breaks("kubernetes, register written after the Job", design, World::of(2, 0, 0), twice);
}

#[test]
fn a_register_alone_does_not_stop_a_job_that_comes_late() {
    let design = Kubernetes { guard: Guard::Nothing, ..Kubernetes::SHIPPED };
    breaks(
        "kubernetes, no wait for a start that may be under way",
        design,
        World::of(3, 0, 0),
        overtaken,
    );
}

#[test]
fn a_start_that_died_must_not_hold_its_item_for_good() {
    let design = Kubernetes { guard: Guard::WaitForGood, ..Kubernetes::SHIPPED };
    let eventually = || vec![recovery::property()];
    breaks(
        "kubernetes, a start that died is waited for without end",
        design,
        World::of(2, 0, 0),
        eventually,
    );
}

#[test]
fn a_register_whose_job_is_missing_may_have_had_one() {
    let design = Kubernetes { missing: Missing::NoAttempt, ..Kubernetes::SHIPPED };
    breaks("kubernetes, a missing Job is never an attempt", design, World::of(2, 0, 0), twice);
}

#[test]
fn counts_that_are_recounted_pass_the_bound() {
    let world = World { counting: Counting::Recounted, ..World::of(3, 0, 0) };
    breaks(
        "process, counts recounted from the list's records",
        Process::SHIPPED,
        world,
        past_bound,
    );
}

#[test]
fn a_source_that_is_read_before_the_sessions_starts_a_finished_item() {
    let world = World { reads: Reads::SourceFirst, ..World::of(2, 0, 0) };
    let design = Process { compare: process::Compare::Never, ..Process::SHIPPED };
    breaks("process, source read before the sessions, nothing compared", design, world, done);
    breaks("process, source read before the sessions, and compared", Process::SHIPPED, world, done);
}

#[test]
fn a_stale_effect_that_does_not_compare_puts_away_what_was_opened_anew() {
    let world = World { effects: Effects::Blind, ..World::of(3, 1, 0) };
    breaks("process, a stale effect does not compare", Process::SHIPPED, world, put_away);
}

#[test]
fn an_admission_that_trusts_any_list_starts_an_overtaken_attempt() {
    let design = Actions { sight: Sight::Any, ..Actions::SHIPPED };
    breaks(
        "github, the admission trusts a list without its own run",
        design,
        World::of(2, 0, 0),
        overtaken,
    );
}

#[test]
fn a_since_by_the_clock_hides_what_a_lagging_list_lacks() {
    let design = Actions { since: Since::Clock, ..Actions::SHIPPED };
    breaks(
        "github, `since` by the clock, and the cycle's list lags",
        design,
        World::of(2, 0, 0),
        overtaken,
    );
}

#[test]
fn a_superseded_run_whose_admission_failed_is_not_the_newest() {
    let design = Actions { newest: Newest::Run, ..Actions::SHIPPED };
    breaks(
        "github, the youngest run gives the newest generation",
        design,
        World::of(3, 0, 1),
        overtaken,
    );
}

#[test]
fn records_that_a_person_removes_are_a_limit() {
    let design = Process { removal: true, ..Process::SHIPPED };
    breaks("a limit: process, records removed by a person", design, World::of(2, 0, 0), overtaken);
    let design = Kubernetes { removal: true, ..Kubernetes::SHIPPED };
    breaks("a limit: kubernetes, ended Job removed by a person", design, World::of(2, 0, 0), twice);
    let design = Actions { removal: true, ..Actions::SHIPPED };
    breaks("a limit: github, runs removed by a person", design, World::of(2, 0, 0), overtaken);
}

#[test]
fn a_creation_that_is_applied_twice_is_a_limit_of_the_wait() {
    breaks(
        "a limit: kubernetes, a copy of a creation",
        Kubernetes::SHIPPED,
        World::of(2, 0, 1),
        twice,
    );
}
