//! The files of one slot, for whoever reads its logs.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::directory::Directory;
use super::record;
use crate::lock::{self, Probe};
use coordinator_core::fleet::Slot;

/// One slot's files.
#[derive(Debug)]
pub(crate) struct SlotFiles {
    pub(super) directory: Directory,
    pub(super) slot: Slot,
}

impl SlotFiles {
    /// Whether a session of this slot is remembered.
    pub(crate) fn exist(&self) -> bool {
        self.directory.records(&self.slot).is_dir()
    }

    /// The directory of one generation, or of the newest that has a log.
    pub(crate) fn home(&self, generation: Option<u64>) -> anyhow::Result<PathBuf> {
        let records = self.directory.records(&self.slot);
        let slot = self.slot.name();
        let known = record::generations(&records)?;
        let home = |generation: &u64| records.join(generation.to_string());
        let has_log = |generation: &u64| home(generation).join("out.log").is_file();
        let Some(wanted) = generation else {
            let newest = known.iter().rev().find(|generation| has_log(generation));
            return newest.map(home).with_context(|| format!("no session of {slot} has a log yet"));
        };
        let with_log: Vec<String> = known.iter().filter(|known| has_log(known)).map(u64::to_string).collect();
        if !has_log(&wanted) {
            bail!("no log of generation {wanted} of {slot}; there are logs of {}", with_log.join(", "));
        }
        Ok(home(&wanted))
    }

    /// Whether the session in `home` has ended, recorded or not.
    pub(crate) fn has_ended(&self, home: &Path) -> anyhow::Result<bool> {
        let is_recorded = home.join("exit.json").exists();
        Ok(is_recorded || matches!(lock::probe(&self.directory.lock(&self.slot))?, Probe::Free { .. }))
    }
}
