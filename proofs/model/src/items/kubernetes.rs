//! An item's slot on a cluster: the name of the Job is the lock, and a `ConfigMap` of the same name
//! is the register. It is written with its `resourceVersion` before the Job; a conflict is
//! `superseded`.
//!
//! A late write is a cycle that sleeps before it; a lost answer is a cycle that stops after it.
//! Only a copy is a step of its own. An identity is kept as the answer to a comparison:
//! whether the register is still the one that was listed, and whether the Job is.

use std::fmt;

use super::source::{Ended, Record};
use super::{Cycle, Ghost, Listed, Platform, State};
use crate::check::Tally;
use crate::planning::End;

/// In which order the two lists are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lists {
    RegistersFirst,
    JobsFirst,
}

/// How the register is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compare {
    /// With the `resourceVersion` that was listed; the first is a POST. Shipped.
    ByVersion,
    /// After a look at it, without a comparison with its present version.
    Outside,
    Never,
}

/// The first write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Order {
    /// Shipped.
    RegisterFirst,
    JobFirst,
}

/// The defence against a Job that is created after its register moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Guard {
    Nothing,
    /// While the newest generation has no Job, the next start waits until the cycle that wrote it
    /// is past its deadline.
    Wait,
    /// The same without an end.
    WaitForGood,
    /// The pod compares the register's generation with its own before its agent starts.
    Pod,
}

/// The meaning of a register without a Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Missing {
    /// A start that died, while a Job of that generation would still be there; after the `ttl` a
    /// lost attempt.
    ByAge,
    /// A start that died.
    NoAttempt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kubernetes {
    pub lists: Lists,
    pub compare: Compare,
    pub order: Order,
    pub guard: Guard,
    pub missing: Missing,
    /// A person removes terminal Jobs at any time.
    pub removal: bool,
}

impl Kubernetes {
    pub const SHIPPED: Self = Self {
        lists: Lists::RegistersFirst,
        compare: Compare::ByVersion,
        order: Order::RegisterFirst,
        guard: Guard::Wait,
        missing: Missing::ByAge,
        removal: false,
    };
}

/// How long ago a register was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Age {
    /// The cycle that wrote it may still be at work, and its requests on their way.
    Fresh,
    /// It is past its deadline, and a Job of it would still be there.
    Settled,
    /// A Job that ended since then may have been removed by its `ttl`.
    Expired,
}

/// The `ConfigMap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Register {
    generation: u8,
    /// The carried count of the newest generation.
    attempt: u8,
    /// The newest of the compact runs.
    run: Option<Ended>,
    age: Age,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Job {
    generation: u8,
    attempt: u8,
    phase: Phase,
}

/// How far a Job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Phase {
    /// Its pod has not compared yet.
    Starting,
    Live,
    Ended(End),
    /// Its pod found that the register moved on: it was not a session.
    Superseded,
}

/// A creation that is applied once more, later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duplicate {
    generation: u8,
    attempt: u8,
    ghost: Ghost,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Cluster {
    register: Option<Register>,
    job: Option<Job>,
    /// The plan of a Job that is starting.
    starting: Ghost,
    copies: Vec<Duplicate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct View {
    register: Option<Register>,
    job: Option<Job>,
    /// The register has not changed since it was listed.
    is_current: bool,
    /// The Job that was listed is still there.
    is_there: bool,
}

/// How far a start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Task {
    stage: Stage,
    generation: u8,
    attempt: u8,
    run: Option<Ended>,
    is_current: bool,
    /// The ended Job that must go first, and whether it is still there.
    predecessor: Option<bool>,
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Stage {
    Compare,
    Put,
    Delete,
    Create,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Compare {
        fits: bool,
    },
    Put {
        generation: u8,
        fits: bool,
    },
    Delete {
        is_there: bool,
    },
    Create {
        generation: u8,
        is_free: bool,
        again: bool,
    },
    Arrive(Duplicate),
    PodStarts {
        goes: bool,
    },
    End(End),
    Ages(Age),
    /// By its `ttl`; `by_hand`: a person removes it.
    Remove {
        by_hand: bool,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare { fits: true } => write!(f, "GET of the register: nothing ran since"),
            Self::Compare { fits: false } => write!(f, "GET of the register: superseded"),
            Self::Put { generation, fits: true } => {
                write!(f, "PUT of the register: generation {generation}")
            }
            Self::Put { fits: false, .. } => write!(f, "PUT of the register: conflict, superseded"),
            Self::Delete { is_there: true } => write!(f, "DELETE of the ended Job"),
            Self::Delete { is_there: false } => write!(f, "DELETE of the ended Job: it is gone"),
            Self::Create { is_free: false, .. } => write!(f, "POST of the Job: the name is taken"),
            Self::Create { generation, again: false, .. } => {
                write!(f, "POST of the Job of g{generation}: created")
            }
            Self::Create { generation, again: true, .. } => {
                write!(
                    f,
                    "POST of the Job of g{generation}: created, and a copy is still on its way"
                )
            }
            Self::Arrive(copy) => write!(f, "the copy of the POST of g{} arrives", copy.generation),
            Self::PodStarts { goes: true } => write!(f, "the pod compares, and the session begins"),
            Self::PodStarts { goes: false } => write!(f, "the pod compares: superseded"),
            Self::End(End::Well) => {
                write!(f, "the agent closes the item, and its session ends well")
            }
            Self::End(End::Failed) => write!(f, "the session fails"),
            Self::Ages(Age::Expired) => {
                write!(f, "time passes: a Job of the register may have been removed by its ttl")
            }
            Self::Ages(_) => {
                write!(f, "time passes: the cycle that wrote the register is past its deadline")
            }
            Self::Remove { by_hand: false } => write!(f, "the ttl removes the ended Job"),
            Self::Remove { by_hand: true } => write!(f, "a person removes the ended Job"),
        }
    }
}

impl Job {
    fn is_terminal(self) -> bool {
        match self.phase {
            Phase::Starting | Phase::Live => false,
            Phase::Ended(_) | Phase::Superseded => true,
        }
    }

    fn ended(self) -> Option<Ended> {
        match self.phase {
            Phase::Ended(end) => {
                Some(Ended { generation: self.generation, attempt: self.attempt, end })
            }
            Phase::Starting | Phase::Live | Phase::Superseded => None,
        }
    }
}

impl View {
    /// The newest generation has no Job.
    fn lacks_job(&self) -> bool {
        let newest = self.register.map(|register| register.generation);
        newest.is_some() && self.job.map(|job| job.generation) != newest
    }
}

impl Kubernetes {
    fn last(self, view: &View) -> Option<Ended> {
        let run = view.register.and_then(|register| register.run);
        let last = run.max(view.job.and_then(Job::ended));
        match view.register {
            // An older Job has the name: the newest one was never created.
            Some(register) if view.job.is_none() => {
                let is_lost = self.missing == Missing::ByAge && register.age == Age::Expired;
                let Register { generation, attempt, .. } = register;
                if is_lost { Some(Ended { generation, attempt, end: End::Failed }) } else { last }
            }
            Some(_) | None => last,
        }
    }

    fn first(self, predecessor: Option<bool>) -> Stage {
        match (self.order, self.compare) {
            (_, Compare::Outside) | (Order::JobFirst, _) => Stage::Compare,
            (Order::RegisterFirst, Compare::ByVersion | Compare::Never) => {
                self.after(Stage::Compare, predecessor)
            }
        }
    }

    fn after(self, stage: Stage, predecessor: Option<bool>) -> Stage {
        let delete = if predecessor.is_some() { Stage::Delete } else { Stage::Create };
        match (stage, self.order) {
            (Stage::Compare, Order::RegisterFirst) => Stage::Put,
            (Stage::Compare, Order::JobFirst) | (Stage::Put, _) => delete,
            (Stage::Delete | Stage::Create, _) => Stage::Create,
        }
    }

    fn writes(self, task: Task) -> bool {
        match (self.order, self.compare) {
            (Order::RegisterFirst, Compare::Outside | Compare::Never) => true,
            (Order::RegisterFirst, Compare::ByVersion) | (Order::JobFirst, _) => task.is_current,
        }
    }

    /// The server's part of a creation: the name decides.
    fn create(self, state: &mut State<Self>, copy: Duplicate, tally: &Tally) {
        if state.machine.job.is_some() {
            return;
        }
        let Duplicate { generation, attempt, ghost } = copy;
        let phase = if self.guard == Guard::Pod { Phase::Starting } else { Phase::Live };
        state.machine.job = Some(Job { generation, attempt, phase });
        match self.guard {
            Guard::Pod => state.machine.starting = ghost,
            Guard::Nothing | Guard::Wait | Guard::WaitForGood => state.begin(attempt, ghost, tally),
        }
    }
}

impl State<Kubernetes> {
    fn put(&mut self, task: Task) {
        let Task { generation, attempt, run, .. } = task;
        self.machine.register = Some(Register { generation, attempt, run, age: Age::Fresh });
        for cycle in &mut self.cycles {
            match cycle {
                Cycle::Listing(view) | Cycle::Listed(_, view, _) => view.is_current = false,
                Cycle::Starting(_, task) => task.is_current = false,
                Cycle::Waiting | Cycle::ReadFirst(..) | Cycle::Writing(..) | Cycle::Over => {}
            }
        }
    }

    fn remove_job(&mut self) {
        self.machine.job = None;
        for cycle in &mut self.cycles {
            match cycle {
                Cycle::Listing(view) | Cycle::Listed(_, view, _) => view.is_there = false,
                Cycle::Starting(_, Task { predecessor: Some(is_there), .. }) => *is_there = false,
                Cycle::Starting(..)
                | Cycle::Waiting
                | Cycle::ReadFirst(..)
                | Cycle::Writing(..)
                | Cycle::Over => {}
            }
        }
    }

    /// Cycles past their deadline stop.
    fn stop(&mut self, is_past: impl Fn(&Cycle<Kubernetes>) -> bool) {
        self.cycles
            .iter_mut()
            .filter(|cycle| is_past(cycle))
            .for_each(|cycle| *cycle = Cycle::Over);
    }

    /// The cycle that wrote the register is past its deadline, and nothing that it sent is on its
    /// way.
    fn settle(&mut self, newest: u8) {
        self.stop(|cycle| match cycle {
            Cycle::Starting(_, task) => {
                task.generation == newest && matches!(task.stage, Stage::Delete | Stage::Create)
            }
            _ => false,
        });
        self.machine.copies.retain(|copy| copy.generation > newest);
    }

    /// A `ttl` is longer than a cycle: those that listed the Jobs before its end are past their
    /// deadline.
    fn expire(&mut self, lists: Lists) {
        self.stop(|cycle| match cycle {
            Cycle::Listing(view) => lists == Lists::JobsFirst && !view.is_there,
            Cycle::Listed(_, view, _) => !view.is_there,
            Cycle::Starting(_, task) => task.predecessor != Some(true),
            Cycle::Waiting | Cycle::ReadFirst(..) | Cycle::Writing(..) | Cycle::Over => false,
        });
        self.remove_job();
    }
}

impl Platform for Kubernetes {
    type Machine = Cluster;
    type View = View;
    type Task = Task;
    type Step = Step;

    const EVENTS: &'static [&'static str] = &[
        "a session begins",
        "a further attempt is planned",
        "backoff holds an item",
        "a start waits",
        "a start is superseded",
        "a start that died counts as no attempt",
        "an attempt is lost: its Job was removed unseen",
        "a name is taken",
        "a copy arrives",
        "an item is given to a person",
        "a stale effect is dropped",
        "a done item is opened anew",
    ];

    fn expected(&self) -> Vec<&'static str> {
        let others: &[_] = match self.guard {
            Guard::Pod => &["a start waits"],
            Guard::Nothing | Guard::Wait | Guard::WaitForGood => {
                &["a copy arrives", "a name is taken"]
            }
        };
        Self::EVENTS.iter().copied().filter(|event| !others.contains(event)).collect()
    }

    fn machine(&self) -> Cluster {
        Cluster::default()
    }

    fn list(&self, cluster: &Cluster, partial: Option<View>) -> Listed<View> {
        let Cluster { register, job, .. } = *cluster;
        let is_there = job.is_some();
        match (self.lists, partial) {
            (Lists::RegistersFirst, None) => {
                Listed::Partly(View { register, job: None, is_current: true, is_there: false })
            }
            (Lists::RegistersFirst, Some(mut view)) => {
                // Its age is read now.
                if view.is_current {
                    view.register = register;
                }
                Listed::Wholly(View { job, is_there, ..view })
            }
            (Lists::JobsFirst, None) => {
                Listed::Partly(View { register: None, job, is_current: true, is_there })
            }
            (Lists::JobsFirst, Some(view)) => {
                Listed::Wholly(View { register, is_current: true, ..view })
            }
        }
    }

    fn record(&self, view: &View) -> Record {
        let register = view.register.map_or(0, |register| register.generation);
        Record {
            is_live: view.job.is_some_and(|job| !job.is_terminal()),
            last: self.last(view),
            newest: register.max(view.job.map_or(0, |job| job.generation)),
        }
    }

    fn start(&self, _: &Cluster, view: &View, attempt: u8) -> Vec<Task> {
        let Record { last: run, newest, .. } = self.record(view);
        let is_fresh = view.register.is_some_and(|register| register.age == Age::Fresh);
        let waits = match self.guard {
            Guard::Nothing | Guard::Pod => false,
            Guard::Wait => view.lacks_job() && is_fresh,
            Guard::WaitForGood => view.lacks_job(),
        };
        if waits {
            return Vec::new();
        }
        let predecessor = view.job.map(|_| view.is_there);
        vec![Task {
            stage: self.first(predecessor),
            generation: newest + 1,
            attempt,
            run,
            is_current: view.is_current,
            predecessor,
        }]
    }

    fn proceed(&self, state: &State<Self>, task: Task) -> Vec<Step> {
        let Task { stage, generation, .. } = task;
        let is_free = state.machine.job.is_none();
        match stage {
            Stage::Compare => vec![Step::Compare { fits: task.is_current }],
            Stage::Put => vec![Step::Put { generation, fits: self.writes(task) }],
            Stage::Delete => vec![Step::Delete { is_there: task.predecessor == Some(true) }],
            Stage::Create => {
                let again = is_free && state.faults > 0;
                let copies = [Some(false), again.then_some(true)].into_iter().flatten();
                copies.map(|again| Step::Create { generation, is_free, again }).collect()
            }
        }
    }

    fn environment(&self, state: &State<Self>) -> Vec<Step> {
        let Cluster { register, job, copies, .. } = &state.machine;
        let mut steps: Vec<Step> = copies.iter().map(|copy| Step::Arrive(*copy)).collect();
        match register.map(|register| register.age) {
            Some(Age::Fresh) => steps.push(Step::Ages(Age::Settled)),
            Some(Age::Settled) => steps.push(Step::Ages(Age::Expired)),
            Some(Age::Expired) | None => {}
        }
        let Some(job) = *job else { return steps };
        match job.phase {
            Phase::Starting => {
                let goes = register.is_some_and(|register| register.generation == job.generation);
                steps.push(Step::PodStarts { goes });
            }
            Phase::Live => steps.extend([End::Well, End::Failed].map(Step::End)),
            Phase::Ended(_) | Phase::Superseded => {
                let has_expired = register.is_none_or(|register| register.age == Age::Expired);
                let run = register.and_then(|register| register.run);
                let is_recorded = run.is_some_and(|run| run.generation >= job.generation);
                if has_expired || is_recorded || job.phase == Phase::Superseded {
                    steps.push(Step::Remove { by_hand: false });
                }
                if self.removal {
                    steps.push(Step::Remove { by_hand: true });
                }
            }
        }
        steps
    }

    fn act(&self, state: &mut State<Self>, cycle: Option<usize>, step: Step, tally: &Tally) {
        match step {
            Step::Arrive(copy) => {
                let place = state.machine.copies.iter().position(|other| *other == copy);
                state.machine.copies.remove(place.expect("it is on its way"));
                tally.note("a copy arrives");
                self.create(state, copy, tally);
            }
            Step::PodStarts { goes } => {
                let ghost = std::mem::take(&mut state.machine.starting);
                let Some(job) = &mut state.machine.job else { return };
                job.phase = if goes { Phase::Live } else { Phase::Superseded };
                if goes {
                    let attempt = job.attempt;
                    state.begin(attempt, ghost, tally);
                } else {
                    tally.note("a start is superseded");
                }
            }
            Step::End(end) => {
                if let Some(job) = &mut state.machine.job {
                    job.phase = Phase::Ended(end);
                }
                state.end(end);
            }
            Step::Ages(age) => {
                let Some(register) = &mut state.machine.register else { return };
                register.age = age;
                let newest = register.generation;
                state.settle(newest);
            }
            Step::Remove { by_hand: false } => state.expire(self.lists),
            Step::Remove { by_hand: true } => state.remove_job(),
            Step::Compare { .. } | Step::Put { .. } | Step::Delete { .. } | Step::Create { .. } => {
                self.advance(state, cycle, step, tally);
            }
        }
    }

    fn rest(&self, state: &mut State<Self>) {
        state.machine.copies.clear();
        if let Some(register) = &mut state.machine.register {
            register.age = register.age.max(Age::Settled);
        }
        let newest = state.machine.register.map(|register| register.generation);
        if let Some(job) = state.machine.job.as_mut().filter(|job| job.phase == Phase::Starting) {
            job.phase =
                if newest == Some(job.generation) { Phase::Live } else { Phase::Superseded };
        }
    }

    fn sessions(cluster: &Cluster) -> usize {
        usize::from(cluster.job.is_some_and(|job| job.phase == Phase::Live))
    }

    fn newest(cluster: &Cluster) -> u8 {
        let register = cluster.register.map_or(0, |register| register.generation);
        register.max(cluster.job.map_or(0, |job| job.generation))
    }

    fn ghosts(cluster: &mut Cluster) -> impl Iterator<Item = &mut Ghost> {
        let is_starting = cluster.job.is_some_and(|job| job.phase == Phase::Starting);
        let starting = is_starting.then_some(&mut cluster.starting);
        cluster.copies.iter_mut().map(|copy| &mut copy.ghost).chain(starting)
    }
}

impl Kubernetes {
    /// One step of a start.
    fn advance(self, state: &mut State<Self>, cycle: Option<usize>, step: Step, tally: &Tally) {
        let Some((cycle, ghost, task)) = state.starting(cycle) else { return };
        let next = Task { stage: self.after(task.stage, task.predecessor), ..task };
        match step {
            Step::Put { fits: true, .. } => {
                let missed = state.machine.register.map(|register| register.generation);
                if missed.is_some() && missed > task.run.map(|run| run.generation) {
                    tally.note("a start that died counts as no attempt");
                }
                if task.run.is_some_and(|run| Some(run.generation) == missed)
                    && task.predecessor.is_none()
                {
                    tally.note("an attempt is lost: its Job was removed unseen");
                }
                state.put(task);
                match self.order {
                    Order::RegisterFirst => state.set_task(cycle, next),
                    Order::JobFirst => state.cycles[cycle] = Cycle::Over,
                }
            }
            Step::Compare { fits: false } | Step::Put { fits: false, .. } => {
                tally.note("a start is superseded");
                state.cycles[cycle] = Cycle::Over;
            }
            Step::Compare { fits: true } => state.set_task(cycle, next),
            Step::Delete { is_there: true } => {
                state.remove_job();
                state.set_task(cycle, Task { predecessor: None, ..next });
            }
            Step::Delete { is_there: false } => state.cycles[cycle] = Cycle::Over,
            Step::Create { generation, is_free, again } => {
                if !is_free {
                    tally.note("a name is taken");
                }
                let put = Task { stage: Stage::Put, ..task };
                match self.order {
                    Order::RegisterFirst => state.cycles[cycle] = Cycle::Over,
                    Order::JobFirst => state.set_task(cycle, put),
                }
                let copy = Duplicate { generation, attempt: task.attempt, ghost };
                if again {
                    state.faults -= 1;
                    state.machine.copies.push(copy);
                }
                self.create(state, copy, tally);
            }
            Step::Arrive(_)
            | Step::PodStarts { .. }
            | Step::End(_)
            | Step::Ages(_)
            | Step::Remove { .. } => {}
        }
    }
}
