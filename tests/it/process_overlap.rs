//! Overlapping cycles on the real platform, judged by a witness of the agents' own: never two live
//! agents in a slot, never an agent ended by a coordinator, never a lock of one slot in a process
//! of another.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Child;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::Value;

use crate::process_fleet::{
    Fleet, OPEN, await_true, environment, is_running, open_files, report, signal, slots,
};

const COORDINATORS: usize = 8;

/// An agent that takes a lock of its own for its slot, and records when another agent has the lock
/// or when it gets a signal to end.
fn witness(work: &str) -> String {
    format!(
        "exec 9>>\"$WITNESS/$COORDINATOR_SLOT.lock\"\n\
         flock -n 9 || {{ echo \"two agents in $COORDINATOR_SLOT\" >> \"$WITNESS/violations\"; \
         exit 1; }}\n\
         trap 'echo \"$COORDINATOR_SLOT got a signal to end\" >> \"$WITNESS/violations\"; exit 1' \
         TERM INT HUP QUIT\n\
         echo \"$COORDINATOR_SLOT $COORDINATOR_GENERATION\" >> \"$WITNESS/starts\"\n\
         {work}\n"
    )
}

/// Pseudo-random numbers, so that a failure can be repeated by its seed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a clock after 1970")
            .subsec_nanos();
        Self(u64::from(nanos) | 1)
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

fn finish(cycle: Child) -> Value {
    report(&cycle.wait_with_output().expect("wait for a cycle"))
}

/// No process that belongs to a slot has the lock of another one.
fn assert_no_foreign_lock(fleet: &Fleet) {
    for pid in fleet.processes() {
        let variables = environment(pid);
        let Some(slot) =
            variables.iter().find_map(|variable| variable.strip_prefix("COORDINATOR_SLOT=demo-"))
        else {
            continue;
        };
        let own = fleet.state(&format!("slots/{slot}.lock"));
        let foreign =
            |file: &&std::path::PathBuf| file.starts_with(fleet.state("slots")) && **file != own;
        let files = open_files(pid);
        assert_eq!(files.iter().find(foreign), None, "process {pid} of {slot}");
    }
}

/// Every slot's generations count up from 1 without a gap, and each had one agent.
fn assert_single_starts(fleet: &Fleet) {
    let starts = fleet.witness("starts");
    let unique: BTreeSet<&str> = starts.lines().collect();
    assert_eq!(unique.len(), starts.lines().count(), "a generation started twice:\n{starts}");
}

#[test]
fn eight_coordinators_at_once_fill_an_empty_fleet_exactly_once() {
    for _ in 0..6 {
        let agent = witness("exec sleep 1000");
        let fleet = Fleet::new(OPEN, &[("builder", 4, &agent), ("tester", 3, &agent)]);
        let cycles: Vec<Child> =
            (0..COORDINATORS).map(|_| fleet.reconcile_in_background("roster.toml")).collect();
        assert_no_foreign_lock(&fleet);
        let mut spawned: Vec<String> =
            cycles.into_iter().flat_map(|cycle| slots(&finish(cycle), "spawned")).collect();
        spawned.extend(slots(&fleet.reconcile(), "spawned"));
        spawned.sort();
        let builders = (0..4).map(|index| format!("demo-builder-s{index}"));
        let testers = (0..3).map(|index| format!("demo-tester-s{index}"));
        assert_eq!(spawned, builders.chain(testers).collect::<Vec<_>>());
        await_true("seven agents", || fleet.witness("starts").lines().count() == 7);
        assert_no_foreign_lock(&fleet);
        assert_eq!(fleet.witness("violations"), "");
    }
}

#[test]
fn two_cycles_in_the_same_moment_start_fifty_agents_once() {
    let fleet = Fleet::new(OPEN, &[("builder", 50, &witness("exec sleep 1000"))]);
    let cycles = [(); 2].map(|()| fleet.reconcile_in_background("roster.toml"));
    let spawned: usize =
        cycles.into_iter().map(|cycle| slots(&finish(cycle), "spawned").len()).sum();
    let rest = slots(&fleet.reconcile(), "spawned").len();
    assert_eq!(spawned + rest, 50);
    await_true("fifty agents", || fleet.witness("starts").lines().count() == 50);
    assert_single_starts(&fleet);
    assert_eq!(fleet.witness("violations"), "");
}

/// Sends a signal to a cycle at ever later moments, so that each point of its way is hit on some
/// machine.
fn at_each_moment(mut disturb: impl FnMut(Duration)) {
    for moment in 0..20 {
        disturb(Duration::from_millis(moment * 2));
    }
}

#[test]
fn a_cycle_that_sleeps_before_its_start_does_not_double_a_refilled_slot() {
    at_each_moment(|moment| {
        let fleet = Fleet::new(
            OPEN,
            &[("builder", 2, &witness("[ $COORDINATOR_GENERATION -gt 1 ] && exec sleep 1000"))],
        );
        let slow = fleet.reconcile_in_background("roster.toml");
        let pid = i32::try_from(slow.id()).expect("a pid is small");
        thread::sleep(moment);
        signal(pid, Signal::STOP);
        let mut spawned: Vec<String> = Vec::new();
        for _ in 0..3 {
            spawned.extend(slots(&fleet.reconcile(), "spawned"));
        }
        signal(pid, Signal::CONT);
        finish(slow);
        for _ in 0..3 {
            spawned.extend(slots(&fleet.reconcile(), "spawned"));
        }
        await_true("agents that stay", || {
            fleet.reconcile();
            fleet.witness("starts").lines().filter(|start| start.ends_with(" 2")).count() == 2
        });
        assert_single_starts(&fleet);
        assert_eq!(fleet.witness("violations"), "", "stopped after {moment:?}");
    });
}

#[test]
fn a_coordinator_killed_at_any_moment_leaves_a_slot_free_or_taken_by_one_session() {
    at_each_moment(|moment| {
        let fleet = Fleet::new(OPEN, &[("builder", 3, &witness("exec sleep 1000"))]);
        let mut cycle = fleet.reconcile_in_background("roster.toml");
        thread::sleep(moment);
        cycle.kill().and_then(|()| cycle.wait()).expect("kill the cycle");
        await_true("three agents", || {
            fleet.reconcile();
            fleet.witness("starts").lines().count() == 3
        });
        assert_single_starts(&fleet);
        assert_eq!(fleet.witness("violations"), "", "killed after {moment:?}");
        let live = fleet.reconcile();
        assert_eq!(live["steps"]["inventory"]["running"], 3);
        assert_eq!(slots(&live, "spawned").len(), 0);
    });
}

/// The processes that a storm killed: only these may have ended by a signal.
#[derive(Default)]
struct Toll {
    agents: BTreeSet<i64>,
    shims: BTreeSet<i64>,
}

/// Kills one random process of the fleet.
fn strike(fleet: &Fleet, dice: &mut Dice, cycles: &mut [Child], toll: &mut Toll) {
    if dice.roll(3) == 0 {
        let victim = usize::try_from(dice.roll(COORDINATORS as u64)).expect("a small number");
        cycles[victim].kill().expect("kill a coordinator");
        return;
    }
    let live: Vec<Value> = live_starts(fleet);
    if live.is_empty() {
        return;
    }
    let start = &live[usize::try_from(dice.roll(live.len() as u64)).expect("a small number")];
    let (who, struck) =
        if dice.roll(2) == 0 { ("agent", &mut toll.agents) } else { ("shim", &mut toll.shims) };
    if let Some(pid) = start[who]["pid"].as_i64() {
        struck.insert(pid);
        fleet.kill(i32::try_from(pid).expect("a pid is small"));
    }
}

/// The start records of sessions without an end.
fn live_starts(fleet: &Fleet) -> Vec<Value> {
    let folders = |path: std::path::PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
    let homes = folders(fleet.state("sessions")).flat_map(|slot| folders(slot.path()));
    homes
        .filter(|home| !home.path().join("exit.json").exists())
        .filter_map(|home| {
            serde_json::from_slice(&fs::read(home.path().join("start.json")).ok()?).ok()
        })
        .collect()
}

#[test]
fn no_storm_of_kills_puts_two_agents_into_a_slot() {
    let mut dice = Dice::new();
    let seed = dice.0;
    let mut toll = Toll::default();
    let settings = format!("{OPEN}retain = 1000\n");
    let agent = witness("sleep 0.$(( $$ % 3 ))");
    let fleet = Fleet::new(&settings, &[("builder", 3, &agent), ("tester", 2, &agent)]);
    for _ in 0..25 {
        let mut cycles: Vec<Child> =
            (0..COORDINATORS).map(|_| fleet.reconcile_in_background("roster.toml")).collect();
        for _ in 0..dice.roll(6) {
            thread::sleep(Duration::from_millis(dice.roll(25)));
            strike(&fleet, &mut dice, &mut cycles, &mut toll);
            assert_no_foreign_lock(&fleet);
        }
        for mut cycle in cycles {
            cycle.wait().expect("wait for a cycle");
        }
        assert_eq!(fleet.witness("violations"), "", "seed {seed}");
    }
    await_true("the last agents' end", || fleet.processes().iter().all(|pid| !is_running(*pid)));
    assert_eq!(fleet.witness("violations"), "", "seed {seed}");
    assert_single_starts(&fleet);
    assert_ends(&fleet, &toll, seed);
}

/// Every session ended by itself, or by a kill of the test's own.
fn assert_ends(fleet: &Fleet, toll: &Toll, seed: u64) {
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for slot in (0..3)
        .map(|index| format!("builder-s{index}"))
        .chain((0..2).map(|index| format!("tester-s{index}")))
    {
        for session in fleet.sessions(&slot) {
            let generation = session["generation"].as_u64().expect("a session has a generation");
            let start = fleet.record(&slot, generation, "start.json");
            let killed = |who: &str, toll: &BTreeSet<i64>| {
                start[who]["pid"].as_i64().is_some_and(|pid| toll.contains(&pid))
            };
            let outcome = session["outcome"].as_str().expect("all sessions have ended");
            let explained = match outcome {
                "succeeded" | "idle" => true,
                "failed" => killed("agent", &toll.agents),
                "lost" => killed("shim", &toll.shims),
                _ => false,
            };
            assert!(explained, "seed {seed}: {session} was killed by a coordinator: {start}");
            *ends.entry(outcome.to_owned()).or_default() += 1;
        }
    }
    let is_alone = ["succeeded", "idle"].iter().any(|end| ends.contains_key(*end));
    assert!(is_alone, "the storm left no session alone: {ends:?}");
}
