//! Sessions as local processes: the lock is an open file that all processes of a session share, and
//! the kernel keeps it.

mod action;
mod design;
mod recovery;
mod run;
mod state;
mod tests;

use stateright::{Model, Property};

use crate::check::Tally;
use crate::planning::{self, End};
use action::Action;
use design::{Design, Unlink};
use run::{Agent, Child, Coordinator, Run, Shim};
use state::{Record, State};

/// Events that must happen in a meaningful search.
pub const EVENTS: &[&str] = &[
    "a slot is filled",
    "an ended session is succeeded by another",
    "a lock is refused",
    "backoff holds a slot",
    "an orphan holds a slot",
    "a shim is killed and its agent still runs",
    "a coordinator is gone before its agent runs",
    "a record is removed",
];

/// A design, and how many cycles try it.
#[derive(Debug)]
pub struct Lock {
    design: Design,
    symmetry: bool,
    property: fn() -> Vec<Property<Self>>,
    tally: Tally,
}

impl AsRef<Tally> for Lock {
    fn as_ref(&self) -> &Tally {
        &self.tally
    }
}

impl Model for Lock {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.design)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (run, one) in (0..).zip(&state.runs) {
            coordinator(state, run, *one, actions);
            session(run, *one, actions);
        }
        if state.may_remove_record(self.design) {
            actions.push(Action::RemoveRecord);
        }
        if self.design.unlink == Unlink::ByPerson && state.named > 0 {
            actions.push(Action::Unlink);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.act(&mut state, action);
        state.runs.iter_mut().for_each(Run::settle);
        if self.symmetry {
            state.runs.sort_unstable();
        }
        Some(state)
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        (self.property)()
    }
}

impl Lock {
    /// The shipped design, with all properties.
    pub fn shipped(design: Design) -> Self {
        let property = || vec![one_live_session(), recovery::property()];
        Self { design, symmetry: true, property, tally: Tally::of(EVENTS) }
    }

    /// Another design, which does not keep this.
    pub fn mutant(design: Design) -> Self {
        Self {
            design,
            symmetry: false,
            property: || vec![one_live_session()],
            tally: Tally::of(EVENTS),
        }
    }

    fn act(&self, state: &mut State, action: Action) {
        match action {
            Action::Plan { run, starts } => {
                let next = if starts { Coordinator::Planned } else { Coordinator::Gone };
                state.runs[usize::from(run)].coordinator = next;
            }
            Action::Coordinator { run, at, may_start } => {
                self.coordinate(state, usize::from(run), at, may_start);
            }
            Action::CoordinatorEnds { run } => {
                let one = &mut state.runs[usize::from(run)];
                if one.coordinator == Coordinator::Launched && one.agent == Agent::None {
                    self.tally.note("a coordinator is gone before its agent runs");
                }
                one.coordinator = Coordinator::Gone;
            }
            Action::Shim { run, at: _ } => state.shim_step(self.design, usize::from(run)),
            Action::ShimKilled { run } => {
                let one = &mut state.runs[usize::from(run)];
                if one.has_agent() {
                    self.tally.note("a shim is killed and its agent still runs");
                }
                one.shim = Shim::Gone;
            }
            Action::Stage { run } => {
                let one = &mut state.runs[usize::from(run)];
                one.agent = if one.has_shim() { Agent::Runs } else { Agent::Gone };
                self.tally.note("a slot is filled");
            }
            Action::AgentEnds { run, end } => {
                let one = &mut state.runs[usize::from(run)];
                one.agent = Agent::Gone;
                one.shim = Shim::Sweeping(end);
            }
            Action::AgentKilled { run } => state.runs[usize::from(run)].agent = Agent::Gone,
            Action::AgentForks { run, child } => state.runs[usize::from(run)].child = child,
            Action::ChildEnds { run } => state.runs[usize::from(run)].child = Child::None,
            Action::RemoveRecord => {
                self.tally.note("a record is removed");
                state.remove_record();
            }
            Action::Unlink => state.named = 0,
        }
    }

    fn coordinate(&self, state: &mut State, run: usize, at: Coordinator, may_start: bool) {
        match at {
            Coordinator::Planned => state.open(run),
            Coordinator::Opened => {
                if !state.try_lock(self.design, run) {
                    self.tally.note("a lock is refused");
                }
            }
            Coordinator::Locked => state.check_place(self.design, run),
            Coordinator::InPlace => {
                if state.decide(self.design, run, may_start) {
                    self.tally.note("an orphan holds a slot");
                } else if !may_start {
                    self.tally.note("backoff holds a slot");
                }
            }
            Coordinator::Decided => {
                if state.record != Record::None {
                    self.tally.note("an ended session is succeeded by another");
                }
                state.runs[run].coordinator = Coordinator::Launched;
                state.runs[run].shim = Shim::Checking;
            }
            Coordinator::Waiting | Coordinator::Launched | Coordinator::Gone => {}
        }
    }
}

fn coordinator(state: &State, run: u8, one: Run, actions: &mut Vec<Action>) {
    match one.coordinator {
        // A list is a hint: it may show anything at all, since everything is checked again under
        // the lock.
        Coordinator::Waiting => {
            actions
                .extend(planning::plans_of_anything().map(|starts| Action::Plan { run, starts }));
        }
        Coordinator::InPlace => {
            let verdicts = planning::verdicts(state.last_end());
            actions.extend(verdicts.map(|may_start| Action::Coordinator {
                run,
                at: one.coordinator,
                may_start,
            }));
            actions.push(Action::CoordinatorEnds { run });
        }
        Coordinator::Planned | Coordinator::Opened | Coordinator::Locked | Coordinator::Decided => {
            actions.push(Action::Coordinator { run, at: one.coordinator, may_start: true });
            actions.push(Action::CoordinatorEnds { run });
        }
        Coordinator::Launched => actions.push(Action::CoordinatorEnds { run }),
        Coordinator::Gone => {}
    }
}

fn session(run: u8, one: Run, actions: &mut Vec<Action>) {
    if one.has_shim() {
        if one.shim != Shim::Keeping {
            actions.push(Action::Shim { run, at: one.shim });
        }
        actions.push(Action::ShimKilled { run });
    }
    match one.agent {
        Agent::None | Agent::Gone => {}
        Agent::Stage => actions.push(Action::Stage { run }),
        Agent::Runs => {
            if one.has_shim() {
                actions.extend([End::Well, End::Failed].map(|end| Action::AgentEnds { run, end }));
            } else {
                actions.push(Action::AgentKilled { run });
            }
            if one.child == Child::None {
                let children = [Child::WithLock, Child::WithoutLock];
                actions.extend(children.map(|child| Action::AgentForks { run, child }));
            }
        }
    }
    if one.has_child() {
        actions.push(Action::ChildEnds { run });
    }
}

fn one_live_session() -> Property<Lock> {
    Property::always("a slot has at most one live session", |_, state: &State| {
        state.runs.iter().filter(|run| run.is_live()).count() <= 1
    })
}
