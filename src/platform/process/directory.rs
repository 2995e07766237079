//! The fleet's directory: where each file is, and how it is made so that nobody else can read it.
//!
//! ```text
//! slots/<role>-s<index>.lock                 the lock: empty, made once, never unlinked
//! sessions/<role>-s<index>/<generation>/     launch.json prompt.md start.json exit.json out.log out.log.1 shim.log work/
//! .trash/                                    work directories on their way out
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::OFlags;

use crate::fleet::{FleetName, Slot};

const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// The paths of one fleet.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    root: PathBuf,
    fleet: FleetName,
}

impl Directory {
    pub(crate) fn new(state_dir: &Path, fleet: &FleetName) -> Self {
        Self { root: state_dir.join(fleet.as_str()), fleet: fleet.clone() }
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

    pub(crate) fn trash(&self) -> PathBuf {
        self.root.join(".trash")
    }

    /// Makes what a start needs. `state_dir` itself may be a link of the user's; nothing below it may.
    pub(crate) fn create(&self, slot: &Slot) -> anyhow::Result<()> {
        if let Some(state_dir) = self.root.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(PRIVATE_DIRECTORY)
                .create(state_dir)
                .with_context(|| format!("create {}", state_dir.display()))?;
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

    /// The slot that a file or directory of this name belongs to; `None` for names that are not ours.
    pub(crate) fn slot_named(&self, name: &str) -> Option<Slot> {
        let slot = Slot::parse(&self.fleet, &format!("{}-{name}", self.fleet))?;
        (slot.name() == name).then_some(slot)
    }
}

/// Makes a directory of mode 0700 whatever the umask, or takes the one that is there if it is ours.
pub(crate) fn create_directory(path: &Path) -> anyhow::Result<()> {
    let context = || format!("create {}", path.display());
    match DirBuilder::new().mode(PRIVATE_DIRECTORY).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIRECTORY)).with_context(context),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(path).with_context(context)?;
            check_directory(path, &metadata)?;
            if metadata.mode() & 0o077 != 0 {
                fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIRECTORY)).with_context(context)?;
            }
            Ok(())
        }
        Err(error) => Err(error).with_context(context),
    }
}

fn check_directory(path: &Path, metadata: &fs::Metadata) -> anyhow::Result<()> {
    let path = path.display();
    if !metadata.is_dir() {
        bail!("{path} is no directory of the coordinator's own; remove it, or set another `state_dir`");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        bail!("{path} belongs to another user; run as that user, or set another `state_dir`");
    }
    Ok(())
}

/// Opens a file of mode 0600 whatever the umask; never through a symbolic link.
pub(crate) fn open_private(path: &Path, options: &mut OpenOptions) -> anyhow::Result<File> {
    // A pipe in a file's place must not keep the opener waiting; on a regular file the flag means nothing.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).context("convert the flags of open")?;
    let file = options
        .mode(PRIVATE_FILE)
        .custom_flags(flags)
        .open(path)
        .with_context(|| format!("open {}", path.display()))?;
    let metadata = file.metadata().with_context(|| format!("look at {}", path.display()))?;
    if !metadata.is_file() {
        bail!("{} is no regular file; move it away", path.display());
    }
    if metadata.mode() & 0o777 != PRIVATE_FILE {
        let private = Permissions::from_mode(PRIVATE_FILE);
        file.set_permissions(private).with_context(|| format!("protect {}", path.display()))?;
    }
    Ok(file)
}

/// Writes a new private file.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut file = open_private(path, OpenOptions::new().write(true).create_new(true))?;
    file.write_all(content).with_context(|| format!("write {}", path.display()))
}

/// Puts a private file in place as a whole: after a crash there is the old one or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let mut file = open_private(temporary, OpenOptions::new().write(true).create(true).truncate(true))?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(temporary, path))
        .with_context(|| format!("write {}", path.display()))
}
