//! Sessions as Jobs: the name of the Job is the lock, and the API server keeps it.

mod action;
mod cluster;
mod cycle;
mod design;
mod recovery;
mod state;
mod tests;

use stateright::{Model, Property};

use crate::check::Tally;
use crate::planning::{self, End, MAX_SLOTS};
use action::Action;
use cluster::{Answer, GONE, Phase, Write};
use cycle::{Cycle, Fate, Holder, Look, Task};
use design::{Design, Lists, Naming};
use state::State;

/// Events that must happen in a meaningful search.
pub const EVENTS: &[&str] = &[
    "a free slot is filled",
    "an ended session is replaced",
    "two cycles collide and the name decides",
    "a deletion finds that the Job has changed or is gone",
    "a deletion from a former life of the slot arrives while a session is live",
    "a late creation arrives and starts a session",
    "a reply is lost",
    "a write is applied twice",
    "a finalizer keeps the name",
    "the ledger is written",
    "a failed list leads to a start",
    "backoff holds a slot",
];

/// A design in a world of a certain size.
#[derive(Debug)]
pub struct Kubernetes {
    design: Design,
    /// Cycles that differ only in their number count once.
    symmetry: bool,
    property: fn() -> Vec<Property<Self>>,
    tally: Tally,
}

impl AsRef<Tally> for Kubernetes {
    fn as_ref(&self) -> &Tally {
        &self.tally
    }
}

impl Model for Kubernetes {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.design)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (cycle, stage) in (0..).zip(&state.cycles) {
            match stage {
                Cycle::Waiting => {
                    if self.design.lists == Lists::Stale {
                        actions.push(Action::Promise { cycle });
                    }
                    let looks = state.looks(&self.design);
                    self.begin(cycle, Some(looks), actions);
                    self.begin(cycle, None, actions);
                }
                Cycle::Promised(looks) => {
                    self.begin(cycle, Some(*looks), actions);
                }
                Cycle::Working(tasks) => {
                    for (slot, task) in (0..).zip(tasks) {
                        Self::proceed(state, cycle, slot, *task, actions);
                    }
                }
                Cycle::Over => {}
            }
        }
        actions.extend(state.late.iter().map(|write| Action::Arrive(*write)));
        self.platform(state, actions);
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

impl Kubernetes {
    /// The shipped design, with all properties.
    pub fn shipped(design: Design) -> Self {
        let property = || {
            vec![
                one_live_session(),
                nothing_is_killed(),
                nothing_is_forgotten(),
                recovery::property(),
            ]
        };
        Self { design, symmetry: true, property, tally: Tally::of(EVENTS) }
    }

    /// Another design, and the property that it must break.
    pub fn mutant(design: Design, property: fn() -> Vec<Property<Self>>) -> Self {
        Self { design, symmetry: false, property, tally: Tally::of(EVENTS) }
    }

    fn begin(&self, cycle: u8, looks: Option<[Look; MAX_SLOTS]>, actions: &mut Vec<Action>) {
        let view = looks.map(|looks| looks.map(Look::seen));
        let choices = planning::choices(view, self.design.slots);
        actions.extend(choices.iter().map(|choice| Action::Begin {
            cycle,
            looks,
            choice: *choice,
        }));
    }

    fn proceed(state: &State, cycle: u8, slot: u8, task: Task, actions: &mut Vec<Action>) {
        let place = &state.cluster.slots[usize::from(slot)];
        match task {
            Task::Over => {}
            Task::LookUp => {
                let end = match Look::at(place, Naming::Slot).holder {
                    Holder::Ended { end, .. } => Some(end),
                    Holder::None | Holder::Live | Holder::Leaving { .. } => None,
                };
                let verdicts = planning::verdicts(end);
                actions.extend(verdicts.map(|may_start| Action::LookUp { cycle, slot, may_start }));
            }
            Task::LookAgain(_) => actions.push(Action::LookAgain { cycle, slot }),
            Task::Record(_) | Task::Delete(_) | Task::Create { .. } => {
                let Some(write) = task.write(slot) else { return };
                let faults = [Fate::ReplyLost, Fate::Late, Fate::Twice, Fate::Held];
                let faults = faults.into_iter().filter(|fate| {
                    state.faults > 0 && (*fate != Fate::Held || matches!(task, Task::Delete(_)))
                });
                let fates = [Fate::Answered, Fate::Refused].into_iter().chain(faults);
                actions.extend(fates.map(|fate| Action::Send { cycle, write, fate }));
            }
        }
    }

    /// The events without any coordinator.
    fn platform(&self, state: &State, actions: &mut Vec<Action>) {
        for (slot, place) in (0..).zip(&state.cluster.slots) {
            for (job, one) in place.jobs.iter().enumerate() {
                match one.phase {
                    Phase::Live => {
                        let ends = [End::Well, End::Failed];
                        actions.extend(ends.map(|end| Action::End { slot, job, end }));
                    }
                    Phase::Ended(_) if one.runs => actions.push(Action::Exit { slot, job }),
                    Phase::Ended(_) => {}
                    Phase::Leaving(_) => actions.push(Action::Release { slot, job }),
                }
                if place.may_be_removed(job, self.design.collector) {
                    actions.push(Action::Remove { slot, job, fate: Fate::Answered });
                    if state.faults > 0 {
                        actions.push(Action::Remove { slot, job, fate: Fate::Held });
                    }
                }
            }
        }
    }

    fn act(&self, state: &mut State, action: Action) {
        match action {
            Action::Promise { cycle } => {
                state.cycles[usize::from(cycle)] = Cycle::Promised(state.looks(&self.design));
            }
            Action::Begin { cycle, looks, choice } => {
                state.set(cycle, Cycle::begun(&self.design, looks, choice.starts));
            }
            Action::LookUp { cycle, slot, may_start } => {
                let look = Look::at(&state.cluster.slots[usize::from(slot)], self.design.naming);
                let next = look.decide(&self.design, may_start);
                match (may_start, next) {
                    (false, _) => self.tally.note("backoff holds a slot"),
                    (true, Task::Over) => {}
                    (true, _) => self.tally.note("a failed list leads to a start"),
                }
                state.advance(cycle, slot, next);
            }
            Action::LookAgain { cycle, slot } => {
                let look = Look::at(&state.cluster.slots[usize::from(slot)], self.design.naming);
                state.advance(cycle, slot, Task::looked_again(look));
            }
            Action::Send { cycle, write, fate } => self.send(state, cycle, write, fate),
            Action::Arrive(write) => {
                let place = state.late.iter().position(|late| *late == write);
                state.late.remove(place.expect("it is on its way"));
                self.arrive(state, write);
            }
            Action::End { slot, job, end } => state.cluster.end(&self.design, slot, job, end),
            Action::Exit { slot, job } => {
                state.cluster.slots[usize::from(slot)].jobs[job].runs = false;
            }
            Action::Remove { slot, job, fate } => state.remove(slot, job, fate),
            Action::Release { slot, job } => {
                state.cluster.slots[usize::from(slot)].jobs.remove(job);
            }
        }
    }

    fn send(&self, state: &mut State, cycle: u8, write: Write, fate: Fate) {
        let (slot, Cycle::Working(tasks)) = (write.slot(), state.cycles[usize::from(cycle)]) else {
            return;
        };
        let task = tasks[usize::from(slot)];
        let answer = match fate {
            Fate::Refused => Answer::Conflict,
            Fate::Late => {
                state.delay(write);
                Answer::Conflict
            }
            Fate::Answered => self.apply(state, write),
            Fate::ReplyLost => {
                self.tally.note("a reply is lost");
                state.faults -= 1;
                self.apply(state, write)
            }
            Fate::Twice => {
                self.tally.note("a write is applied twice");
                state.delay(write);
                self.apply(state, write)
            }
            Fate::Held => {
                self.tally.note("a finalizer keeps the name");
                state.faults -= 1;
                state.cluster.hold(write)
            }
        };
        if let (Task::Create { .. }, Fate::Answered, Answer::TakenByLive) = (task, fate, answer) {
            self.tally.note("two cycles collide and the name decides");
        }
        state.advance(cycle, slot, task.after(&self.design, fate, answer));
    }

    fn apply(&self, state: &mut State, write: Write) -> Answer {
        let answer = state.cluster.apply(&self.design, write, state.under_way());
        match (write, answer) {
            (Write::Create { .. }, Answer::Done) => self.tally.note("a free slot is filled"),
            (Write::Record { .. }, Answer::Done) => self.tally.note("the ledger is written"),
            (Write::Delete { .. }, Answer::Done) => self.tally.note("an ended session is replaced"),
            (Write::Delete { .. }, Answer::Conflict) => {
                self.tally.note("a deletion finds that the Job has changed or is gone");
            }
            _ => {}
        }
        answer
    }

    fn arrive(&self, state: &mut State, write: Write) {
        let was_live = state.cluster.slots[usize::from(write.slot())].processes() > 0;
        let answer = self.apply(state, write);
        match (write, answer) {
            (Write::Create { .. }, Answer::Done) => {
                self.tally.note("a late creation arrives and starts a session");
            }
            (Write::Delete { uid: GONE, .. }, _) if was_live => {
                self.tally.note(
                    "a deletion from a former life of the slot arrives while a session is live",
                );
            }
            _ => {}
        }
    }
}

fn one_live_session() -> Property<Kubernetes> {
    Property::always("a slot has at most one live session", |_, state: &State| {
        state.cluster.slots.iter().all(|place| place.processes() <= 1)
    })
}

fn nothing_is_forgotten() -> Property<Kubernetes> {
    Property::always("what a coordinator removed is remembered", |_, state: &State| {
        state.cluster.slots.iter().all(|place| !place.forgotten)
    })
}

fn nothing_is_killed() -> Property<Kubernetes> {
    Property::always("no coordinator ends a live session", |_, state: &State| !state.cluster.killed)
}
