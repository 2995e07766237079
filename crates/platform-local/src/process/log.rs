//! The log of a local session, as its file grows.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;

use super::files::SlotFiles;

/// Between two looks at a log that is followed.
const PAUSE: Duration = Duration::from_millis(200);

const CHUNK_BYTES: u64 = 64 << 10;

/// The log in `home`, a session's record folder, in pieces; with `follow` until the session has
/// ended.
pub(super) fn log(
    files: SlotFiles,
    home: PathBuf,
    follow: bool,
) -> impl Stream<Item = anyhow::Result<Bytes>> {
    let reader = Reader { files, home, follow, aside: Some(0), offset: 0 };
    try_unfold(reader, async |mut reader| Ok(reader.next().await?.map(|piece| (piece, reader))))
}

struct Reader {
    files: SlotFiles,
    home: PathBuf,
    follow: bool,
    /// Where reading goes on in the part of the log that was copied aside; `None` when all of it
    /// was read.
    aside: Option<u64>,
    /// Where reading goes on in the log.
    offset: u64,
}

impl Reader {
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let (log, rotated) = (self.home.join("out.log"), self.home.join("out.log.1"));
        loop {
            if let Some(offset) = self.aside {
                let piece = read(&rotated, offset)?;
                self.aside = (!piece.is_empty()).then_some(offset + piece.len() as u64);
                if !piece.is_empty() {
                    return Ok(Some(piece));
                }
            }
            // The end first: what was written before it is read after it.
            let has_ended = !self.follow || self.files.has_ended(&self.home)?;
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
}

/// A piece of the file from `offset` on; a file that is not there is empty.
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
