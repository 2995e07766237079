//! What is kept of old sessions, and for how long. The shim of a new session tidies its slot; a
//! cycle sweeps the slots of work items that have left their source.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::directory::{Directory, LEFTOVERS};
use super::logs::all_logs;
use super::record::{self, VERSION};
use super::scan::SlotScan;
use super::shim::warn;
use crate::lock;
use crate::secure_fs::create_directory;
use coordinator_core::fleet::{Group, HISTORY, Leftover, Slot};
use coordinator_core::platform::KEPT_AFTER_ITEM;

/// The generations whose files are removed when a session has started.
#[derive(Debug, Default, PartialEq, Eq)]
struct Excess {
    logs: Vec<u64>,
    work: Vec<u64>,
    records: Vec<u64>,
}

/// The newest `retain` logs and `retain_work` work directories stay, the current session's among
/// them. The last [`HISTORY`] records always stay: backoff reads them.
fn excess(generations: &[u64], retain: u32, retain_work: u32) -> Excess {
    let older_than = |kept: usize| {
        let kept = kept.max(1).min(generations.len());
        generations[..generations.len() - kept].to_vec()
    };
    let (retain, retain_work) = (retain as usize, retain_work as usize);
    Excess {
        logs: older_than(retain),
        work: older_than(retain_work),
        records: older_than(retain.max(retain_work).max(HISTORY)),
    }
}

/// Records of sessions that ended less than this ago stay, for `coordinator history`.
const KEPT_RECORDS: Duration = Duration::from_secs(48 * 60 * 60);

/// Records of a slot that stay at most.
const MAX_RECORDS: usize = 10_000;

/// The large files of a session. Its record stays longer than they do.
const BULK: [&str; 5] = ["launch.json", "prompt.md", "result.json", "result.txt", "monitor.log"];

/// Whether the session in `home` ended after `limit`.
fn ended_after(home: &Path, limit: SystemTime) -> bool {
    let ended_at = fs::symlink_metadata(home.join("exit.json")).and_then(|exit| exit.modified());
    ended_at.is_ok_and(|at| at > limit)
}

/// Moves away what is too old and returns its removal, which may take long. `records` is the slot's
/// folder. Failures are warnings on stderr, the shim's own log.
pub(super) fn tidy(
    root: &Path,
    records: &Path,
    retain: u32,
    retain_work: u32,
    now: SystemTime,
) -> Removal {
    let slot = records.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let trash = root.join(".trash");
    let generations = warn("list old sessions", record::generations(records)).unwrap_or_default();
    let mut excess = excess(&generations, retain, retain_work);
    let home = |generation: &u64| records.join(generation.to_string());
    let files = |generation: &u64| BULK.map(|name| home(generation).join(name));
    // Those of older records went when these sessions became excess.
    let bulk: Vec<PathBuf> = excess.records.iter().rev().take(HISTORY).flat_map(files).collect();
    let limit = now.checked_sub(KEPT_RECORDS).unwrap_or(SystemTime::UNIX_EPOCH);
    let surplus = generations.len().saturating_sub(MAX_RECORDS);
    let oldest: BTreeSet<u64> = generations[..surplus].iter().copied().collect();
    excess
        .records
        .retain(|generation| oldest.contains(generation) || !ended_after(&home(generation), limit));
    let work = excess.work.iter().map(|generation| (home(generation).join("work"), *generation));
    let records_of = excess.records.iter().map(|generation| (home(generation), *generation));
    let logs = excess.logs.iter().flat_map(|generation| all_logs(&home(generation)));
    for path in logs.chain(bulk) {
        warn("remove an old log", gone(fs::remove_file(path)));
    }
    let _ = warn("create the trash", create_directory(&trash));
    let mut immovable = Vec::new();
    for (number, (path, generation)) in work.chain(records_of).enumerate() {
        let target = trash.join(format!("{slot}.{generation}.{}.{number}", std::process::id()));
        if warn("move an old session away", gone(fs::rename(&path, target))).is_none() {
            immovable.push(path);
        }
    }
    Removal::of_slot(&trash, &slot, records, immovable)
}

/// What a slot's last [`Removal`] could not remove and still exists. An unreadable record is a
/// warning in the log: it must not keep a fleet from its size.
pub(super) fn leftovers(directory: &Directory, slot: &Slot) -> Vec<Leftover> {
    let path = directory.leftovers(slot);
    let mut found = match record::read(&path) {
        Ok(record) => record.map_or_else(Vec::new, |Leftovers { found, .. }| found),
        Err(error) => {
            tracing::warn!("{error:#}");
            Vec::new()
        }
    };
    found.retain(|leftover| fs::symlink_metadata(&leftover.path).is_ok());
    found
}

/// `leftovers.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Leftovers {
    version: u32,
    found: Vec<Leftover>,
}

/// Records which of `paths` still exist, for [`leftovers`].
fn note(records: &Path, paths: &[PathBuf]) -> anyhow::Result<()> {
    let left = paths.iter().filter(|path| fs::symlink_metadata(path).is_ok());
    let found: Vec<Leftover> =
        left.map(|path| Leftover { path: path.clone(), bytes: size(path) }).collect();
    let record = records.join(LEFTOVERS);
    if found.is_empty() {
        return gone(fs::remove_file(&record))
            .with_context(|| format!("remove {}", record.display()));
    }
    record::write(&record, &Leftovers { version: VERSION, found })
}

/// Files beyond these do not count: the shim must stay responsive.
const MAX_MEASURED: usize = 10_000;

/// Of the files at or below a path, in bytes, as far as this user sees them.
fn size(path: &Path) -> u64 {
    let (mut bytes, mut stack) = (0, vec![path.to_owned()]);
    for _ in 0..MAX_MEASURED {
        let Some(path) = stack.pop() else { break };
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            stack.extend(entries.map(|entry| entry.path()));
        } else {
            bytes += metadata.len();
        }
    }
    bytes
}

/// The removal of a slot's trash, in steps of one directory, so that the shim is never busy for
/// long.
#[derive(Debug)]
pub(super) struct Removal {
    stack: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Empty(PathBuf),
    Remove(PathBuf),
    /// The last one: records what is left of these.
    Note {
        records: PathBuf,
        paths: Vec<PathBuf>,
    },
}

impl Removal {
    /// Includes what an earlier shim of the slot could not finish. `immovable` is not in the trash.
    fn of_slot(trash: &Path, slot: &str, records: &Path, immovable: Vec<PathBuf>) -> Self {
        let prefix = format!("{slot}.");
        let entries = warn("list the trash", fs::read_dir(trash)).into_iter().flatten().flatten();
        let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        let ours: Vec<PathBuf> = ours.map(|entry| entry.path()).collect();
        let paths = ours.iter().cloned().chain(immovable).collect();
        let note = Step::Note { records: records.to_owned(), paths };
        Self { stack: std::iter::once(note).chain(ours.into_iter().map(Step::Empty)).collect() }
    }

    pub(super) fn is_done(&self) -> bool {
        self.stack.is_empty()
    }

    /// Empties or removes one directory; what fails is tried again by the slot's next session.
    pub(super) fn step(&mut self) {
        match self.stack.pop() {
            Some(Step::Empty(path)) => {
                warn("empty an old directory", self.empty(path));
            }
            Some(Step::Remove(path)) => {
                warn("remove an old directory", gone(fs::remove_dir(path)));
            }
            Some(Step::Note { records, paths }) => {
                warn("record what cannot be removed", note(&records, &paths));
            }
            None => {}
        }
    }

    /// Package caches are read-only, so the mode is set first. Links are removed, never followed:
    /// an agent may have put one in place of its own work directory.
    fn empty(&mut self, path: PathBuf) -> io::Result<()> {
        if !fs::symlink_metadata(&path)?.is_dir() {
            return gone(fs::remove_file(path));
        }
        let opened = fs::set_permissions(&path, Permissions::from_mode(0o700));
        self.stack.push(Step::Remove(path.clone()));
        let mut result = opened;
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.stack.push(Step::Empty(entry.path()));
            } else {
                result = result.and(gone(fs::remove_file(entry.path())));
            }
        }
        result
    }
}

/// `left.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Left {
    version: u32,
    /// Seconds since 1970.
    since: u64,
}

/// Reads every item's slot of these groups once. An error in one slot is a warning. The lock of a
/// slot is held while its records are removed, so that no session runs there, and none starts; a
/// start that waits for the lock then finds that its file is another one.
pub(super) fn sweep(
    directory: &Directory,
    present: &BTreeSet<Slot>,
    groups: &BTreeSet<Group>,
    now: SystemTime,
) -> anyhow::Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    let slots = directory.slots()?;
    for slot in slots.iter().filter(|slot| slot.index().is_none() && groups.contains(&slot.group)) {
        let swept = if present.contains(slot) {
            came_back(directory, slot)
        } else {
            sweep_slot(directory, slot, now)
        };
        if let Err(error) = swept {
            tracing::warn!("the records of {} were not removed: {error:#}", slot.name());
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
    if is_marked && SlotScan::of_free(directory, slot)?.is_over_since(limit) {
        if let Err(error) = gone(fs::remove_dir_all(&records)) {
            tracing::debug!("cannot remove {}: {error}", records.display());
            return note(&records, std::slice::from_ref(&records));
        }
        gone(fs::remove_file(&path)).with_context(|| format!("remove {}", path.display()))?;
    }
    drop(lock);
    Ok(())
}

/// A file that does not exist counts as removed.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generations(newest: u64) -> Vec<u64> {
        (1..=newest).collect()
    }

    #[test]
    fn the_newest_logs_and_work_directories_stay() {
        let excess = excess(&generations(7), 5, 1);
        assert_eq!(excess.logs, [1, 2]);
        assert_eq!(excess.work, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn the_last_eight_records_stay_whatever_is_set() {
        assert!(excess(&generations(8), 0, 0).records.is_empty());
        assert_eq!(excess(&generations(10), 0, 0).records, [1, 2]);
        assert_eq!(excess(&generations(20), 12, 0).records, generations(8));
    }

    #[test]
    fn what_the_current_session_uses_stays() {
        assert_eq!(excess(&generations(1), 0, 0), Excess::default());
        assert_eq!(excess(&[], 0, 0), Excess::default());
    }

    #[test]
    fn old_work_is_removed_even_when_it_is_read_only_and_links_are_not_followed() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let outside = root.path().join("outside");
        fs::create_dir(&outside).expect("write");
        fs::write(outside.join("kept"), "x").expect("write");
        let records = root.path().join("sessions/agent-s0");
        for generation in 1..=3 {
            fs::create_dir_all(records.join(format!("{generation}/work/cache"))).expect("write");
        }
        let cache = records.join("1/work/cache");
        fs::write(cache.join("package"), "x").expect("write");
        std::os::unix::fs::symlink(&outside, cache.join("link")).expect("link");
        fs::set_permissions(&cache, Permissions::from_mode(0o500)).expect("chmod");
        fs::remove_dir_all(records.join("2/work")).expect("remove");
        std::os::unix::fs::symlink(&outside, records.join("2/work")).expect("link");
        let mut removal = tidy(root.path(), &records, 5, 1, SystemTime::UNIX_EPOCH);
        while !removal.is_done() {
            removal.step();
        }
        assert!(
            !records.join("1/work").exists()
                && fs::symlink_metadata(records.join("2/work")).is_err()
        );
        assert!(records.join("3/work").exists());
        assert!(outside.join("kept").exists());
        let left = fs::read_dir(root.path().join(".trash")).expect("the trash stays").count();
        assert_eq!(left, 0);
    }
}
