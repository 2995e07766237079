//! Work items: one item, its slot on a platform of each class, its source, and the cycles that
//! start its attempts.
//!
//! The slot's own lock is what the other models are about. Here it is one step, and the question is
//! which attempt it lets through: *compare-and-start*.

mod action;
mod github;
mod kubernetes;
mod process;
mod recovery;
mod source;
mod tests;

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::hash::Hash;

use stateright::{Model, Property};

use crate::check::Tally;
use crate::planning::{Clock, End};
use action::Action;
use source::{BOUND, Counting, Decision, Record, Standing, Store, decide};

/// The result of the list.
#[derive(Debug, Clone, Copy)]
pub enum Listed<V> {
    /// One of two lists.
    Partly(V),
    Wholly(V),
}

/// A class of platforms: how it lists, what a start does step by step, and what happens without a
/// coordinator. A value of it is a design.
pub trait Platform: Copy + Debug + Ord + Hash + Send + Sync + 'static {
    /// The state of the platform, requests in flight included.
    type Machine: Clone + Debug + Eq + Hash + Send + Sync;
    /// What a cycle has read after its list.
    type View: Copy + Debug + Ord + Hash + Send + Sync;
    /// How far a start is.
    type Task: Copy + Debug + Ord + Hash + Send + Sync;
    /// A step of a start, of the platform, or of time.
    type Step: Copy + Debug + Display + Eq + Send + Sync;

    /// The possible events.
    const EVENTS: &'static [&'static str];

    /// The events that must happen with this design.
    fn expected(&self) -> Vec<&'static str> {
        Self::EVENTS.to_vec()
    }
    fn machine(&self) -> Self::Machine;
    /// `partial` is the first part of the list.
    fn list(&self, machine: &Self::Machine, partial: Option<Self::View>) -> Listed<Self::View>;
    fn record(&self, view: &Self::View) -> Record;
    /// The starts that may follow from the plan; none where the platform waits.
    fn start(&self, machine: &Self::Machine, view: &Self::View, attempt: u8) -> Vec<Self::Task>;
    /// The possible next steps of a start, the undisturbed one first.
    fn proceed(&self, state: &State<Self>, task: Self::Task) -> Vec<Self::Step>;
    /// The possible steps of the platform, time or a person.
    fn environment(&self, state: &State<Self>) -> Vec<Self::Step>;
    /// `cycle` is the one whose start it is.
    fn act(&self, state: &mut State<Self>, cycle: Option<usize>, step: Self::Step, tally: &Tally);
    /// All that the platform has begun comes to its end, sessions apart, and the deadline of starts
    /// that died has passed.
    fn rest(&self, state: &mut State<Self>);
    fn sessions(machine: &Self::Machine) -> usize;
    fn newest(machine: &Self::Machine) -> u8;
    /// Plans that have left their cycle.
    fn ghosts(machine: &mut Self::Machine) -> impl Iterator<Item = &mut Ghost>;
}

/// The events since a plan was made. Only the model has it, `is_changed` apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ghost {
    /// A session began since the list.
    pub is_overtaken: bool,
    /// A person opened the item anew since the source was read.
    pub is_reopened: bool,
    /// The item changed since the source was read: its version is another one.
    pub is_changed: bool,
}

/// One run of the coordinator. It may stop for good at any step: that is a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cycle<P: Platform> {
    Waiting,
    /// It has read the source, before its list.
    ReadFirst(Ghost, Store),
    /// It has one of two lists.
    Listing(P::View),
    /// It reads the source next, unless it has.
    Listed(Ghost, P::View, Option<Store>),
    Starting(Ghost, P::Task),
    /// It writes the effect next, which was decided on sessions up to this generation.
    Writing(Ghost, u8),
    Over,
}

/// Violations other than two live sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wrong {
    /// A session began, and another one had begun since its plan's list.
    Overtaken,
    /// A second session of one attempt began.
    Twice,
    /// A session began beyond the bound.
    PastBound,
    /// A session began for an item that was done.
    Done,
    /// An item that a person had opened anew was put away by an older decision.
    PutAway,
}

/// A state of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State<P: Platform> {
    pub store: Store,
    pub machine: P::Machine,
    pub cycles: Vec<Cycle<P>>,
    /// The attempts that began since a person last opened the item, as bits.
    pub attempts: u8,
    /// The sessions that began since then.
    pub sessions: u8,
    /// How often a person may still open the item anew.
    pub openings: u8,
    /// Writes that are applied twice.
    pub faults: u8,
    /// The violation that happened.
    pub wrongs: BTreeSet<Wrong>,
}

/// The first read of a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Shipped.
    SessionsFirst,
    SourceFirst,
}

/// How an effect is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effects {
    /// Only on the version that it was decided on. Shipped.
    Compared,
    Blind,
}

/// The size of the world, and what the cycle does on every platform.
#[derive(Debug, Clone, Copy)]
pub struct World {
    pub cycles: u8,
    pub openings: u8,
    pub faults: u8,
    pub reads: Reads,
    pub counting: Counting,
    pub effects: Effects,
}

impl World {
    pub fn of(cycles: u8, openings: u8, faults: u8) -> Self {
        Self {
            cycles,
            openings,
            faults,
            reads: Reads::SessionsFirst,
            counting: Counting::Carried,
            effects: Effects::Compared,
        }
    }
}

/// A design in a world.
#[derive(Debug)]
pub struct Items<P: Platform> {
    design: P,
    world: World,
    symmetry: bool,
    property: fn() -> Vec<Property<Self>>,
    tally: Tally,
    /// Of the calm cycles, which prove nothing about the search.
    scratch: Tally,
}

impl<P: Platform> AsRef<Tally> for Items<P> {
    fn as_ref(&self) -> &Tally {
        &self.tally
    }
}

impl<P: Platform> Model for Items<P> {
    type State = State<P>;
    type Action = Action<P>;

    fn init_states(&self) -> Vec<State<P>> {
        vec![State {
            store: Store { standing: Standing::Open, since: 0 },
            machine: self.design.machine(),
            cycles: vec![Cycle::Waiting; usize::from(self.world.cycles)],
            attempts: 0,
            sessions: 0,
            openings: self.world.openings,
            faults: self.world.faults,
            wrongs: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State<P>, actions: &mut Vec<Action<P>>) {
        for (cycle, stage) in (0..).zip(&state.cycles) {
            self.proceed(state, cycle, *stage, actions);
        }
        actions.extend(self.design.environment(state).into_iter().map(Action::Platform));
        if state.openings > 0 {
            actions.push(Action::Open);
        }
    }

    fn next_state(&self, last: &State<P>, action: Action<P>) -> Option<State<P>> {
        let mut state = last.clone();
        self.act(&mut state, action);
        if self.symmetry {
            state.cycles.sort_unstable();
        }
        Some(state)
    }

    fn format_action(&self, action: &Action<P>) -> String {
        action.to_string()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        (self.property)()
    }
}

impl<P: Platform> Items<P> {
    /// The shipped design, with all properties.
    pub fn shipped(design: P, world: World) -> Self {
        let property: fn() -> Vec<Property<Self>> = || {
            vec![
                one_live_session(),
                never("a session starts only as the attempt that was planned", Wrong::Overtaken),
                never("no attempt has two sessions", Wrong::Twice),
                never("no session starts past its item's bound", Wrong::PastBound),
                never("no session starts for an item that is done", Wrong::Done),
                never("no older decision puts away what a person opened anew", Wrong::PutAway),
                recovery::property(),
            ]
        };
        Self { symmetry: true, ..Self::other(design, world, property) }
    }

    /// Another design, and the property that it must break.
    pub fn other(design: P, world: World, property: fn() -> Vec<Property<Self>>) -> Self {
        let tally = Tally::of(P::EVENTS).expecting(design.expected());
        Self { design, world, symmetry: false, property, tally, scratch: Tally::of(P::EVENTS) }
    }

    fn proceed(&self, state: &State<P>, cycle: u8, stage: Cycle<P>, actions: &mut Vec<Action<P>>) {
        match stage {
            Cycle::Waiting if self.world.reads == Reads::SourceFirst => {
                actions.push(Action::ReadFirst { cycle });
            }
            Cycle::Waiting => {
                actions.push(self.list(state, cycle, None));
                actions.push(Action::ListFails { cycle });
            }
            Cycle::ReadFirst(..) => actions.push(self.list(state, cycle, None)),
            Cycle::Listing(view) => actions.push(self.list(state, cycle, Some(view))),
            Cycle::Listed(_, view, store) => {
                let plans = self.plans(state, view, store).into_iter();
                let plans = plans.map(|(decision, task)| Action::Plan { cycle, decision, task });
                actions.extend(plans);
            }
            Cycle::Starting(_, task) => {
                let steps = self.design.proceed(state, task);
                actions.extend(steps.into_iter().map(|step| Action::Start { cycle, step }));
            }
            Cycle::Writing(..) => {
                actions.push(Action::Write { cycle, again: false });
                if state.faults > 0 {
                    actions.push(Action::Write { cycle, again: true });
                }
            }
            Cycle::Over => {}
        }
    }

    fn list(&self, state: &State<P>, cycle: u8, partial: Option<P::View>) -> Action<P> {
        let seen = match self.design.list(&state.machine, partial) {
            Listed::Partly(_) => None,
            Listed::Wholly(view) => Some(self.design.record(&view)),
        };
        Action::List { cycle, seen }
    }

    /// The cycle's possible decisions: by a clock after every backoff, and by one before.
    fn plans(
        &self,
        state: &State<P>,
        view: P::View,
        store: Option<Store>,
    ) -> Vec<(Decision, Option<P::Task>)> {
        let (record, store) = (self.design.record(&view), store.unwrap_or(state.store));
        let decide = |clock| decide(Some(record), store, self.world.counting, clock);
        let (late, early) = (decide(Clock::Late), decide(Clock::Early));
        let tasks = match late {
            Decision::Start { attempt } => self.design.start(&state.machine, &view, attempt),
            Decision::Escalate | Decision::Nothing => Vec::new(),
        };
        let mut plans: Vec<_> = tasks.into_iter().map(|task| (late, Some(task))).collect();
        if plans.is_empty() {
            plans.push((late, None));
        }
        if early != late {
            plans.push((early, None));
        }
        plans
    }

    fn act(&self, state: &mut State<P>, action: Action<P>) {
        match action {
            Action::List { cycle, .. } => self.listed(state, usize::from(cycle)),
            Action::ListFails { cycle } => {
                let decision = decide(None, state.store, self.world.counting, Clock::Late);
                assert_eq!(
                    decision,
                    Decision::Nothing,
                    "only a list shows what an item must follow"
                );
                state.cycles[usize::from(cycle)] = Cycle::Over;
            }
            Action::ReadFirst { cycle } => {
                state.cycles[usize::from(cycle)] = Cycle::ReadFirst(Ghost::default(), state.store);
            }
            Action::Plan { cycle, decision, task } => {
                self.planned(state, usize::from(cycle), decision, task);
            }
            Action::Start { cycle, step } => {
                self.design.act(state, Some(usize::from(cycle)), step, &self.tally);
            }
            Action::Write { cycle, again } => self.write(state, usize::from(cycle), again),
            Action::Platform(step) => self.design.act(state, None, step, &self.tally),
            Action::Open => {
                if state.store.standing == Standing::Done {
                    self.tally.note("a done item is opened anew");
                }
                state.openings -= 1;
                state.open();
            }
        }
    }

    fn listed(&self, state: &mut State<P>, cycle: usize) {
        let (ghost, partial, store) = match state.cycles[cycle] {
            Cycle::ReadFirst(ghost, store) => (ghost, None, Some(store)),
            Cycle::Listing(view) => (Ghost::default(), Some(view), None),
            _ => (Ghost::default(), None, None),
        };
        let ghost = Ghost { is_overtaken: false, ..ghost };
        state.cycles[cycle] = match self.design.list(&state.machine, partial) {
            Listed::Partly(view) => Cycle::Listing(view),
            Listed::Wholly(view) => Cycle::Listed(ghost, view, store),
        };
    }

    fn planned(
        &self,
        state: &mut State<P>,
        cycle: usize,
        decision: Decision,
        task: Option<P::Task>,
    ) {
        let Cycle::Listed(ghost, view, store) = state.cycles[cycle] else { return };
        let record = self.design.record(&view);
        state.cycles[cycle] = match (decision, task) {
            (Decision::Start { attempt }, Some(task)) => {
                if attempt > 1 {
                    self.tally.note("a further attempt is planned");
                }
                Cycle::Starting(Ghost { is_changed: false, ..ghost }, task)
            }
            (Decision::Start { .. }, None) => {
                self.tally.note("a start waits");
                Cycle::Over
            }
            (Decision::Escalate, _) => {
                Cycle::Writing(Ghost { is_overtaken: false, ..ghost }, record.newest)
            }
            (Decision::Nothing, _) => {
                let is_open = store.unwrap_or(state.store).standing == Standing::Open;
                if is_open && !record.is_live {
                    self.tally.note("backoff holds an item");
                }
                Cycle::Over
            }
        };
    }

    fn write(&self, state: &mut State<P>, cycle: usize, again: bool) {
        let Cycle::Writing(ghost, generation) = state.cycles[cycle] else { return };
        if again {
            state.faults -= 1;
        } else {
            state.cycles[cycle] = Cycle::Over;
        }
        if self.world.effects == Effects::Compared && ghost.is_changed {
            self.tally.note("a stale effect is dropped");
            return;
        }
        if ghost.is_reopened {
            state.wrongs.insert(Wrong::PutAway);
        }
        self.tally.note("an item is given to a person");
        state.store = Store { standing: Standing::NeedsHuman, since: generation };
        state.changed();
    }
}

impl<P: Platform> State<P> {
    /// A session of this attempt begins.
    pub fn begin(&mut self, attempt: u8, ghost: Ghost, tally: &Tally) {
        tally.note("a session begins");
        let bit = 1 << attempt;
        let is_past = if ghost.is_reopened {
            attempt > BOUND
        } else {
            if self.attempts & bit != 0 {
                self.wrongs.insert(Wrong::Twice);
            }
            self.attempts |= bit;
            self.sessions += 1;
            attempt > BOUND || self.sessions > BOUND
        };
        let is_done = self.store.standing == Standing::Done;
        let wrongs = [
            (ghost.is_overtaken, Wrong::Overtaken),
            (is_past, Wrong::PastBound),
            (is_done, Wrong::Done),
        ];
        self.wrongs.extend(wrongs.into_iter().filter(|(is_so, _)| *is_so).map(|(_, wrong)| wrong));
        for ghost in P::ghosts(&mut self.machine) {
            ghost.is_overtaken = true;
        }
        for cycle in &mut self.cycles {
            match cycle {
                Cycle::Listed(ghost, ..) | Cycle::Starting(ghost, _) => ghost.is_overtaken = true,
                Cycle::Waiting
                | Cycle::ReadFirst(..)
                | Cycle::Listing(_)
                | Cycle::Writing(..)
                | Cycle::Over => {}
            }
        }
    }

    /// A session ends; an agent that ends well has closed its item before.
    pub fn end(&mut self, end: End) {
        if end == End::Well {
            self.store = Store { standing: Standing::Done, since: P::newest(&self.machine) };
            self.changed();
        }
    }

    fn open(&mut self) {
        self.store = Store { standing: Standing::Open, since: P::newest(&self.machine) };
        self.attempts = 0;
        self.sessions = 0;
        self.changed();
        for ghost in P::ghosts(&mut self.machine) {
            ghost.is_reopened = true;
        }
        for cycle in &mut self.cycles {
            match cycle {
                Cycle::ReadFirst(ghost, _)
                | Cycle::Listed(ghost, _, Some(_))
                | Cycle::Starting(ghost, _)
                | Cycle::Writing(ghost, _) => ghost.is_reopened = true,
                Cycle::Waiting | Cycle::Listing(..) | Cycle::Listed(_, _, None) | Cycle::Over => {}
            }
        }
    }

    fn changed(&mut self) {
        for cycle in &mut self.cycles {
            match cycle {
                Cycle::ReadFirst(ghost, _)
                | Cycle::Listed(ghost, _, Some(_))
                | Cycle::Writing(ghost, _) => {
                    ghost.is_changed = true;
                }
                Cycle::Waiting
                | Cycle::Listing(..)
                | Cycle::Listed(_, _, None)
                | Cycle::Starting(..)
                | Cycle::Over => {}
            }
        }
    }

    /// Of a cycle that starts something.
    fn starting(&self, cycle: Option<usize>) -> Option<(usize, Ghost, P::Task)> {
        let cycle = cycle?;
        match self.cycles[cycle] {
            Cycle::Starting(ghost, task) => Some((cycle, ghost, task)),
            _ => None,
        }
    }

    fn set_task(&mut self, cycle: usize, task: P::Task) {
        if let Cycle::Starting(_, old) = &mut self.cycles[cycle] {
            *old = task;
        }
    }
}

pub fn one_live_session<P: Platform>() -> Property<Items<P>> {
    Property::always("an item has at most one live session", |_, state: &State<P>| {
        P::sessions(&state.machine) <= 1
    })
}

/// That this never happens.
pub fn never<P: Platform>(name: &'static str, wrong: Wrong) -> Property<Items<P>> {
    let condition: fn(&Items<P>, &State<P>) -> bool = match wrong {
        Wrong::Overtaken => |_, state| !state.wrongs.contains(&Wrong::Overtaken),
        Wrong::Twice => |_, state| !state.wrongs.contains(&Wrong::Twice),
        Wrong::PastBound => |_, state| !state.wrongs.contains(&Wrong::PastBound),
        Wrong::Done => |_, state| !state.wrongs.contains(&Wrong::Done),
        Wrong::PutAway => |_, state| !state.wrongs.contains(&Wrong::PutAway),
    };
    Property::always(name, condition)
}
