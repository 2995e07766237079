//! The file that pauses a fleet on this machine.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context;

use crate::process::record::{self, PauseRecord, VERSION};
use coordinator_core::fleet::Pause;

/// The pause in this file. One that cannot be read is an error: starting is what cannot be undone.
pub(crate) fn read(path: &Path) -> anyhow::Result<Option<Pause>> {
    let found: Option<PauseRecord> =
        record::read_with(path, "end the pause with `coordinator resume`")?;
    Ok(found.map(|found| Pause { by: found.by, since: Some(found.since), reason: found.reason }))
}

/// Pauses, in place of an earlier pause.
pub(crate) fn write(path: &Path, pause: &Pause) -> anyhow::Result<()> {
    let since = pause.since.unwrap_or_else(SystemTime::now);
    let (by, reason) = (pause.by.clone(), pause.reason.clone());
    record::write(path, &PauseRecord { version: VERSION, by, since, reason })
}

/// Ends the pause, also one that cannot be read.
pub(crate) fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.with_context(|| format!("remove {}", path.display())),
    }
}
