//! Slots in an outline: those of one role, and those with one cause, share a line.

use super::{Entry, Mark};
use crate::fleet::{RoleKey, Slot};

/// More slots with the same cause are counted on their line and named below it.
const NAMED_ON_THE_LINE: usize = 3;

/// One entry for each role, its slots as the detail.
pub(super) fn by_role<'a>(slots: impl Iterator<Item = &'a Slot>, mark: Mark, remark: &str) -> Vec<Entry> {
    let mut roles: Vec<(&RoleKey, Vec<u32>)> = Vec::new();
    for slot in slots {
        match roles.iter_mut().find(|(role, _)| *role == &slot.role) {
            Some((_, indices)) => indices.push(slot.index),
            None => roles.push((&slot.role, vec![slot.index])),
        }
    }
    let detail = |indices: &[u32]| match remark {
        "" => ranges(indices),
        remark => format!("{} {remark}", ranges(indices)),
    };
    let entry = |(role, indices): (&RoleKey, Vec<u32>)| Entry {
        mark,
        name: role.to_string(),
        title: String::new(),
        detail: vec![detail(&indices)],
    };
    roles.into_iter().map(entry).collect()
}

/// One entry for slots with one cause.
pub(super) fn entry(mark: Mark, slots: &[&Slot], mut detail: Vec<String>) -> Entry {
    let names = names(slots);
    let name = if slots.len() > NAMED_ON_THE_LINE {
        detail.push(names);
        format!("{} slots", slots.len())
    } else {
        names
    };
    Entry { mark, name, title: String::new(), detail }
}

/// `api_builder s0 s1, e2e_tester s1`.
fn names(slots: &[&Slot]) -> String {
    let entries = by_role(slots.iter().copied(), Mark::Held, "");
    let names = entries.iter().map(|entry| format!("{} {}", entry.name, entry.detail.join(" ")));
    names.collect::<Vec<_>>().join(", ")
}

/// `s0 s1 s2`, and from four in a row on `s0-s3`.
fn ranges(indices: &[u32]) -> String {
    let runs = indices.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let words = runs.map(|run| match run {
        [first, _, _, .., last] => format!("s{first}-s{last}"),
        few => few.iter().map(|index| format!("s{index}")).collect::<Vec<_>>().join(" "),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Slots with the same cause, in the order of the first of each.
pub(super) fn grouped<'a, C>(
    items: impl Iterator<Item = (&'a Slot, &'a C)>,
    same: impl Fn(&C, &C) -> bool,
) -> Vec<(Vec<&'a Slot>, Vec<&'a C>)> {
    let mut groups: Vec<(Vec<&Slot>, Vec<&C>)> = Vec::new();
    for (slot, cause) in items {
        match groups.iter_mut().find(|(_, causes)| same(causes[0], cause)) {
            Some((slots, causes)) => {
                slots.push(slot);
                causes.push(cause);
            }
            None => groups.push((vec![slot], vec![cause])),
        }
    }
    groups
}
