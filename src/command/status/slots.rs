//! Each slot of the fleet: what is in it, or why nothing is, and how its last session ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::Seen;
use crate::sources::ROSTER;
use coordinator_core::backoff;
use coordinator_core::fleet::{
    Hold, HoldReason, ItemRun, Listing, Outcome, Role, Run, Slot, SlotRecord, State, Stuck,
};
use coordinator_roster::Roster;

/// The slots of a role, or of a source.
#[derive(Debug)]
pub(super) struct GroupStatus {
    /// As the roster writes it.
    pub(super) group: String,
    /// `roster`, or the source's kind.
    pub(super) kind: &'static str,
    /// Sessions that should be live; `None` where that is unknown.
    pub(super) desired: Option<u32>,
    /// `None` where the sessions could not be listed.
    pub(super) running: Option<u32>,
    pub(super) slots: Vec<SlotStatus>,
}

/// What one slot does.
#[derive(Debug)]
pub(super) struct SlotStatus {
    pub(super) slot: Slot,
    /// What it works on, where it is a work item's.
    pub(super) item: Option<ItemRun>,
    pub(super) role: String,
    pub(super) now: SlotState,
    /// The newest session that ended.
    pub(super) last: Option<Run>,
    /// [`Self::last`] by the role's settings.
    pub(super) outcome: Option<Outcome>,
}

/// What is in a slot.
#[derive(Debug)]
pub(super) enum SlotState {
    /// A session, and since when; stuck where a reason is there.
    Live { state: State, since: Option<SystemTime>, stuck: Option<Stuck> },
    /// Nothing for now.
    Held(Hold),
    /// Nothing: the next cycle starts a session.
    Next,
    /// Unknown: the sessions could not be listed.
    Unknown,
}

impl SlotState {
    /// `state` in the document.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Live { state, .. } => state.word(),
            Self::Held(_) => "waiting",
            Self::Next => "next",
            Self::Unknown => "unknown",
        }
    }

    /// The reason word of a slot that waits or is stuck.
    pub(super) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Live { stuck, .. } => stuck.as_ref().map(|stuck| stuck.reason.word()),
            Self::Held(hold) => Some(hold.reason.word()),
            Self::Next => None,
            Self::Unknown => Some(HoldReason::Unknown.word()),
        }
    }
}

impl SlotStatus {
    /// The last line of what failed: the agent's own reason, else how the platform describes the
    /// end.
    pub(super) fn last_line(&self) -> Option<&str> {
        let run = self.last.as_ref()?;
        let reason = run.result.as_ref().map(|result| result.reason.as_str());
        let said = reason.filter(|reason| !reason.is_empty()).or(run.detail.as_deref())?;
        said.lines().rev().find(|line| !line.trim().is_empty())
    }
}

/// Every role in the order of the roster, then the sources.
pub(super) fn groups(seen: &Seen, roster: &Roster) -> Vec<GroupStatus> {
    let held = seen.report.spawn.body.held.iter();
    let held: BTreeMap<&Slot, &Hold> = held.map(|(target, hold)| (&target.slot, hold)).collect();
    let role = |role: &Role| group_of_role(seen, role, &held);
    let mut groups: Vec<GroupStatus> = roster.roles.iter().map(role).collect();
    let sources = seen.report.inventory.body.sources.iter();
    groups.extend(sources.map(|source| GroupStatus {
        group: source.source.clone(),
        kind: source.kind,
        desired: Some(source.items),
        running: source.running,
        slots: item_slots(seen, &source.source, &held),
    }));
    groups
}

fn group_of_role(seen: &Seen, role: &Role, held: &BTreeMap<&Slot, &Hold>) -> GroupStatus {
    let listing = seen.listing.as_ref();
    let wanted = (0..role.count).map(|index| Slot::of_role(&role.key, index));
    let records = listing.map(|listing| {
        let all = Slot::of_role(&role.key, 0)..=Slot::of_role(&role.key, u32::MAX);
        listing.slots.range(all).filter(|(_, record)| record.live.is_some())
    });
    let live: BTreeSet<Slot> =
        records.into_iter().flatten().map(|(slot, _)| slot.clone()).collect();
    let running = listing.map(|_| u32::try_from(live.len()).unwrap_or(u32::MAX));
    let slots: BTreeSet<Slot> = wanted.chain(live).collect();
    let slots = slots.into_iter().map(|slot| {
        let record = listing.and_then(|listing| listing.slots.get(&slot));
        let last = record.and_then(|record| record.history.last()).cloned();
        SlotStatus {
            now: state(listing, &slot, record, held),
            item: None,
            role: role.key.to_string(),
            outcome: last.as_ref().map(|run| backoff::outcome(run, &role.spec.backoff)),
            last,
            slot,
        }
    });
    GroupStatus {
        group: role.key.to_string(),
        kind: ROSTER,
        desired: Some(role.count),
        running,
        slots: slots.collect(),
    }
}

/// Items with a session, and those that wait for one.
fn item_slots(seen: &Seen, source: &str, held: &BTreeMap<&Slot, &Hold>) -> Vec<SlotStatus> {
    let listing = seen.listing.as_ref();
    let listed = listing.into_iter().flat_map(|listing| listing.slots.keys());
    let slots: BTreeSet<&Slot> = listed
        .chain(held.keys().copied())
        .filter(|slot| slot.index().is_none() && slot.group.as_str() == source)
        .collect();
    let slots = slots.into_iter().map(|slot| {
        let record = listing.and_then(|listing| listing.slots.get(slot));
        let item = record.and_then(SlotRecord::item).cloned();
        let last = record.and_then(|record| record.history.last()).cloned();
        SlotStatus {
            now: state(listing, slot, record, held),
            role: item.as_ref().map(|item| item.role.to_string()).unwrap_or_default(),
            item,
            outcome: last.as_ref().map(|run| run.outcome),
            last,
            slot: slot.clone(),
        }
    });
    slots.collect()
}

fn state(
    listing: Option<&Listing>,
    slot: &Slot,
    record: Option<&SlotRecord>,
    held: &BTreeMap<&Slot, &Hold>,
) -> SlotState {
    let Some(listing) = listing else { return SlotState::Unknown };
    if let Some(live) = record.and_then(|record| record.live.as_ref()) {
        let stuck = listing.stuck.iter().find(|stuck| stuck.slot == *slot).cloned();
        return SlotState::Live { state: live.state, since: live.started_at, stuck };
    }
    held.get(slot).map_or(SlotState::Next, |hold| SlotState::Held((*hold).clone()))
}
