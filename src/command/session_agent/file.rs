//! Files that the agent can replace: opened without following a link and without waiting for the
//! other end of a pipe.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, id};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, ffi::OsString};

use anyhow::Context;
use rustix::fs::OFlags;

use coordinator_core::agent::MAX_RESULT_BYTES;
use coordinator_platform_local::read_regular;

/// The variable that names the file which the agent may write.
const VARIABLE: &str = "COORDINATOR_RESULT";

/// Names that are tried for a private folder.
const MAX_TRIES: u32 = 16;

/// For writing, its owner's alone where it is created.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).custom_flags(flags());
    options
}

fn flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

/// Replaces what the file contains; a file that exists stays the same file, as a container's
/// termination log must.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    options().create(true).truncate(true).open(path)?.write_all(text.as_bytes())
}

/// Adds to the file.
pub(super) fn append(path: &Path, text: &str) -> io::Result<()> {
    options().create(true).append(true).open(path)?.write_all(text.as_bytes())
}

/// Where the agent may write its result: the file that its environment names, else one in a folder
/// of its own, which is removed at the end.
#[derive(Debug)]
pub(super) struct ResultFile {
    path: PathBuf,
    folder: Option<PathBuf>,
}

impl ResultFile {
    /// Sets the command's variable where the environment that it gets does not have it.
    pub(super) fn of(command: &mut Command) -> anyhow::Result<Self> {
        let set = command.get_envs().find(|(name, _)| *name == VARIABLE);
        let value: Option<OsString> = match set {
            Some((_, value)) => value.map(OsString::from),
            None => env::var_os(VARIABLE),
        };
        if let Some(path) = value.filter(|path| !path.is_empty()) {
            // Relative to the agent's folder, which is the wrapper's.
            return Ok(Self { path: path.into(), folder: None });
        }
        let folder = private_folder()?;
        let path = folder.join("result.json");
        command.env(VARIABLE, &path);
        Ok(Self { path, folder: Some(folder) })
    }

    /// What the agent wrote; `None` where that is not a regular file of a fair size.
    pub(super) fn read(&self) -> Option<Vec<u8>> {
        read_regular(&self.path, MAX_RESULT_BYTES).ok().flatten()
    }
}

impl Drop for ResultFile {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // What the agent left there may not go; the machine empties its temporary folder.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// A new folder that only this user can enter.
fn private_folder() -> anyhow::Result<PathBuf> {
    let base = env::temp_dir();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    for number in 0..MAX_TRIES {
        let folder = base.join(format!("coordinator-result-{}-{now:x}-{number}", id()));
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("create {}", folder.display()));
            }
        }
    }
    anyhow::bail!("create a folder in {}: every name is taken", base.display())
}
