//! Worlds that break a promise are found out: no check is there in vain.

use crate::play::play;
use crate::scene::Mutant;

/// Each is found out within so many.
const SEEDS: u64 = 2_000;

/// The first violation that a world with this flaw leads to.
fn found_out(mutant: Mutant) -> String {
    let found = (0..SEEDS).find_map(|seed| play(seed, Some(mutant), false).violations.into_iter().next());
    found.unwrap_or_else(|| panic!("{SEEDS} seeds did not notice {mutant:?}"))
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
fn a_github_that_merges_another_head_than_the_one_asked_for_is_found_out() {
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
