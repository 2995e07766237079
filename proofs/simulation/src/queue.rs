//! A source of work items whose store lags, fails and loses answers; and what really became of each
//! item.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use coordinator::sources::AnySource;
use coordinator_core::fleet::{Counts, Inventory, Role, Slot, SlotRecord};
use coordinator_core::source::{Effect, EffectOutcome, EffectReport, Source, SourcePlan};
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::scene::{Mutant, Scene, Shared, lock};
use crate::table::Place;
use testkit::kubernetes::cluster::Cluster;
use testkit::tasks::{Change, Task, TaskState, Tasks};

/// Its name in every world.
pub(crate) const NAME: &str = "queue";

/// Attempts at an item before a person must look at it.
pub(crate) const MAX_ATTEMPTS: u32 = 11;

/// More runs than a list shows.
const OLD_ATTEMPTS: u32 = 10;

/// The item that had all these before the world began.
const OLD: &str = "old";

/// How many earlier states a read may show.
const MEMORY: usize = 8;

/// Items of a world, with what only the simulation may read.
#[derive(Debug, Default)]
pub(crate) struct Items {
    tasks: BTreeMap<String, Task>,
    /// Items that the store does not show now.
    hidden: BTreeSet<String>,
    past: VecDeque<BTreeMap<String, Task>>,
    agents: BTreeMap<String, Agents>,
}

/// The agents that worked on one item.
#[derive(Debug, Default)]
struct Agents {
    /// The Job of the last one.
    uid: String,
    generation: u64,
    attempt: u32,
    /// Since which generation attempts are counted: the life that these belong to.
    since: u64,
}

impl Items {
    fn shown(&self) -> BTreeMap<String, Task> {
        self.tasks
            .iter()
            .filter(|(id, _)| !self.hidden.contains(*id))
            .map(|(id, task)| (id.clone(), task.clone()))
            .collect()
    }

    fn remember(&mut self) {
        if self.past.len() == MEMORY {
            self.past.pop_front();
        }
        let shown = self.shown();
        self.past.push_back(shown);
    }

    /// The sessions of all items that ever were.
    pub(crate) fn sessions(&self) -> BTreeSet<String> {
        self.tasks.keys().map(|id| session(id)).collect()
    }

    /// Open items that nothing works on.
    pub(crate) fn idle(&self, is_live: impl Fn(&str) -> bool) -> Vec<String> {
        let shown = self.shown();
        let open = shown.iter().filter(|(_, task)| task.state == TaskState::Open);
        open.map(|(id, _)| id.clone()).filter(|id| !is_live(&session(id))).collect()
    }

    /// The violation in this agent of this generation and attempt. That a node starts the pod of
    /// one Job again is not the work of the coordinator.
    fn started(
        &mut self,
        uid: &str,
        id: &str,
        generation: u64,
        attempt: u32,
    ) -> Result<(), String> {
        let since = self.tasks.get(id).map_or(0, |task| task.since);
        let last = self.agents.entry(id.to_owned()).or_default();
        if last.uid == uid {
            return Ok(());
        }
        let (before, same_life) = (last.generation, last.since == since);
        let attempts = if same_life { last.attempt } else { 0 };
        *last = Agents { uid: uid.to_owned(), generation: generation.max(before), attempt, since };
        if generation <= before {
            return Err(format!(
                "generation {generation} of item {id} starts after generation {before} has run"
            ));
        }
        if attempt <= attempts {
            return Err(format!(
                "attempt {attempt} of item {id} starts after attempt {attempts} has run"
            ));
        }
        if attempt > MAX_ATTEMPTS {
            return Err(format!(
                "attempt {attempt} of item {id} starts, and {MAX_ATTEMPTS} are allowed"
            ));
        }
        Ok(())
    }
}

/// The name of an item's Job and register.
pub(crate) fn session(id: &str) -> String {
    let group = coordinator_core::fleet::Group::parse(NAME).expect("a valid name");
    format!("demo-{}", Slot::of_item(&group, id).name())
}

/// Whether it is an item's Job, and its run is written down nowhere but in it: its TTL is longer
/// than a cycle.
pub(crate) fn is_unrecorded(cluster: &mut Cluster, job: &Value) -> bool {
    if job["metadata"]["annotations"]["coordinator.dev/item"].is_null() {
        return false;
    }
    let name = job["metadata"]["name"].as_str().unwrap_or_default();
    let generation =
        job["metadata"]["labels"]["coordinator.dev/generation"].as_str().unwrap_or_default();
    let runs = cluster.namespace().config_maps.get(name).map(|map| map["data"]["runs"].clone());
    let runs = runs.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
    !runs.contains(&format!("\"gen\":{generation},"))
}

/// The first items of a world, one of which has been tried often.
pub(crate) fn draw(scene: &mut Scene, dice: &mut Dice) {
    for number in 0..dice.between(1, 3) {
        open(scene, &number.to_string());
    }
    open(scene, OLD);
    let started = humantime::format_rfc3339_seconds(scene.cluster.now()).to_string();
    let item = |attempt: u32| json!({"role": "builder", "id": OLD, "attempt": attempt});
    let runs: Vec<Value> = (1..=OLD_ATTEMPTS)
        .map(|attempt| {
            json!({"gen": attempt, "outcome": "failed", "exit": 1, "started": attempt,
                "finished": attempt + 1,
                "item": item(attempt)})
        })
        .collect();
    let revision = scene.cluster.next().to_string();
    let uid = scene.cluster.new_uid();
    let labels = json!({"coordinator.dev/fleet": "demo", "coordinator.dev/register": "demo"});
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": session(OLD), "uid": uid, "resourceVersion": revision,
            "labels": labels},
        "data": {
            "generation": OLD_ATTEMPTS.to_string(), "item": item(OLD_ATTEMPTS).to_string(),
            "started": started,
            "left": "", "runs": Value::Array(runs).to_string(),
        },
    });
    scene.cluster.namespace().config_maps.insert(session(OLD), map);
    let items = scene.items.get_or_insert_default();
    let of = Agents {
        uid: String::new(),
        generation: OLD_ATTEMPTS.into(),
        attempt: OLD_ATTEMPTS,
        since: 0,
    };
    items.agents.insert(OLD.to_owned(), of);
}

fn open(scene: &mut Scene, id: &str) {
    let items = scene.items.get_or_insert_default();
    let new = Task { state: TaskState::Open, version: 0, since: 0 };
    let task = items.tasks.entry(id.to_owned()).or_insert(new);
    task.state = TaskState::Open;
    task.version += 1;
}

/// One random event of an item.
pub(crate) fn happen(scene: &mut Scene) -> Option<&'static str> {
    let items = scene.items.as_mut()?;
    items.remember();
    let ids: Vec<String> = items.tasks.keys().cloned().collect();
    let id = scene.dice.pick(&ids).clone();
    let kind = scene.dice.between(0, 9);
    let items = scene.items.as_mut()?;
    let is_hidden = items.hidden.contains(&id);
    let task = items.tasks.get_mut(&id)?;
    Some(match kind {
        0..=1 if !is_hidden && ids.len() < 6 => {
            open(scene, &ids.len().to_string());
            "an item appears"
        }
        2..=3 if !is_hidden => {
            task.version += 1;
            "an item is edited"
        }
        4 if !is_hidden && task.state == TaskState::Open => {
            *task = Task { state: TaskState::Done, version: task.version + 1, ..task.clone() };
            "a person finishes an item"
        }
        5..=7 if !is_hidden && task.state != TaskState::Open => {
            open(scene, &id);
            "an item comes back"
        }
        _ if is_hidden => {
            items.hidden.remove(&id);
            "the store shows an item again"
        }
        8 => {
            items.hidden.insert(id);
            "an item leaves its store"
        }
        _ => return None,
    })
}

/// Judges the agents that have started since the last look.
pub(crate) fn inspect(scene: &mut Scene) {
    for job in std::mem::take(&mut scene.cluster.agents) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (labels, notes) = (&job["metadata"]["labels"], &job["metadata"]["annotations"]);
        let generation = text(&labels["coordinator.dev/generation"]).parse().unwrap_or(0);
        let counts: Counts =
            serde_json::from_str(&text(&notes["coordinator.dev/counts"])).unwrap_or_default();
        let id = text(&notes["coordinator.dev/item"]);
        scene.note(&format_args!(
            "  an agent starts: item {id}, attempt {}, {generation}",
            counts.attempt
        ));
        scene.counts.total("attempts at items");
        let Some(items) = &mut scene.items else { continue };
        if let Err(why) =
            items.started(&text(&job["metadata"]["uid"]), &id, generation, counts.attempt)
        {
            scene.violate(&why);
        }
    }
}

/// The store as one coordinator reads and writes it.
pub(crate) struct Queue {
    scene: Shared,
    tasks: Tasks,
    /// The store as it was when this coordinator began.
    first: BTreeMap<String, Task>,
}

impl Queue {
    pub(crate) fn new(scene: &Shared, role: &Role) -> Self {
        let mut tasks = Tasks::new(NAME, &role.key, &role.spec);
        tasks.max_attempts = MAX_ATTEMPTS;
        let first = lock(scene).items.as_ref().map(Items::shown).unwrap_or_default();
        Self { scene: Shared::clone(scene), tasks, first }
    }
}

/// How one look at the store goes, or one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Luck {
    Good,
    Stale,
    Fails,
    AnswerLost,
}

fn luck(scene: &mut Scene, is_write: bool) -> (Luck, Duration) {
    let delay = scene.dice.millis(1, 200);
    let rate = if scene.fault_rate == 0 { 0 } else { scene.fault_rate.max(20) };
    if !scene.dice.percent(rate) {
        return (Luck::Good, delay);
    }
    let (luck, name) = match (scene.dice.between(0, 3), is_write) {
        (0, _) => (Luck::Good, "the store answers late"),
        (1, true) => (Luck::AnswerLost, "a write to the store is carried out, and its answer lost"),
        (_, true) => (Luck::Fails, "a write to the store fails"),
        (1, false) => (Luck::Fails, "the store cannot be read"),
        (_, false) => (Luck::Stale, "the store shows the state of some changes ago"),
    };
    scene.fault(Place::Store, name);
    let late = scene.dice.seconds(1, 15);
    (luck, if luck == Luck::Good { late } else { delay })
}

impl Source for Queue {
    type State = BTreeMap<String, Task>;
    type Change = Change;

    fn name(&self) -> &str {
        NAME
    }

    fn kind(&self) -> &'static str {
        "exec"
    }

    fn claims(&self, slot: &Slot) -> bool {
        self.tasks.claims(slot)
    }

    async fn observe(&self, _now: SystemTime) -> anyhow::Result<Self::State> {
        let (luck, delay) = luck(&mut lock(&self.scene), false);
        tokio::time::sleep(delay).await;
        let mut scene = lock(&self.scene);
        if scene.mutant == Some(Mutant::ReadsSourcesFirst) {
            return Ok(self.first.clone());
        }
        let items = scene.items.as_ref().expect("this world has items");
        let (shown, past) = (items.shown(), items.past.clone());
        match luck {
            Luck::Fails | Luck::AnswerLost => anyhow::bail!("the store does not answer"),
            Luck::Stale if !past.is_empty() => Ok(past[scene.dice.index(past.len())].clone()),
            Luck::Stale | Luck::Good => Ok(shown),
        }
    }

    fn plan(
        &self,
        state: &Self::State,
        sessions: &Inventory,
        now: SystemTime,
    ) -> SourcePlan<Change> {
        let mut plan = self.tasks.plan(state, sessions, now);
        if lock(&self.scene).mutant == Some(Mutant::RecountsAttempts) {
            recount(&mut plan, sessions);
        }
        plan
    }

    async fn commit(&self, effects: Vec<Effect<Change>>) -> Vec<EffectReport> {
        let mut reports = Vec::new();
        for Effect { item, effect, change, .. } in effects {
            let (luck, delay) = luck(&mut lock(&self.scene), true);
            tokio::time::sleep(delay).await;
            let outcome = match luck {
                Luck::Fails | Luck::Stale => EffectOutcome::Failed,
                Luck::Good => write(&mut lock(&self.scene), &item, &change),
                Luck::AnswerLost => {
                    write(&mut lock(&self.scene), &item, &change);
                    EffectOutcome::Failed
                }
            };
            reports.push(EffectReport { item, effect, outcome, detail: String::new() });
        }
        reports
    }
}

/// The store compares the version, as each real one can.
fn write(scene: &mut Scene, id: &str, change: &Change) -> EffectOutcome {
    let compares = scene.mutant != Some(Mutant::WritesStaleEffects);
    let Some(items) = scene.items.as_mut() else { return EffectOutcome::Failed };
    items.remember();
    let Some(task) = items.tasks.get_mut(id) else { return EffectOutcome::Dropped };
    let is_stale = task.version != change.version;
    if is_stale && compares {
        return if task.state == change.state {
            EffectOutcome::Already
        } else {
            EffectOutcome::Dropped
        };
    }
    let version = task.version;
    *task = Task { state: change.state, version: version + 1, since: change.generation };
    if is_stale {
        let decided = change.version;
        scene.violate(&format_args!(
            "what was decided on version {decided} of item {id} is written over version {version}"
        ));
    }
    EffectOutcome::Written
}

/// Counts what the list shows.
fn recount(plan: &mut SourcePlan<Change>, sessions: &Inventory) {
    let nothing = SlotRecord::default();
    for want in &mut plan.wants {
        let record = match sessions {
            Inventory::Known(listing) => listing.slots.get(&want.slot).unwrap_or(&nothing),
            Inventory::Unknown => &nothing,
        };
        if let Some(item) = want.item.as_mut().filter(|_| record.live.is_none()) {
            item.counts.attempt = u32::try_from(record.history.len()).expect("few") + 1;
        }
    }
}

/// All sources of a coordinator.
pub(crate) enum AllSources<'a> {
    Shipped(AnySource<'a>),
    Queue(Box<Queue>),
}

impl Source for AllSources<'_> {
    type State = BTreeMap<String, Task>;
    type Change = Change;

    fn name(&self) -> &str {
        match self {
            Self::Shipped(source) => source.name(),
            Self::Queue(queue) => queue.name(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Shipped(source) => source.kind(),
            Self::Queue(queue) => queue.kind(),
        }
    }

    fn claims(&self, slot: &Slot) -> bool {
        match self {
            Self::Shipped(source) => source.claims(slot),
            Self::Queue(queue) => queue.claims(slot),
        }
    }

    async fn observe(&self, now: SystemTime) -> anyhow::Result<Self::State> {
        match self {
            Self::Shipped(source) => source.observe(now).await.map(|()| BTreeMap::new()),
            Self::Queue(queue) => queue.observe(now).await,
        }
    }

    fn plan(
        &self,
        state: &Self::State,
        sessions: &Inventory,
        now: SystemTime,
    ) -> SourcePlan<Change> {
        match self {
            Self::Shipped(source) => changing_nothing(source.plan(&(), sessions, now)),
            Self::Queue(queue) => queue.plan(state, sessions, now),
        }
    }

    async fn commit(&self, effects: Vec<Effect<Change>>) -> Vec<EffectReport> {
        match self {
            Self::Shipped(_) => Vec::new(),
            Self::Queue(queue) => queue.commit(effects).await,
        }
    }
}

fn changing_nothing(plan: SourcePlan<Infallible>) -> SourcePlan<Change> {
    let SourcePlan { wants, waiting, effects: _, max_concurrent, unread } = plan;
    SourcePlan { wants, waiting, effects: Vec::new(), max_concurrent, unread }
}
