//! A lock, such as a slot's: `flock` on a file that only a holder of the lock unlinks. The kernel
//! frees it when its last holder has ended.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

use super::secure_fs::open_private;

/// An inventory may hold the lock shared for a moment; a session holds it until its end.
const PROBE_PAUSE: Duration = Duration::from_millis(50);

/// How often a lock file may be replaced while it is opened.
const MAX_OPENS: u32 = 3;

/// Takes the lock, for a session or a run; `None` when another process holds it.
pub(super) fn acquire(path: &Path) -> anyhow::Result<Option<File>> {
    for _ in 0..MAX_OPENS {
        let file = open_private(
            path,
            OpenOptions::new().read(true).write(true).create(true).truncate(false),
        )?;
        if !try_exclusive(&file, path)? {
            thread::sleep(PROBE_PAUSE);
            if !try_exclusive(&file, path)? {
                return Ok(None);
            }
        }
        if is_in_place(&file, path)? {
            return Ok(Some(file));
        }
    }
    bail!("{} keeps being replaced; stop the program that removes lock files", path.display())
}

/// Whether a lock is held.
pub(super) enum Probe {
    /// A session holds it, or a start is under way.
    Held,
    /// It is free, and no session can start while this file is kept.
    Free {
        /// `None` when no lock file exists: no session ever started here.
        _guard: Option<File>,
    },
}

/// Probes the lock without blocking its holder.
pub(super) fn probe(path: &Path) -> anyhow::Result<Probe> {
    for _ in 0..MAX_OPENS {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Probe::Free { _guard: None });
            }
            other => other.with_context(|| format!("look at {}", path.display()))?,
        };
        let file = open_private(path, OpenOptions::new().read(true).write(true))?;
        match file.try_lock_shared() {
            // The lock of a file that a sweep has removed is not the slot's.
            Ok(()) if is_in_place(&file, path)? => return Ok(Probe::Free { _guard: Some(file) }),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Probe::Held),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", path.display()));
            }
        }
    }
    bail!("{} keeps being replaced; stop the program that removes lock files", path.display())
}

fn try_exclusive(file: &File, path: &Path) -> anyhow::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("lock {}", path.display()))
        }
    }
}

/// Whether the path still names the file that we hold: two files would be two locks.
pub(super) fn is_in_place(file: &File, path: &Path) -> anyhow::Result<bool> {
    let context = || format!("look at {}", path.display());
    let held = file.metadata().with_context(context)?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(context),
    }
}
