//! Step 1: what runs, then what each source needs. A failed list is unknown, never zero; a source
//! that cannot be read starts nothing and removes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use crate::sources::ROSTER;
use crate::steps::panic_message;
use coordinator_core::backoff;
use coordinator_core::fleet::{
    FleetName, HoldReason, Inventory, Listing, Role, Slot, SlotRecord, Stuck, Unmanaged,
};
use coordinator_core::report::{InventoryReport, RoleCount, SourceOutcome, SourceReport};
use coordinator_core::source::{Source, SourcePlan};

/// The plan of each source, in the order of the sources; `None` for one that could not be read.
pub type Plans<C> = Vec<Option<SourcePlan<C>>>;

/// Reads the sources, all at once, after the sessions were listed: a session that the list shows as
/// ended has left its mark in its source by then. A source that has not answered at `until` counts
/// as unread. Cannot fail: no error, panic or delay of one source reaches another.
pub async fn read_sources<S: Source>(
    sources: &[S],
    sessions: &Inventory,
    now: SystemTime,
    until: Instant,
) -> (Vec<SourceReport>, Plans<S::Change>) {
    let now = match sessions {
        Inventory::Known(listing) => listing.as_of.unwrap_or(now),
        Inventory::Unknown => now,
    };
    let read = async |source: &S| {
        let look = async {
            let state = source.observe(now).await?;
            anyhow::Ok(source.plan(&state, sessions, now))
        };
        match timeout_at(until, AssertUnwindSafe(look).catch_unwind()).await {
            Ok(Ok(Ok(plan))) => Ok(plan),
            Ok(Ok(Err(error))) => Err(format!("{error:#}")),
            Ok(Err(panic)) => Err(format!("panicked: {}", panic_message(&*panic))),
            Err(_) => Err("did not answer in time".to_owned()),
        }
    };
    let read = join_all(sources.iter().map(read)).await;
    let beside_the_roster = sources.iter().zip(&read).filter(|(source, _)| source.name() != ROSTER);
    let reports =
        beside_the_roster.map(|(source, read)| source_report(source, read, sessions)).collect();
    (reports, read.into_iter().map(Result::ok).collect())
}

fn source_report<S: Source>(
    source: &S,
    read: &Result<SourcePlan<S::Change>, String>,
    sessions: &Inventory,
) -> SourceReport {
    let running = match sessions {
        Inventory::Known(listing) => {
            let live = listing.slots.iter().filter(|(_, record)| record.live.is_some());
            Some(number(live.filter(|(slot, _)| source.claims(slot)).count()))
        }
        Inventory::Unknown => None,
    };
    let mut report = SourceReport {
        source: source.name().to_owned(),
        kind: source.kind(),
        outcome: SourceOutcome::Ok,
        items: 0,
        running,
        waiting: BTreeMap::new(),
        needs_human: 0,
    };
    match read {
        Err(error) => report.outcome = SourceOutcome::Failed(error.clone()),
        Ok(plan) => {
            report.outcome = plan.unread.clone().map_or(SourceOutcome::Ok, SourceOutcome::Partial);
            report.items = number(plan.wants.len() + plan.waiting.len());
            for waiting in &plan.waiting {
                *report.waiting.entry(waiting.reason.word()).or_default() += 1;
                report.needs_human += u32::from(waiting.reason.needs_human());
            }
        }
    }
    report
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// What is desired, without a word on what runs: the report of an inventory that has not succeeded.
pub fn unknown(roles: &[Role]) -> InventoryReport {
    let count = |role: &Role| RoleCount {
        role: role.key.clone(),
        desired: role.count,
        running: None,
        backing_off: 0,
        idle: 0,
        surplus: 0,
    };
    InventoryReport {
        desired: roles.iter().map(|role| role.count).sum(),
        roles: roles.iter().map(count).collect(),
        ..InventoryReport::default()
    }
}

/// The numbers of a complete listing, at `now` where it has no time of its own. `is_claimed`
/// is whether some source has the slot.
pub fn count(
    listing: &Listing,
    fleet: &FleetName,
    roles: &[Role],
    is_claimed: impl Fn(&Slot) -> bool,
    now: SystemTime,
) -> InventoryReport {
    let now = listing.as_of.unwrap_or(now);
    let counts: Vec<_> = roles.iter().map(|role| count_role(listing, fleet, role, now)).collect();
    InventoryReport {
        desired: counts.iter().map(|count| count.desired).sum(),
        running: counts.iter().map(|count| count.running).sum(),
        roles: counts,
        unmanaged: unmanaged(listing, fleet, is_claimed),
        out_of_range: out_of_range(listing, roles),
        stuck: stuck(listing),
        failing: failing(listing, roles, now),
        leftovers: listing.leftovers.clone(),
        sources: Vec::new(),
    }
}

/// In the order of the slots, whatever the platform's.
fn stuck(listing: &Listing) -> Vec<Stuck> {
    let mut stuck = listing.stuck.clone();
    stuck.sort_by(|a, b| a.slot.cmp(&b.slot));
    stuck
}

fn count_role(listing: &Listing, fleet: &FleetName, role: &Role, now: SystemTime) -> RoleCount {
    let slot = |index| Slot::of_role(&role.key, index);
    // Slots are in order, so a range finds those of a role.
    let records = || listing.slots.range(slot(0)..=slot(u32::MAX));
    let running = number(records().filter(|(_, record)| record.live.is_some()).count());
    let hold = |(slot, record): (&Slot, &SlotRecord)| {
        let is_free = slot.index().is_some_and(|index| index < role.count) && record.live.is_none();
        let session = is_free.then(|| slot.session_name(fleet))?;
        backoff::hold(&session, &record.history, &role.spec.backoff, now)
    };
    let holds: Vec<HoldReason> = records().filter_map(hold).map(|hold| hold.reason).collect();
    let held = |reason| {
        let held = number(holds.iter().filter(|held| **held == reason).count());
        held.min(role.count.saturating_sub(running))
    };
    RoleCount {
        role: role.key.clone(),
        desired: role.count,
        running: Some(running),
        backing_off: held(HoldReason::Backoff),
        idle: held(HoldReason::Idle),
        surplus: running.saturating_sub(role.count),
    }
}

/// Of the slots in the roster. Their records decide, so the cycle that starts the next session
/// has the same result.
fn failing(listing: &Listing, roles: &[Role], now: SystemTime) -> Vec<Slot> {
    let slots =
        roles.iter().flat_map(|role| (0..role.count).map(|index| Slot::of_role(&role.key, index)));
    let is_failing = |slot: &Slot| {
        listing.slots.get(slot).is_some_and(|record| backoff::keeps_failing(record, now))
    };
    slots.filter(is_failing).collect()
}

/// Live sessions beyond their role's count: reported, never ended.
fn out_of_range(listing: &Listing, roles: &[Role]) -> Vec<Slot> {
    let counts: BTreeMap<&str, u32> =
        roles.iter().map(|role| (role.key.as_str(), role.count)).collect();
    let beyond = |slot: &Slot| {
        let count = counts.get(slot.group.as_str());
        slot.index().zip(count).is_some_and(|(index, count)| index >= *count)
    };
    let live = listing.slots.iter().filter(|(_, record)| record.live.is_some());
    live.map(|(slot, _)| slot).filter(|slot| beyond(slot)).cloned().collect()
}

/// Live sessions of other owners, and those that no source of this roster claims.
fn unmanaged(
    listing: &Listing,
    fleet: &FleetName,
    is_claimed: impl Fn(&Slot) -> bool,
) -> Vec<Unmanaged> {
    let named: BTreeSet<&str> = listing.unmanaged.iter().map(|one| one.session.as_str()).collect();
    let unclaimed_sessions =
        listing.slots.iter().filter(|(slot, record)| record.live.is_some() && !is_claimed(slot));
    let unclaimed_sessions = unclaimed_sessions
        .map(|(slot, _)| Unmanaged { session: slot.session_name(fleet), reason: unclaimed(slot) });
    let unclaimed_sessions = unclaimed_sessions.filter(|one| !named.contains(one.session.as_str()));
    listing.unmanaged.iter().cloned().chain(unclaimed_sessions).collect()
}

fn unclaimed(slot: &Slot) -> String {
    let what = if slot.index().is_some() { "role" } else { "source" };
    format!("no {what} `{}` in the roster; it ends by itself", slot.group)
}

#[cfg(test)]
mod tests;
