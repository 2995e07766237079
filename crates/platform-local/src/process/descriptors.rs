//! Closes what a session inherited by accident.

use std::fs;
use std::io;
use std::os::fd::RawFd;

/// Closes every descriptor from 3 up. A coordinator under `flock`, `make` or an editor carries descriptors of theirs,
/// and a session that kept one would hold their lock or their pipe for hours.
///
/// Only for the first moments of `main`, before anything is opened.
#[allow(unsafe_code)]
pub(super) fn close_inherited() -> io::Result<()> {
    use std::os::fd::{FromRawFd, OwnedFd};

    for descriptor in inherited()? {
        // SAFETY: the caller is the first thing that main does, on its only thread. Nothing in this process owns a
        // descriptor from 3 up, and the one that listed them is closed again: `is_open` has just seen this one open,
        // so it was inherited and is nobody's.
        drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    }
    Ok(())
}

/// The open descriptors from 3 up, the listing's own left out: it is gone when the list is complete.
fn inherited() -> io::Result<Vec<RawFd>> {
    let directory = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    let listed: Vec<RawFd> = fs::read_dir(directory)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|descriptor| *descriptor > 2)
        .collect();
    let is_open = |descriptor: &RawFd| fs::symlink_metadata(format!("{directory}/{descriptor}")).is_ok();
    Ok(listed.into_iter().filter(is_open).collect())
}
