//! An agent's output as it comes: readable, or as it is. Its memory is bounded.
//!
//! Whole lines are made harmless, then masked, then cut: a secret may stand across two reads, or
//! hide behind an escape sequence.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};

use super::shown;
use coordinator_core::agent::{Entry, Piece, Profile, Splitter, Transcript};
use coordinator_core::sanitize;
use coordinator_core::secrets::Secrets;

/// Characters of a call.
const MAX_CALL: usize = 200;

/// Characters of a line of a tool's result.
const MAX_RESULT_LINE: usize = 2_000;

const TOO_LONG: &str = "-- a line of more than 4 MiB is left out; `--raw` prints it";

/// Renders one agent's output.
#[derive(Debug)]
pub struct Rendering<'a> {
    splitter: Splitter,
    form: Form,
    secrets: &'a Secrets,
}

/// What becomes of a line.
#[derive(Debug)]
enum Form {
    Readable(Readable),
    Raw { is_harmless: bool },
}

/// Readable output, with colours for a terminal.
#[derive(Debug)]
struct Readable {
    transcript: Transcript,
    color: bool,
}

impl<'a> Rendering<'a> {
    /// For people: text as it is, calls, shortened results, errors, the end.
    pub fn readable(profile: Profile, color: bool, secrets: &'a Secrets) -> Self {
        let readable = Readable { transcript: Transcript::new(profile), color };
        Self { splitter: Splitter::default(), form: Form::Readable(readable), secrets }
    }

    /// The agent's bytes but for secrets. What steers a terminal goes where `is_harmless`.
    pub fn raw(is_harmless: bool, secrets: &'a Secrets) -> Self {
        let form = Form::Raw { is_harmless };
        Self { splitter: Splitter::default(), form, secrets }
    }

    /// Calls `each` with every line that the bytes complete, its line break included.
    pub fn read(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        let Self { splitter, form, secrets } = self;
        splitter.read(bytes, |piece| form.show(piece, false, secrets, &mut each));
    }

    /// Calls `each` with what is left: the last line, where it has no line break.
    pub fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        let Self { splitter, form, secrets } = self;
        let mut ends_open = false;
        splitter.finish(|piece| {
            form.show(piece, true, secrets, &mut each);
            ends_open = matches!(form, Form::Raw { .. });
        });
        if ends_open {
            each(b"\n");
        }
    }
}

impl Form {
    fn show(
        &mut self,
        piece: Piece<'_>,
        is_last: bool,
        secrets: &Secrets,
        each: &mut impl FnMut(&[u8]),
    ) {
        match (self, piece) {
            (Self::Readable(readable), Piece::Line(line)) => readable.show(line, secrets, each),
            (Self::Readable(readable), Piece::Part(part)) => {
                if is_last || part.ends_with(b"\n") {
                    readable.line("", TOO_LONG, Style::new().dimmed(), each);
                }
            }
            (Self::Raw { is_harmless }, Piece::Line(bytes) | Piece::Part(bytes)) => {
                each(&raw(bytes, *is_harmless, secrets));
            }
        }
    }
}

/// Bytes that are not text stay what they are, unless a secret is among them.
fn raw<'a>(bytes: &'a [u8], is_harmless: bool, secrets: &Secrets) -> Cow<'a, [u8]> {
    let text = String::from_utf8_lossy(bytes);
    if is_harmless {
        let harmless = sanitize::lines(&text);
        return secrets.mask(&harmless).into_owned().into_bytes().into();
    }
    match secrets.mask(&text) {
        Cow::Borrowed(_) => Cow::Borrowed(bytes),
        Cow::Owned(masked) => masked.into_bytes().into(),
    }
}

impl Readable {
    fn show(&mut self, line: &[u8], secrets: &Secrets, each: &mut impl FnMut(&[u8])) {
        let detail = Style::new().dimmed();
        let failure = AnsiColor::Red.on_default();
        for entry in self.transcript.read(&String::from_utf8_lossy(line)) {
            match entry {
                Entry::Text(text) | Entry::Plain(text) => {
                    self.lines("", &clean(&text, secrets), Style::new(), each);
                }
                Entry::Thinking(text) => self.lines("~ ", &clean(&text, secrets), detail, each),
                Entry::Call(call) => {
                    let call = shown(&sanitize::lines(&call), MAX_CALL, secrets);
                    self.line("> ", &call, detail, each);
                }
                Entry::Output(text) => {
                    for line in clean(&text, secrets).lines() {
                        self.line("  ", &cut(line), Style::new(), each);
                    }
                }
                Entry::Error(text) => self.lines("! ", &clean(&text, secrets), failure, each),
                Entry::Note(text) => self.lines("-- ", &clean(&text, secrets), detail, each),
                Entry::End { summary, failed } => {
                    let style = if failed { failure } else { AnsiColor::Green.on_default() };
                    self.lines("== ", &clean(&summary, secrets), style, each);
                }
            }
        }
    }

    /// Each line of the text. An empty text is an empty line.
    fn lines(&self, mark: &str, text: &str, style: Style, each: &mut impl FnMut(&[u8])) {
        for line in text.split('\n') {
            self.line(mark, line, style, each);
        }
    }

    fn line(&self, mark: &str, text: &str, style: Style, each: &mut impl FnMut(&[u8])) {
        let line = if self.color && style != Style::new() {
            format!("{style}{mark}{text}{style:#}\n")
        } else {
            format!("{mark}{text}\n")
        };
        each(line.as_bytes());
    }
}

fn clean(text: &str, secrets: &Secrets) -> String {
    secrets.mask(&sanitize::lines(text)).into_owned()
}

fn cut(line: &str) -> Cow<'_, str> {
    match line.char_indices().nth(MAX_RESULT_LINE) {
        Some((end, _)) => Cow::Owned(format!("{}…", &line[..end])),
        None => Cow::Borrowed(line),
    }
}

#[cfg(test)]
mod tests;
