//! Eventually, as a property of every state: let all cycles die here and no copy
//! arrive, and let the platform do what it has begun; then an item that may run runs within three
//! cycles that come one after another.

use stateright::Property;

use super::source::{Counting, Decision, Standing, decide};
use super::{Cycle, Ghost, Items, Listed, Platform, State};
use crate::planning::Clock;

/// Cycles until an item that may run runs.
const CALM_CYCLES: usize = 3;

pub fn property<P: Platform>() -> Property<Items<P>> {
    Property::always(
        "an item that may run runs within three calm cycles",
        |model: &Items<P>, state: &State<P>| recovers(model, state.clone()),
    )
}

fn recovers<P: Platform>(model: &Items<P>, mut state: State<P>) -> bool {
    let design = &model.design;
    state.cycles.clear();
    design.rest(&mut state);
    for _ in 0..CALM_CYCLES {
        if is_served(&state) {
            return true;
        }
        calm_cycle(model, &mut state);
        state.cycles.clear();
        design.rest(&mut state);
    }
    is_served(&state)
}

fn is_served<P: Platform>(state: &State<P>) -> bool {
    P::sessions(&state.machine) > 0 || state.store.standing != Standing::Open
}

fn calm_cycle<P: Platform>(model: &Items<P>, state: &mut State<P>) {
    let design = &model.design;
    let mut listed = design.list(&state.machine, None);
    while let Listed::Partly(view) = listed {
        listed = design.list(&state.machine, Some(view));
    }
    let Listed::Wholly(view) = listed else { return };
    match decide(Some(design.record(&view)), state.store, Counting::Carried, Clock::Late) {
        Decision::Nothing => {}
        Decision::Escalate => state.store.standing = Standing::NeedsHuman,
        Decision::Start { attempt } => {
            let Some(task) = design.start(&state.machine, &view, attempt).into_iter().next() else {
                return;
            };
            state.cycles.push(Cycle::Starting(Ghost::default(), task));
            while let Cycle::Starting(_, task) = state.cycles[0] {
                // The first step is the one that nothing disturbs.
                let Some(step) = design.proceed(state, task).into_iter().next() else { return };
                design.act(state, Some(0), step, &model.scratch);
            }
        }
    }
}
