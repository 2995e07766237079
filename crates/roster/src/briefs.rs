//! Preamble, modes and briefs beside the roster. Preamble and modes come with the program; a file replaces them.

use std::collections::BTreeMap;
use std::path::Path;

use coordinator_core::fleet::Mode;

use super::file::{self, Unreadable};
use super::shipped;

/// More does not fit a prompt.
const LARGEST: u64 = 96 * 1024;

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
        match file::text(&self.folder.join(path), LARGEST) {
            Ok(text) if text.trim().is_empty() => Err(mistake(format!("brief is empty: {path}"))),
            Ok(text) => clean(&text).map_err(|why| mistake(format!("brief {why}: {path}"))),
            Err(Unreadable::Missing) => Err(mistake(format!("brief is missing: {path}"))),
            Err(other) => Err(mistake(format!("brief {}: {path}", describe(other)))),
        }
    }

    fn shared(&mut self, path: &str, built_in: &str) -> Result<String, Mistake> {
        let folder = self.folder;
        let read = self.read.entry(path.to_owned()).or_insert_with(|| {
            let text = match file::text(&folder.join(path), LARGEST) {
                Ok(text) => clean(&text),
                Err(Unreadable::Missing) => Ok(built_in.trim().to_owned()),
                Err(other) => Err(describe(other)),
            };
            let hint = "repair the file, or remove it: without it the built-in text is used".to_owned();
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
