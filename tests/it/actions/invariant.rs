//! Any interleaving of cycles, admissions, runners, people and faults: never two admitted sessions
//! of a slot. The witness is `crates/testkit/src/actions/witness.rs`; dropping the fake fails the
//! test when it has found a violation.

use super::Fleet;
use crate::coordinator;
use testkit::actions::Groups;
use testkit::actions::life::Admission;
use testkit::{Fault, Route};

/// A small generator of its own, so that a seed always means the same.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let count = from.len() as u64;
        (count > 0).then(|| from[usize::try_from(self.roll(count)).expect("small")])
    }
}

const STEPS: usize = 45;
const DEFAULTS: &str = "backoff_base = \"0s\"\nmin_runtime = \"0s\"";

/// The next event. Time advances by itself, about a minute at a time.
fn step(fleet: &Fleet, dice: &mut Dice) {
    match dice.roll(10) {
        0..=1 => overlapping_cycles(fleet, dice),
        2..=4 => {
            if let Some(id) = dice.pick(&fleet.queued()) {
                fleet.play(id);
            }
        }
        5..=6 => end_one(fleet, dice),
        7 => trouble(fleet, dice),
        8 => fleet.actions(|actions, _| {
            actions.index.lags = !actions.index.lags;
            actions.index();
        }),
        _ => forget_one(fleet, dice),
    }
    let seconds = [1, 20, 70, 290, 400][usize::try_from(dice.roll(5)).expect("small")];
    fleet.github.state().clock_offset += seconds;
}

fn overlapping_cycles(fleet: &Fleet, dice: &mut Dice) {
    let count = 1 + dice.roll(3);
    let running: Vec<_> =
        (0..count).map(|_| coordinator(&fleet.workplace).args(super::AGENTS).spawn()).collect();
    for (number, run) in running.into_iter().enumerate() {
        if number == 0 && dice.roll(4) == 0 {
            run.signal("KILL");
        }
        run.wait();
    }
}

fn live(fleet: &Fleet) -> Vec<u64> {
    fleet.actions(|actions, _| {
        actions.runs.values().filter(|run| run.is_admitted()).map(|run| run.id).collect()
    })
}

fn end_one(fleet: &Fleet, dice: &mut Dice) {
    let conclusion = dice.pick(&["success", "failure", "cancelled"]).expect("there are some");
    if let Some(id) = dice.pick(&live(fleet)) {
        fleet.actions(|actions, now| actions.end(id, conclusion, now));
    }
}

fn forget_one(fleet: &Fleet, dice: &mut Dice) {
    let over = fleet.actions(|actions, _| {
        actions.runs.values().filter(|run| !run.is_live()).map(|run| run.id).collect::<Vec<_>>()
    });
    if let Some(id) = dice.pick(&over) {
        fleet.actions(|actions, _| actions.delete(id));
    }
}

pub(super) fn trouble(fleet: &Fleet, dice: &mut Dice) {
    let route = dice.pick(&[0, 1, 2, 3]).expect("there are some");
    let route = [Route::Runs, Route::Group, Route::Dispatch, Route::GraphQl][route].clone();
    let fault = match dice.roll(4) {
        0 => Fault::reset(),
        1 => Fault::reset().after_applying(),
        2 => Fault::status(502, "Bad Gateway"),
        _ => Fault::status(504, "We couldn't respond to your request in time.").after_applying(),
    };
    fleet.github.script(route, [fault]);
}

/// Without faults the fleet is full within three cycles, and the fourth plans nothing.
fn settles(fleet: &Fleet, slots: u64) {
    {
        let mut state = fleet.github.state();
        state.faults = testkit::fault::Faults::default();
        state.repository().actions.index.lags = false;
        state.repository().actions.index();
    }
    // A session that a person cancelled holds its slot.
    let resumed = fleet.run(&["resume"]).finished;
    assert_eq!(resumed.code, Some(0), "{}{}", resumed.stdout, resumed.stderr);
    for _ in 0..3 {
        // Runs that are late are turned away first, so that their slots are free.
        while let Some(id) = fleet.queued().first().copied() {
            fleet.play(id);
        }
        if live(fleet).len() as u64 == slots {
            break;
        }
        fleet.cycle();
        while let Some(id) = fleet.queued().first().copied() {
            fleet.play(id);
        }
    }
    assert_eq!(live(fleet).len() as u64, slots, "the fleet is not full");
    let cycle = fleet.cycle();
    assert_eq!((cycle.dispatches(), cycle.step("inventory")["running"].as_u64()), (0, Some(slots)));
}

#[test]
fn no_slot_has_two_admitted_sessions_and_the_fleet_fills_after_the_faults() {
    for seed in 1..=4_u64 {
        let (fleet, mut dice) =
            (Fleet::with(3, "", DEFAULTS), Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed)));
        for _ in 0..STEPS {
            step(&fleet, &mut dice);
            let breaches = fleet.actions(|actions, _| actions.take_breaches());
            assert!(breaches.is_empty(), "seed {seed}: {breaches:?}");
        }
        settles(&fleet, 3);
    }
}

#[test]
fn the_witness_sees_what_a_world_without_groups_does() {
    let fleet = Fleet::of(1);
    fleet.actions(|actions, _| actions.groups = Groups::Broken);
    fleet.cycle();
    let first = fleet.queued()[0];
    let again = fleet.actions(|actions, now| {
        let inputs = actions.run(first).inputs.clone();
        actions.trigger("agent-session.yml", "main", inputs, now)
    });
    fleet.actions(|actions, now| {
        for id in [first, again] {
            actions.start(id, now);
            actions.end_admission(id, Admission::Go, now);
            actions.start_agent(id, now);
        }
    });
    let breaches = fleet.actions(|actions, _| actions.take_breaches());
    assert!(!breaches.is_empty(), "two sessions are live");
}
