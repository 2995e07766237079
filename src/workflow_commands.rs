//! Keeps workflow commands out of what this process prints, and writes annotations.
//!
//! The runner of GitHub Actions reads both streams of a step and runs each line that is a command:
//! `::name key=value::text` at the start of a line, spaces aside, and the older
//! `##[name key=value;]text` anywhere in a line
//! (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>).
//! A pull request's title or an agent's output may contain one.

use std::borrow::Cow;
use std::env;
use std::io::{self, Write};

/// The variable that the runner sets to `true`.
const MARK: &str = "GITHUB_ACTIONS";

/// What must be escaped in the output of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    None,
    WorkflowCommands,
}

impl Escape {
    /// Workflow commands when the runner of GitHub Actions reads the output.
    pub fn from_environment() -> Self {
        if env::var(MARK).is_ok_and(|mark| mark == "true") {
            Self::WorkflowCommands
        } else {
            Self::None
        }
    }

    /// The lines of a text, none of which is a command: a space separates the signs of one.
    pub fn text(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(text),
            // The runner's lines end at a carriage return as well.
            Self::WorkflowCommands => {
                Cow::Owned(text.split_inclusive(['\n', '\r']).map(escaped_line).collect())
            }
        }
    }

    /// The same JSON document without a command. Its lines begin with a quote or a bracket, so only
    /// the older form can occur, inside a string.
    pub fn json(self, document: &str) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(document),
            Self::WorkflowCommands => Cow::Owned(document.replace("##[", r"#\u0023[")),
        }
    }
}

fn escaped_line(line: &str) -> String {
    let line = line.replace("##[", "## [");
    let words = line.trim_start();
    match words.strip_prefix("::") {
        Some(rest) => format!("{}: :{rest}", &line[..line.len() - words.len()]),
        None => line,
    }
}

/// Writes text without workflow commands; without an escape, every byte as it is. Each `write` must
/// carry whole lines.
#[derive(Debug)]
pub struct EscapedWriter<W> {
    out: W,
    escape: Escape,
}

impl<W> EscapedWriter<W> {
    pub fn over(out: W, escape: Escape) -> Self {
        Self { out, escape }
    }
}

impl<W: Write> Write for EscapedWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self.escape {
            Escape::None => self.out.write_all(buffer)?,
            Escape::WorkflowCommands => {
                let text = String::from_utf8_lossy(buffer);
                self.out.write_all(self.escape.text(&text).as_bytes())?;
            }
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The level of an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Notice,
    Warning,
    Error,
}

/// The command that makes an annotation: one line, whatever the texts contain, with a line break
/// at its end.
pub fn annotation(level: Level, title: &str, message: &str) -> String {
    let name = match level {
        Level::Notice => "notice",
        Level::Warning => "warning",
        Level::Error => "error",
    };
    let title = escaped(title).replace(':', "%3A").replace(',', "%2C");
    format!("::{name} title={title}::{}\n", escaped(message))
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether the runner obeys this line, as `ActionCommand` of github.com/actions/runner decides
    /// it, whatever the name is.
    fn is_obeyed(line: &str) -> bool {
        let newer = line.trim_start().strip_prefix("::").is_some_and(|rest| rest.contains("::"));
        let older = line.split_once("##[").is_some_and(|(_, rest)| rest.contains(']'));
        newer || older
    }

    fn printed() -> impl Strategy<Value = String> {
        let signs = [
            "::", ":", "##[", "#", "[", "]", "error", "add-mask", " ", "\t", "\u{a0}", "\u{3000}",
            "\n", "\r", "ä",
        ];
        prop::collection::vec(prop::sample::select(signs.to_vec()), 0..16)
            .prop_map(|signs| signs.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn the_runner_obeys_no_line_of_a_text(text in printed()) {
            let shown = Escape::WorkflowCommands.text(&text);
            prop_assert!(!shown.split(['\n', '\r']).any(is_obeyed), "{shown:?}");
            let signs = |text: &str| text.replace(' ', "");
            prop_assert_eq!(signs(&shown), signs(&text), "nothing but spaces came to it");
        }

        #[test]
        fn the_runner_obeys_no_line_of_a_document_and_its_content_stays(text in printed()) {
            let document = serde_json::to_string_pretty(&[&text]).expect("it is written");
            let shown = Escape::WorkflowCommands.json(&document);
            prop_assert!(!shown.lines().any(is_obeyed), "{shown}");
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&shown).expect("it is read"),
                [text]);
        }

        #[test]
        fn an_annotation_is_one_command_whatever_its_texts_contain(
            title in printed(), message in printed(),
        ) {
            let command = annotation(Level::Error, &title, &message);
            prop_assert_eq!(command.matches(['\n', '\r']).count(), 1, "{:?}", command);
            let rest = command.strip_prefix("::error title=").expect("it names its title");
            prop_assert!(!rest.split_once("::").expect("it has a message").0.contains([':', ',']),
                "{}", command);
        }
    }

    #[test]
    fn outside_a_workflow_nothing_is_escaped() {
        for text in ["::error::x\n", "  ##[add-mask]x"] {
            assert_eq!(
                (Escape::None.text(text), Escape::None.json(text)),
                (text.into(), text.into())
            );
        }
    }

    #[test]
    fn a_space_keeps_the_signs_apart() {
        let shown = Escape::WorkflowCommands.text("a::b\n \t::add-mask::x\n- ##[error]y");
        assert_eq!(shown, "a::b\n \t: :add-mask::x\n- ## [error]y");
    }

    #[test]
    fn an_annotation_is_escaped_as_the_toolkit_does() {
        let command = annotation(Level::Warning, "a, b: 5%", "x: 5%,\r\ny");
        assert_eq!(command, "::warning title=a%2C b%3A 5%25::x: 5%25,%0D%0Ay\n");
    }
}
