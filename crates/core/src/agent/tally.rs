//! What an agent's output shows of its session: usage, the agent's own session id, and why it
//! ended.

use super::Profile;
use super::pieces::{Piece, Splitter};
use crate::fleet::SessionResult;

mod claude;
mod codex;

#[cfg(test)]
mod tests;

/// Reads an agent's output as it comes and keeps what counts; its memory is bounded.
#[derive(Debug)]
pub struct Tally {
    splitter: Splitter,
    seen: Seen,
}

/// What was seen, by the form of the output.
#[derive(Debug)]
enum Seen {
    Claude(claude::Seen),
    Codex(codex::Seen),
    Nothing,
}

impl Tally {
    /// For the output of an agent of this profile.
    pub fn new(profile: Profile) -> Self {
        let seen = match profile {
            Profile::Claude => Seen::Claude(claude::Seen::default()),
            Profile::Codex => Seen::Codex(codex::Seen::default()),
            Profile::None => Seen::Nothing,
        };
        Self { splitter: Splitter::default(), seen }
    }

    /// Reads the next bytes, split anywhere.
    pub fn read(&mut self, bytes: &[u8]) {
        let Self { splitter, seen } = self;
        match seen {
            Seen::Nothing => {}
            Seen::Claude(_) | Seen::Codex(_) => splitter.read(bytes, |piece| seen.read(piece)),
        }
    }

    /// The agent's own session id, as soon as it is known.
    pub fn agent_session(&self) -> Option<&str> {
        match &self.seen {
            Seen::Claude(seen) => seen.session(),
            Seen::Codex(seen) => seen.session(),
            Seen::Nothing => None,
        }
    }

    /// What the output showed; `None` where that is nothing.
    pub fn finish(mut self) -> Option<SessionResult> {
        let Self { splitter, seen } = &mut self;
        splitter.finish(|piece| seen.read(piece));
        let result = match self.seen {
            Seen::Claude(seen) => seen.result(),
            Seen::Codex(seen) => seen.result(),
            Seen::Nothing => SessionResult::default(),
        };
        (result != SessionResult::default()).then_some(result)
    }
}

impl Seen {
    /// A line that is too long counts as unknown.
    fn read(&mut self, piece: Piece<'_>) {
        let Piece::Line(line) = piece else { return };
        match self {
            Self::Claude(seen) => seen.read(line),
            Self::Codex(seen) => seen.read(line),
            Self::Nothing => {}
        }
    }
}

/// Whether the bytes hold this text; a cheap look before a line is parsed.
fn holds(line: &[u8], text: &str) -> bool {
    let Some(first) = text.as_bytes().first() else { return true };
    let mut rest = line;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(text.as_bytes()) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}
