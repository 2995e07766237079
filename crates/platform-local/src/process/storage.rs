//! Keeps a slot's disk use bounded: log rotation, and the removal of old logs, work directories and records.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::secure_fs::{create_directory, open_private};
use coordinator_core::fleet::HISTORY;

/// A log this long is rotated; two of them are kept.
pub(super) const LOG_LIMIT_BYTES: u64 = 64 << 20;

/// Copies the log aside and empties it, when it is longer than `limit_bytes`. The agent appends to the file by itself,
/// so it cannot be renamed away.
pub(super) fn rotate(home: &Path, limit_bytes: u64) -> anyhow::Result<()> {
    let path = home.join("out.log");
    let length = fs::metadata(&path)?.len();
    if length <= limit_bytes {
        return Ok(());
    }
    let mut log = open_private(&path, OpenOptions::new().read(true).write(true))?;
    let mut old =
        open_private(&home.join("out.log.1"), OpenOptions::new().write(true).create(true).truncate(true))?;
    // An agent that floods its log loses the start of it: neither the disk nor this copy must become endless.
    let most_bytes = limit_bytes.saturating_mul(2);
    log.seek(SeekFrom::Start(length.saturating_sub(most_bytes)))?;
    io::copy(&mut Read::by_ref(&mut log).take(most_bytes), &mut old)?;
    log.set_len(0)?;
    Ok(())
}

/// What is to go when a session has started.
#[derive(Debug, Default, PartialEq, Eq)]
struct Excess {
    logs: Vec<u64>,
    work: Vec<u64>,
    records: Vec<u64>,
}

/// The newest `retain` logs and `retain_work` work directories stay, the current session's among them. The last
/// records stay whatever is set: backoff reads them.
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

/// Moves away what is too old and returns the removal of it, which may take long. `records` is the slot's folder.
/// Failures are warnings on stderr, the shim's own log.
pub(super) fn tidy(root: &Path, records: &Path, retain: u32, retain_work: u32) -> Removal {
    let slot = records.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let trash = root.join(".trash");
    let generations = warn("list old sessions", super::record::generations(records)).unwrap_or_default();
    let excess = excess(&generations, retain, retain_work);
    let home = |generation: &u64| records.join(generation.to_string());
    let work = excess.work.iter().map(|generation| (home(generation).join("work"), *generation));
    let records_of = excess.records.iter().map(|generation| (home(generation), *generation));
    for path in excess
        .logs
        .iter()
        .flat_map(|generation| ["out.log", "out.log.1"].map(|log| home(generation).join(log)))
    {
        warn("remove an old log", gone(fs::remove_file(path)));
    }
    let _ = warn("create the trash", create_directory(&trash));
    for (number, (path, generation)) in work.chain(records_of).enumerate() {
        let target = trash.join(format!("{slot}.{generation}.{}.{number}", std::process::id()));
        warn("move an old session away", gone(fs::rename(path, target)));
    }
    Removal::of_slot(&trash, &slot)
}

/// The removal of a slot's trash, in steps of one directory, so that the shim never looks away for long.
#[derive(Debug)]
pub(super) struct Removal {
    stack: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Empty(PathBuf),
    Remove(PathBuf),
}

impl Removal {
    /// Takes also what an earlier shim of the slot could not finish.
    fn of_slot(trash: &Path, slot: &str) -> Self {
        let prefix = format!("{slot}.");
        let entries = warn("list the trash", fs::read_dir(trash)).into_iter().flatten().flatten();
        let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        Self { stack: ours.map(|entry| Step::Empty(entry.path())).collect() }
    }

    pub(super) fn is_done(&self) -> bool {
        self.stack.is_empty()
    }

    /// Empties or removes one directory.
    pub(super) fn step(&mut self) {
        match self.stack.pop() {
            Some(Step::Empty(path)) => {
                warn("empty an old directory", self.empty(path));
            }
            Some(Step::Remove(path)) => {
                warn("remove an old directory", gone(fs::remove_dir(path)));
            }
            None => {}
        }
    }

    /// Package caches are read-only, so the mode is set first. Links are removed, never followed: an agent may have
    /// put one in place of its own work directory.
    fn empty(&mut self, path: PathBuf) -> io::Result<()> {
        if !fs::symlink_metadata(&path)?.is_dir() {
            return gone(fs::remove_file(path));
        }
        fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        let entries = fs::read_dir(&path)?;
        self.stack.push(Step::Remove(path));
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.stack.push(Step::Empty(entry.path()));
            } else {
                gone(fs::remove_file(entry.path()))?;
            }
        }
        Ok(())
    }
}

/// Gone already is as good as removed.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Says on stderr what could not be tidied; a session never fails for it.
#[expect(clippy::print_stderr, reason = "stderr is the shim's log file")]
pub(super) fn warn<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> Option<T> {
    result.inspect_err(|error| eprintln!("warning: cannot {what}: {error:#}")).ok()
}

/// The log of a session, to which the agent appends.
pub(super) fn open_log(home: &Path) -> anyhow::Result<File> {
    open_private(&home.join("out.log"), OpenOptions::new().append(true).create(true))
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
        let mut removal = tidy(root.path(), &records, 5, 1);
        while !removal.is_done() {
            removal.step();
        }
        assert!(!records.join("1/work").exists() && fs::symlink_metadata(records.join("2/work")).is_err());
        assert!(records.join("3/work").exists());
        assert!(outside.join("kept").exists());
        let left = fs::read_dir(root.path().join(".trash")).expect("the trash stays").count();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_rotated_log_loses_nothing_and_starts_again() {
        let home = tempfile::tempdir().expect("a temporary directory");
        let mut agent = open_log(home.path()).expect("open the log");
        io::Write::write_all(&mut agent, b"first\n").expect("write");
        rotate(home.path(), 6).expect("nothing to do");
        assert!(!home.path().join("out.log.1").exists());
        rotate(home.path(), 5).expect("rotate");
        io::Write::write_all(&mut agent, b"second\n").expect("write");
        let read = |name: &str| fs::read_to_string(home.path().join(name)).expect("read");
        assert_eq!((read("out.log.1").as_str(), read("out.log").as_str()), ("first\n", "second\n"));
    }
}
