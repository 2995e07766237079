//! The title of a run, by which it tells whose session it is. Pure.

use crate::fleet::{FleetName, Slot};

/// What a title says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Title {
    /// A session of this fleet.
    Ours { slot: Slot, generation: u64 },
    /// A session of another fleet that shares the workflow.
    OtherFleet,
    /// Nothing of this program's.
    Foreign,
}

impl Title {
    /// Reads `coord <fleet> <slot> g<generation> c<cycle>`, as the workflow's `run-name` writes it. Any deviation is foreign:
    /// a person who dispatches by hand may have put anything into the inputs.
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
            Some(_) if whose == *fleet => Self::Ours { slot, generation },
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
    use crate::fleet::RoleKey;

    fn fleet() -> FleetName {
        FleetName::parse("demo").expect("a valid name")
    }

    fn slot(role: &str, index: u32) -> Slot {
        Slot::of_role(&RoleKey::parse(role).expect("a valid key"), index)
    }

    #[test]
    fn a_title_of_this_fleet_tells_slot_and_generation() {
        let read = |text| Title::read(&fleet(), text);
        let ours = |role, index, generation| Title::Ours { slot: slot(role, index), generation };
        assert_eq!(read("coord demo ui-builder-s2 g4 c18f-3a"), ours("ui_builder", 2, 4));
        // A role may begin like the fleet.
        assert_eq!(read("coord demo demo-tester-s0 g1 cx"), ours("demo_tester", 0, 1));
        assert_eq!(read("coord other ui-builder-s2 g4 c1"), Title::OtherFleet);
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
            prop_assert_eq!(Title::read(&fleet(), &title), Title::Ours { slot, generation });
        }

        #[test]
        fn no_title_panics(text in ".*") {
            let _ = Title::read(&fleet(), &text);
        }
    }
}
