//! What would start a slot that has not run yet, and when: by the plan of a dry run.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::platforms::AnyPlatform;
use crate::render::words::Clock;
use crate::render::{Form, shown};
use coordinator_core::budget::{self, Purse};
use coordinator_core::fleet::{FleetPause, Inventory, Listing, Role, Slot};
use coordinator_core::plan::{Order, Policy, plan};
use coordinator_core::platform::Platform;
use coordinator_core::report::Access;
use coordinator_roster::Roster;

/// The sentence for the first of these slots that the roster has; `None` where something ran in it,
/// or where the roster has none of them.
pub(super) async fn explain(
    platform: &AnyPlatform,
    roster: &Roster,
    slots: &[Slot],
    form: Form<'_>,
) -> anyhow::Result<Option<String>> {
    let is_wanted = |slot: &&Slot| roster.roles.iter().any(|role| has(role, slot));
    let Some(slot) = slots.iter().find(is_wanted) else { return Ok(None) };
    let listing = platform.list().await?;
    let record = listing.slots.get(slot);
    if record.is_some_and(|record| record.live.is_some() || !record.history.is_empty()) {
        return Ok(None);
    }
    let now = listing.as_of.unwrap_or_else(SystemTime::now);
    let mut purse = None;
    if roster.budget.is_set() {
        let ended = platform.ended(budget::since(&listing, now)).await;
        let ended = ended.map_err(|error| format!("{error:#}"));
        purse = Some(Purse::read(&roster.budget, &listing, ended, now));
    }
    let why = why(roster, slot, (listing, purse), Clock { now, zone: form.zone });
    let sentence = format!("{} has not run yet; {why}", slot.name());
    Ok(Some(shown(&sentence, usize::MAX, form.secrets) + "\n"))
}

fn has(role: &Role, slot: &Slot) -> bool {
    slot.group == role.key && slot.index().is_some_and(|index| index < role.count)
}

/// What the next cycle does with the slot.
fn why(
    roster: &Roster,
    slot: &Slot,
    (listing, budget): (Listing, Option<Purse>),
    clock: Clock<'_>,
) -> String {
    if let Some(pause) = &listing.paused {
        return format!("the fleet is {}; `coordinator resume` lets it start", pause.sentence());
    }
    let policy = Policy {
        budget,
        max_running: roster.platform.max_running,
        max_spawns: roster.platform.max_spawns,
        max_concurrent: BTreeMap::new(),
        on_inventory_failure: roster.platform.on_inventory_failure,
        pause: FleetPause::Off,
        platform: Access::Granted,
    };
    let wants = roster.roles.iter().flat_map(Role::wants).collect();
    let orders = plan(&roster.fleet, wants, &Inventory::Known(listing), &policy, clock.now);
    match orders.into_iter().find(|order| order.target().slot == *slot) {
        Some(Order::Start(_)) => "the next cycle starts it".to_owned(),
        Some(Order::Hold { hold, .. }) => {
            let reason = hold.reason.word();
            format!("{reason}{}: {}", clock.until(hold.until), hold.detail)
        }
        None => "its role has as many live sessions as it wants".to_owned(),
    }
}
