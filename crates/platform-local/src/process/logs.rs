//! The raw output of an agent: the agent appends to it, its shim rotates it, `coordinator logs`
//! reads it as it grows.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;

use super::directory::Directory;
use super::record;
use crate::lock::{self, Probe};
use crate::secure_fs::open_private;
use coordinator_core::agent::Profile;
use coordinator_core::fleet::Slot;

/// A longer log is rotated; two are kept.
pub(super) const MAX_LOG_BYTES: u64 = 64 << 20;

/// Between two reads of a log that is followed.
const PAUSE: Duration = Duration::from_millis(200);

const CHUNK_BYTES: u64 = 64 << 10;

/// The names of a log, for JSON lines, for other output, and as earlier versions called both.
const LOG_NAMES: [&str; 3] = ["verbose.jsonl", "output.log", "out.log"];

/// The log of a session in `home`, open for appending.
pub(super) fn open_log(home: &Path, agent: Profile) -> anyhow::Result<File> {
    let [json_lines, other, _] = LOG_NAMES;
    let name = if agent.is_json_lines() { json_lines } else { other };
    open_private(&home.join(name), OpenOptions::new().append(true).create(true))
}

/// The log of the session in `home`, where it has one.
pub(super) fn find_log(home: &Path) -> Option<PathBuf> {
    LOG_NAMES.map(|name| home.join(name)).into_iter().find(|path| path.is_file())
}

/// Where [`rotate`] copies a log to.
pub(super) fn aside(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".1");
    path.into()
}

/// All files that a log of the session in `home` may be.
pub(super) fn all_logs(home: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    LOG_NAMES.map(|name| home.join(name)).into_iter().flat_map(|log| [aside(&log), log])
}

/// Copies the log aside and empties it when it is longer than `max_bytes`. The agent holds the file
/// open, so it cannot be renamed away.
pub(super) fn rotate(home: &Path, max_bytes: u64) -> anyhow::Result<()> {
    let path = find_log(home).context("find the log")?;
    let length = fs::metadata(&path)?.len();
    if length <= max_bytes {
        return Ok(());
    }
    let mut log = open_private(&path, OpenOptions::new().read(true).write(true))?;
    let mut old =
        open_private(&aside(&path), OpenOptions::new().write(true).create(true).truncate(true))?;
    // An agent that floods its log loses the start of it: this copy must end, and the disk must not
    // fill up.
    let kept_bytes = max_bytes.saturating_mul(2);
    log.seek(SeekFrom::Start(length.saturating_sub(kept_bytes)))?;
    io::copy(&mut Read::by_ref(&mut log).take(kept_bytes), &mut old)?;
    log.set_len(0)?;
    Ok(())
}

/// The folder of one generation with a log, or of the newest.
pub(super) fn home_with_log(
    directory: &Directory,
    slot: &Slot,
    generation: Option<u64>,
) -> anyhow::Result<PathBuf> {
    let mut known = record::generations(&directory.records(slot))?;
    known.retain(|generation| find_log(&directory.home(slot, *generation)).is_some());
    let name = slot.name();
    let Some(wanted) = generation else {
        let newest = known.last().with_context(|| format!("{name} has no log yet"))?;
        return Ok(directory.home(slot, *newest));
    };
    if !known.contains(&wanted) {
        let known = known.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        bail!("{name} has no log of generation {wanted}; it has logs of {known}");
    }
    Ok(directory.home(slot, wanted))
}

/// The log in `home` in pieces; with `follow` until the session has ended. `lock` is its slot's.
pub(super) fn stream(
    home: PathBuf,
    lock: PathBuf,
    follow: bool,
) -> impl Stream<Item = anyhow::Result<Bytes>> {
    let reader = LogReader { home, lock, follow, aside: Some(0), offset: 0 };
    try_unfold(reader, async |mut reader| Ok(reader.next().await?.map(|piece| (piece, reader))))
}

struct LogReader {
    home: PathBuf,
    lock: PathBuf,
    follow: bool,
    /// Where the next read starts in the part that was copied aside; `None` when all of it was
    /// read.
    aside: Option<u64>,
    /// Where the next read starts in the log.
    offset: u64,
}

impl LogReader {
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let log = find_log(&self.home).context("find the log")?;
        let rotated = aside(&log);
        loop {
            if let Some(offset) = self.aside {
                let piece = read(&rotated, offset)?;
                self.aside = (!piece.is_empty()).then_some(offset + piece.len() as u64);
                if !piece.is_empty() {
                    return Ok(Some(piece));
                }
            }
            // Check the end first: everything written before it is then read after it.
            let has_ended = !self.follow || self.has_ended()?;
            if log.metadata().is_ok_and(|metadata| metadata.len() < self.offset) {
                // The log was copied aside and emptied: what was not read of it is in the copy.
                self.aside = Some(self.offset);
                self.offset = 0;
                continue;
            }
            let piece = read(&log, self.offset)?;
            self.offset += piece.len() as u64;
            match (piece.is_empty(), has_ended) {
                (false, _) => return Ok(Some(piece)),
                (true, true) => return Ok(None),
                (true, false) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Whether the session has ended, recorded or not.
    fn has_ended(&self) -> anyhow::Result<bool> {
        let is_recorded = self.home.join("exit.json").exists();
        Ok(is_recorded || matches!(lock::probe(&self.lock)?, Probe::Free { .. }))
    }
}

/// A piece of the file from `offset` on; a missing file is empty.
fn read(path: &Path, offset: u64) -> anyhow::Result<Bytes> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Bytes::new()),
        other => other?,
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut piece = Vec::new();
    file.take(CHUNK_BYTES).read_to_end(&mut piece)?;
    Ok(piece.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_log_loses_nothing_and_starts_again() {
        let home = tempfile::tempdir().expect("a temporary directory");
        let mut agent = open_log(home.path(), Profile::None).expect("open the log");
        io::Write::write_all(&mut agent, b"first\n").expect("write");
        rotate(home.path(), 6).expect("nothing to do");
        assert!(!home.path().join("output.log.1").exists());
        rotate(home.path(), 5).expect("rotate");
        io::Write::write_all(&mut agent, b"second\n").expect("write");
        let read = |name: &str| fs::read_to_string(home.path().join(name)).expect("read");
        assert_eq!(
            (read("output.log.1").as_str(), read("output.log").as_str()),
            ("first\n", "second\n")
        );
    }
}
