//! The searches: shipped designs, variants that hold, and mutants.

use stateright::Property;

use super::design::{Admission, Design, Group, Sight};
use super::{
    Actions, no_haste, nothing_is_killed, nothing_overdue, nothing_unwanted, one_live_session,
};
use crate::check::{hold, prove, refute};

#[test]
fn the_slot_holds_for_four_cycles() {
    prove("github, 4 cycles, 2 faults", Actions::shipped(Design::shipped(4, 2)));
}

#[test]
fn the_group_and_the_ticket_hold_whatever_the_admission_sees() {
    let design = Design { sight: Sight::Anything, ..Design::shipped(3, 2) };
    let property = || vec![one_live_session(), nothing_is_killed(), nothing_unwanted()];
    hold("github, an admission that sees anything", Actions::other(design, property));
}

#[test]
fn an_admission_with_fresh_lists_makes_up_for_a_group() {
    let design = Design { group: Group::None, ..Design::shipped(3, 2) };
    hold(
        "github, no group, an admission with fresh lists",
        Actions::other(design, || vec![one_live_session()]),
    );
}

fn breaks(name: &str, design: Design, property: fn() -> Vec<Property<Actions>>) {
    refute(name, Actions::other(design, property));
}

#[test]
fn without_a_group_two_live_when_the_admission_does_not_look_at_other_runs() {
    let design =
        Design { group: Group::None, admission: Admission::AllButOther, ..Design::shipped(2, 0) };
    breaks(
        "no concurrency group, the admission does not look for the older holder",
        design,
        || vec![one_live_session()],
    );
}

#[test]
fn without_a_group_two_live_when_the_admissions_list_lags() {
    let design = Design { group: Group::None, sight: Sight::Anything, ..Design::shipped(2, 0) };
    breaks("no concurrency group, the admission's list lags", design, || vec![one_live_session()]);
}

#[test]
fn a_group_of_slot_and_generation_leaves_two_live() {
    let design =
        Design { group: Group::OfGeneration, sight: Sight::Anything, ..Design::shipped(2, 0) };
    breaks("concurrency group of slot and generation, the admission's list lags", design, || {
        vec![one_live_session()]
    });
}

#[test]
fn a_group_that_cancels_kills() {
    let design = Design { group: Group::OfSlotCancelling, ..Design::shipped(2, 0) };
    breaks("cancel-in-progress: true", design, || vec![nothing_is_killed()]);
}

#[test]
fn an_admission_without_the_ticket_starts_sessions_in_a_paused_fleet() {
    let design = Design { admission: Admission::AllButTicket, ..Design::shipped(2, 0) };
    breaks("ticket without expiry", design, || vec![nothing_unwanted()]);
}

#[test]
fn an_admission_without_the_history_starts_a_slot_that_backs_off() {
    let design = Design { admission: Admission::AllButBackoff, ..Design::shipped(2, 0) };
    breaks("an admission without the history", design, || vec![no_haste()]);
}

#[test]
fn an_admission_whose_list_lags_starts_what_backs_off() {
    let design = Design { sight: Sight::Anything, ..Design::shipped(2, 0) };
    breaks("a limit: the admission's list lags", design, || vec![no_haste()]);
}

#[test]
fn an_agent_whose_job_waits_for_a_runner_starts_long_after_its_session_began() {
    let design = Design::shipped(2, 0);
    breaks("a limit: the agent's job waits for a runner", design, || vec![nothing_overdue()]);
}
