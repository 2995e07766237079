//! Slots as people write them.

use anyhow::bail;

use coordinator_core::fleet::{FleetName, Group, Slot};
use coordinator_roster::Roster;

/// What a slot's name may mean, the likeliest first: a role's name may begin like the fleet's, and
/// only the roster tells which of the two readings it has.
///
/// `SOURCE/ID` is the slot of a work item.
pub(super) fn meant(roster: &Roster, text: &str) -> anyhow::Result<Vec<Slot>> {
    if let Some((source, id)) = text.split_once('/')
        && let Ok(group) = Group::parse(source)
    {
        return Ok(vec![Slot::of_item(&group, id)]);
    }
    let mut slots = readings(&roster.fleet, text);
    if slots.is_empty() {
        bail!("no slot named `{text}`; slots look like ui-builder-s0, see `coordinator sessions`");
    }
    let is_served = |slot: &Slot| roster.roles.iter().any(|role| slot.group == role.key);
    if slots.iter().any(is_served) {
        slots.sort_by_key(|slot| !is_served(slot));
    } else {
        slots.reverse();
    }
    slots.dedup();
    Ok(slots)
}

/// With the fleet before it, then as it stands.
fn readings(fleet: &FleetName, text: &str) -> Vec<Slot> {
    let readings = [format!("{fleet}-{text}"), text.to_owned()];
    readings.iter().filter_map(|reading| Slot::parse(fleet, reading)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_two_readings_when_its_role_may_begin_like_the_fleet() {
        let fleet = FleetName::parse("demo").expect("a valid name");
        let names = |text| readings(&fleet, text).iter().map(Slot::name).collect::<Vec<_>>();
        assert_eq!(names("demo-tester-s0"), ["demo-tester-s0", "tester-s0"]);
        assert_eq!(names("tester-s0"), ["tester-s0", "tester-s0"]);
        assert!(names("../etc").is_empty());
    }
}
