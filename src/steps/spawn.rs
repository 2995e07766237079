//! Step 2: start what is missing. [`plan`] decides, [`apply`] carries out and makes no choice of its own.

use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::fleet::{FleetName, Hold, HoldReason, Inventory, Listing, RoleKey, Slot, Want};
use crate::platform::{CycleId, Platform, Start};
use crate::report::{RateLimit, SpawnFailure, SpawnReport, Spawned};
use crate::roster::OnInventoryFailure;

/// The fleet-wide limits of a cycle.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Live sessions in the whole fleet; `None` is no cap.
    pub max_running: Option<u32>,
    /// Starts in this cycle.
    pub max_spawns: u32,
    /// What to do without an inventory.
    pub on_inventory_failure: OnInventoryFailure,
}

/// What is to happen to one slot that is not filled.
#[derive(Debug)]
pub enum Order {
    /// Start a session here.
    Start(Want),
    /// Leave it empty for now.
    Hold {
        /// Where.
        slot: Slot,
        /// Why.
        hold: Hold,
    },
}

/// The difference between the wanted sessions, most important first, and the inventory.
///
/// Per role `deficit = wanted - live`, surplus sessions of shrunken roles included (R1-020); the lowest free slots
/// that nothing holds back are filled. Under a cap the upper rows of the roster win (R1-027).
pub fn plan(
    fleet: &FleetName,
    wants: Vec<Want>,
    inventory: &Inventory,
    policy: &Policy,
    now: SystemTime,
) -> Vec<Order> {
    match inventory {
        Inventory::Known(listing) => plan_known(fleet, wants, listing, policy, listing.as_of.unwrap_or(now)),
        Inventory::Unknown => plan_blind(wants, policy),
    }
}

fn plan_known(
    fleet: &FleetName,
    wants: Vec<Want>,
    listing: &Listing,
    policy: &Policy,
    now: SystemTime,
) -> Vec<Order> {
    let mut live: BTreeMap<&RoleKey, usize> = BTreeMap::new();
    for (slot, _) in listing.slots.iter().filter(|(_, record)| record.live.is_some()) {
        *live.entry(&slot.role).or_default() += 1;
    }
    let budget = Budget::new(policy, live.values().sum());
    let mut planner = Planner { fleet, listing, budget, now };
    let mut orders = Vec::new();
    for group in by_role(wants) {
        let running = group.first().and_then(|want| live.get(&want.slot.role)).copied().unwrap_or(0);
        let deficit = group.len().saturating_sub(running);
        orders.extend(planner.fill(group, deficit));
    }
    orders
}

/// What stays the same from role to role, and the budget that they share.
struct Planner<'a> {
    fleet: &'a FleetName,
    listing: &'a Listing,
    budget: Budget,
    now: SystemTime,
}

impl Planner<'_> {
    /// Fills up to `deficit` free slots of one role; holds are reported for the slots that stay empty because of them.
    fn fill(&mut self, group: Vec<Want>, deficit: usize) -> Vec<Order> {
        let (mut ready, mut held) = (Vec::new(), Vec::new());
        for want in group {
            let record = self.listing.slots.get(&want.slot);
            if record.is_some_and(|record| record.live.is_some()) {
                continue;
            }
            let history = record.map_or(&[][..], |record| &record.history);
            let session = want.slot.session_name(self.fleet);
            match backoff::hold(&session, history, &want.spec.restraint, self.now) {
                Some(hold) => held.push(Order::Hold { slot: want.slot, hold }),
                None => ready.push(want),
            }
        }
        let mut orders: Vec<_> =
            ready.into_iter().take(deficit).map(|want| self.budget.order(want)).collect();
        held.truncate(deficit - orders.len());
        orders.extend(held);
        orders.sort_by_key(|order| order.slot().index);
        orders
    }
}

/// Without an inventory every slot is looked up by the platform, which starts only where the slot is certainly free
/// (R1-013). The limits then bound the slots that are looked at, upper rows first.
fn plan_blind(wants: Vec<Want>, policy: &Policy) -> Vec<Order> {
    let mut budget = Budget::new(policy, 0);
    let order = |want: Want| match policy.on_inventory_failure {
        OnInventoryFailure::Spawn => budget.order(want),
        OnInventoryFailure::Skip => {
            let detail = "the inventory failed and on_inventory_failure is \"skip\"".to_owned();
            Order::Hold { slot: want.slot, hold: Hold { reason: HoldReason::Unknown, until: None, detail } }
        }
    };
    wants.into_iter().map(order).collect()
}

/// Groups of one role each, in the order in which the roles first appear.
fn by_role(wants: Vec<Want>) -> Vec<Vec<Want>> {
    let mut groups: Vec<Vec<Want>> = Vec::new();
    let mut places: BTreeMap<RoleKey, usize> = BTreeMap::new();
    for want in wants {
        let place = *places.entry(want.slot.role.clone()).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(want);
    }
    groups
}

impl Order {
    /// The slot that it is about.
    pub fn slot(&self) -> &Slot {
        match self {
            Self::Start(want) => &want.slot,
            Self::Hold { slot, .. } => slot,
        }
    }
}

/// What the fleet-wide limits still allow.
struct Budget {
    max_running: Option<u32>,
    running_left: usize,
    max_spawns: u32,
    spawns_left: usize,
}

impl Budget {
    fn new(policy: &Policy, live: usize) -> Self {
        let cap = policy.max_running.map_or(usize::MAX, |cap| cap as usize);
        Self {
            max_running: policy.max_running,
            running_left: cap.saturating_sub(live),
            max_spawns: policy.max_spawns,
            spawns_left: policy.max_spawns as usize,
        }
    }

    fn order(&mut self, want: Want) -> Order {
        let held = |reason, detail| Hold { reason, until: None, detail };
        let hold = if self.running_left == 0 {
            let cap = self.max_running.unwrap_or(u32::MAX);
            held(HoldReason::Cap, format!("max_running = {cap} sessions of the fleet are live"))
        } else if self.max_spawns == 0 {
            held(HoldReason::MaxSpawns, "starts are paused by max_spawns = 0".to_owned())
        } else if self.spawns_left == 0 {
            let most = self.max_spawns;
            held(
                HoldReason::MaxSpawns,
                format!("max_spawns = {most} starts in one cycle; the next one goes on"),
            )
        } else {
            self.running_left -= 1;
            self.spawns_left -= 1;
            return Order::Start(want);
        };
        Order::Hold { slot: want.slot, hold }
    }
}

/// What [`apply`] needs beside its orders.
#[derive(Debug)]
pub struct Pass<'a> {
    /// Recorded in every session that it creates.
    pub cycle: &'a CycleId,
    /// Reads the wall clock.
    pub clock: fn() -> SystemTime,
    /// No start begins after this.
    pub until: Instant,
    /// No start begins once it is cancelled.
    pub stop: &'a CancellationToken,
    /// Asks the platform what each start would come to, and starts nothing.
    pub dry_run: bool,
}

impl Pass<'_> {
    async fn start<P: Platform>(&self, platform: &P, want: &Want) -> anyhow::Result<Start> {
        let now = (self.clock)();
        if self.dry_run {
            platform.preview(want, now).await
        } else {
            platform.start(want, self.cycle, now).await
        }
    }

    fn is_over(&self) -> bool {
        self.stop.is_cancelled() || Instant::now() >= self.until
    }
}

/// Carries the orders out in order, as many at once as the platform takes. After a failure, or when the platform's quota
/// is full, no further start of that role begins (R1-023); after a rate limit, none at all. Ends early, with an error,
/// when it is stopped; what is left then is held.
pub async fn apply<P: Platform>(
    body: &mut SpawnReport,
    platform: &P,
    orders: Vec<Order>,
    pass: &Pass<'_>,
) -> anyhow::Result<()> {
    let places: BTreeMap<Slot, usize> =
        orders.iter().enumerate().map(|(place, order)| (order.slot().clone(), place)).collect();
    let mut waiting = VecDeque::new();
    for order in orders {
        match order {
            Order::Start(want) => waiting.push_back(want),
            Order::Hold { slot, hold } => body.held.push((slot, hold)),
        }
    }
    platform.expect(waiting.iter());
    let mut stopped_roles: BTreeMap<RoleKey, Hold> = BTreeMap::new();
    let mut under_way = FuturesUnordered::new();
    loop {
        while under_way.len() < platform.starts_at_once() && !pass.is_over() && body.rate_limit.is_none() {
            let Some(want) = waiting.pop_front() else { break };
            if let Some(hold) = stopped_roles.get(&want.slot.role) {
                body.held.push((want.slot, hold.clone()));
                continue;
            }
            body.failed.push(unanswered(want.slot.clone()));
            under_way.push(async move {
                let started = pass.start(platform, &want).await;
                (want.slot, started)
            });
        }
        let Some((slot, result)) = under_way.next().await else { break };
        body.failed.retain(|failure| failure.slot != slot);
        if let Some(hold) = stops_the_role(&result) {
            stopped_roles.entry(slot.role.clone()).or_insert(hold);
        }
        record(body, slot, result);
    }
    let left = waiting.len();
    let hold = body.rate_limit.as_ref().map_or_else(out_of_time, rate_limited);
    body.held.extend(waiting.into_iter().map(|want| (want.slot, hold.clone())));
    sort(body, &places);
    anyhow::ensure!(left == 0 || !pass.stop.is_cancelled(), "interrupted with {left} still to start");
    Ok(())
}

/// Starts end in any order; the report keeps the order of the roster.
fn sort(body: &mut SpawnReport, places: &BTreeMap<Slot, usize>) {
    body.spawned.sort_by_key(|spawned| places.get(&spawned.slot));
    body.already_running.sort_by_key(|slot| places.get(slot));
    body.held.sort_by_key(|(slot, _)| places.get(slot));
    body.failed.sort_by_key(|failure| places.get(&failure.slot));
}

/// After a failure, and with a full quota, the rest of the role would fare no better (R1-023).
fn stops_the_role(result: &anyhow::Result<Start>) -> Option<Hold> {
    match result {
        Err(_) => Some(role_failed()),
        Ok(Start::Held(hold)) if hold.reason == HoldReason::Quota => Some(hold.clone()),
        Ok(
            Start::Held(_)
            | Start::Started { .. }
            | Start::AlreadyRunning
            | Start::Failed(_)
            | Start::RateLimited(_),
        ) => None,
    }
}

fn record(body: &mut SpawnReport, slot: Slot, result: anyhow::Result<Start>) {
    match result {
        Ok(Start::Started { generation }) => {
            body.spawned.push(Spawned { slot, generation });
        }
        Ok(Start::AlreadyRunning) => body.already_running.push(slot),
        Ok(Start::Held(hold)) => body.held.push((slot, hold)),
        Ok(Start::Failed(error)) => body.failed.push(SpawnFailure { slot, error }),
        Ok(Start::RateLimited(limit)) => {
            body.held.push((slot, rate_limited(&limit)));
            body.rate_limit.get_or_insert(limit);
        }
        Err(error) => body.failed.push(SpawnFailure { slot, error: format!("{error:#}") }),
    }
}

/// Stands in the report while a start is under way, so that a cycle that is cut off does not lose sight of it.
fn unanswered(slot: Slot) -> SpawnFailure {
    let error = "no answer before the cycle ended; the next inventory shows whether it started".to_owned();
    SpawnFailure { slot, error }
}

fn out_of_time() -> Hold {
    let detail = "the cycle ended before its turn; the next one goes on".to_owned();
    Hold { reason: HoldReason::MaxSpawns, until: None, detail }
}

fn rate_limited(limit: &RateLimit) -> Hold {
    let detail = "the platform's rate limit is reached; a later cycle goes on".to_owned();
    Hold { reason: HoldReason::Quota, until: limit.resets_at, detail }
}

fn role_failed() -> Hold {
    let detail = "another session of the role failed to start in this cycle".to_owned();
    Hold { reason: HoldReason::RoleFailed, until: None, detail }
}

#[cfg(test)]
mod tests;
