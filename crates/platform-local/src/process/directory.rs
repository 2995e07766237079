//! The fleet's directory: where each file is, and how it is made so that no other user can read it.
//!
//! ```text
//! slots/<role>-s<index>.lock                 the lock: empty, made once; of a role never unlinked
//! paused.json                                the fleet is paused
//! sessions/<role>-s<index>/<generation>/     launch.json prompt.md start.json exit.json stop.json
//!                                            resumed.json verbose.jsonl|output.log monitor.log
//!                                            result.json result.txt meta.json work/
//! sessions/<source>-i<item>/left.json        since when the source does not have the item any more
//! sessions/<slot>/leftovers.json             what of its old sessions cannot be removed
//! .trash/                                    work directories on their way out
//! ```

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::secure_fs::{check_directory, create_directory, create_parents};
use coordinator_core::fleet::{FleetName, Slot};

/// The name of [`Directory::leftovers`].
pub(super) const LEFTOVERS: &str = "leftovers.json";

/// The paths of one fleet.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(crate) fn new(state_dir: &Path, fleet: &FleetName) -> Self {
        Self { root: state_dir.join(fleet.as_str()) }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn locks(&self) -> PathBuf {
        self.root.join("slots")
    }

    fn sessions(&self) -> PathBuf {
        self.root.join("sessions")
    }

    pub(crate) fn lock(&self, slot: &Slot) -> PathBuf {
        self.locks().join(format!("{}.lock", slot.name()))
    }

    /// The folder of a slot's sessions.
    pub(crate) fn records(&self, slot: &Slot) -> PathBuf {
        self.sessions().join(slot.name())
    }

    /// The folder of one session.
    pub(crate) fn home(&self, slot: &Slot, generation: u64) -> PathBuf {
        self.records(slot).join(generation.to_string())
    }

    /// Since when the source of an item's slot does not have the item any more.
    pub(crate) fn left(&self, slot: &Slot) -> PathBuf {
        self.records(slot).join("left.json")
    }

    /// The record of a pause.
    pub(crate) fn paused(&self) -> PathBuf {
        self.root.join("paused.json")
    }

    /// What of the slot's old sessions cannot be removed.
    pub(crate) fn leftovers(&self, slot: &Slot) -> PathBuf {
        self.records(slot).join(LEFTOVERS)
    }

    /// Makes the fleet's directory. `state_dir` itself may be a link of the user's; nothing below
    /// it may.
    pub(crate) fn create(&self) -> anyhow::Result<()> {
        if let Some(state_dir) = self.root.parent() {
            create_parents(state_dir)?;
        }
        for path in [self.root.clone(), self.locks(), self.sessions(), self.root.join(".trash")] {
            create_directory(&path)?;
        }
        Ok(())
    }

    /// Refuses a directory that is not ours; one that is not there yet is fine.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for path in [self.root.clone(), self.locks(), self.sessions()] {
            let metadata = match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                other => other.with_context(|| format!("look at {}", path.display()))?,
            };
            check_directory(&path, &metadata)?;
        }
        Ok(())
    }

    /// Every slot that has a lock file or a record.
    pub(crate) fn slots(&self) -> anyhow::Result<BTreeSet<Slot>> {
        self.check()?;
        let (locks, records) = (names(&self.locks())?, names(&self.sessions())?);
        let locks = locks.iter().filter_map(|name| name.to_str()?.strip_suffix(".lock"));
        let records = records.iter().filter_map(|name| name.to_str());
        Ok(locks.chain(records).filter_map(Slot::named).collect())
    }
}

/// The names in a directory; none where it does not exist.
pub(crate) fn names(directory: &Path) -> anyhow::Result<Vec<OsString>> {
    let context = || format!("read {}", directory.display());
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(context)?,
    };
    entries.map(|entry| Ok(entry.with_context(context)?.file_name())).collect()
}
