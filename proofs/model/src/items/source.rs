//! The source: a store with one item, which an agent closes itself, and the shipped `plan` over
//! the source's wants.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use coordinator_core::backoff::BackoffSettings;
use coordinator_core::fleet::{
    Counts, FleetPause, Follows, Group, Inventory, ItemRun, Listing, LiveSession, RoleKey, Run,
    SessionSpec, Slot, SlotRecord, State, Want, WorkItem,
};
use coordinator_core::plan::OnInventoryFailure;
use coordinator_core::plan::{Order, Policy, plan};
use coordinator_core::report::Access;

use crate::planning::{self, Clock, End};

/// Attempts of an item before a person must look at it.
pub const BOUND: u8 = 2;

/// The state of the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    Open,
    /// Its agent closed it before its session ended.
    Done,
    /// The coordinator gave it to a person.
    NeedsHuman,
}

/// The item in its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Store {
    pub standing: Standing,
    /// Sessions up to this generation belong to an earlier life of the item.
    pub since: u8,
}

/// A finished session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ended {
    pub generation: u8,
    pub attempt: u8,
    pub end: End,
}

/// The item's slot in a list, as in a `SlotRecord`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record {
    pub is_live: bool,
    pub last: Option<Ended>,
    /// The newest generation.
    pub newest: u8,
}

/// Where the attempt's number comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counting {
    /// From the newest record, which carries it. Shipped.
    Carried,
    /// From the number of records in the list. The model's list has one record and the bound is
    /// two, as the program's has eight and the bound may be nine.
    Recounted,
}

/// The cycle's decision about the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    Start { attempt: u8 },
    Escalate,
    Nothing,
}

/// The decision of the shipped `plan` over the source's wants. `None` is a list that failed.
pub fn decide(record: Option<Record>, store: Store, counting: Counting, clock: Clock) -> Decision {
    type Known = HashMap<(Option<Record>, Store, Counting, bool), Decision>;
    thread_local! {
        static KNOWN: RefCell<Known> = RefCell::default();
    }
    let key = (record, store, counting, clock == Clock::Late);
    KNOWN.with_borrow_mut(|known| {
        *known.entry(key).or_insert_with(|| decide_now(record, store, counting, clock))
    })
}

fn decide_now(record: Option<Record>, store: Store, counting: Counting, clock: Clock) -> Decision {
    let Record { is_live, last, newest } = record.unwrap_or_default();
    if store.standing != Standing::Open {
        return Decision::Nothing;
    }
    let last = last.filter(|last| last.generation > store.since);
    let used = last.map_or(0, |last| match counting {
        Counting::Carried => last.attempt,
        Counting::Recounted => 1,
    });
    if !is_live && used >= BOUND {
        return Decision::Escalate;
    }
    let orders = plan(
        &planning::fleet(),
        vec![want(used + 1, newest)],
        &inventory(record),
        &policy(),
        planning::now(clock),
    );
    let starts = |order: Order| match order {
        Order::Start(want) => Some(want.item?.counts.attempt),
        Order::Hold { .. } => None,
    };
    match orders.into_iter().find_map(starts) {
        Some(attempt) => Decision::Start { attempt: u8::try_from(attempt).expect("few attempts") },
        None => Decision::Nothing,
    }
}

fn policy() -> Policy {
    Policy {
        budget: None,
        max_running: None,
        max_spawns: 50,
        max_concurrent: BTreeMap::new(),
        on_inventory_failure: OnInventoryFailure::Spawn,
        pause: FleetPause::Off,
        platform: Access::Granted,
    }
}

fn inventory(record: Option<Record>) -> Inventory {
    let Some(record) = record else { return Inventory::Unknown };
    let live = record.is_live.then_some(LiveSession {
        generation: None,
        state: State::Running,
        started_at: None,
        item: None,
    });
    let history: Vec<Run> = record.last.map(run).into_iter().collect();
    let record = SlotRecord { live, history, generation: u64::from(record.newest) };
    Inventory::Known(Listing { slots: BTreeMap::from([(slot(), record)]), ..Listing::default() })
}

fn run(last: Ended) -> Run {
    let item = ItemRun { role: role(), item: item(last.attempt) };
    Run { generation: u64::from(last.generation), item: Some(item), ..planning::run(last.end) }
}

fn want(attempt: u8, follows: u8) -> Want {
    let backoff = BackoffSettings {
        backoff_base: Duration::from_secs(60),
        backoff_cap: Duration::from_secs(3600),
        min_runtime: Duration::ZERO,
        min_interval: Duration::ZERO,
    };
    Want {
        slot: slot(),
        role: role(),
        spec: Arc::new(SessionSpec { backoff, ..SessionSpec::default() }),
        item: Some(item(attempt)),
        follows: Follows::Generation(u64::from(follows)),
        by_hand: false,
    }
}

fn item(attempt: u8) -> WorkItem {
    WorkItem {
        id: "1".to_owned(),
        counts: Counts { attempt: u32::from(attempt), ..Counts::default() },
    }
}

fn role() -> RoleKey {
    RoleKey::parse("builder").expect("a valid key")
}

fn slot() -> Slot {
    Slot::of_item(&Group::parse("issues").expect("a valid name"), "1")
}
