//! The fleet's directory: where each file is, and how it is made so that nobody else can read it.
//!
//! ```text
//! slots/<role>-s<index>.lock                 the lock: empty, made once; of a role never unlinked
//! sessions/<role>-s<index>/<generation>/     launch.json prompt.md start.json exit.json out.log out.log.1 shim.log work/
//! .trash/                                    work directories on their way out
//! ```

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::secure_fs::{check_directory, create_directory, create_parents};
use coordinator_core::fleet::{FleetName, Slot};

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

    pub(crate) fn slots(&self) -> PathBuf {
        self.root.join("slots")
    }

    pub(crate) fn lock(&self, slot: &Slot) -> PathBuf {
        self.slots().join(format!("{}.lock", slot.name()))
    }

    pub(crate) fn sessions(&self) -> PathBuf {
        self.root.join("sessions")
    }

    pub(crate) fn records(&self, slot: &Slot) -> PathBuf {
        self.sessions().join(slot.name())
    }

    /// Since when the source of an item's slot does not have the item any more.
    pub(crate) fn left(&self, slot: &Slot) -> PathBuf {
        self.records(slot).join("left.json")
    }

    pub(crate) fn trash(&self) -> PathBuf {
        self.root.join(".trash")
    }

    /// Makes what a start needs. `state_dir` itself may be a link of the user's; nothing below it may.
    pub(crate) fn create(&self, slot: &Slot) -> anyhow::Result<()> {
        if let Some(state_dir) = self.root.parent() {
            create_parents(state_dir)?;
        }
        for path in [self.root.clone(), self.slots(), self.sessions(), self.trash(), self.records(slot)] {
            create_directory(&path)?;
        }
        Ok(())
    }

    /// Refuses a directory that is not ours; one that is not there yet is fine.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for path in [self.root.clone(), self.slots(), self.sessions()] {
            let metadata = match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                other => other.with_context(|| format!("look at {}", path.display()))?,
            };
            check_directory(&path, &metadata)?;
        }
        Ok(())
    }
}
