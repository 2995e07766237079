//! Step 1: who runs. Live sessions are counted per role; a failed list is unknown, never zero.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use crate::backoff;
use crate::fleet::{FleetName, HoldReason, Listing, Role, RoleKey, Slot, SlotRecord, Stuck, Unmanaged};
use crate::platform::Platform;
use crate::report::{InventoryReport, RoleCount};

/// Asks the platform and counts.
pub async fn run<P: Platform>(
    body: &mut InventoryReport,
    platform: &P,
    fleet: &FleetName,
    roles: &[Role],
    now: SystemTime,
) -> anyhow::Result<Listing> {
    let listing = platform.list().await?;
    *body = count(&listing, fleet, roles, listing.as_of.unwrap_or(now));
    Ok(listing)
}

/// What is desired, without a word on what runs: the report of an inventory that has not succeeded.
pub fn unknown(roles: &[Role]) -> InventoryReport {
    let count = |role: &Role| RoleCount {
        role: role.key.clone(),
        desired: role.count,
        running: None,
        backing_off: 0,
        surplus: 0,
    };
    InventoryReport {
        desired: roles.iter().map(|role| role.count).sum(),
        running: None,
        roles: roles.iter().map(count).collect(),
        unmanaged: Vec::new(),
        out_of_range: Vec::new(),
        stuck: Vec::new(),
    }
}

/// The numbers of a complete listing.
pub fn count(listing: &Listing, fleet: &FleetName, roles: &[Role], now: SystemTime) -> InventoryReport {
    let counts: Vec<_> = roles.iter().map(|role| count_role(listing, fleet, role, now)).collect();
    InventoryReport {
        desired: counts.iter().map(|count| count.desired).sum(),
        running: counts.iter().map(|count| count.running).sum(),
        roles: counts,
        unmanaged: unmanaged(listing, fleet, roles),
        out_of_range: out_of_range(listing, roles),
        stuck: stuck(listing),
    }
}

/// In the order of the slots, whatever the platform's.
fn stuck(listing: &Listing) -> Vec<Stuck> {
    let mut stuck = listing.stuck.clone();
    stuck.sort_by(|a, b| a.slot.cmp(&b.slot));
    stuck
}

fn count_role(listing: &Listing, fleet: &FleetName, role: &Role, now: SystemTime) -> RoleCount {
    let slot = |index| Slot { role: role.key.clone(), index };
    // Slots are in order, so that a role is looked up and not searched for.
    let records = listing.slots.range(slot(0)..=slot(u32::MAX));
    let running =
        u32::try_from(records.filter(|(_, record)| record.live.is_some()).count()).unwrap_or(u32::MAX);
    let backing_off = role.wants().filter(|want| {
        let record = listing.slots.get(&want.slot);
        record.is_some_and(|record| is_backing_off(record, &want.slot, fleet, role, now))
    });
    let deficit = role.count.saturating_sub(running);
    let backing_off = u32::try_from(backing_off.count()).unwrap_or(u32::MAX).min(deficit);
    RoleCount {
        role: role.key.clone(),
        desired: role.count,
        running: Some(running),
        backing_off,
        surplus: running.saturating_sub(role.count),
    }
}

fn is_backing_off(record: &SlotRecord, slot: &Slot, fleet: &FleetName, role: &Role, now: SystemTime) -> bool {
    let hold = backoff::hold(&slot.session_name(fleet), &record.history, &role.spec.restraint, now);
    record.live.is_none() && hold.is_some_and(|hold| hold.reason == HoldReason::Backoff)
}

/// Live sessions beyond their role's count (R1-014).
fn out_of_range(listing: &Listing, roles: &[Role]) -> Vec<Slot> {
    let counts: BTreeMap<&RoleKey, u32> = roles.iter().map(|role| (&role.key, role.count)).collect();
    let beyond = |slot: &Slot| counts.get(&slot.role).is_some_and(|count| slot.index >= *count);
    let live = listing.slots.iter().filter(|(_, record)| record.live.is_some());
    live.map(|(slot, _)| slot).filter(|slot| beyond(slot)).cloned().collect()
}

/// Live sessions of other owners, and of roles that the roster no longer has (R1-014).
fn unmanaged(listing: &Listing, fleet: &FleetName, roles: &[Role]) -> Vec<Unmanaged> {
    let known: BTreeSet<&RoleKey> = roles.iter().map(|role| &role.key).collect();
    let named: BTreeSet<&str> = listing.unmanaged.iter().map(|one| one.session.as_str()).collect();
    let stray =
        listing.slots.iter().filter(|(slot, record)| record.live.is_some() && !known.contains(&slot.role));
    let stray = stray.map(|(slot, _)| Unmanaged {
        session: slot.session_name(fleet),
        reason: format!("no role `{}` in the roster; it is left to finish", slot.role),
    });
    let stray = stray.filter(|one| !named.contains(one.session.as_str()));
    listing.unmanaged.iter().cloned().chain(stray).collect()
}

#[cfg(test)]
mod tests;
