//! Reads the roster and the texts beside it: bounded, regular files, UTF-8.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

/// No roster is larger; whatever is, is something else.
const LARGEST_ROSTER: u64 = 1 << 20;

/// Why a file could not be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// There is none.
    Missing,
    /// There is something, and this is wrong with it, in a sentence without a subject.
    Bad(String),
    /// Not UTF-8 from this byte on. The text is what can be shown of it.
    NotUtf8 {
        /// Invalid bytes replaced.
        text: String,
        /// In bytes of `text`.
        at: usize,
    },
}

/// The roster's text.
pub(super) fn roster(path: &Path) -> Result<String, Unreadable> {
    text(path, LARGEST_ROSTER)
}

/// The text of a file of at most `largest` bytes.
pub(super) fn text(path: &Path, largest: u64) -> Result<String, Unreadable> {
    // A pipe is never opened: that could wait for ever.
    let metadata = path.metadata().map_err(|error| unreadable(&error))?;
    if metadata.is_dir() {
        return Err(Unreadable::Bad("is a directory".to_owned()));
    }
    if !metadata.is_file() {
        return Err(Unreadable::Bad("is not a regular file".to_owned()));
    }
    // A byte more than there should be, so that the end is seen without another buffer.
    let room = metadata.len().min(largest) + 1;
    let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    file.take(largest + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > largest {
        let size = metadata.len().max(bytes.len() as u64);
        return Err(Unreadable::Bad(format!("is too large: {size} bytes, at most {largest} are read")));
    }
    String::from_utf8(bytes).map_err(|error| Unreadable::NotUtf8 {
        at: error.utf8_error().valid_up_to(),
        text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

fn unreadable(error: &std::io::Error) -> Unreadable {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Unreadable::Missing,
        _ => Unreadable::Bad(format!("cannot be read: {error}")),
    }
}
