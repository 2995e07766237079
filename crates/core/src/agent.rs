//! What the coordinator knows of the agents that it starts: which program one is, and so in which
//! form it writes its output.

use serde::{Deserialize, Serialize};

pub use end::{AgentEnd, MAX_END_BYTES};
pub use last_words::last_words;
pub use pieces::{MAX_LINE_BYTES, Piece, Splitter};
pub use result_file::{MAX_RESULT_BYTES, combined, read_result};
pub use tally::Tally;
pub use transcript::{Entry, Transcript};

mod end;
mod last_words;
mod number;
mod pieces;
mod result_file;
mod tally;
mod transcript;

/// The form of an agent's output: its profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Claude Code with `--output-format stream-json`.
    Claude,
    /// Codex with `exec --json`.
    Codex,
    /// Any other program: its output is shown as it is, and its cost is unknown.
    #[default]
    None,
}

impl Profile {
    /// The word in the roster and in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::None => "none",
        }
    }

    /// The profile that the word names.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Claude, Self::Codex, Self::None].into_iter().find(|profile| profile.word() == word)
    }

    /// Whether its output is a JSON object per line.
    pub fn is_json_lines(self) -> bool {
        match self {
            Self::Claude | Self::Codex => true,
            Self::None => false,
        }
    }

    /// By the name of the command's program, whatever its folder.
    pub fn of_command(command: &[String]) -> Self {
        let program = command.first().map_or("", String::as_str);
        let name = program.rsplit('/').next().unwrap_or_default();
        Self::from_word(name).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_known_by_its_program() {
        let of = |program: &str| Profile::of_command(&[program.to_owned(), "-p".to_owned()]);
        assert_eq!(of("claude"), Profile::Claude);
        assert_eq!(of("/usr/local/bin/codex"), Profile::Codex);
        for other in ["./confine.sh", "claude-squad", "", "claude/"] {
            assert_eq!(of(other), Profile::None, "{other}");
        }
        assert_eq!(Profile::of_command(&[]), Profile::None);
    }
}
