//! What commands print. Nothing here prints: every function returns text.
//!
//! Text is made harmless, then masked, then cut and laid out. In any other order a secret could be
//! taken apart and not be found.

use std::borrow::Cow;
use std::env;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;
use jiff::tz::TimeZone;

use coordinator_core::report::Report;
use coordinator_core::sanitize::one_line;
use coordinator_core::secrets::Secrets;
use table::View;

pub mod text;
pub mod json;
pub mod markdown;
pub mod metrics;
pub mod workflow;
pub mod progress;
pub mod transcript;
pub mod table;
mod outline;
pub mod words;
pub(crate) mod wrap;

/// Characters of a sentence. A title has at most 256, a sentence of ours fewer than this.
pub(crate) const MAX_SENTENCE: usize = 600;
/// Characters of a line that names several things.
pub(crate) const MAX_LINE: usize = 2_000;

/// Form of the report on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For summaries.
    Markdown,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a command's answer is written.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    pub output: Output,
    pub screen: Screen,
    /// Lists slots one by one.
    pub verbose: bool,
    /// Of the times in text and Markdown; documents for programs have UTC.
    pub zone: &'a TimeZone,
    pub secrets: &'a Secrets,
}

impl<'a> Form<'a> {
    /// For a file or a pipe, with times in UTC.
    pub fn plain(output: Output, secrets: &'a Secrets) -> Self {
        Self { output, screen: Screen::PLAIN, verbose: false, zone: &words::UTC, secrets }
    }

    /// The view for people or the document for programs.
    pub fn show(
        self,
        view: impl FnOnce() -> View,
        document: impl FnOnce(&Secrets) -> serde_json::Result<String>,
    ) -> serde_json::Result<String> {
        match self.output {
            Output::Text => Ok(view().text(self.screen, self.secrets)),
            Output::Json => document(self.secrets),
            Output::Markdown => Ok(view().markdown(self.secrets)),
        }
    }

    /// The report, with a line break at its end.
    pub fn report(self, report: &Report) -> serde_json::Result<String> {
        match self.output {
            Output::Text => Ok(text::report(report, self)),
            Output::Json => json::report(report, self.secrets),
            Output::Markdown => Ok(markdown::report(report, self.zone, self.secrets)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    pub color: bool,
    /// Columns; `None` where they are unknown, as in a pipe: nothing is wrapped.
    pub width: Option<usize>,
}

/// In less room a word would stand on every line.
const MIN_ROOM: usize = 20;

impl Screen {
    /// A file or a pipe.
    pub const PLAIN: Self = Self { color: false, width: None };

    /// Standard output. `auto` follows the terminal, `NO_COLOR` and `CLICOLOR`. The width is
    /// `COLUMNS`, else the terminal's.
    pub fn stdout(color: Color) -> Self {
        let stdout = io::stdout();
        let color = uses_color(color, AutoStream::choice(&stdout));
        Self { color, width: columns().or_else(|| terminal_width(&stdout)) }
    }

    /// Cells from the column `indent` on.
    pub(crate) fn room(self, indent: usize) -> Option<usize> {
        self.width.map(|width| width.saturating_sub(indent).max(MIN_ROOM))
    }

    /// Standard error; nothing on it is wrapped.
    pub fn stderr(color: Color) -> Self {
        Self { color: uses_color(color, AutoStream::choice(&io::stderr())), width: None }
    }
}

fn columns() -> Option<usize> {
    env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns > 0)
}

/// Columns of the terminal that it is, if it is one.
pub(crate) fn terminal_width(stream: &(impl AsFd + IsTerminal)) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok().filter(|_| stream.is_terminal())?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

fn uses_color(color: Color, auto: ColorChoice) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => auto != ColorChoice::Never,
    }
}

/// Text on one line of at most `max` characters.
pub(crate) fn shown(text: &str, max: usize, secrets: &Secrets) -> String {
    one_line(&secrets.mask(&one_line(text, usize::MAX)), max)
}

/// Text as it is, for programs. Invisible characters do not keep a secret apart.
pub(crate) fn exact<'a>(text: &'a str, secrets: &Secrets) -> Cow<'a, str> {
    match secrets.mask(&one_line(text, usize::MAX)) {
        Cow::Owned(masked) if secrets.mask(text) == text => Cow::Owned(masked),
        Cow::Owned(_) | Cow::Borrowed(_) => secrets.mask(text),
    }
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
