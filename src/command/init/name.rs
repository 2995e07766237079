//! The fleet's name: that of its roster, else made of the folder's.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};
use toml::de::DeTable;

use coordinator_core::fleet::FleetName;

/// Characters of a fleet's name.
const MAX_NAME: usize = 16;

/// Hex digits that distinguish one folder from another.
const HASH_DIGITS: usize = 5;

/// Folders beside this one whose rosters are read.
const MAX_SIBLINGS: usize = 1000;

/// The fleet's name, and why it is not simply the folder's.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: String,
    why: Option<&'static str>,
}

impl Named {
    /// For the summary.
    pub(super) fn sentence(&self) -> String {
        let Self { name, why } = self;
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        format!("Fleet: {name}{why}\n")
    }
}

/// The fleet of the roster in this folder, else one that no folder beside it has.
pub(super) fn of_folder(dir: &Path) -> Named {
    if let Some(name) = of_roster(dir) {
        return Named { name, why: None };
    }
    let folder = dir.file_name().unwrap_or_default().to_string_lossy();
    let named = cut(&folder);
    if is_taken(dir, &named.name) {
        let why = "a folder beside this one has a fleet of the plain name";
        return Named { name: hashed(&named.name, &folder), why: Some(why) };
    }
    named
}

/// The folder's name as far as a fleet may have it: a-z and 0-9, 16 characters.
fn cut(folder: &str) -> Named {
    let lower = folder.to_lowercase();
    let name: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    if name.is_empty() {
        let why = "the folder's name has none of a-z and 0-9";
        return Named { name: hashed("fleet", folder), why: Some(why) };
    }
    if name.len() > MAX_NAME {
        let why = "cut to 16 characters, the last 5 made from the folder's whole name";
        return Named { name: hashed(&name, folder), why: Some(why) };
    }
    let why = (name != folder).then_some("a fleet's name has only a-z and 0-9");
    Named { name, why }
}

fn hashed(name: &str, folder: &str) -> String {
    let kept = &name[..name.len().min(MAX_NAME - HASH_DIGITS)];
    let digest = format!("{:x}", Sha256::digest(folder));
    format!("{kept}{}", &digest[..HASH_DIGITS])
}

fn is_taken(dir: &Path, name: &str) -> bool {
    let Some(beside) = dir.parent().and_then(|parent| fs::read_dir(parent).ok()) else {
        return false;
    };
    let others = beside.flatten().take(MAX_SIBLINGS).map(|entry| entry.path());
    others.filter(|other| other != dir).any(|other| of_roster(&other).as_deref() == Some(name))
}

fn of_roster(dir: &Path) -> Option<String> {
    let text = fs::read_to_string(dir.join("roster.toml")).ok()?;
    let roster = DeTable::parse(&text).ok()?;
    let name = roster.get_ref().get("fleet")?.get_ref().as_str()?;
    FleetName::parse(name).ok().map(|fleet| fleet.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_is_named_after_its_folder_as_far_as_that_goes() {
        for (folder, fleet) in [("shop", "shop"), ("My Shop_2", "myshop2"), ("x", "x")] {
            assert_eq!(cut(folder).name, fleet);
        }
        for folder in ["äöü", "日本", "a-very-long-name-of-a-folder", ""] {
            let name = cut(folder).name;
            assert!(FleetName::parse(&name).is_ok(), "{name}");
        }
        assert_ne!(cut("äöü").name, cut("日本").name);
    }

    #[test]
    fn long_names_that_begin_alike_make_two_fleets() {
        let names = ["internal-platform-api", "internal-platform-web"].map(|name| cut(name).name);
        assert_ne!(names[0], names[1]);
        assert!(names.iter().all(|name| name.starts_with("internalpla")), "{names:?}");
    }
}
