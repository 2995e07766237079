//! Slots and roles as people write them: `-` and `_` are the same, the fleet's name is optional.

use anyhow::{anyhow, bail};

use super::Refused;
use coordinator_core::fleet::{FleetName, Group, Role, Slot};
use coordinator_core::section::nearest;
use coordinator_roster::Roster;

/// Slots that an error lists by name.
const MAX_LISTED: u32 = 4;

/// What a slot's name may mean, the likeliest first: a role's name may begin like the fleet's, and
/// the roster decides between the two readings.
///
/// `SOURCE/ID` is the slot of a work item. A role stands for its slot where it has only one.
pub(super) fn meant(roster: &Roster, text: &str) -> anyhow::Result<Vec<Slot>> {
    if let Some((source, id)) = text.split_once('/')
        && let Ok(group) = Group::parse(source)
    {
        return Ok(vec![Slot::of_item(&group, id)]);
    }
    let mut slots = readings(&roster.fleet, text);
    if slots.is_empty() {
        return Ok(vec![only_slot(roster, text)?]);
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

/// The role of this key.
pub(super) fn role<'a>(roster: &'a Roster, text: &str) -> anyhow::Result<&'a Role> {
    let key = text.replace('-', "_");
    if let Some(role) = roster.roles.iter().find(|role| role.key.as_str() == key) {
        return Ok(role);
    }
    let keys = roster.roles.iter().map(|role| role.key.as_str());
    let remedy = nearest(keys, &key).map_or_else(
        || "`coordinator check` lists the roles".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    bail!(Refused::Usage(format!("no role named `{text}`; {remedy}")))
}

/// With the fleet's name in front, then as written.
fn readings(fleet: &FleetName, text: &str) -> Vec<Slot> {
    let readings = [format!("{fleet}-{text}"), text.to_owned()];
    readings.iter().filter_map(|reading| Slot::parse(fleet, reading)).collect()
}

/// The one slot of the role of this name.
fn only_slot(roster: &Roster, text: &str) -> anyhow::Result<Slot> {
    let key = text.replace('-', "_");
    let short = key.strip_prefix(&format!("{}_", roster.fleet)).unwrap_or(&key);
    let is_meant = |role: &&Role| [key.as_str(), short].contains(&role.key.as_str());
    let role = roster.roles.iter().find(is_meant).ok_or_else(|| unknown(roster, text))?;
    if role.count <= 1 {
        return Ok(Slot::of_role(&role.key, 0));
    }
    let listed =
        (0..role.count.min(MAX_LISTED)).map(|index| Slot::of_role(&role.key, index).name());
    let more = if role.count > MAX_LISTED { " ..." } else { "" };
    let listed = listed.collect::<Vec<_>>().join(" ");
    let count = role.count;
    bail!("`{text}` has {count} slots; name one of {listed}{more}")
}

fn unknown(roster: &Roster, text: &str) -> anyhow::Error {
    let names: Vec<String> =
        roster.roles.iter().map(|role| Slot::of_role(&role.key, 0).name()).collect();
    let groups: Vec<&str> = names.iter().map(|name| name.trim_end_matches("-s0")).collect();
    let text_as_name = text.replace('_', "-");
    let near = nearest(groups.iter().copied(), &text_as_name)
        .map(|group| format!("{group}-s0"))
        .or_else(|| nearest(names.iter().map(String::as_str), &text_as_name).map(str::to_owned));
    let remedy = near.map_or_else(
        || "`coordinator sessions` lists the slots".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    anyhow!("no slot named `{text}`; {remedy}")
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
