//! Eventually, as a property of every state: let all cycles die here and nothing
//! late arrive, let the runs that GitHub has go their way, and let the backoff pass; then one cycle
//! on its own fills the slot if no run that was on its way did, and the next one has nothing to do.

use stateright::Property;

use super::Actions;
use super::design::Design;
use super::state::{Dispatch, Fleet, Moment, Stage, State, Ticket};
use crate::planning::{Seen, eager};

pub fn property() -> Property<Actions> {
    Property::always(
        "from here one undisturbed cycle fills the slot",
        |model: &Actions, state: &State| recovers(model.design, state.clone()),
    )
}

fn recovers(design: Design, mut state: State) -> bool {
    state.fleet = Fleet::Wanted;
    if let Some(past) = &mut state.past {
        past.clock = Moment::LongAgo;
    }
    settle(design, &mut state);
    if wants(&state) {
        if !state.ask(0, 1) {
            return false;
        }
        state.dispatched(design, Dispatch { generation: 1, ticket: Ticket::Valid });
        settle(design, &mut state);
    }
    state.sessions() == 1 && !wants(&state)
}

fn wants(state: &State) -> bool {
    eager(Some([state.seen(), Seen::Nothing]), 1)[0]
}

/// All that GitHub and the admissions do until nothing but agents is at work.
fn settle(design: Design, state: &mut State) {
    loop {
        let stages = || state.runs.iter().map(|run| run.stage);
        let admitted = stages().position(|stage| stage == Stage::Admitted);
        let waiting = stages().position(|stage| stage == Stage::Admission);
        let next = (0..state.runs.len()).find(|place| state.may_begin(design, *place));
        match (admitted.or(waiting), next) {
            (Some(place), _) if admitted.is_some() => state.started(place),
            (Some(place), _) => state.decided(place, state.admits(design, place)),
            (None, Some(place)) => state.runs[place].stage = Stage::Admission,
            (None, None) => return,
        }
    }
}
