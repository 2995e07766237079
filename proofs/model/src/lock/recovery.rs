//! Eventually, as a property of every state: let all coordinators die here, let
//! the kernel and the shims do what they have begun, and let orphans end; then one cycle on its
//! own, whose backoff has passed, fills the slot if no session that was on its way did, and the
//! next one has nothing to do.

use stateright::Property;

use super::Lock;
use super::design::Design;
use super::run::{Agent, Child, Coordinator, Run, Shim};
use super::state::State;
use crate::planning::{Seen, eager};

pub fn property() -> Property<Lock> {
    Property::always(
        "from here one undisturbed cycle fills the slot",
        |model: &Lock, state: &State| recovers(model.design, state.clone()),
    )
}

fn recovers(design: Design, mut state: State) -> bool {
    for run in &mut state.runs {
        run.coordinator = Coordinator::Gone;
    }
    settle(design, &mut state);
    if !may_start(design, &state) {
        return is_full(&state);
    }
    state.runs.push(Run::WAITING);
    let fresh = state.runs.len() - 1;
    state.open(fresh);
    if !state.try_lock(design, fresh) {
        return false;
    }
    state.check_place(design, fresh);
    state.decide(design, fresh, true);
    if state.runs[fresh].coordinator != Coordinator::Decided {
        return false;
    }
    state.runs[fresh].shim = Shim::Checking;
    state.runs[fresh].coordinator = Coordinator::Gone;
    settle(design, &mut state);
    is_full(&state) && !may_start(design, &state)
}

fn may_start(design: Design, state: &State) -> bool {
    eager(Some([state.seen(design), Seen::Nothing]), 1)[0]
}

fn is_full(state: &State) -> bool {
    state.runs.iter().filter(|run| run.agent == Agent::Runs && run.has_shim()).count() == 1
}

/// All steps that follow by themselves, in a fixed order: an agent with a shim keeps running.
fn settle(design: Design, state: &mut State) {
    for run in 0..state.runs.len() {
        loop {
            let one = &mut state.runs[run];
            match (one.shim, one.agent) {
                (Shim::Keeping, Agent::Stage) => one.agent = Agent::Runs,
                (Shim::Keeping, _) => break,
                (Shim::None | Shim::Gone, _) => {
                    one.agent = Agent::Gone;
                    one.child = Child::None;
                    break;
                }
                _ => state.shim_step(design, run),
            }
        }
    }
}
