//! The slots that wait because a person stopped their last session: the plugin does not remember
//! that, so a file per slot does.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::process::directory::names;
use crate::process::record::{self, VERSION};
use crate::secure_fs::create_directory;
use coordinator_core::fleet::Slot;

/// `stopped/<slot>.json`.
#[derive(Debug, Serialize, Deserialize)]
struct StoppedSlot {
    version: u32,
    /// Of the session that was stopped.
    generation: u64,
    by: String,
}

/// The sessions that a person stopped.
#[derive(Debug, Default)]
pub(super) struct HeldSlots(BTreeMap<Slot, StoppedSlot>);

impl HeldSlots {
    /// Reads the files in the fleet's `directory`.
    pub(super) fn read(directory: &Path) -> anyhow::Result<Self> {
        let mut held = BTreeMap::new();
        for name in names(&folder(directory))? {
            let slot = name.to_str().and_then(|name| Slot::named(name.strip_suffix(".json")?));
            let Some(slot) = slot else { continue };
            let remedy = "let the slot go on with `coordinator resume`";
            if let Some(stopped) = record::read_with(&file(directory, &slot), remedy)? {
                held.insert(slot, stopped);
            }
        }
        Ok(Self(held))
    }

    /// Who stopped the session of this generation, where that still holds its slot.
    pub(super) fn by(&self, slot: &Slot, generation: u64) -> Option<String> {
        let stopped = self.0.get(slot).filter(|stopped| stopped.generation == generation);
        stopped.map(|stopped| stopped.by.clone())
    }
}

/// Holds the slot after its session of this generation.
pub(super) fn hold(directory: &Path, slot: &Slot, generation: u64, by: &str) -> anyhow::Result<()> {
    create_directory(directory)?;
    create_directory(&folder(directory))?;
    let stopped = StoppedSlot { version: VERSION, generation, by: by.to_owned() };
    record::write(&file(directory, slot), &stopped)
}

/// Lets the slot go on; whether it was held.
pub(super) fn release(directory: &Path, slot: &Slot) -> anyhow::Result<bool> {
    let path = file(directory, slot);
    match fs::remove_file(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        other => other.with_context(|| format!("remove {}", path.display())).map(|()| true),
    }
}

fn folder(directory: &Path) -> PathBuf {
    directory.join("stopped")
}

fn file(directory: &Path, slot: &Slot) -> PathBuf {
    folder(directory).join(format!("{}.json", slot.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use coordinator_core::fleet::RoleKey;

    #[test]
    fn a_stopped_session_holds_its_slot_until_a_person_lets_it_go_on() {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let slot = Slot::of_role(&RoleKey::parse("ui_builder").expect("a valid key"), 2);
        let by = |generation| {
            let held = HeldSlots::read(directory.path()).expect("it can be read");
            held.by(&slot, generation)
        };
        assert_eq!(by(4), None);
        hold(directory.path(), &slot, 4, "alice").expect("it can be written");
        assert_eq!((by(4).as_deref(), by(5)), (Some("alice"), None));
        assert!(release(directory.path(), &slot).expect("it can be removed"));
        assert!(!release(directory.path(), &slot).expect("nothing to remove"));
        assert_eq!(by(4), None);
    }
}
