//! A source of work items that a test sets: the seam of queues, pipelines and jobs without any of
//! their stores.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use coordinator_core::fleet::{
    Counts, Follows, Group, Inventory, Outcome, RoleKey, Run, SessionSpec, Slot, SlotRecord, Want,
    WorkItem,
};
use coordinator_core::source::{
    Effect, EffectOutcome, EffectReport, Source, SourcePlan, WaitReason, Waiting,
};

/// Attempts of a task before a person must look at it.
pub const MAX_ATTEMPTS: u32 = 3;

/// The store, which the test and the source share.
#[derive(Debug, Default)]
pub struct Store {
    pub tasks: BTreeMap<String, Task>,
    /// Why it cannot be read.
    pub broken: Option<String>,
}

/// A task of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub state: TaskState,
    /// Raised by every change.
    pub version: u64,
    /// Sessions up to this generation belong to an earlier life of the task.
    pub since: u64,
}

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    Open,
    Done,
    NeedsHuman,
}

/// A write, with the version of the task that it was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub version: u64,
    pub state: TaskState,
    /// The session that it was decided on.
    pub generation: u64,
}

impl Store {
    /// Puts an open task into the store, or opens one again: a new life, whose attempts are counted
    /// anew.
    pub fn open(&mut self, id: &str) {
        let task = self.tasks.entry(id.to_owned()).or_insert(Task {
            state: TaskState::Open,
            version: 0,
            since: 0,
        });
        task.state = TaskState::Open;
        task.version += 1;
    }

    /// The state of a task.
    pub fn state(&self, id: &str) -> Option<TaskState> {
        self.tasks.get(id).map(|task| task.state)
    }
}

/// The source over a [`Store`].
#[derive(Debug, Clone)]
pub struct Tasks {
    pub group: Group,
    pub role: RoleKey,
    pub spec: Arc<SessionSpec>,
    pub max_concurrent: Option<u32>,
    pub max_attempts: u32,
    pub store: Rc<RefCell<Store>>,
}

impl Tasks {
    /// A source called `name` whose sessions run this recipe.
    pub fn new(name: &str, role: &RoleKey, spec: &Arc<SessionSpec>) -> Self {
        Self {
            group: Group::parse(name).expect("a valid name"),
            role: role.clone(),
            spec: Arc::clone(spec),
            max_concurrent: None,
            max_attempts: MAX_ATTEMPTS,
            store: Rc::default(),
        }
    }

    /// The slot of a task.
    pub fn slot(&self, id: &str) -> Slot {
        Slot::of_item(&self.group, id)
    }

    fn want(&self, id: &str, counts: Counts, follows: u64) -> Want {
        Want {
            slot: self.slot(id),
            role: self.role.clone(),
            spec: Arc::clone(&self.spec),
            item: Some(WorkItem { id: id.to_owned(), counts }),
            follows: Follows::Generation(follows),
            by_hand: false,
        }
    }

    fn waiting(&self, id: &str, reason: WaitReason) -> Waiting {
        let detail = format!("task {id} waits");
        Waiting { slot: self.slot(id), id: id.to_owned(), reason, detail, until: None }
    }

    fn judge(&self, id: &str, task: &Task, record: &SlotRecord, plan: &mut SourcePlan<Change>) {
        let change = |effect, state| Effect {
            item: id.to_owned(),
            effect,
            needs: None,
            change: Change { version: task.version, state, generation: record.generation },
        };
        let last = record.history.last().filter(|run| run.generation > task.since);
        match (task.state, &record.live, last) {
            (TaskState::Done, ..) => {}
            (TaskState::NeedsHuman, ..) => {
                plan.waiting.push(self.waiting(id, WaitReason::NeedsHuman));
            }
            (TaskState::Open, Some(live), _) => {
                let counts = live.item.as_ref().map_or_else(Counts::default, |of| of.item.counts);
                plan.wants.push(self.want(id, counts, record.generation));
            }
            (TaskState::Open, None, Some(run)) if run.outcome == Outcome::Succeeded => {
                plan.effects.push(change("complete", TaskState::Done));
                plan.waiting.push(self.waiting(id, WaitReason::Settling));
            }
            (TaskState::Open, None, Some(run)) if attempt(run) >= self.max_attempts => {
                plan.effects.push(change("escalate", TaskState::NeedsHuman));
                plan.waiting.push(self.waiting(id, WaitReason::AttemptsExhausted));
            }
            (TaskState::Open, None, last) => {
                let attempt = last.map_or(1, |run| attempt(run) + 1);
                let counts = Counts { attempt, ..Counts::default() };
                plan.wants.push(self.want(id, counts, record.generation));
            }
        }
    }
}

fn attempt(run: &Run) -> u32 {
    run.item.as_ref().map_or(1, |of| of.item.counts.attempt)
}

impl Source for Tasks {
    type State = BTreeMap<String, Task>;
    type Change = Change;

    fn name(&self) -> &str {
        self.group.as_str()
    }

    fn kind(&self) -> &'static str {
        "exec"
    }

    fn claims(&self, slot: &Slot) -> bool {
        slot.index().is_none() && slot.group == self.group
    }

    async fn observe(&self, _now: SystemTime) -> anyhow::Result<Self::State> {
        let store = self.store.borrow();
        match &store.broken {
            Some(why) => anyhow::bail!("{why}"),
            None => Ok(store.tasks.clone()),
        }
    }

    fn plan(
        &self,
        state: &Self::State,
        sessions: &Inventory,
        _now: SystemTime,
    ) -> SourcePlan<Change> {
        let mut plan = SourcePlan { max_concurrent: self.max_concurrent, ..SourcePlan::default() };
        let nothing = SlotRecord::default();
        for (id, task) in state {
            let record = match sessions {
                Inventory::Known(listing) => listing.slots.get(&self.slot(id)).unwrap_or(&nothing),
                Inventory::Unknown => &nothing,
            };
            self.judge(id, task, record, &mut plan);
        }
        plan
    }

    async fn commit(&self, effects: Vec<Effect<Change>>) -> Vec<EffectReport> {
        let mut store = self.store.borrow_mut();
        let write = |Effect { item, effect, change, .. }: Effect<Change>| {
            let outcome = match store.tasks.get_mut(&item) {
                Some(task) if task.state == change.state => EffectOutcome::Already,
                Some(task) if task.version == change.version => {
                    *task = Task {
                        state: change.state,
                        version: task.version + 1,
                        since: change.generation,
                    };
                    EffectOutcome::Written
                }
                Some(_) | None => EffectOutcome::Dropped,
            };
            EffectReport { item, effect, outcome, detail: String::new() }
        };
        effects.into_iter().map(write).collect()
    }
}
