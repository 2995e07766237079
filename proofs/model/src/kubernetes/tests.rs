//! The searches: shipped designs, variants that hold, and mutants.

use super::design::{Blind, Collector, Design, Ending, Ledger, Lists, Naming, Removal};
use super::{Kubernetes, nothing_is_forgotten, nothing_is_killed, one_live_session};
use crate::check::{hold, prove, refute};

#[test]
fn one_slot_holds_for_six_cycles() {
    prove("kubernetes, 1 slot, 6 cycles, 3 faults", Kubernetes::shipped(Design::shipped(1, 6, 3)));
}

#[test]
fn two_slots_hold_for_three_cycles() {
    prove("kubernetes, 2 slots, 3 cycles, 2 faults", Kubernetes::shipped(Design::shipped(2, 3, 2)));
}

fn safe(name: &str, design: Design) {
    hold(name, Kubernetes::mutant(design, || vec![one_live_session(), nothing_is_killed()]));
}

#[test]
fn a2_a_generation_in_the_name_holds_when_records_are_never_removed() {
    let design = Design {
        lists: Lists::Stale,
        cycles: 4,
        faults: 2,
        ..Design::generations(Collector::Nothing)
    };
    safe("A2: generation in the name, records are never removed", design);
}

#[test]
fn a6_a_generation_in_the_name_holds_when_what_a_cycle_may_plan_for_stays() {
    safe(
        "A6: A5, and nothing younger than a cycle goes",
        Design { cycles: 4, ..Design::generations(Collector::OldAndUnwatched) },
    );
}

#[test]
fn b5_without_a_right_to_delete_the_slot_holds() {
    let design = Design { removal: Removal::Never, ..Design::shipped(1, 4, 2) };
    safe("B5: no right to delete, TTL alone", design);
}

fn two_live(name: &str, design: Design) {
    refute(name, Kubernetes::mutant(design, || vec![one_live_session()]));
}

fn kills(name: &str, design: Design) {
    refute(name, Kubernetes::mutant(design, || vec![nothing_is_killed()]));
}

#[test]
fn a1_a_generation_in_the_name_fails_when_records_expire() {
    two_live("A1: generation in the name, TTL", Design::generations(Collector::Anything));
}

#[test]
fn a5_a_generation_in_the_name_fails_when_the_newest_record_stays() {
    two_live(
        "A5: generation in the name, the newest record stays",
        Design::generations(Collector::AllButNewest),
    );
}

#[test]
fn a7_a_generation_in_the_name_fails_with_stale_lists() {
    let design = Design { lists: Lists::Stale, ..Design::generations(Collector::OldAndUnwatched) };
    two_live("A7: A6 with stale lists", design);
}

#[test]
fn a8_a_generation_in_the_name_fails_when_a_failed_list_counts_as_an_empty_one() {
    let design =
        Design { blind: Blind::AssumeEmpty, ..Design::generations(Collector::OldAndUnwatched) };
    two_live("A8: A6, and a failed list means an empty fleet", design);
}

#[test]
fn b3_a_deletion_by_name_kills() {
    let design = Design { removal: Removal::ByName, ..Design::shipped(1, 3, 0) };
    kills("B3: deletion by name", design);
}

#[test]
fn b3_a_deletion_by_name_that_orphans_leaves_two_live() {
    let design = Design { removal: Removal::ByNameOrphaning, ..Design::shipped(1, 3, 0) };
    two_live("B3: deletion by name, pods orphaned", design);
}

#[test]
fn b4_a_platform_that_calls_a_running_session_over_leaves_two_live() {
    let design = Design { ending: Ending::ProcessLeaving, ..Design::shipped(1, 2, 0) };
    two_live("B4: over before the process is gone", design);
}

#[test]
fn b_without_test_and_set_leaves_two_live() {
    let design = Design { naming: Naming::Unique, ..Design::shipped(1, 2, 0) };
    two_live("B without test-and-set: a creation is never refused", design);
}

fn forgets(name: &str, design: Design) {
    refute(name, Kubernetes::mutant(design, || vec![nothing_is_forgotten()]));
}

#[test]
fn a_ledger_that_is_written_after_the_deletion_forgets() {
    let design = Design { ledger: Ledger::AfterDelete, ..Design::shipped(1, 2, 0) };
    forgets("B with the ledger after the deletion", design);
}

#[test]
fn without_a_ledger_a_cycle_that_dies_between_deletion_and_creation_forgets() {
    let design = Design { ledger: Ledger::Never, ..Design::shipped(1, 2, 0) };
    forgets("B without a ledger", design);
}
