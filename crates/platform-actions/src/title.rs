//! The title of a run: whose session it is, and what it works on. The list of runs shows titles and
//! no inputs.

use std::fmt::Write;
use std::time::Duration;

use coordinator_core::fleet::{
    Counts, FleetName, ItemKey, ItemRun, RoleKey, Seat, Slot, Usd, WorkItem,
};

/// The longest part of a title that is about an item. GitHub documents no limit; it cuts the names
/// of jobs at 100 characters. A title that was cut does not read back, and the admission refuses
/// its run.
pub(super) const MAX_ITEM_PART: usize = 160;

/// In place of the cycle in the title of a run without a session: with it a person let the slot go
/// on whose last session was stopped. No cycle is called so.
pub const RESUMED: &str = "resumed";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Title {
    /// A session of this fleet.
    Ours {
        slot: Slot,
        generation: u64,
        /// `None` in the slot of a role, and where the part about the item cannot be read.
        item: Option<ItemTitle>,
        /// No session: a person let the slot go on.
        is_resume: bool,
    },
    /// A session of another fleet that shares the workflow.
    OtherFleet,
    /// Nothing of this program's.
    Foreign,
}

/// The part of a work item's title beside slot and generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ItemTitle {
    pub(super) run: ItemRun,
    /// Of the session, in whole seconds.
    pub(super) time_limit: Duration,
}

impl ItemTitle {
    /// The input `item`, which `run-name` puts behind the cycle:
    /// `;role=builder;attempt=2;limit=7200;id=bd-4jz`. The id comes last: a title that was cut has
    /// an id that does not belong to its slot.
    pub(super) fn part(&self) -> String {
        let Self { run: ItemRun { role, item: WorkItem { id, counts } }, time_limit } = self;
        let Counts { attempt, context_restarts, reworks, uncounted, cost_usd } = *counts;
        let mut part = format!(";role={role};attempt={attempt}");
        for (name, count) in
            [("restarts", context_restarts), ("reworks", reworks), ("uncounted", uncounted)]
        {
            if count > 0 {
                // Writing to a String cannot fail.
                let _ = write!(part, ";{name}={count}");
            }
        }
        if cost_usd != Usd::default() {
            let _ = write!(part, ";cost={}", cost_usd.dollars());
        }
        let _ = write!(part, ";limit={};id={}", time_limit.as_secs(), encoded(id));
        part
    }

    /// Reads the part back; `None` where something is missing, odd, or not about the item of the
    /// slot. What later versions may add is left out.
    fn read(part: &str, key: &ItemKey) -> Option<Self> {
        let value = |name: &str| {
            let pairs = part.split(';').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
        };
        let count = |name: &str| value(name).map_or(Some(0), |text| text.parse().ok());
        let id = decoded(value("id")?).filter(|id| ItemKey::of(id) == *key)?;
        let counts = Counts {
            attempt: value("attempt")?.parse().ok()?,
            context_restarts: count("restarts")?,
            reworks: count("reworks")?,
            uncounted: count("uncounted")?,
            cost_usd: value("cost")
                .map_or(Some(0.0), |text| text.parse().ok())
                .map(Usd::from_dollars)?,
        };
        let role = RoleKey::parse(value("role")?).ok()?;
        let time_limit = Duration::from_secs(value("limit")?.parse().ok()?);
        Some(Self { run: ItemRun { role, item: WorkItem { id, counts } }, time_limit })
    }
}

/// The id in letters, digits and a few marks; `%` and two hex digits for each byte of the rest.
fn encoded(id: &str) -> String {
    let mut text = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:+".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

impl Title {
    /// Reads `coord <fleet> <slot> g<generation> c<cycle>`, as the workflow's `run-name` writes it,
    /// with the input `item` behind the cycle. Any deviation is foreign: a person who dispatches by
    /// hand may have put anything into the inputs.
    ///
    /// Where the part about the item cannot be read, the run is one of the slot all the same: it
    /// may hold it.
    pub(super) fn read(fleet: &FleetName, text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let ["coord", whose, slot, generation, cycle] = words[..] else { return Self::Foreign };
        let (Ok(whose), Some(slot), Some(generation)) =
            (FleetName::parse(whose), Slot::named(slot), generation_of(generation))
        else {
            return Self::Foreign;
        };
        match cycle.strip_prefix('c') {
            None | Some("") => Self::Foreign,
            Some(cycle) if whose == *fleet => {
                let item = match &slot.seat {
                    Seat::Index(_) => None,
                    Seat::Item(key) => {
                        cycle.split_once(';').and_then(|(_, part)| ItemTitle::read(part, key))
                    }
                };
                let is_resume = cycle == RESUMED;
                Self::Ours { slot, generation, item, is_resume }
            }
            Some(_) => Self::OtherFleet,
        }
    }
}

fn generation_of(text: &str) -> Option<u64> {
    let generation: u64 = text.strip_prefix('g')?.parse().ok()?;
    (generation > 0 && format!("g{generation}") == text).then_some(generation)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use coordinator_core::fleet::Group;

    fn fleet() -> FleetName {
        FleetName::parse("demo").expect("a valid name")
    }

    fn slot(role: &str, index: u32) -> Slot {
        Slot::of_role(&RoleKey::parse(role).expect("a valid key"), index)
    }

    #[test]
    fn a_title_of_this_fleet_tells_slot_and_generation() {
        let read = |text| Title::read(&fleet(), text);
        let ours = |role, index, generation| Title::Ours {
            slot: slot(role, index),
            generation,
            item: None,
            is_resume: false,
        };
        assert_eq!(read("coord demo ui-builder-s2 g4 c18f-3a"), ours("ui_builder", 2, 4));
        // A role may begin like the fleet.
        assert_eq!(read("coord demo demo-tester-s0 g1 cx"), ours("demo_tester", 0, 1));
        assert_eq!(read("coord other ui-builder-s2 g4 c1"), Title::OtherFleet);
    }

    fn item_title(id: &str, counts: Counts, seconds: u64) -> ItemTitle {
        let role = RoleKey::parse("builder").expect("a valid key");
        let run = ItemRun { role, item: WorkItem { id: id.to_owned(), counts } };
        ItemTitle { run, time_limit: Duration::from_secs(seconds) }
    }

    #[test]
    fn a_title_tells_the_item_its_role_its_attempt_and_what_it_has_used_up() {
        let cost_usd = Usd::from_dollars(1.25);
        let counts = Counts { attempt: 2, uncounted: 1, cost_usd, ..Counts::default() };
        let item = item_title("a b;c=%ü", counts, 7200);
        let part =
            ";role=builder;attempt=2;uncounted=1;cost=1.25;limit=7200;id=a%20b%3Bc%3D%25%C3%BC";
        assert_eq!(item.part(), part);
        let of_item = Slot::of_item(&Group::parse("queue").expect("a valid name"), "a b;c=%ü");
        let name = of_item.name();
        let read = |text: &str| Title::read(&fleet(), text);
        let ours =
            |item| Title::Ours { slot: of_item.clone(), generation: 3, item, is_resume: false };
        assert_eq!(read(&format!("coord demo {name} g3 c1{part}")), ours(Some(item.clone())));
        assert_eq!(read(&format!("coord demo {name} g3 c1{part};of=tomorrow")), ours(Some(item)));
        for odd in
            ["", ";", ";id=other", &part.replace("role=builder", "role=B"), &part[..part.len() - 3]]
        {
            let title = format!("coord demo {name} g3 c1{odd}");
            assert_eq!(read(&title), ours(None), "{title}");
        }
        let of_role = Title::read(&fleet(), &format!("coord demo qa-s0 g3 c1{part}"));
        assert_eq!(
            of_role,
            Title::Ours { slot: slot("qa", 0), generation: 3, item: None, is_resume: false }
        );
    }

    #[test]
    fn any_other_title_is_foreign() {
        for text in [
            "",
            "Agent session",
            "coord demo ui-builder-s2 g4",
            "coord demo ui-builder-s2 g4 c",
            "coord demo ui-builder-s2 g4 c1 more",
            "coord demo  ui-builder-s2 g4 c1",
            " coord demo ui-builder-s2 g4 c1",
            "coord demo ui-builder-s02 g4 c1",
            "coord demo ui_builder-s2 g4 c1",
            "coord demo ui-builder-s2 g04 c1",
            "coord demo ui-builder-s2 g+4 c1",
            "coord demo ui-builder-s2 g0 c1",
            "coord demo ui-builder-s2 4 1",
            "coord demo ui-builder g4 c1",
            "coord demo s2 g4 c1",
            "coord DEMO ui-builder-s2 g4 c1",
            "Coord demo ui-builder-s2 g4 c1",
            "coord demo ui-builder-s4294967296 g4 c1",
        ] {
            assert_eq!(Title::read(&fleet(), text), Title::Foreign, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_the_workflow_writes_reads_back(
            role in "[a-z]([a-z0-9_]{0,26}[a-z0-9])?", index: u32, generation in 1u64..,
        ) {
            let slot = slot(&role, index);
            let title = format!("coord demo {} g{generation} c18f0-1a", slot.name());
            prop_assert_eq!(Title::read(&fleet(), &title),
                Title::Ours { slot, generation, item: None, is_resume: false });
        }

        #[test]
        fn what_travels_with_an_item_reads_back_and_a_title_that_was_cut_does_not(
            id in ".{0,12}", attempt: u32, rest: [u32; 3], micros in 0u32.., seconds: u64,
            cut in 1usize..40,
        ) {
            let [context_restarts, reworks, uncounted] = rest;
            let cost_usd = Usd::from_dollars(f64::from(micros) / 1e6);
            let counts = Counts { attempt, context_restarts, reworks, uncounted, cost_usd };
            let item = item_title(&id, counts, seconds);
            let slot = Slot::of_item(&Group::parse("queue").expect("a valid name"), &id);
            let title = format!("coord demo {} g3 c18f0-1a{}", slot.name(), item.part());
            prop_assert!(title.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{}",
                title);
            let read = |text: &str| match Title::read(&fleet(), text) {
                Title::Ours { item, .. } => item,
                Title::OtherFleet | Title::Foreign => None,
            };
            prop_assert_eq!(read(&title), Some(item));
            let shortest = title.len() - item_title(&id, counts, seconds).part().len();
            let end = title.len().saturating_sub(cut).max(shortest);
            let is_whole = end == title.len() || id.is_empty() && title[..end].ends_with("id=");
            prop_assert!(is_whole || read(&title[..end]).is_none(), "{}", &title[..end]);
        }

        #[test]
        fn no_title_panics(text in ".*") {
            let _ = Title::read(&fleet(), &text);
        }
    }
}
