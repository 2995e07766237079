//! The difference between the sessions that should exist and those that do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use crate::budget::Purse;
use crate::fleet::{FleetName, FleetPause, Group, Hold, HoldReason, Inventory, Target, Want};
use crate::report::Access;

/// The limits of a cycle.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Live sessions in the whole fleet; `None`: as many as are wanted.
    pub max_running: Option<u32>,
    /// Starts in this cycle.
    pub max_spawns: u32,
    /// Live sessions of a source; a group that is not in it has no cap of its own.
    pub max_concurrent: BTreeMap<Group, u32>,
    /// What to do without an inventory.
    pub on_inventory_failure: OnInventoryFailure,
    /// While the fleet is paused nothing starts, nor while that is unknown.
    pub pause: FleetPause,
    /// What the sessions may still cost; `None`: nothing is bounded.
    pub budget: Option<Purse>,
    /// A server that refuses us, or does not answer, is not sent a request per slot.
    pub platform: Access,
}

/// What an unknown inventory means for spawning.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum OnInventoryFailure {
    /// Look at each slot of a role on its own and start where it is certainly free.
    Spawn,
    /// Start nothing.
    Skip,
}

/// What is to happen to one slot that is not filled.
#[derive(Debug)]
pub enum Order {
    /// Start a session here.
    Start(Want),
    /// Leave it empty for now.
    Hold {
        /// What was wanted.
        target: Target,
        /// Why not now.
        hold: Hold,
    },
}

impl Order {
    /// What it is about.
    pub fn target(&self) -> Target {
        match self {
            Self::Start(want) => want.target(),
            Self::Hold { target, .. } => target.clone(),
        }
    }
}

/// The difference between the wanted sessions, most important first, and the inventory.
///
/// Of a role `deficit = wanted - live`, surplus sessions of shrunken roles included: its slots are
/// interchangeable, and the lowest free ones that nothing holds back are filled. Each work item is
/// wanted for itself. Under a cap the earlier wants win. Without an inventory work items are held:
/// only a list shows what they must follow.
pub fn plan(
    fleet: &FleetName,
    wants: Vec<Want>,
    inventory: &Inventory,
    policy: &Policy,
    now: SystemTime,
) -> Vec<Order> {
    let Inventory::Known(listing) = inventory else { return plan_blind(wants, policy) };
    let now = listing.as_of.unwrap_or(now);
    let mut live: BTreeMap<&Group, usize> = BTreeMap::new();
    for (slot, _) in listing.slots.iter().filter(|(_, record)| record.live.is_some()) {
        *live.entry(&slot.group).or_default() += 1;
    }
    let mut caps = Caps::new(policy, live.values().sum());
    let mut orders = Vec::new();
    for wants in by_group(wants) {
        let Some(first) = wants.first() else { continue };
        let (is_of_items, wanted) = (first.item.is_some(), wants.len());
        let running = live.get(&first.slot.group).copied().unwrap_or(0);
        let cap = policy.max_concurrent.get(&first.slot.group).map(|cap| *cap as usize);
        let free = wants.into_iter().filter_map(|want| {
            let record = listing.slots.get(&want.slot);
            if record.is_some_and(|record| record.live.is_some()) {
                return None;
            }
            let history = record.map_or(&[][..], |record| &record.history);
            let session = want.slot.session_name(fleet);
            let hold = want.hold(&session, history, now);
            Some((want, hold))
        });
        orders.extend(if is_of_items {
            fill_items(free, running, cap, &mut caps)
        } else {
            fill_role(free, wanted.saturating_sub(running), &mut caps)
        });
    }
    orders
}

/// Fills up to `deficit` free slots of one role. A slot that stays empty because of a hold reports
/// it.
fn fill_role(
    free: impl Iterator<Item = (Want, Option<Hold>)>,
    deficit: usize,
    caps: &mut Caps,
) -> Vec<Order> {
    let (mut ready, mut held) = (Vec::new(), Vec::new());
    for (want, hold) in free {
        match hold {
            None => ready.push(want),
            Some(hold) => held.push(Order::Hold { target: want.target(), hold }),
        }
    }
    let mut orders: Vec<_> = ready.into_iter().take(deficit).map(|want| caps.order(want)).collect();
    held.truncate(deficit - orders.len());
    orders.extend(held);
    orders.sort_by_key(|order| order.target().slot);
    orders
}

/// One order for each item without a live session. `cap` is the source's own.
fn fill_items(
    free: impl Iterator<Item = (Want, Option<Hold>)>,
    running: usize,
    cap: Option<usize>,
    caps: &mut Caps,
) -> Vec<Order> {
    let mut running = running;
    let order = |(want, hold): (Want, Option<Hold>)| {
        let reached = || {
            let cap = cap.filter(|cap| running >= *cap)?;
            let detail = format!("max_concurrent = {cap} is reached");
            Some(Hold { reason: HoldReason::Concurrency, until: None, detail })
        };
        if let Some(hold) = hold.or_else(|| caps.money(&want)).or_else(reached) {
            return Order::Hold { target: want.target(), hold };
        }
        let order = caps.order(want);
        running += usize::from(matches!(order, Order::Start(_)));
        order
    };
    free.map(order).collect()
}

/// Without an inventory every slot of a role is looked up by the platform, which starts only where
/// the slot is certainly free. The caps then bound the slots that are looked at, earlier ones
/// first.
fn plan_blind(wants: Vec<Want>, policy: &Policy) -> Vec<Order> {
    let mut caps = Caps::new(policy, 0);
    let order = |want: Want| {
        let why = match (policy.platform, policy.on_inventory_failure, &want.item) {
            (_, _, Some(_)) => {
                "the inventory failed, and only a list shows which session of the item was the last"
            }
            _ if policy.budget.is_some() => {
                "the inventory failed, and with a budget only a list shows what may still be spent"
            }
            (Access::Refused, _, None) => "the platform refuses the coordinator's requests",
            (Access::NoAnswer, _, None) => "the platform does not answer",
            (Access::Granted, OnInventoryFailure::Spawn, None) => return caps.order(want),
            (Access::Granted, OnInventoryFailure::Skip, None) => {
                "the inventory failed and on_inventory_failure is \"skip\""
            }
        };
        let hold = Hold { reason: HoldReason::Unknown, until: None, detail: why.to_owned() };
        Order::Hold { target: want.target(), hold }
    };
    wants.into_iter().map(order).collect()
}

/// Wants of one group each, in the order in which the groups first appear. A slot that is wanted
/// twice is wanted once.
fn by_group(wants: Vec<Want>) -> Vec<Vec<Want>> {
    let mut groups: Vec<Vec<Want>> = Vec::new();
    let mut places: BTreeMap<Group, usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for want in wants {
        if !seen.insert(want.slot.clone()) {
            continue;
        }
        let place = *places.entry(want.slot.group.clone()).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(want);
    }
    groups
}

/// What the fleet-wide limits still allow.
struct Caps {
    pause: FleetPause,
    max_running: Option<u32>,
    running_left: usize,
    max_spawns: u32,
    spawns_left: usize,
    budget: Option<Purse>,
}

impl Caps {
    fn new(policy: &Policy, live: usize) -> Self {
        let cap = policy.max_running.map_or(usize::MAX, |cap| cap as usize);
        Self {
            pause: policy.pause.clone(),
            max_running: policy.max_running,
            running_left: cap.saturating_sub(live),
            max_spawns: policy.max_spawns,
            spawns_left: policy.max_spawns as usize,
            budget: policy.budget.clone(),
        }
    }

    fn order(&mut self, want: Want) -> Order {
        let held = |reason, detail| Hold { reason, until: None, detail };
        let hold = if let Some(hold) = self.paused().or_else(|| self.money(&want)) {
            hold
        } else if self.running_left == 0 {
            let cap = self.max_running.unwrap_or(u32::MAX);
            held(HoldReason::Cap, format!("max_running = {cap} is reached"))
        } else if self.max_spawns == 0 {
            held(HoldReason::MaxSpawns, "starts are paused by max_spawns = 0".to_owned())
        } else if self.spawns_left == 0 {
            let max = self.max_spawns;
            held(
                HoldReason::MaxSpawns,
                format!("max_spawns = {max} is reached; the next cycle continues"),
            )
        } else {
            self.running_left -= 1;
            self.spawns_left -= 1;
            if let Some(budget) = &mut self.budget {
                budget.take(&want.target());
            }
            return Order::Start(want);
        };
        Order::Hold { target: want.target(), hold }
    }

    /// The budget has no room for it. A pause is said first.
    fn money(&self, want: &Want) -> Option<Hold> {
        let budget = self.budget.as_ref().filter(|_| self.pause == FleetPause::Off)?;
        budget.hold(&want.target())
    }

    fn paused(&self) -> Option<Hold> {
        let (reason, detail) = match &self.pause {
            FleetPause::Off => return None,
            FleetPause::On(pause) => (HoldReason::Paused, pause.sentence()),
            FleetPause::Unknown(why) => {
                (HoldReason::Unknown, format!("whether the fleet is paused is unknown: {why}"))
            }
        };
        Some(Hold { reason, until: None, detail })
    }
}
