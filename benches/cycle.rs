//! What a cycle costs, beside what it cannot do without: `cargo bench --bench cycle`.
//!
//! The real binary runs against the fake world on loopback, with the shipped roster and small real agents. The counts
//! of requests and of live agents are asserted; times, CPU and memory are printed and never judged, because they are
//! the machine's as well. `-- --smoke` runs each scenario once. Linux alone: it reads `/proc`.

#![allow(clippy::print_stdout, reason = "a benchmark is there to be read")]

#[path = "../tests/world/world.rs"]
mod world;

#[path = "cycle/stage.rs"]
mod stage;
#[path = "cycle/usage.rs"]
mod usage;

use std::env;
use std::time::Duration;

use anyhow::ensure;
use stage::{Counts, Scenario};
use usage::Usage;

const SCENARIOS: [Scenario; 3] = [
    Scenario { name: "converged", running: 38, open: 12, eligible: 0 },
    Scenario { name: "cold start", running: 0, open: 12, eligible: 5 },
    Scenario { name: "busy", running: 30, open: 100, eligible: 20 },
];
const LATENCIES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(50)];
const ROUNDS: usize = 15;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, command @ ..] = arguments.as_slice()
        && first == usage::MEASURE
    {
        return usage::measure(command);
    }
    let is_smoke = arguments.iter().any(|argument| argument == "--smoke");
    let (latencies, rounds) = if is_smoke { (&LATENCIES[..1], 1) } else { (&LATENCIES[..], ROUNDS) };
    println!(
        "| Scenario | Latency | GitHub | Production | Platform | Wall, least | Wall, median | Floor | Ratio | CPU | Memory |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let (mut passed, mut failed) = (0, 0);
    for scenario in &SCENARIOS {
        for latency in latencies {
            match play(scenario, *latency, rounds) {
                Ok(row) => {
                    passed += 1;
                    println!("{row}");
                }
                Err(error) => {
                    failed += 1;
                    println!("{}, {latency:?}: {error:#}", scenario.name);
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    ensure!(failed == 0, "a cycle did not do what it should");
    Ok(())
}

/// Runs the scenario this often, each time in a world of its own; the row of the table.
fn play(scenario: &Scenario, latency: Duration, rounds: usize) -> anyhow::Result<String> {
    let samples = (0..rounds).map(|_| stage::round(scenario, latency));
    let samples = samples.collect::<anyhow::Result<Vec<Usage>>>()?;
    let sorted = |of: fn(&Usage) -> Duration| {
        let mut all: Vec<Duration> = samples.iter().map(of).collect();
        all.sort_unstable();
        all
    };
    let (wall, cpu) = (sorted(|usage| usage.wall), sorted(|usage| usage.cpu));
    let (least, median) = (wall[0], wall[rounds / 2]);
    let peak_bytes = samples.iter().map(|usage| usage.peak_bytes).max().unwrap_or_default();
    let Counts { github, production, platform } = scenario.floor();
    // Merging is the longest chain: its requests wait for each other, all else goes on beside it.
    let floor = latency.saturating_mul(u32::try_from(github)?);
    let ratio = match floor {
        Duration::ZERO => "-".to_owned(),
        _ => format!("{:.2}", median.as_secs_f64() / floor.as_secs_f64()),
    };
    let [latency, least, median, floor, cpu] = [latency, least, median, floor, cpu[rounds / 2]].map(millis);
    let mebibytes = peak_bytes.div_ceil(1 << 20);
    let name = scenario.name;
    Ok(format!(
        "| {name} | {latency} | {github} | {production} | {platform} | {least} | {median} | {floor} | {ratio} | {cpu} | {mebibytes} MiB |"
    ))
}

fn millis(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}
