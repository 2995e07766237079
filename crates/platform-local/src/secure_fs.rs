//! Files and directories that no other user can read.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, bail};
use rustix::fs::OFlags;

const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// Makes a directory and those above it, where they are missing; existing ones stay as they are.
pub(super) fn create_parents(path: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(path);
    made.with_context(|| format!("create {}", path.display()))
}

/// Makes a directory of mode 0700 whatever the umask, or takes an existing one if it is ours.
pub(super) fn create_directory(path: &Path) -> anyhow::Result<()> {
    let context = || format!("create {}", path.display());
    match DirBuilder::new().mode(PRIVATE_DIRECTORY).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIRECTORY))
            .with_context(context),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(path).with_context(context)?;
            check_directory(path, &metadata)?;
            if metadata.mode() & 0o077 != 0 {
                fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIRECTORY))
                    .with_context(context)?;
            }
            Ok(())
        }
        Err(error) => Err(error).with_context(context),
    }
}

/// Refuses another user's directory.
pub(super) fn check_directory(path: &Path, metadata: &fs::Metadata) -> anyhow::Result<()> {
    let path = path.display();
    if !metadata.is_dir() {
        bail!("{path} is not a directory; remove it, or set another `state_dir`");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        bail!("{path} belongs to another user; run as that user, or set another `state_dir`");
    }
    Ok(())
}

/// Opens a file of mode 0600 whatever the umask; never through a symbolic link.
pub(super) fn open_private(path: &Path, options: &mut OpenOptions) -> anyhow::Result<File> {
    // A pipe in a file's place must not block the opener; a regular file ignores the flag.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).context("convert the flags of open")?;
    let file = options
        .mode(PRIVATE_FILE)
        .custom_flags(flags)
        .open(path)
        .with_context(|| format!("open {}", path.display()))?;
    let metadata = file.metadata().with_context(|| format!("look at {}", path.display()))?;
    if !metadata.is_file() {
        bail!("{} is not a regular file; move it away", path.display());
    }
    if metadata.mode() & 0o777 != PRIVATE_FILE {
        let private = Permissions::from_mode(PRIVATE_FILE);
        file.set_permissions(private).with_context(|| format!("protect {}", path.display()))?;
    }
    Ok(file)
}

/// The bytes of a file that another program may have put anything into: `None` where it does not
/// exist. Fails for anything but a regular file of at most `max_bytes`; follows no link.
pub fn read_regular(path: &Path, max_bytes: u64) -> anyhow::Result<Option<Vec<u8>>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).context("convert the flags of open")?;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| format!("open {}", path.display()))?,
    };
    let metadata = file.metadata().with_context(|| format!("look at {}", path.display()))?;
    if !metadata.is_file() {
        bail!("{} is not a regular file", path.display());
    }
    let mut content = Vec::new();
    let read = file.take(max_bytes + 1).read_to_end(&mut content);
    read.with_context(|| format!("read {}", path.display()))?;
    if content.len() as u64 > max_bytes {
        bail!("{} is longer than {max_bytes} bytes", path.display());
    }
    Ok(Some(content))
}

/// Writes a new private file.
pub(super) fn write_new(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut file = open_private(path, OpenOptions::new().write(true).create_new(true))?;
    file.write_all(content).with_context(|| format!("write {}", path.display()))
}

/// Replaces a private file as a whole: after a crash it is the old one or the new one.
pub(super) fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let mut file =
        open_private(temporary, OpenOptions::new().write(true).create(true).truncate(true))?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(temporary, path))
        .with_context(|| format!("write {}", path.display()))
}
