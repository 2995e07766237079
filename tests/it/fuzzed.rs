//! Every edge under damaged documents: no panic, an answer or a reason, and nothing in any output
//! that is more than text.
//!
//! `PROPTEST_CASES` sets how many cases each edge gets. The bodies are those of the fuzz targets.

use std::env;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::fuzz::{self, Verdict};

/// Runs one edge first without damage, then with random damage many times.
fn bounded(edge: fn(&[u8]) -> Verdict, cases: u32) {
    assert_eq!(edge(&[]), Verdict::Taken, "a document without damage is read");
    let cases =
        env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(cases);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    };
    let run =
        TestRunner::new(config).run(&proptest::collection::vec(any::<u8>(), 0..200), |bytes| {
            edge(&bytes);
            Ok(())
        });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn no_roster_brings_the_loader_down() {
    bounded(fuzz::roster, 128);
}

#[test]
fn no_answer_of_github_about_pull_requests_brings_a_cycle_down() {
    bounded(fuzz::merge, 128);
}

#[test]
fn no_answer_of_github_about_runs_brings_a_cycle_down() {
    bounded(fuzz::actions, 128);
}

#[test]
fn no_answer_of_an_api_server_brings_a_cycle_down() {
    bounded(fuzz::kubernetes, 128);
}

#[test]
fn no_record_of_a_session_brings_the_inventory_down() {
    bounded(fuzz::records, 128);
}

#[cfg(target_os = "linux")]
#[test]
fn no_answer_of_a_plugin_brings_a_cycle_down() {
    bounded(fuzz::plugin, 32);
}

#[test]
fn no_text_in_a_report_is_more_than_text() {
    bounded(fuzz::report, 128);
}
