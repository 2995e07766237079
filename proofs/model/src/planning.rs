//! The shipped plan and the shipped backoff, as the models call them.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use coordinator_core::backoff::{self, BackoffSettings};
use coordinator_core::fleet::{
    FleetName, FleetPause, Follows, Inventory, Listing, LiveSession, Outcome, RoleKey, Run,
    SessionSpec, Slot, SlotRecord, State, Want,
};
use coordinator_core::plan::OnInventoryFailure;
use coordinator_core::plan::{Order, Policy, plan};
use coordinator_core::report::Access;

/// Slots of the one role in a model, at most.
pub const MAX_SLOTS: usize = 2;

const BACKOFF: BackoffSettings = BackoffSettings {
    backoff_base: Duration::from_secs(60),
    backoff_cap: Duration::from_secs(3600),
    min_runtime: Duration::from_secs(30),
    min_interval: Duration::ZERO,
};

/// How the last session of a slot ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// After an hour's work: nothing holds the slot.
    Well,
    /// After a second: the slot backs off.
    Failed,
}

/// One slot in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Seen {
    Nothing,
    Live,
    Ended(End),
}

/// A list: each slot, or `None` where it failed.
pub type View = Option<[Seen; MAX_SLOTS]>;

/// A cycle's clock, beside that of the records: no two cycles need agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// A second after the last end: the backoff holds.
    Early,
    /// A day after.
    Late,
    /// A day before.
    Behind,
}

/// The differences between cycles: the roster and the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    pub count: u8,
    pub max_spawns: u32,
    pub on_inventory_failure: OnInventoryFailure,
    pub clock: Clock,
}

/// Which slots a cycle is to start.
pub type Starts = [bool; MAX_SLOTS];

/// A plan, and a setting that leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    pub starts: Starts,
    pub setting: Setting,
}

type Choices = HashMap<(View, u8), Rc<[Choice]>>;

/// Every plan that some setting makes of this view.
pub fn choices(view: View, slots: u8) -> Rc<[Choice]> {
    thread_local! {
        static KNOWN: RefCell<Choices> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        Rc::clone(known.entry((view, slots)).or_insert_with(|| {
            let mut choices: Vec<Choice> = Vec::new();
            for setting in settings(slots) {
                let starts = starts(view, setting);
                if choices.iter().all(|choice| choice.starts != starts) {
                    choices.push(Choice { starts, setting });
                }
            }
            choices.into()
        }))
    })
}

/// The plan of a cycle whose roster has every slot and whose backoffs have passed.
pub fn eager(view: View, slots: u8) -> Starts {
    choices(view, slots)[0].starts
}

/// The most willing comes first: traces show it, and [`eager`] is about it.
fn settings(slots: u8) -> impl Iterator<Item = Setting> {
    let counts = (0..=slots).rev();
    counts.flat_map(|count| {
        [50, 1].into_iter().flat_map(move |max_spawns| {
            [OnInventoryFailure::Spawn, OnInventoryFailure::Skip].into_iter().flat_map(
                move |on_inventory_failure| {
                    [Clock::Late, Clock::Early, Clock::Behind].map(|clock| Setting {
                        count,
                        max_spawns,
                        on_inventory_failure,
                        clock,
                    })
                },
            )
        })
    })
}

/// The shipped `plan`.
fn starts(view: View, setting: Setting) -> Starts {
    let spec = spec();
    let want = |index| Want {
        role: RoleKey::parse("qa").expect("a valid key"),
        slot: slot(index),
        spec: Arc::clone(&spec),
        item: None,
        follows: Follows::Anything,
        by_hand: false,
    };
    let wants = (0..u32::from(setting.count)).map(want).collect();
    let policy = Policy {
        budget: None,
        max_running: None,
        max_spawns: setting.max_spawns,
        max_concurrent: BTreeMap::new(),
        on_inventory_failure: setting.on_inventory_failure,
        pause: FleetPause::Off,
        platform: Access::Granted,
    };
    let mut starts = [false; MAX_SLOTS];
    for order in plan(&fleet(), wants, &inventory(view), &policy, now(setting.clock)) {
        match order {
            Order::Start(want) => starts[want.slot.index().expect("a role's slot") as usize] = true,
            Order::Hold { .. } => {}
        }
    }
    starts
}

/// The shipped `backoff::hold`, as every platform's `start` calls it again: whether some clock lets
/// the slot start, and whether some clock holds it.
pub fn verdicts(end: Option<End>) -> impl Iterator<Item = bool> {
    let clocks = [Clock::Late, Clock::Early, Clock::Behind];
    [true, false]
        .into_iter()
        .filter(move |verdict| clocks.iter().any(|clock| may_start(end, *clock) == *verdict))
}

/// The same by one clock.
pub fn may_start(end: Option<End>, clock: Clock) -> bool {
    let history: Vec<Run> = end.map(run).into_iter().collect();
    backoff::hold(&slot(0).session_name(&fleet()), &history, &BACKOFF, now(clock)).is_none()
}

/// Whether a cycle may plan a start of the only slot, and whether it may plan none, when its list
/// may show anything at all.
pub fn plans_of_anything() -> impl Iterator<Item = bool> {
    let shown = [Seen::Nothing, Seen::Live, Seen::Ended(End::Well), Seen::Ended(End::Failed)];
    let shown = shown.map(|seen| Some([seen, Seen::Nothing]));
    let views: Vec<View> = shown.into_iter().chain([None]).collect();
    let plans = |start: &bool| {
        views.iter().any(|view| choices(*view, 1).iter().any(|choice| choice.starts[0] == *start))
    };
    [true, false].into_iter().filter(plans).collect::<Vec<_>>().into_iter()
}

fn inventory(view: View) -> Inventory {
    let Some(seen) = view else { return Inventory::Unknown };
    let record = |seen| match seen {
        Seen::Nothing => None,
        Seen::Live => {
            let live = LiveSession {
                generation: Some(1),
                state: State::Running,
                started_at: None,
                item: None,
            };
            Some(SlotRecord::of(Some(live), Vec::new()))
        }
        Seen::Ended(end) => Some(SlotRecord::of(None, vec![run(end)])),
    };
    let slots = (0..).zip(seen).filter_map(|(index, seen)| Some((slot(index), record(seen)?)));
    Inventory::Known(Listing { slots: slots.collect(), ..Listing::default() })
}

/// A finished session, the first of its slot.
pub fn run(end: End) -> Run {
    let (outcome, runtime) = match end {
        End::Well => (Outcome::Succeeded, Duration::from_secs(3600)),
        End::Failed => (Outcome::Failed, Duration::from_secs(1)),
    };
    Run {
        generation: 1,
        outcome,
        exit_code: None,
        detail: None,
        started_at: ended_at() - runtime,
        finished_at: ended_at(),
        disrupted: false,
        stopped_by: None,
        result: None,
        item: None,
    }
}

fn ended_at() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000)
}

/// A cycle's clock.
pub fn now(clock: Clock) -> SystemTime {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    match clock {
        Clock::Early => ended_at() + Duration::from_secs(1),
        Clock::Late => ended_at() + DAY,
        Clock::Behind => ended_at() - DAY,
    }
}

pub fn fleet() -> FleetName {
    FleetName::parse("demo").expect("a valid name")
}

fn slot(index: u32) -> Slot {
    Slot::of_role(&RoleKey::parse("qa").expect("a valid key"), index)
}

fn spec() -> Arc<SessionSpec> {
    Arc::new(SessionSpec { backoff: BACKOFF, ..SessionSpec::default() })
}
