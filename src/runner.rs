//! The runner of GitHub Actions reads what a step prints to either stream, line by line, and obeys what looks like a
//! command: `::name key=value::text` where a line begins, spaces aside, and the older `##[name key=value;]text` anywhere in a
//! line (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>). A pull request's title or an
//! agent's words could be one.

use std::borrow::Cow;
use std::env;
use std::io::{self, Write};

/// The variable that the runner sets to `true`.
const MARK: &str = "GITHUB_ACTIONS";

/// Who reads what this process prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// People and programs, to whom a line is a line.
    Anyone,
    /// The runner of GitHub Actions.
    Runner,
}

impl Reader {
    /// The reader of this process.
    pub fn from_environment() -> Self {
        if env::var(MARK).is_ok_and(|mark| mark == "true") { Self::Runner } else { Self::Anyone }
    }

    /// Text of whole lines in which this reader finds no command: a space keeps the signs of one apart.
    pub fn text(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Anyone => Cow::Borrowed(text),
            // Its lines end at a carriage return as well.
            Self::Runner => Cow::Owned(text.split_inclusive(['\n', '\r']).map(inert).collect()),
        }
    }

    /// A JSON document in which this reader finds no command, and any other what it said before. Its lines begin with a
    /// quote or a bracket, and the older form can stand in its texts alone.
    pub fn json(self, document: &str) -> Cow<'_, str> {
        match self {
            Self::Anyone => Cow::Borrowed(document),
            Self::Runner => Cow::Owned(document.replace("##[", r"#\u0023[")),
        }
    }
}

fn inert(line: &str) -> String {
    let line = line.replace("##[", "## [");
    let words = line.trim_start();
    match words.strip_prefix("::") {
        Some(rest) => format!("{}: :{rest}", &line[..line.len() - words.len()]),
        None => line,
    }
}

/// A writer whose lines are no commands to its reader. Each `write` must carry whole lines.
#[derive(Debug)]
pub struct Inert<W> {
    out: W,
    reader: Reader,
}

impl<W> Inert<W> {
    /// Over this writer, for this reader.
    pub fn over(out: W, reader: Reader) -> Self {
        Self { out, reader }
    }
}

impl<W: Write> Write for Inert<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(buffer);
        self.out.write_all(self.reader.text(&text).as_bytes())?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// How loud an annotation is; the order is from quiet to loud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Yellow.
    Warning,
    /// Red.
    Error,
}

/// The command that makes an annotation, with a line break at its end. Whatever the texts hold, it is one line.
pub fn annotation(level: Level, title: &str, message: &str) -> String {
    let name = match level {
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

    /// Whether the runner obeys this line, as `ActionCommand` of github.com/actions/runner decides it, whatever the name is.
    fn is_obeyed(line: &str) -> bool {
        let newer = line.trim_start().strip_prefix("::").is_some_and(|rest| rest.contains("::"));
        let older = line.split_once("##[").is_some_and(|(_, rest)| rest.contains(']'));
        newer || older
    }

    fn printed() -> impl Strategy<Value = String> {
        let signs = [
            "::", ":", "##[", "#", "[", "]", "error", "add-mask", " ", "\t", "\u{a0}", "\u{3000}", "\n",
            "\r", "ä",
        ];
        prop::collection::vec(prop::sample::select(signs.to_vec()), 0..16).prop_map(|signs| signs.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_runner_obeys_no_line_of_a_text(text in printed()) {
            let shown = Reader::Runner.text(&text);
            prop_assert!(!shown.split(['\n', '\r']).any(is_obeyed), "{shown:?}");
            let signs = |text: &str| text.replace(' ', "");
            prop_assert_eq!(signs(&shown), signs(&text), "nothing but spaces came to it");
        }

        #[test]
        fn the_runner_obeys_no_line_of_a_document_that_says_what_it_said(text in printed()) {
            let document = serde_json::to_string_pretty(&[&text]).expect("it is written");
            let shown = Reader::Runner.json(&document);
            prop_assert!(!shown.lines().any(is_obeyed), "{shown}");
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&shown).expect("it is read"), [text]);
        }

        #[test]
        fn an_annotation_is_one_command_whatever_it_says(title in printed(), message in printed()) {
            let command = annotation(Level::Error, &title, &message);
            prop_assert_eq!(command.matches(['\n', '\r']).count(), 1, "{:?}", command);
            let rest = command.strip_prefix("::error title=").expect("it names its title");
            prop_assert!(!rest.split_once("::").expect("it has a message").0.contains([':', ',']), "{}", command);
        }
    }

    #[test]
    fn anyone_else_reads_what_was_written() {
        for text in ["::error::x\n", "  ##[add-mask]x"] {
            assert_eq!((Reader::Anyone.text(text), Reader::Anyone.json(text)), (text.into(), text.into()));
        }
    }

    #[test]
    fn a_space_keeps_the_signs_apart() {
        let shown = Reader::Runner.text("a::b\n \t::add-mask::x\n- ##[error]y");
        assert_eq!(shown, "a::b\n \t: :add-mask::x\n- ## [error]y");
    }

    #[test]
    fn an_annotation_is_escaped_as_the_toolkit_does() {
        let command = annotation(Level::Warning, "a, b: 5%", "x: 5%,\r\ny");
        assert_eq!(command, "::warning title=a%2C b%3A 5%25::x: 5%25,%0D%0Ay\n");
    }
}
