//! Removes what is remembered of work items that have left their source. Whoever removes holds the
//! slot's lock, so that no session runs there, and none starts; a start that waits for the lock
//! then finds that its file is another one.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::directory::Directory;
use super::history::History;
use super::record::{self, VERSION};
use super::survey::names;
use crate::lock;
use crate::secure_fs::create_directory;
use coordinator_core::fleet::{Group, Slot};
use coordinator_core::platform::KEPT_AFTER_ITEM;

/// `left.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Left {
    version: u32,
    /// Seconds since 1970.
    since: u64,
}

/// One look at every item's slot of these groups. What goes wrong in one slot is a warning.
pub(super) fn sweep(
    directory: &Directory,
    present: &BTreeSet<Slot>,
    groups: &BTreeSet<Group>,
    now: SystemTime,
) -> anyhow::Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    directory.check()?;
    let locks = names(&directory.slots())?;
    let locks = locks.iter().filter_map(|name| name.to_str()?.strip_suffix(".lock"));
    let records = names(&directory.sessions())?;
    let records = records.iter().filter_map(|name| name.to_str());
    let slots: BTreeSet<Slot> = locks.chain(records).filter_map(Slot::named).collect();
    for slot in slots.iter().filter(|slot| slot.index().is_none() && groups.contains(&slot.group)) {
        let swept = if present.contains(slot) {
            came_back(directory, slot)
        } else {
            sweep_slot(directory, slot, now)
        };
        if let Err(error) = swept {
            tracing::warn!("the records of {} stay: {error:#}", slot.name());
        }
    }
    Ok(())
}

/// Its source has the item again.
pub(super) fn came_back(directory: &Directory, slot: &Slot) -> anyhow::Result<()> {
    let mark = directory.left(slot);
    gone(fs::remove_file(&mark)).with_context(|| format!("remove {}", mark.display()))
}

fn sweep_slot(directory: &Directory, slot: &Slot, now: SystemTime) -> anyhow::Result<()> {
    let mark = directory.left(slot);
    let left: Option<Left> = record::read(&mark)?;
    let Some(limit) = now.checked_sub(KEPT_AFTER_ITEM) else { return Ok(()) };
    if left.as_ref().is_some_and(|left| left.since > seconds(limit)) {
        return Ok(());
    }
    let (path, records) = (directory.lock(slot), directory.records(slot));
    let Some(lock) = lock::acquire(&path)? else { return Ok(()) };
    if left.is_none() {
        create_directory(&records)?;
        return record::write(&mark, &Left { version: VERSION, since: seconds(now) });
    }
    // Another run may have seen it come back before the lock was ours.
    let is_marked = fs::symlink_metadata(&mark).is_ok();
    if is_marked && History::read(&records)?.is_over_since(limit) {
        remove(&records)?;
        gone(fs::remove_file(&path)).with_context(|| format!("remove {}", path.display()))?;
    }
    drop(lock);
    Ok(())
}

fn remove(records: &Path) -> anyhow::Result<()> {
    gone(fs::remove_dir_all(records)).with_context(|| format!("remove {}", records.display()))
}

/// Gone already is as good as removed.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
