//! Sessions as runs of a workflow: the lock is a concurrency group, taken when a run begins and not
//! when it is dispatched. A ticket and the admission keep what waits behind a session from
//! following it.

mod action;
mod design;
mod recovery;
mod state;
mod tests;

use stateright::{Model, Property};

use crate::check::Tally;
use crate::planning::{self, End};
use action::{Action, Fate};
use design::{Design, Group, Sight};
use state::{Cycle, Dispatch, Fleet, Moment, Stage, State, Ticket, Wrong};

/// Events that must happen in a meaningful search.
pub const EVENTS: &[&str] = &[
    "a session begins",
    "two cycles dispatch into one slot",
    "a run that waits gives way to a newer one",
    "the group is found taken",
    "a late dispatch arrives behind a session",
    "a reply is lost",
    "a run is not admitted: expired",
    "a run is not admitted: backoff",
    "a session follows another one",
];

/// A design in a world of a certain size.
#[derive(Debug)]
pub struct Actions {
    design: Design,
    symmetry: bool,
    property: fn() -> Vec<Property<Self>>,
    tally: Tally,
}

impl AsRef<Tally> for Actions {
    fn as_ref(&self) -> &Tally {
        &self.tally
    }
}

impl Model for Actions {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.design)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (cycle, stage) in (0..).zip(&state.cycles) {
            self.proceed(state, cycle, *stage, actions);
        }
        for run in 0..state.runs.len() {
            self.run(state, run, actions);
        }
        for (late, dispatch) in state.late.iter().enumerate() {
            actions.push(Action::Arrive(*dispatch));
            if dispatch.ticket == Ticket::Valid {
                actions.push(Action::LateExpires { late });
            }
        }
        if let Some(past) = state.past {
            actions.push(Action::Forget);
            if past.clock == Moment::Just {
                actions.push(Action::BackoffEnds);
            }
        }
        if state.fleet != Fleet::LongPaused {
            actions.push(Action::Pause);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.act(&mut state, action);
        state.compact(self.symmetry);
        Some(state)
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        (self.property)()
    }
}

impl Actions {
    /// The shipped design, with all properties.
    pub fn shipped(design: Design) -> Self {
        let property = || {
            vec![
                one_live_session(),
                nothing_is_killed(),
                no_haste(),
                nothing_unwanted(),
                recovery::property(),
            ]
        };
        Self { design, symmetry: true, property, tally: Tally::of(EVENTS) }
    }

    /// Another design, and the property that it must break.
    pub fn other(design: Design, property: fn() -> Vec<Property<Self>>) -> Self {
        Self { design, symmetry: false, property, tally: Tally::of(EVENTS) }
    }

    fn proceed(&self, state: &State, cycle: u8, stage: Cycle, actions: &mut Vec<Action>) {
        match stage {
            // A paused roster plans nothing; else a list is a hint, and may show anything at all.
            Cycle::Waiting if state.fleet != Fleet::Wanted => {}
            Cycle::Waiting => {
                let generations =
                    if self.design.group == Group::OfGeneration { 1..=2 } else { 1..=1 };
                for starts in planning::plans_of_anything() {
                    let plans = generations.clone().map(|generation| Action::Plan {
                        cycle,
                        starts,
                        generation,
                    });
                    actions.extend(plans);
                }
            }
            Cycle::Asking { generation } => actions.push(Action::Ask { cycle, generation }),
            Cycle::Dispatching { generation } => {
                let faults = [Fate::ReplyLost, Fate::Late, Fate::Twice]
                    .into_iter()
                    .filter(|_| state.faults > 0);
                let fates = [Fate::Answered, Fate::Refused].into_iter().chain(faults);
                actions.extend(fates.map(|fate| Action::Send { cycle, generation, fate }));
            }
            Cycle::Over => {}
        }
    }

    fn run(&self, state: &State, run: usize, actions: &mut Vec<Action>) {
        match state.runs[run].stage {
            Stage::Pending => {
                if state.may_begin(self.design, run) {
                    actions.push(Action::Begin { run });
                }
                actions.push(Action::Cancel { run });
            }
            Stage::Admission => {
                // It refuses a run that it cannot judge.
                actions.push(Action::Admission { run, goes: false });
                let goes = match self.design.sight {
                    Sight::Fresh => state.admits(self.design, run),
                    Sight::Anything => state.has_valid_ticket(self.design, run),
                };
                if goes {
                    actions.push(Action::Admission { run, goes });
                }
                actions.push(Action::AdmissionFails { run });
            }
            Stage::Admitted => actions.extend([Action::Start { run }, Action::Cancel { run }]),
            Stage::Agent => {
                actions.extend([End::Well, End::Failed].map(|end| Action::AgentEnds { run, end }));
            }
        }
        if !state.runs[run].is_live() && state.runs[run].dispatch.ticket == Ticket::Valid {
            actions.push(Action::RunExpires { run });
        }
    }

    fn act(&self, state: &mut State, action: Action) {
        match action {
            Action::Plan { cycle, starts, generation } => {
                let next = if starts { Cycle::Asking { generation } } else { Cycle::Over };
                state.cycles[usize::from(cycle)] = next;
            }
            Action::Ask { cycle, generation } => {
                if !state.ask(usize::from(cycle), generation) {
                    self.tally.note("the group is found taken");
                }
            }
            Action::Send { cycle, generation, fate } => {
                state.cycles[usize::from(cycle)] = Cycle::Over;
                self.send(state, Dispatch { generation, ticket: Ticket::Valid }, fate);
            }
            Action::Arrive(dispatch) => {
                let place = state.late.iter().position(|late| *late == dispatch);
                state.late.remove(place.expect("it is on its way"));
                if state.sessions() > 0 {
                    self.tally.note("a late dispatch arrives behind a session");
                }
                self.arrive(state, dispatch);
            }
            Action::Begin { run } => state.runs[run].stage = Stage::Admission,
            Action::Admission { run, goes } => {
                self.note_admission(state, run, goes);
                state.decided(run, goes);
            }
            Action::Start { run } => state.started(run),
            Action::AdmissionFails { run } => state.ended(run, End::Failed),
            Action::AgentEnds { run, end } => state.ended(run, end),
            Action::Cancel { run } => {
                state.runs.remove(run);
            }
            Action::RunExpires { run } => state.runs[run].dispatch.ticket = Ticket::Expired,
            Action::LateExpires { late } => state.late[late].ticket = Ticket::Expired,
            Action::BackoffEnds => {
                state.past = state.past.map(|past| state::Past { clock: Moment::LongAgo, ..past });
            }
            Action::Forget => state.past = None,
            Action::Pause => state.pause(),
        }
    }

    fn send(&self, state: &mut State, dispatch: Dispatch, fate: Fate) {
        match fate {
            Fate::Refused => return,
            Fate::Answered => {}
            Fate::ReplyLost => {
                self.tally.note("a reply is lost");
                state.faults -= 1;
            }
            Fate::Twice | Fate::Late => {
                state.faults -= 1;
                state.late.push(dispatch);
            }
        }
        if fate != Fate::Late {
            self.arrive(state, dispatch);
        }
    }

    fn arrive(&self, state: &mut State, dispatch: Dispatch) {
        if !state.runs.is_empty() {
            self.tally.note("two cycles dispatch into one slot");
        }
        if state.dispatched(self.design, dispatch) {
            self.tally.note("a run that waits gives way to a newer one");
        }
    }

    fn note_admission(&self, state: &State, run: usize, goes: bool) {
        let is_valid = state.runs[run].dispatch.ticket == Ticket::Valid;
        match (goes, is_valid) {
            (true, _) => {
                self.tally.note("a session begins");
                if state.past.is_some() {
                    self.tally.note("a session follows another one");
                }
            }
            (false, false) => self.tally.note("a run is not admitted: expired"),
            (false, true) if state.backs_off() => self.tally.note("a run is not admitted: backoff"),
            (false, true) => {}
        }
    }
}

fn one_live_session() -> Property<Actions> {
    Property::always("a slot has at most one live session", |_, state: &State| {
        state.sessions() <= 1
    })
}

fn nothing_is_killed() -> Property<Actions> {
    Property::always("no dispatch ends a live session", |_, state: &State| {
        !state.wrongs.contains(&Wrong::Killed)
    })
}

fn no_haste() -> Property<Actions> {
    Property::always("no session begins while its slot backs off", |_, state: &State| {
        !state.wrongs.contains(&Wrong::Hasty)
    })
}

fn nothing_unwanted() -> Property<Actions> {
    Property::always(
        "no session begins in a fleet that was paused for longer than a ticket lives",
        |_, state: &State| !state.wrongs.contains(&Wrong::Unwanted),
    )
}

fn nothing_overdue() -> Property<Actions> {
    Property::always(
        "no agent starts in a fleet that was paused for longer than a ticket lives",
        |_, state: &State| !state.wrongs.contains(&Wrong::Overdue),
    )
}
