//! Slots in an outline: those of one group, and those with one cause, share a line.

use super::{Entry, Mark};
use crate::render::words::safe;
use coordinator_core::fleet::{Seat, Slot, Target};

/// More slots with the same cause are counted on their line and named below it.
const NAMED_ON_THE_LINE: usize = 3;

/// A slot as it is shown: whose it is, and which one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    group: String,
    seat: ShownSeat,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ShownSeat {
    Index(u32),
    /// The item as its store spells it, where that is known.
    Item(String),
}

impl From<&Slot> for Shown {
    fn from(slot: &Slot) -> Self {
        let seat = match &slot.seat {
            Seat::Index(index) => ShownSeat::Index(*index),
            Seat::Item(key) => ShownSeat::Item(key.as_str().to_owned()),
        };
        Self { group: slot.group.to_string(), seat }
    }
}

impl From<&Target> for Shown {
    fn from(target: &Target) -> Self {
        let shown = Self::from(&target.slot);
        match &target.item {
            Some(item) => Self { seat: ShownSeat::Item(safe(&item.id)), ..shown },
            None => shown,
        }
    }
}

/// One entry for each group, its slots as the detail.
pub(super) fn by_group(slots: impl Iterator<Item = Shown>, mark: Mark, remark: &str) -> Vec<Entry> {
    let mut groups: Vec<(String, Vec<ShownSeat>)> = Vec::new();
    for Shown { group, seat } in slots {
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, seats)) => seats.push(seat),
            None => groups.push((group, vec![seat])),
        }
    }
    let detail = |seats: &[ShownSeat]| match remark {
        "" => ranges(seats),
        remark => format!("{} {remark}", ranges(seats)),
    };
    let entry = |(group, seats): (String, Vec<ShownSeat>)| Entry {
        mark,
        name: group,
        title: String::new(),
        detail: vec![detail(&seats)],
    };
    groups.into_iter().map(entry).collect()
}

/// One entry for slots with one cause.
pub(super) fn entry(mark: Mark, slots: &[Shown], mut detail: Vec<String>) -> Entry {
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
fn names(slots: &[Shown]) -> String {
    let entries = by_group(slots.iter().cloned(), Mark::Held, "");
    let names = entries.iter().map(|entry| format!("{} {}", entry.name, entry.detail.join(" ")));
    names.collect::<Vec<_>>().join(", ")
}

/// `s0 s1 s2`, and from four in a row on `s0-s3`; items by their ids.
fn ranges(seats: &[ShownSeat]) -> String {
    let follows = |a: &ShownSeat, b: &ShownSeat| match (a, b) {
        (ShownSeat::Index(a), ShownSeat::Index(b)) => a.checked_add(1) == Some(*b),
        (ShownSeat::Index(_) | ShownSeat::Item(_), _) => false,
    };
    let words = seats.chunk_by(follows).map(|run| match run {
        [ShownSeat::Index(first), _, _, .., ShownSeat::Index(last)] => format!("s{first}-s{last}"),
        few => few.iter().map(ShownSeat::word).collect::<Vec<_>>().join(" "),
    });
    words.collect::<Vec<_>>().join(" ")
}

impl ShownSeat {
    fn word(&self) -> String {
        match self {
            Self::Index(index) => format!("s{index}"),
            Self::Item(id) => id.clone(),
        }
    }
}

/// Slots with the same cause, in the order of the first of each.
pub(super) fn grouped<'a, C>(
    items: impl Iterator<Item = (Shown, &'a C)>,
    same: impl Fn(&C, &C) -> bool,
) -> Vec<(Vec<Shown>, Vec<&'a C>)> {
    let mut groups: Vec<(Vec<Shown>, Vec<&C>)> = Vec::new();
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
