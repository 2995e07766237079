//! Worlds that break a promise are found out: no check is there in vain.

use crate::play::play;
use crate::scene::Mutant;

/// Each is found out within so many.
const SEEDS: u64 = 2_000;

/// The first violation that a world with this flaw leads to.
fn found_out(mutant: Mutant) -> String {
    let found =
        (0..SEEDS).find_map(|seed| play(seed, Some(mutant), false).violations.into_iter().next());
    found.unwrap_or_else(|| panic!("{SEEDS} seeds did not notice {mutant:?}"))
}

/// The first violation of this kind.
fn found_out_by(mutant: Mutant, kinds: &[&str]) -> String {
    let is_meant = |violation: &String| kinds.iter().any(|kind| violation.contains(kind));
    let found = (0..SEEDS)
        .find_map(|seed| play(seed, Some(mutant), false).violations.into_iter().find(is_meant));
    found.unwrap_or_else(|| panic!("{SEEDS} seeds did not notice {mutant:?} by {kinds:?}"))
}

#[test]
fn an_api_server_that_ignores_the_uid_of_a_deletion_is_found_out() {
    let violation = found_out(Mutant::IgnoresUid);
    assert!(violation.contains("was deleted"), "{violation}");
}

#[test]
fn an_api_server_that_gives_a_taken_name_away_is_found_out() {
    let violation = found_out(Mutant::IgnoresTakenNames);
    assert!(violation.contains("live sessions"), "{violation}");
}

#[test]
fn a_github_that_merges_another_head_than_the_requested_one_is_found_out() {
    let violation = found_out(Mutant::IgnoresSha);
    assert!(violation.contains("judged"), "{violation}");
}

#[test]
fn a_github_that_merges_a_pull_request_twice_is_found_out() {
    let violation = found_out(Mutant::MergesTwice);
    assert!(violation.contains("on the base 2 times"), "{violation}");
}

#[test]
fn a_github_that_merges_once_more_where_a_call_comes_twice_is_found_out() {
    let violation = found_out(Mutant::MergesDoubledCalls);
    assert!(violation.contains("on the base 2 times"), "{violation}");
}

#[test]
fn a_report_that_denies_a_merge_is_found_out() {
    let violation = found_out(Mutant::DeniesMerges);
    assert!(violation.contains("head_moved"), "{violation}");
}

#[test]
fn a_merge_that_the_rules_of_the_branch_forbid_is_found_out() {
    let violation = found_out(Mutant::HidesRules);
    assert!(violation.contains("not eligible"), "{violation}");
}

#[test]
fn a_merge_of_what_failed_and_then_did_nothing_is_found_out() {
    let violation = found_out(Mutant::HidesFailures);
    assert!(violation.contains("not eligible"), "{violation}");
}

#[test]
fn a_request_too_many_where_nothing_is_left_to_do_is_found_out() {
    let violation = found_out(Mutant::NeverDecides);
    assert!(violation.contains("requests where nothing was left to do"), "{violation}");
}

#[test]
fn a_slot_that_begins_anew_after_a_crash_is_found_out() {
    let violation = found_out(Mutant::ForgetsLedger);
    assert!(violation.contains("was removed before it began"), "{violation}");
}

#[test]
fn a_session_more_than_max_running_is_found_out() {
    let violation = found_out(Mutant::LowersCap);
    assert!(violation.contains("max_running"), "{violation}");
}

#[test]
fn a_list_that_hides_the_pause_is_found_out() {
    let violation = found_out(Mutant::HidesPause);
    assert!(violation.contains("read that the fleet is paused"), "{violation}");
}

#[test]
fn a_list_that_hides_who_stopped_a_session_is_found_out() {
    let violation = found_out_by(Mutant::HidesStops, &["a person stopped it"]);
    assert!(violation.contains("creates"), "{violation}");
}

#[test]
fn a_session_more_than_the_budget_affords_is_found_out() {
    let violation = found_out_by(Mutant::LowersBudget, &["cannot afford"]);
    assert!(violation.contains("count, and"), "{violation}");
}

/// An agent that starts where another one has run, and a register that forgets that one has.
const TWICE: [&str; 3] =
    ["starts after attempt", "starts after generation", "went back to generation"];

#[test]
fn a_register_that_nothing_compares_is_found_out() {
    let violation = found_out_by(Mutant::ComparesNothing, &TWICE);
    assert!(violation.contains("has run") || violation.contains("the register"), "{violation}");
}

#[test]
fn a_register_that_is_written_after_the_job_is_found_out() {
    let violation = found_out_by(Mutant::WritesRegisterLast, &TWICE);
    assert!(violation.contains("has run") || violation.contains("the register"), "{violation}");
}

#[test]
fn a_pod_that_starts_though_a_later_session_has_ended_is_found_out() {
    let violation = found_out_by(Mutant::IgnoresPermits, &TWICE[..2]);
    assert!(violation.contains("has run"), "{violation}");
}

#[test]
fn attempts_that_are_counted_by_what_a_list_shows_are_found_out() {
    let violation = found_out(Mutant::RecountsAttempts);
    assert!(
        violation.contains("attempt 9 of item old starts after attempt 10 has run"),
        "{violation}"
    );
}

#[test]
fn a_source_that_is_read_before_the_sessions_and_compared_with_nothing_is_found_out() {
    let violation = found_out_by(Mutant::ReadsSourcesFirst, &TWICE);
    assert!(violation.contains("has run") || violation.contains("the register"), "{violation}");
}

#[test]
fn an_effect_that_is_written_over_a_change_is_found_out() {
    let violation = found_out(Mutant::WritesStaleEffects);
    assert!(violation.contains("is written over version"), "{violation}");
}
