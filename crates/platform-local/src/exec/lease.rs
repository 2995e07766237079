//! The lock of a plugin that excludes nothing: one run at a time on this machine starts sessions.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

use crate::lock;
use crate::secure_fs::{create_directory, create_parents};
use coordinator_core::fleet::FleetName;

/// Whether this run may start sessions.
#[derive(Debug)]
pub(super) enum Lease {
    /// It may, until this value is dropped.
    Ours { file: File },
    /// Another run may.
    Theirs,
}

impl Lease {
    /// Takes the lock when it is free, and never waits for it.
    pub(super) fn take(state_dir: &Path, fleet: &FleetName) -> anyhow::Result<Self> {
        let directory = state_dir.join(fleet.as_str());
        create_parents(state_dir)?;
        create_directory(&directory)?;
        let path = directory.join("exec.lock");
        let Some(file) = lock::acquire(&path)? else { return Ok(Self::Theirs) };
        // Every process of the plugin inherits the lock: when this run is killed, a spawn that it has under way still
        // keeps other runs from starting the same session.
        let flags = fcntl_getfd(&file).with_context(|| format!("look at {}", path.display()))?;
        fcntl_setfd(&file, flags - FdFlags::CLOEXEC)
            .with_context(|| format!("pass on {}", path.display()))?;
        Ok(Self::Ours { file })
    }
}

impl Drop for Lease {
    /// Given up for everybody who inherited it: at the regular end of a run nothing of it is under way, and a session
    /// must not keep the next run from its work.
    fn drop(&mut self) {
        if let Self::Ours { file } = self
            && let Err(error) = file.unlock()
        {
            tracing::debug!("cannot give up the lock: {error}");
        }
    }
}
