//! The cost of a cycle, beside the least possible: `cargo bench --bench cycle`.
//!
//! The real binary runs against the fake world on loopback, with small real agents as local
//! processes, or with Jobs on a fake cluster. The counts of requests and of live agents are
//! asserted; times, CPU and memory are printed and never asserted, because they depend on the
//! machine. `-- --smoke` runs each scenario once; any other word picks the scenarios whose names
//! contain it. Linux alone: it reads `/proc`.

#![allow(clippy::print_stdout, reason = "the output of a benchmark is its purpose")]

#[path = "cycle/scenario.rs"]
mod scenario;
#[path = "cycle/stage.rs"]
mod stage;
#[path = "cycle/usage.rs"]
mod usage;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use scenario::{Counts, Place, Roster, Scenario};
use stage::{Attic, Pace, Round};

const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "converged",
        roster: Roster::Shipped,
        running: 38,
        strangers: 0,
        open: 12,
        eligible: 0,
    },
    Scenario {
        name: "cold start",
        roster: Roster::Shipped,
        running: 0,
        strangers: 0,
        open: 12,
        eligible: 5,
    },
    Scenario {
        name: "busy",
        roster: Roster::Shipped,
        running: 30,
        strangers: 0,
        open: 100,
        eligible: 20,
    },
    Scenario {
        name: "scale",
        roster: Roster::Roles(1_000),
        running: 990,
        strangers: 5_000,
        open: 500,
        eligible: 20,
    },
];
const PLACES: [Place; 2] = [Place::Here, Place::Cluster];
const LATENCIES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(50)];
/// A thousand Jobs on a cluster at another end of the world.
const FAR: Scenario = Scenario {
    name: "far",
    roster: Roster::Roles(1_000),
    running: 0,
    strangers: 0,
    open: 12,
    eligible: 0,
};
const FAR_LATENCY: Duration = Duration::from_millis(80);
/// Between two merges, as GitHub's documentation recommends.
const PAUSE: Duration = Duration::from_secs(1);
const ROUNDS: usize = 15;
/// A thousand agents take longer to set up than to look at.
const ROUNDS_AT_SCALE: usize = 5;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, command @ ..] = arguments.as_slice()
        && first == usage::MEASURE
    {
        return usage::measure(command);
    }
    build()?;
    let is_smoke = arguments.iter().any(|argument| argument == "--smoke");
    let latencies = if is_smoke { &LATENCIES[..1] } else { &LATENCIES[..] };
    let named: Vec<&String> =
        arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_chosen = |scenario: &Scenario| {
        named.is_empty() || named.iter().any(|word| scenario.name.contains(word.as_str()))
    };
    println!(
        "| Scenario | Sessions | Latency | GitHub | Production | Platform | Wall, least | \
         Wall, median | Floor | Ratio | With pauses | Floor | CPU | Memory | First request |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let (mut passed, mut failed, mut attic) = (0, 0, Attic::default());
    let ways =
        PLACES.iter().flat_map(|place| latencies.iter().map(move |latency| (*place, *latency)));
    let near = SCENARIOS
        .iter()
        .flat_map(|scenario| ways.clone().map(move |(place, it)| (scenario, place, it)));
    let all = near.chain([(&FAR, Place::Cluster, FAR_LATENCY)]);
    for (scenario, place, latency) in all.filter(|(scenario, ..)| is_chosen(scenario)) {
        match play(scenario, place, latency, is_smoke, &mut attic) {
            Ok(row) => {
                passed += 1;
                println!("{row}");
            }
            Err(error) => {
                failed += 1;
                println!("{}, {place:?}, {latency:?}: {error:#}", scenario.name);
            }
        }
    }
    let binary = fs::metadata(program()?).context("look at the binary")?;
    println!("\nThe binary has {} kB.", binary.len() / 1_000);
    println!("{passed} passed, {failed} failed");
    attic.clear()?;
    ensure!(failed == 0, "a cycle did not do what it should");
    Ok(())
}

/// The program as released, built now.
fn build() -> anyhow::Result<()> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let built = cargo.args(["build", "--quiet", "--release", "--package", "coordinator"]).status();
    ensure!(built.context("start cargo")?.success(), "the program does not build");
    Ok(())
}

/// Where [`build`] puts it: beside the folder of this benchmark.
fn program() -> anyhow::Result<PathBuf> {
    let benchmark = env::current_exe().context("find this program")?;
    let folder = benchmark.ancestors().nth(2).context("find the folder of the build")?;
    Ok(folder.join("coordinator"))
}

/// Runs the scenario some times, each in a world of its own; the row of the table.
fn play(
    scenario: &Scenario,
    place: Place,
    latency: Duration,
    is_smoke: bool,
    attic: &mut Attic,
) -> anyhow::Result<String> {
    let rounds = match scenario.roster {
        _ if is_smoke => 1,
        Roster::Shipped => ROUNDS,
        Roster::Roles(_) => ROUNDS_AT_SCALE,
    };
    let pace = Pace { latency, pause: Duration::ZERO };
    let samples = (0..rounds).map(|_| stage::round(scenario, place, pace, attic));
    let samples = samples.collect::<anyhow::Result<Vec<Round>>>()?;
    let sorted = |of: fn(&Round) -> Duration| {
        let mut all: Vec<Duration> = samples.iter().map(of).collect();
        all.sort_unstable();
        all
    };
    let (wall, cpu) = (sorted(|round| round.usage.wall), sorted(|round| round.usage.cpu));
    let first = sorted(|round| round.first_request);
    let peak_bytes = samples.iter().map(|round| round.usage.peak_bytes).max().unwrap_or_default();
    let Counts { github, production, platform } = scenario.fewest(place, pace);
    let floor = scenario.floor(place, pace);
    let paused = paused(scenario, place, latency, is_smoke, attic)?;
    let [latency, least, median, cpu] =
        [latency, wall[0], wall[rounds / 2], cpu[rounds / 2]].map(millis);
    let (ratio, floor) = (ratio(wall[rounds / 2], floor), millis(floor));
    let (mebibytes, first) = (peak_bytes.div_ceil(1 << 20), millis(first[rounds / 2]));
    let (name, place) = (scenario.name, place.word());
    Ok(format!(
        "| {name} | {place} | {latency} | {github} | {production} | {platform} | {least} | \
         {median} | {floor} | {ratio} | {paused} | {cpu} | {mebibytes} MiB | {first} |"
    ))
}

/// One cycle with the pause between merges that GitHub recommends, and its floor.
fn paused(
    scenario: &Scenario,
    place: Place,
    latency: Duration,
    is_smoke: bool,
    attic: &mut Attic,
) -> anyhow::Result<String> {
    if is_smoke || latency.is_zero() || scenario.eligible == 0 {
        return Ok("- | -".to_owned());
    }
    let pace = Pace { latency, pause: PAUSE };
    let round = stage::round(scenario, place, pace, attic)?;
    let floor = scenario.floor(place, pace);
    Ok(format!("{} | {}", millis(round.usage.wall), millis(floor)))
}

fn ratio(wall: Duration, floor: Duration) -> String {
    if floor.is_zero() {
        "-".to_owned()
    } else {
        format!("{:.2}", wall.as_secs_f64() / floor.as_secs_f64())
    }
}

fn millis(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}
