//! An item's slot on one machine: the records in its folder are the register, compared under the
//! file lock. A plugin of `exec` does the same under its own lock.

use std::fmt;

use coordinator_core::fleet::Follows;

use super::source::{Ended, Record};
use super::{Cycle, Ghost, Listed, Platform, State};
use crate::check::Tally;
use crate::planning::End;

/// The parts of the slot's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Naming {
    /// The item alone. Shipped.
    Item,
    /// Item and attempt.
    Attempt,
    /// Item and role: cycles read rosters of which one gives the item to another role.
    Role,
}

/// Where a start compares the newest generation with the one that it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compare {
    /// Shipped.
    UnderLock,
    BeforeLock,
    Never,
}

/// `crates/platform-local/src/process/start.rs` for a work item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    pub naming: Naming,
    pub compare: Compare,
    /// A person removes the item's records.
    pub removal: bool,
}

impl Process {
    pub const SHIPPED: Self =
        Self { naming: Naming::Item, compare: Compare::UnderLock, removal: false };
}

const MAX_NAMES: usize = 2;

/// The slots of the item, which is one in the shipped design.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Machine {
    folders: [Folder; MAX_NAMES],
    /// The item's newest finished session, in any slot.
    last: Option<Ended>,
    /// The item's newest session, in any slot.
    newest: u8,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Folder {
    /// The newest generation that has a record.
    newest: u8,
    /// A start has the lock.
    is_locked: bool,
    /// The session that has the lock.
    live: Option<Live>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Live {
    generation: u8,
    attempt: u8,
}

impl Folder {
    fn is_held(self) -> bool {
        self.is_locked || self.live.is_some()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct View {
    is_live: bool,
    last: Option<Ended>,
    newest: u8,
    newest_of: [u8; MAX_NAMES],
}

/// How far a start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Task {
    stage: Stage,
    name: u8,
    follows: u8,
    attempt: u8,
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Stage {
    Compare,
    Lock,
    Record,
    Run,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Compare {
        fits: bool,
    },
    Lock {
        name: u8,
        is_free: bool,
    },
    Record {
        attempt: u8,
    },
    Run {
        attempt: u8,
    },
    /// The coordinator and its shim are killed; the kernel frees the lock.
    Dies,
    End {
        name: u8,
        end: End,
    },
    Remove,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare { fits: true } => write!(f, "compares: nothing ran since"),
            Self::Compare { fits: false } => write!(f, "compares: superseded"),
            Self::Lock { name, is_free: true } => write!(f, "takes the lock of slot {name}"),
            Self::Lock { name, is_free: false } => write!(f, "finds the lock of slot {name} taken"),
            Self::Record { attempt } => write!(f, "records the session of attempt {attempt}"),
            Self::Run { attempt } => write!(f, "the session of attempt {attempt} begins"),
            Self::Dies => write!(f, "dies, and its lock is free"),
            Self::End { name, end: End::Well } => {
                write!(f, "the agent in slot {name} closes the item, and its session ends well")
            }
            Self::End { name, end: End::Failed } => write!(f, "the session in slot {name} fails"),
            Self::Remove => write!(f, "a person removes the records"),
        }
    }
}

impl Process {
    fn first(self) -> Stage {
        match self.compare {
            Compare::BeforeLock => Stage::Compare,
            Compare::UnderLock | Compare::Never => Stage::Lock,
        }
    }

    fn after(self, stage: Stage) -> Stage {
        match (stage, self.compare) {
            (Stage::Compare, Compare::BeforeLock) => Stage::Lock,
            (Stage::Lock, Compare::UnderLock) => Stage::Compare,
            (Stage::Compare | Stage::Lock, _) => Stage::Record,
            (Stage::Record | Stage::Run, _) => Stage::Run,
        }
    }

    fn has_lock(self, stage: Stage) -> bool {
        match stage {
            Stage::Compare => self.compare == Compare::UnderLock,
            Stage::Lock => false,
            Stage::Record | Stage::Run => true,
        }
    }
}

impl Platform for Process {
    type Machine = Machine;
    type View = View;
    type Task = Task;
    type Step = Step;

    const EVENTS: &'static [&'static str] = &[
        "a session begins",
        "a further attempt is planned",
        "backoff holds an item",
        "a lock is refused",
        "a start is superseded",
        "a start dies after its record",
        "an item is given to a person",
        "a stale effect is dropped",
        "a done item is opened anew",
    ];

    fn machine(&self) -> Machine {
        Machine::default()
    }

    fn list(&self, machine: &Machine, _: Option<View>) -> Listed<View> {
        Listed::Wholly(View {
            is_live: machine.folders.iter().any(|folder| folder.is_held()),
            last: machine.last,
            newest: machine.newest,
            newest_of: machine.folders.map(|folder| folder.newest),
        })
    }

    fn record(&self, view: &View) -> Record {
        Record { is_live: view.is_live, last: view.last, newest: view.newest }
    }

    fn start(&self, _: &Machine, view: &View, attempt: u8) -> Vec<Task> {
        let names = match self.naming {
            Naming::Item => 0..1,
            Naming::Attempt => attempt - 1..attempt,
            Naming::Role => 0..2,
        };
        let task = |name| Task {
            stage: self.first(),
            name,
            follows: view.newest_of[usize::from(name)],
            attempt,
        };
        names.map(task).collect()
    }

    fn proceed(&self, state: &State<Self>, task: Task) -> Vec<Step> {
        let Task { stage, name, follows, attempt } = task;
        let folder = state.machine.folders[usize::from(name)];
        let step = match stage {
            Stage::Compare => {
                let follows = Follows::Generation(u64::from(follows));
                Step::Compare { fits: follows.allows(u64::from(folder.newest)) }
            }
            Stage::Lock => Step::Lock { name, is_free: !folder.is_held() },
            Stage::Record => Step::Record { attempt },
            Stage::Run => Step::Run { attempt },
        };
        let dies = self.has_lock(stage).then_some(Step::Dies);
        [Some(step), dies].into_iter().flatten().collect()
    }

    fn environment(&self, state: &State<Self>) -> Vec<Step> {
        let live = (0..).zip(&state.machine.folders).filter(|(_, folder)| folder.live.is_some());
        let mut steps: Vec<Step> = live
            .flat_map(|(name, _)| [End::Well, End::Failed].map(|end| Step::End { name, end }))
            .collect();
        if self.removal && state.machine.last.is_some() {
            steps.push(Step::Remove);
        }
        steps
    }

    fn act(&self, state: &mut State<Self>, cycle: Option<usize>, step: Step, tally: &Tally) {
        match step {
            Step::End { name, end } => {
                let folder = &mut state.machine.folders[usize::from(name)];
                if let Some(Live { generation, attempt }) = folder.live.take() {
                    state.machine.last = Some(Ended { generation, attempt, end });
                    state.end(end);
                }
                return;
            }
            Step::Remove => {
                state.machine.last = None;
                state.machine.newest = 0;
                state.machine.folders.iter_mut().for_each(|folder| folder.newest = 0);
                return;
            }
            Step::Compare { .. }
            | Step::Lock { .. }
            | Step::Record { .. }
            | Step::Run { .. }
            | Step::Dies => {}
        }
        let Some((cycle, ghost, task)) = state.starting(cycle) else { return };
        let folder = &mut state.machine.folders[usize::from(task.name)];
        let next = Task { stage: self.after(task.stage), ..task };
        match step {
            Step::Compare { fits: true } => state.set_task(cycle, next),
            Step::Compare { fits: false } => {
                tally.note("a start is superseded");
                if self.has_lock(task.stage) {
                    folder.is_locked = false;
                }
                state.cycles[cycle] = Cycle::Over;
            }
            Step::Lock { is_free: true, .. } => {
                folder.is_locked = true;
                state.set_task(cycle, next);
            }
            Step::Lock { is_free: false, .. } => {
                tally.note("a lock is refused");
                state.cycles[cycle] = Cycle::Over;
            }
            Step::Record { .. } => {
                folder.newest += 1;
                state.machine.newest += 1;
                state.set_task(cycle, next);
            }
            Step::Run { attempt } => {
                folder.is_locked = false;
                folder.live = Some(Live { generation: state.machine.newest, attempt });
                state.cycles[cycle] = Cycle::Over;
                state.begin(attempt, ghost, tally);
            }
            Step::Dies => {
                folder.is_locked = false;
                if task.stage == Stage::Run {
                    tally.note("a start dies after its record");
                    let generation = state.machine.newest;
                    state.machine.last =
                        Some(Ended { generation, attempt: task.attempt, end: End::Failed });
                }
                state.cycles[cycle] = Cycle::Over;
            }
            Step::End { .. } | Step::Remove => {}
        }
    }

    /// The kernel frees the locks of starts that died.
    fn rest(&self, state: &mut State<Self>) {
        state.machine.folders.iter_mut().for_each(|folder| folder.is_locked = false);
    }

    fn sessions(machine: &Machine) -> usize {
        machine.folders.iter().filter(|folder| folder.live.is_some()).count()
    }

    fn newest(machine: &Machine) -> u8 {
        machine.newest
    }

    fn ghosts(_: &mut Machine) -> impl Iterator<Item = &mut Ghost> {
        std::iter::empty()
    }
}
