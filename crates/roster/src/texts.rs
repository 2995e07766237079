//! The roster, and the texts beside it: briefs, modes, preamble, templates. Each is a bounded
//! regular file in UTF-8. Preamble and modes come with the program; a file replaces them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use coordinator_core::fleet::Mode;

use super::shipped;

/// No roster is larger; whatever is, is something else.
const MAX_ROSTER: u64 = 1 << 20;

/// Why a file could not be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    Missing,
    /// There is something, and this is wrong with it, in a sentence without a subject.
    Bad(String),
    /// Not UTF-8 from this byte on. The text is what can be shown of it.
    NotUtf8 {
        text: String,
        /// In bytes of `text`.
        at: usize,
    },
}

pub(super) fn roster(path: &Path) -> Result<String, Unreadable> {
    text(path, MAX_ROSTER)
}

/// The text of a file of at most `largest` bytes.
pub(super) fn text(path: &Path, largest: u64) -> Result<String, Unreadable> {
    // A pipe is never opened: that could block without end.
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
        return Err(Unreadable::Bad(format!(
            "is too large: {size} bytes, at most {largest} are read"
        )));
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

/// More does not fit a prompt.
const MAX_BRIEF: u64 = 96 * 1024;

/// What is wrong with a text, and what to do.
#[derive(Debug, Clone)]
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) hint: String,
}

/// Reads each shared text once.
pub(super) struct Briefs<'a> {
    folder: &'a Path,
    read: BTreeMap<String, Result<String, Mistake>>,
}

impl<'a> Briefs<'a> {
    pub(super) fn new(folder: &'a Path) -> Self {
        Self { folder, read: BTreeMap::new() }
    }

    pub(super) fn preamble(&mut self) -> Result<String, Mistake> {
        self.shared("briefs/preamble.md", shipped::PREAMBLE)
    }

    pub(super) fn mode(&mut self, mode: Mode) -> Result<String, Mistake> {
        self.shared(&format!("briefs/modes/{}.md", mode.word()), shipped::mode(mode))
    }

    pub(super) fn brief(&mut self, path: &str) -> Result<String, Mistake> {
        let hint = "write one or two sentences that say what this agent does, or set `brief`";
        let mistake = |message: String| Mistake { message, hint: hint.to_owned() };
        match text(&self.folder.join(path), MAX_BRIEF) {
            Ok(text) if text.trim().is_empty() => Err(mistake(format!("brief is empty: {path}"))),
            Ok(text) => clean(&text).map_err(|why| mistake(format!("brief {why}: {path}"))),
            Err(Unreadable::Missing) => Err(mistake(format!("brief is missing: {path}"))),
            Err(other) => Err(mistake(format!("brief {}: {path}", describe(other)))),
        }
    }

    fn shared(&mut self, path: &str, built_in: &str) -> Result<String, Mistake> {
        let folder = self.folder;
        let read = self.read.entry(path.to_owned()).or_insert_with(|| {
            let text = match text(&folder.join(path), MAX_BRIEF) {
                Ok(text) => clean(&text),
                Err(Unreadable::Missing) => Ok(built_in.trim().to_owned()),
                Err(other) => Err(describe(other)),
            };
            let hint =
                "repair the file, or remove it: without it the built-in text is used".to_owned();
            text.map_err(|why| Mistake { message: format!("{path} {why}"), hint })
        });
        read.clone()
    }
}

fn clean(text: &str) -> Result<String, String> {
    if text.contains('\0') {
        return Err("holds a NUL character".to_owned());
    }
    Ok(text.trim_start_matches('\u{feff}').trim().to_owned())
}

fn describe(unreadable: Unreadable) -> String {
    match unreadable {
        Unreadable::Missing => "is missing".to_owned(),
        Unreadable::Bad(why) => why,
        Unreadable::NotUtf8 { at, .. } => format!("is not UTF-8 from byte {at} on"),
    }
}
