//! Keeps an agent's output from issuing workflow commands: the runner obeys none between
//! `::stop-commands::TOKEN` and `::TOKEN::`
//! (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>).

use std::fmt::Write;
use std::fs::File;
use std::io::Read;

use anyhow::Context;

/// The token's first character, which is nowhere else in it: so a byte that does not fit starts the
/// token anew or ends the match.
const FIRST: u8 = b'z';

/// Stops commands, and starts them again. The runner writes the token into its own log, where an
/// agent may read it; so it never passes in the agent's output either.
#[derive(Debug)]
pub(super) struct Guard {
    token: String,
    /// Bytes of the token with which the output so far ends.
    matched: usize,
}

impl Guard {
    /// With a random token.
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut bytes = [0; 16];
        File::open("/dev/urandom")
            .and_then(|mut source| source.read_exact(&mut bytes))
            .context("read /dev/urandom")?;
        let mut token = String::from(char::from(FIRST));
        for byte in bytes {
            let _ = write!(token, "{byte:02x}");
        }
        Ok(Self { token, matched: 0 })
    }

    /// What is printed before the agent's output.
    pub(super) fn stop(&self) -> String {
        format!("::stop-commands::{}\n", self.token)
    }

    /// What is printed after it, wherever its last line ends.
    pub(super) fn resume(&self) -> String {
        format!("\n::{}::\n", self.token)
    }

    /// Appends the agent's bytes, split anywhere. A space keeps the token apart, in whichever case.
    pub(super) fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let token = self.token.as_bytes();
        for byte in bytes {
            let folded = byte.to_ascii_lowercase();
            self.matched = if folded == token[self.matched] {
                self.matched + 1
            } else {
                usize::from(folded == FIRST)
            };
            if self.matched == token.len() {
                out.push(b' ');
                self.matched = 0;
            }
            out.push(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn passed(guard: &mut Guard, pieces: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in pieces {
            guard.pass(piece, &mut out);
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn the_token_never_passes_however_it_is_split_and_nothing_else_changes(
            cuts in prop::collection::vec((0_usize..34, 0_usize..34, any::<bool>()), 0..12),
        ) {
            let mut guard = Guard::new().expect("random bytes");
            let token = guard.token.clone();
            let pieces: Vec<Vec<u8>> = cuts
                .into_iter()
                .map(|(from, to, upper)| {
                    let piece = &token.as_bytes()[from.min(to).min(33)..from.max(to).min(33)];
                    if upper { piece.to_ascii_uppercase() } else { piece.to_vec() }
                })
                .collect();
            let out = passed(&mut guard, &pieces);
            let text = String::from_utf8(out).expect("it is ASCII").to_ascii_lowercase();
            prop_assert!(!text.contains(&token), "{text}");
            let whole = pieces.concat().to_ascii_lowercase();
            prop_assert_eq!(text.replace(' ', "").into_bytes(), whole);
        }
    }

    #[test]
    fn a_token_that_the_agent_read_does_not_resume_commands() {
        let mut guard = Guard::new().expect("random bytes");
        let resume = guard.resume();
        let pieces: Vec<Vec<u8>> = [resume.as_bytes(), resume.to_uppercase().as_bytes()]
            .concat()
            .chunks(7)
            .map(<[u8]>::to_vec)
            .collect();
        let text = String::from_utf8(passed(&mut guard, &pieces)).expect("it is ASCII");
        assert!(!text.to_lowercase().contains(&guard.token), "{text}");
        assert_ne!(guard.token, Guard::new().expect("random bytes").token);
    }
}
