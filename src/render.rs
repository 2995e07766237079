//! One [`Report`], several sinks. Nothing here prints: every function returns text.

use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;

use coordinator_core::report::Report;

pub mod text;
pub mod json;
pub mod markdown;
pub mod metrics;
pub mod annotations;
pub mod summary;
pub mod progress;
pub mod table;
mod mask;
mod outline;
pub(crate) mod words;
pub(crate) mod wrap;

pub use mask::mask;

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

/// The report in the form that was asked for, with a line break at its end.
pub fn report(report: &Report, output: Output, screen: Screen) -> anyhow::Result<String> {
    match output {
        Output::Text => Ok(text::report(report, screen)),
        Output::Json => Ok(json::report(report)?),
        Output::Markdown => Ok(markdown::report(report)),
    }
}

/// What shows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Whether escape sequences are welcome.
    pub color: bool,
    /// Columns; `None` when it is no terminal: nothing is wrapped or cut.
    pub width: Option<usize>,
}

impl Screen {
    /// A file or a pipe.
    pub const PLAIN: Self = Self { color: false, width: None };

    /// Standard output, as the user wants it coloured. `auto` asks the terminal, `NO_COLOR` and `CLICOLOR`.
    pub fn stdout(color: Color) -> Self {
        let stdout = io::stdout();
        let color = wants_color(color, AutoStream::choice(&stdout));
        let size = rustix::termios::tcgetwinsize(&stdout).ok().filter(|_| stdout.is_terminal());
        let width = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
        Self { color, width }
    }

    /// Standard error, likewise; nothing on it is wrapped.
    pub fn stderr(color: Color) -> Self {
        Self { color: wants_color(color, AutoStream::choice(&io::stderr())), width: None }
    }
}

fn wants_color(color: Color, auto: ColorChoice) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => auto != ColorChoice::Never,
    }
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
