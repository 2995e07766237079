//! The slot: a place for at most one live session. Its name is the lock that the platform keeps.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{FleetName, RoleKey, Usd, is_key};

/// Whose slots they are: a role of the roster, or another source. Both share one namespace.
///
/// A role's group is the role's key. A source's name is `[a-z][a-z0-9]{0,11}`, which is a key, too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(String);

impl Group {
    /// The group, or what is wrong with its name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if is_key(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err("the name of a group is that of a role or a source")
        }
    }

    /// As the roster writes it, with `_`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&RoleKey> for Group {
    fn from(role: &RoleKey) -> Self {
        Self(role.as_str().to_owned())
    }
}

impl PartialEq<RoleKey> for Group {
    fn eq(&self, role: &RoleKey) -> bool {
        self.0 == role.as_str()
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The part of an item's id that is in a name: a canonical decimal number as it is, any other
/// id as up to eight of its characters, `x`, and ten hex digits of its SHA-256. The whole id
/// travels beside it, in [`super::WorkItem`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey(String);

/// A number with more digits is named as any other id: the whole name must fit a Kubernetes Job.
const MAX_NUMBER_DIGITS: usize = 18;

/// Characters of the id that are kept for people.
const MAX_READABLE: usize = 8;

/// Hex digits that distinguish ids.
const HASH_DIGITS: usize = 10;

impl ItemKey {
    /// The key of the item whose store calls it `id`.
    pub fn of(id: &str) -> Self {
        if is_canonical_number(id) {
            return Self(id.to_owned());
        }
        let readable: String = id
            .to_lowercase()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(MAX_READABLE)
            .collect();
        let mut digest = format!("{:x}", Sha256::digest(id));
        digest.truncate(HASH_DIGITS);
        Self(format!("{readable}x{digest}"))
    }

    /// Reads a key back from a name; `None` for a text that [`ItemKey::of`] never makes.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hashed = || {
            let (readable, digest) = text.split_at_checked(text.len().checked_sub(HASH_DIGITS)?)?;
            let readable = readable.strip_suffix('x')?;
            let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            let is_readable = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            let fits = readable.len() <= MAX_READABLE && readable.chars().all(is_readable);
            (fits && digest.chars().all(is_hex)).then_some(())
        };
        (is_canonical_number(text) || is_hashed().is_some()).then(|| Self(text.to_owned()))
    }

    /// The key as it is in a name, after the `i`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_canonical_number(text: &str) -> bool {
    let is_number = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    is_number && text.len() <= MAX_NUMBER_DIGITS && (text == "0" || !text.starts_with('0'))
}

/// Which slot of its group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Seat {
    /// One of a role's interchangeable slots, counted from 0.
    Index(u32),
    /// The one slot of a work item.
    Item(ItemKey),
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "s{index}"),
            Self::Item(item) => write!(f, "i{}", item.as_str()),
        }
    }
}

impl Seat {
    fn parse(text: &str) -> Option<Self> {
        if let Some(item) = text.strip_prefix('i') {
            return ItemKey::parse(item).map(Self::Item);
        }
        let index = text.strip_prefix('s')?;
        let is_canonical = is_canonical_number(index);
        index.parse().ok().filter(|_| is_canonical).map(Self::Index)
    }
}

/// A place for at most one live session: the lock. Generation, role, phase and attempt are data and
/// never part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Whose slot it is.
    pub group: Group,
    /// Which one.
    pub seat: Seat,
}

impl Slot {
    /// One of a role's slots.
    pub fn of_role(role: &RoleKey, index: u32) -> Self {
        Self { group: Group::from(role), seat: Seat::Index(index) }
    }

    /// The slot of the item that its source calls `id`.
    pub fn of_item(group: &Group, id: &str) -> Self {
        Self { group: group.clone(), seat: Seat::Item(ItemKey::of(id)) }
    }

    /// Of a role's slots, which one; `None` for the slot of an item.
    pub fn index(&self) -> Option<u32> {
        match self.seat {
            Seat::Index(index) => Some(index),
            Seat::Item(_) => None,
        }
    }

    /// The slot within its fleet: `ui-builder-s2`, `issues-i123`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.group.as_str().replace('_', "-"), self.seat)
    }

    /// The session's full name, `<fleet>-<group>-<seat>`: what the platform keeps unique.
    pub fn session_name(&self, fleet: &FleetName) -> String {
        format!("{fleet}-{}", self.name())
    }

    /// Reads a slot as people and platforms write it: with or without the fleet, with `-` or `_`.
    pub fn parse(fleet: &FleetName, text: &str) -> Option<Self> {
        let text = text.replace('-', "_");
        let (group, seat) = text.rsplit_once('_')?;
        let seat = Seat::parse(seat)?;
        let group = group.strip_prefix(&format!("{fleet}_")).unwrap_or(group);
        Some(Self { group: Group::parse(group).ok()?, seat })
    }

    /// The slot of exactly this name within its fleet, as [`Slot::name`] writes it.
    pub fn named(name: &str) -> Option<Self> {
        let (group, seat) = name.rsplit_once('-')?;
        let group = Group::parse(&group.replace('-', "_")).ok()?;
        let slot = Self { group, seat: Seat::parse(seat)? };
        (slot.name() == name).then_some(slot)
    }
}

/// What a work item has used up, its current session included. Each session carries it, so that
/// nothing is counted anew from a history that may be cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Which attempt this is, from 1; only attempts that count raise it.
    pub attempt: u32,
    /// Sessions that ended because their agent's context was used up.
    pub context_restarts: u32,
    /// Sessions that worked on an open pull request of the item again.
    pub reworks: u32,
    /// Sessions that ended for reasons that are not the item's.
    pub uncounted: u32,
    /// What all earlier sessions of the item cost.
    pub cost_usd: Usd,
}

/// A task, an epic or an agent of a job, as a session carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkItem {
    /// As its store spells it.
    pub id: String,
    /// What it has used up.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What a session works on, in every list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemRun {
    /// The recipe that it ran.
    pub role: RoleKey,
    /// What it worked on.
    #[serde(flatten)]
    pub item: WorkItem,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fleet() -> FleetName {
        FleetName::parse("demo").expect("a valid name")
    }

    fn slot(role: &str, index: u32) -> Slot {
        Slot::of_role(&RoleKey::parse(role).expect("a valid key"), index)
    }

    fn item(source: &str, id: &str) -> Slot {
        Slot::of_item(&Group::parse(source).expect("a valid name"), id)
    }

    #[test]
    fn the_session_name_is_pinned_because_changing_it_orphans_every_live_session() {
        assert_eq!(slot("ui_builder", 2).session_name(&fleet()), "demo-ui-builder-s2");
        assert_eq!(item("issues", "123").session_name(&fleet()), "demo-issues-i123");
        assert_eq!(item("beads", "bd-4jz").session_name(&fleet()), "demo-beads-ibd4jzx4d0d5384fa");
    }

    #[test]
    fn a_session_name_reads_back_in_every_spelling() {
        for text in ["demo-ui-builder-s2", "ui-builder-s2", "ui_builder-s2", "ui_builder_s2"] {
            assert_eq!(Slot::parse(&fleet(), text), Some(slot("ui_builder", 2)), "{text}");
        }
        for text in ["demo-issues-i123", "issues-i123", "issues_i123"] {
            assert_eq!(Slot::parse(&fleet(), text), Some(item("issues", "123")), "{text}");
        }
        let refused = [
            "",
            "s2",
            "ui-builder",
            "ui-builder-s",
            "ui-builder-s02",
            "ui-builder-s+2",
            "UI-s1",
            "issues-i",
            "issues-i012",
            "issues-ibd4jz",
            "issues-ibd4jzx9f3c01ab2",
            "issues-iBD4jzx9f3c01ab22",
        ];
        for text in refused {
            assert_eq!(Slot::parse(&fleet(), text), None, "{text}");
        }
    }

    #[test]
    fn a_group_is_that_of_one_role_and_is_shown_as_the_roster_writes_it() {
        let role = |key: &str| RoleKey::parse(key).expect("a valid key");
        let group = Group::from(&role("ui_builder"));
        assert!(group == role("ui_builder") && group != role("ui_builders"));
        assert_eq!(group.to_string(), "ui_builder");
    }

    #[test]
    fn ids_that_look_alike_have_slots_of_their_own() {
        let ids = [
            "BD-4jz",
            "bd-4jz",
            "bd4jz",
            "0123",
            "123",
            "",
            "12345678901234567890",
            "ümlaut",
            "i1",
        ];
        let names: std::collections::BTreeSet<_> =
            ids.iter().map(|id| item("q", id).name()).collect();
        assert_eq!(names.len(), ids.len(), "{names:?}");
    }

    #[test]
    fn the_longest_session_name_fits_a_kubernetes_job() {
        let fleet = FleetName::parse(&"f".repeat(16)).expect("a valid name");
        let longest = [
            slot(&"r".repeat(28), 9999),
            item(&"q".repeat(12), &"9".repeat(18)),
            item(&"q".repeat(12), "a-b-c-d-e-f-g-h-i"),
        ];
        for name in longest.map(|slot| slot.session_name(&fleet)) {
            assert!(name.len() <= 52, "{name} has {} characters", name.len());
        }
    }

    proptest! {
        #[test]
        fn every_slot_reads_back_from_its_name(
            role in "[a-z]([a-z0-9_]{0,26}[a-z0-9])?", index: u32, source in "[a-z][a-z0-9]{0,11}",
            id in ".*",
        ) {
            for slot in [slot(&role, index), item(&source, &id)] {
                prop_assert_eq!(Slot::named(&slot.name()), Some(slot.clone()));
                let full = slot.session_name(&fleet());
                prop_assert_eq!(Slot::parse(&fleet(), &full), Some(slot));
            }
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = (Slot::parse(&fleet(), &text), Slot::named(&text), ItemKey::of(&text));
        }
    }
}
