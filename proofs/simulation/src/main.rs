//! Whole cycles of the real program in virtual time, against a world in which everything goes
//! wrong. README.md beside this folder describes the world, and how to run it.

mod api_server;
mod crew;
mod dice;
mod eligible;
mod events;
mod facts;
mod fate;
mod hub;
mod instead;
mod ledger;
mod money;
mod mutants;
mod page;
mod person;
mod play;
mod protection;
mod pulls;
mod queue;
mod report;
mod rosters;
mod scene;
mod table;
mod thrift;
mod time;
mod titles;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use play::{Outcome, play};
use table::Counts;

/// How many seeds run without `SEEDS`.
const SEEDS: u64 = 10_000;

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

/// The results of the threads so far.
#[derive(Default)]
struct Findings {
    counts: Counts,
    failed: u64,
}

/// Plays seeds until there are no more; one that fails is printed at once.
#[expect(
    clippy::print_stdout,
    reason = "a failing seed is printed at once, not after ten thousand"
)]
fn work(next: &AtomicU64, seeds: u64) -> Findings {
    let mut findings = Findings::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds {
            return findings;
        }
        let outcome = survive(seed, false);
        findings.counts.add(&outcome.counts);
        findings.counts.total("seeds");
        if let Some(first) = outcome.violations.first() {
            findings.failed += 1;
            println!(
                "SEED={seed} cargo test --release -p simulation whatever -- --nocapture # {first}"
            );
        }
    }
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
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut all = Findings::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&next, seeds))).collect();
        for worker in workers {
            let findings = worker.join().expect("a worker survives its seeds");
            all.counts.add(&findings.counts);
            all.failed += findings.failed;
        }
    });
    for row in all.counts.rows() {
        println!("{}", row.join(" | "));
    }
    println!("{}", all.counts.lines().join("\n"));
    assert_eq!(all.failed, 0, "seeds failed, of {seeds}; each has a line that begins with SEED=");
    if seeds >= SEEDS {
        page::check(&all.counts);
    }
}

#[test]
fn a_seed_always_has_the_same_story() {
    for seed in 0..25 {
        let (once, again) =
            (play(seed, None, false), thread::spawn(move || play(seed, None, false)).join());
        assert_eq!(once, again.expect("it went well before"), "seed {seed}");
    }
}
