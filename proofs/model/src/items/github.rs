//! An item's slot as runs of a workflow: the lock is a concurrency group, and the runs themselves
//! are the register. A ticket carries `follows` and `since`; the admission compares while its run
//! has the group.
//!
//! A late dispatch is a cycle that sleeps before it; only a copy is a step of its own.

use std::fmt;

use coordinator_core::fleet::Follows;

use super::source::{Ended, Record};
use super::{Cycle, Ghost, Listed, Platform, State};
use crate::check::Tally;
use crate::planning::End;

/// Where the newest generation is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compare {
    /// In the admission, which has the group. Shipped.
    InAdmission,
    /// By the cycle, before it dispatches.
    BeforeDispatch,
    Never,
}

/// The value of `since`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Since {
    /// When the newest run of the cycle's list was created. Shipped.
    NewestListed,
    /// When the cycle planned.
    Clock,
}

/// Which lists an admission trusts. A list lags: it shows the state of some earlier time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sight {
    /// Lists that contain its own run. They contain every older run of the slot as well, and a run
    /// that had not ended then still holds the group there. So they admit only what a fresh list
    /// admits. Shipped.
    WithOwnRun,
    Any,
}

/// Which record is the newest. The job `admit` of a superseded run may fail, which counts as a
/// failed session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Newest {
    /// That of the greatest generation.
    Generation,
    /// That of the youngest run.
    Run,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Actions {
    pub compare: Compare,
    pub since: Since,
    pub sight: Sight,
    pub newest: Newest,
    /// A person removes the item's runs.
    pub removal: bool,
}

impl Actions {
    pub const SHIPPED: Self = Self {
        compare: Compare::InAdmission,
        since: Since::NewestListed,
        sight: Sight::WithOwnRun,
        newest: Newest::Generation,
        removal: false,
    };
}

/// The inputs of a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    attempt: u8,
    follows: u8,
    /// Runs are numbered as they are created.
    since: u8,
    ghost: Ghost,
}

/// A run that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Run {
    created: u8,
    stage: Stage,
    ticket: Ticket,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Stage {
    /// It waits for its group.
    Pending,
    Admission,
    Agent,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Hub {
    /// Oldest first.
    runs: Vec<Run>,
    copies: Vec<Ticket>,
    /// The newest run.
    created: u8,
    /// The newest run that was a session.
    begun: u8,
    /// Its generation.
    newest: u8,
    last: Option<Ended>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct View {
    is_live: bool,
    last: Option<Ended>,
    newest: u8,
    created: u8,
}

/// How far a start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Task {
    is_compared: bool,
    ticket: Ticket,
}

/// One step. `run` is a place in the list of runs that are not over, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Compare { fits: bool },
    Dispatch { generation: u8, again: bool },
    Arrive(Ticket),
    Begin { run: usize },
    Admission { run: usize, goes: bool },
    AdmissionFails { run: usize },
    Cancel { run: usize },
    End(End),
    Remove,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare { fits: true } => write!(f, "compares: nothing ran since"),
            Self::Compare { fits: false } => write!(f, "compares: superseded"),
            Self::Dispatch { generation, again: false } => write!(f, "dispatches g{generation}"),
            Self::Dispatch { generation, again: true } => {
                write!(f, "dispatches g{generation}, and a copy is still on its way")
            }
            Self::Arrive(ticket) => {
                write!(f, "the copy of the dispatch of g{} arrives", ticket.follows + 1)
            }
            Self::Begin { run } => write!(f, "GitHub begins live run {run}"),
            Self::Admission { run, goes: true } => {
                write!(f, "run {run} is admitted: its session begins")
            }
            Self::Admission { run, goes: false } => write!(f, "run {run} is not admitted"),
            Self::AdmissionFails { run } => write!(f, "the job `admit` of run {run} fails"),
            Self::Cancel { run } => write!(f, "run {run}, which waits, is cancelled"),
            Self::End(End::Well) => {
                write!(f, "the agent closes the item, and its session ends well")
            }
            Self::End(End::Failed) => write!(f, "the session fails"),
            Self::Remove => write!(f, "a person removes the runs"),
        }
    }
}

impl Hub {
    /// A newer run that waits takes the place of an older one that waits.
    fn dispatched(&mut self, ticket: Ticket) {
        self.runs.retain(|run| run.stage != Stage::Pending);
        self.created += 1;
        self.runs.push(Run { created: self.created, stage: Stage::Pending, ticket });
    }

    fn may_begin(&self, run: usize) -> bool {
        self.runs[run].stage == Stage::Pending
            && self.runs.iter().all(|run| run.stage == Stage::Pending)
    }

    /// An admission ignores runs created before `since`.
    fn allows(&self, ticket: Ticket) -> bool {
        let newest = if self.begun > ticket.since { self.newest } else { ticket.follows };
        Follows::Generation(u64::from(ticket.follows)).allows(u64::from(newest))
    }
}

impl Actions {
    fn admits(self, hub: &Hub, run: Run) -> bool {
        match (self.compare, self.sight) {
            (Compare::InAdmission, Sight::WithOwnRun) => hub.allows(run.ticket),
            (Compare::InAdmission, Sight::Any) | (Compare::BeforeDispatch | Compare::Never, _) => {
                true
            }
        }
    }
}

impl Platform for Actions {
    type Machine = Hub;
    type View = View;
    type Task = Task;
    type Step = Step;

    const EVENTS: &'static [&'static str] = &[
        "a session begins",
        "a further attempt is planned",
        "backoff holds an item",
        "a run is not admitted: superseded",
        "a copy arrives",
        "two cycles dispatch into one slot",
        "an item is given to a person",
        "a stale effect is dropped",
        "a done item is opened anew",
    ];

    fn machine(&self) -> Hub {
        Hub::default()
    }

    fn list(&self, hub: &Hub, _: Option<View>) -> Listed<View> {
        let Hub { newest, last, created, .. } = *hub;
        Listed::Wholly(View { is_live: !hub.runs.is_empty(), last, newest, created })
    }

    fn record(&self, view: &View) -> Record {
        Record { is_live: view.is_live, last: view.last, newest: view.newest }
    }

    fn start(&self, hub: &Hub, view: &View, attempt: u8) -> Vec<Task> {
        let since = match self.since {
            Since::NewestListed => view.created,
            Since::Clock => hub.created,
        };
        let ticket = Ticket { attempt, follows: view.newest, since, ghost: Ghost::default() };
        vec![Task { is_compared: self.compare != Compare::BeforeDispatch, ticket }]
    }

    fn proceed(&self, state: &State<Self>, task: Task) -> Vec<Step> {
        if !task.is_compared {
            return vec![Step::Compare { fits: state.machine.allows(task.ticket) }];
        }
        let generation = task.ticket.follows + 1;
        let again = (state.faults > 0).then_some(true);
        let copies = [Some(false), again].into_iter().flatten();
        copies.map(|again| Step::Dispatch { generation, again }).collect()
    }

    fn environment(&self, state: &State<Self>) -> Vec<Step> {
        let hub = &state.machine;
        let mut steps: Vec<Step> = hub.copies.iter().map(|ticket| Step::Arrive(*ticket)).collect();
        for (run, one) in hub.runs.iter().enumerate() {
            match one.stage {
                Stage::Pending => {
                    if hub.may_begin(run) {
                        steps.push(Step::Begin { run });
                    }
                    steps.push(Step::Cancel { run });
                }
                Stage::Admission => {
                    // It refuses a run that it cannot judge.
                    steps.extend([
                        Step::Admission { run, goes: false },
                        Step::AdmissionFails { run },
                    ]);
                    if self.admits(hub, *one) {
                        steps.push(Step::Admission { run, goes: true });
                    }
                }
                Stage::Agent => steps.extend([End::Well, End::Failed].map(Step::End)),
            }
        }
        if self.removal && hub.last.is_some() {
            steps.push(Step::Remove);
        }
        steps
    }

    fn act(&self, state: &mut State<Self>, cycle: Option<usize>, step: Step, tally: &Tally) {
        match step {
            Step::Compare { .. } | Step::Dispatch { .. } => advance(state, cycle, step, tally),
            Step::Arrive(ticket) => {
                let place = state.machine.copies.iter().position(|other| *other == ticket);
                state.machine.copies.remove(place.expect("it is on its way"));
                tally.note("a copy arrives");
                state.machine.dispatched(ticket);
            }
            Step::Begin { run } => state.machine.runs[run].stage = Stage::Admission,
            Step::Admission { run, goes: false } => {
                let one = state.machine.runs.remove(run);
                if !self.admits(&state.machine, one) {
                    tally.note("a run is not admitted: superseded");
                }
            }
            Step::Admission { run, goes: true } => {
                let Run { created, ticket, .. } = state.machine.runs[run];
                state.machine.runs[run].stage = Stage::Agent;
                state.machine.begun = created;
                state.machine.newest = ticket.follows + 1;
                // Its own plan is not one that is left behind.
                state.begin(ticket.attempt, ticket.ghost, tally);
                state.machine.runs[run].ticket.ghost = Ghost::default();
            }
            Step::AdmissionFails { run } => {
                let Run { created, ticket, .. } = state.machine.runs.remove(run);
                state.machine.begun = created;
                let failed = Some(ticket.ended(End::Failed));
                let (newest, last) = (state.machine.newest, state.machine.last);
                (state.machine.newest, state.machine.last) = match self.newest {
                    Newest::Generation => (newest.max(ticket.follows + 1), last.max(failed)),
                    Newest::Run => (ticket.follows + 1, failed),
                };
            }
            Step::Cancel { run } => {
                state.machine.runs.remove(run);
            }
            Step::End(end) => {
                let place = state.machine.runs.iter().position(|run| run.stage == Stage::Agent);
                let run = state.machine.runs.remove(place.expect("a session"));
                state.machine.last = Some(run.ticket.ended(end));
                state.end(end);
            }
            Step::Remove => {
                state.machine.last = None;
                state.machine.newest = 0;
                state.machine.begun = 0;
            }
        }
    }

    fn rest(&self, state: &mut State<Self>) {
        state.machine.copies.clear();
        while state.machine.runs.iter().all(|run| run.stage != Stage::Agent) {
            if state.machine.runs.is_empty() {
                return;
            }
            let run = state.machine.runs.remove(0);
            if self.admits(&state.machine, run) {
                state.machine.begun = run.created;
                state.machine.newest = run.ticket.follows + 1;
                state.machine.runs.insert(0, Run { stage: Stage::Agent, ..run });
            }
        }
    }

    fn sessions(hub: &Hub) -> usize {
        hub.runs.iter().filter(|run| run.stage == Stage::Agent).count()
    }

    fn newest(hub: &Hub) -> u8 {
        hub.newest
    }

    fn ghosts(hub: &mut Hub) -> impl Iterator<Item = &mut Ghost> {
        let waiting = hub.runs.iter_mut().filter(|run| run.stage != Stage::Agent);
        waiting
            .map(|run| &mut run.ticket.ghost)
            .chain(hub.copies.iter_mut().map(|ticket| &mut ticket.ghost))
    }
}

impl Ticket {
    fn ended(self, end: End) -> Ended {
        Ended { generation: self.follows + 1, attempt: self.attempt, end }
    }
}

/// One step of a start.
fn advance(state: &mut State<Actions>, cycle: Option<usize>, step: Step, tally: &Tally) {
    let Some((cycle, ghost, task)) = state.starting(cycle) else { return };
    match step {
        Step::Compare { fits: true } => state.set_task(cycle, Task { is_compared: true, ..task }),
        Step::Dispatch { again, .. } => {
            if !state.machine.runs.is_empty() {
                tally.note("two cycles dispatch into one slot");
            }
            state.cycles[cycle] = Cycle::Over;
            let ticket = Ticket { ghost, ..task.ticket };
            if again {
                state.faults -= 1;
                state.machine.copies.push(ticket);
            }
            state.machine.dispatched(ticket);
        }
        _ => state.cycles[cycle] = Cycle::Over,
    }
}
