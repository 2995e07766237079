//! Whole cycles of the real program in virtual time, against a world in which everything goes wrong: README.md beside
//! this file says what is simulated, and how to run it.

#[path = "../world/world.rs"]
mod world;

mod api_server;
mod crew;
mod dice;
mod eligible;
mod events;
mod fate;
mod hub;
mod ledger;
mod page;
mod play;
mod report;
mod rosters;
mod scene;
mod table;
mod time;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use play::{Outcome, play};
use scene::Mutant;
use table::Counts;

/// How many seeds run when nobody says.
const SEEDS: u64 = 10_000;

/// A world that breaks a promise is found out within so many.
const MUTANT_SEEDS: u64 = 2_000;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, and not {text:?}")))
}

/// One seed, a panic of the program or of the simulation included.
fn survive(seed: u64, shown: bool) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| play(seed, None, shown))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let violation = format!("it panicked: {}", text.unwrap_or_default());
        Outcome { hash: 0, counts: Counts::default(), violations: vec![violation] }
    })
}

#[test]
#[expect(clippy::print_stdout, reason = "the table is what the run is for")]
fn whatever_happens_no_agent_runs_twice_and_nothing_is_merged_that_was_not_judged() {
    if let Some(seed) = number("SEED") {
        let outcome = survive(seed, true);
        println!("hash {:016x}", outcome.hash);
        assert!(outcome.violations.is_empty(), "{}", outcome.violations.join("\n"));
        return;
    }
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let (counts, failures) = (Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut own = Counts::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    let outcome = survive(seed, false);
                    own.add(&outcome.counts);
                    own.total("seeds");
                    if let Some(first) = outcome.violations.first() {
                        failures.lock().expect("no holder panics").push((seed, first.clone()));
                    }
                }
                counts.lock().expect("no holder panics").add(&own);
            });
        }
    });
    let (counts, mut failures) =
        (counts.into_inner().expect("all threads ended"), failures.into_inner().expect("all threads ended"));
    failures.sort();
    for row in counts.rows(failures.len()) {
        println!("{}", row.join(" | "));
    }
    println!("{}", counts.lines().join("\n"));
    let lines = failures
        .iter()
        .take(20)
        .map(|(seed, why)| format!("SEED={seed} cargo test --test simulation -- --nocapture: {why}"));
    assert!(
        failures.is_empty(),
        "{} of {seeds} seeds failed\n{}",
        failures.len(),
        lines.collect::<Vec<_>>().join("\n")
    );
    if seeds >= SEEDS {
        page::check(&counts, failures.len());
    }
}

#[test]
fn a_seed_always_tells_the_same_story() {
    for seed in 0..25 {
        let (once, again) = (play(seed, None, false), thread::spawn(move || play(seed, None, false)).join());
        assert_eq!(once, again.expect("it went well before"), "seed {seed}");
    }
}

/// The first violation that a world with this flaw leads to.
fn found_out(mutant: Mutant) -> String {
    let found =
        (0..MUTANT_SEEDS).find_map(|seed| play(seed, Some(mutant), false).violations.into_iter().next());
    found.unwrap_or_else(|| panic!("{MUTANT_SEEDS} seeds did not notice {mutant:?}"))
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
