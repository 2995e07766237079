//! Lines on standard output, each under the name of its session where there are several.

use std::io::{ErrorKind, Write};
use std::ops::ControlFlow;

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use unicode_width::UnicodeWidthStr;

/// The colours of the names, in turn.
const COLORS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
];

/// Prints lines to `out`.
pub(super) struct Printer<W> {
    out: W,
    /// `slot | ` for each session; none: no line has one.
    prefixes: Vec<String>,
    /// The last text did not end with a line break.
    is_open: bool,
}

impl<W: Write> Printer<W> {
    /// For sessions of these names; none for a single one, whose lines stand alone.
    pub(super) fn new(out: W, names: &[String], color: bool) -> Self {
        let width = names.iter().map(|name| name.width()).max().unwrap_or_default();
        let prefix = |(place, name): (usize, &String)| {
            let style = match COLORS[place % COLORS.len()] {
                hue if color => hue.on_default(),
                _ => Style::new(),
            };
            let gap = " ".repeat(width - name.width());
            format!("{style}{name}{gap} |{style:#} ")
        };
        Self { out, prefixes: names.iter().enumerate().map(prefix).collect(), is_open: false }
    }

    /// Prints lines of the session in this place. `Break`: the reader (`| head`) has gone, which is
    /// not an error.
    pub(super) fn print(&mut self, place: usize, lines: &[u8]) -> anyhow::Result<ControlFlow<()>> {
        let written = match self.prefixes.get(place) {
            None => self.out.write_all(lines),
            Some(prefix) => {
                let mut text = Vec::with_capacity(lines.len() + prefix.len());
                for line in lines.split_inclusive(|byte| *byte == b'\n') {
                    if !self.is_open {
                        text.extend_from_slice(prefix.as_bytes());
                    }
                    text.extend_from_slice(line);
                    self.is_open = !line.ends_with(b"\n");
                }
                self.out.write_all(&text)
            }
        };
        match written.and_then(|()| self.out.flush()) {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
            Err(error) => Err(error).context("cannot write the log to standard output"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn printed(names: &[&str], color: bool, texts: &[(usize, &str)]) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, &names, color);
        for (place, text) in texts {
            let printed = printer.print(*place, text.as_bytes());
            assert!(printed.expect("a vector takes everything").is_continue());
        }
        String::from_utf8(out).expect("only text is printed")
    }

    #[test]
    fn each_line_stands_under_the_name_of_its_session() {
        let texts = [(0, "a\n\nb\n"), (1, "c\n")];
        let shown = printed(&["qa-s0", "builder-s0"], false, &texts);
        assert_eq!(shown, "qa-s0      | a\nqa-s0      | \nqa-s0      | b\nbuilder-s0 | c\n");
        assert_eq!(printed(&[], true, &texts[..1]), "a\n\nb\n");
        let colored = printed(&["a", "b"], true, &[(0, "x\n"), (1, "x\n")]);
        assert_eq!(colored, "\u{1b}[36ma |\u{1b}[0m x\n\u{1b}[33mb |\u{1b}[0m x\n");
    }

    #[test]
    fn a_line_in_parts_has_one_name() {
        assert_eq!(printed(&["a"], false, &[(0, "x"), (0, "y\nz\n")]), "a | xy\na | z\n");
    }

    /// `| head` that has gone.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_not_an_error() {
        let printed = Printer::new(Gone, &[], false).print(0, b"one\n");
        assert!(printed.expect("no error").is_break());
    }
}
