//! Everything that is wrong with a roster, drawn for people or located for programs.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use anstyle::{AnsiColor, Effects, Style};

use coordinator_core::sanitize;
use coordinator_core::section::Problem;

/// More than these are counted, not shown: a file that is not a roster would fill the screen.
const MAX_SHOWN: usize = 50;

/// Columns of a source line that are shown around a mistake, at least.
const MAX_COLUMNS: usize = 160;

/// Everything that is wrong with one roster.
#[derive(Debug, Clone)]
pub struct Problems {
    /// The file, as the caller named it.
    pub file: PathBuf,
    source: String,
    lines: Lines,
    list: Vec<Problem>,
    total: usize,
}

/// A mistake with its place resolved, for programs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Located {
    /// The file, as the caller named it.
    pub file: String,
    /// Counted from 1; `null` when the whole file is meant.
    pub line: Option<usize>,
    /// In characters, counted from 1.
    pub column: Option<usize>,
    pub message: String,
    /// What was expected, and what to do next.
    pub hint: Option<String>,
}

impl Problems {
    /// The mistakes of `file` in the order of the file.
    pub fn new(file: PathBuf, source: String, mut list: Vec<Problem>) -> Self {
        let mut seen = HashSet::new();
        list.retain(|problem| seen.insert(problem.clone()));
        list.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
        let total = list.len();
        list.truncate(MAX_SHOWN);
        Self { file, lines: Lines::of(&source), source, list, total }
    }

    /// The first mistakes, with line and column.
    pub fn located(&self) -> Vec<Located> {
        self.list.iter().map(|problem| self.locate(problem)).collect()
    }

    /// All of it for people, in the manner of a compiler, with a closing line that counts.
    pub fn render(&self, color: bool) -> String {
        let mut text = self.draw(&Level::ERROR, color);
        let noun = if self.total == 1 { "problem" } else { "problems" };
        let _ = writeln!(text, "{} {noun}; nothing was changed", self.total);
        text
    }

    /// The same of what does not make the roster invalid.
    pub fn render_warnings(&self, color: bool) -> String {
        let mut text = self.draw(&Level::WARNING, color);
        let noun = if self.total == 1 { "warning" } else { "warnings" };
        let _ = writeln!(text, "{} {noun}", self.total);
        text
    }

    fn draw(&self, level: &Level<'_>, color: bool) -> String {
        let bold =
            |color: AnsiColor| Style::new().fg_color(Some(color.into())).effects(Effects::BOLD);
        let renderer = if color {
            Renderer::styled().error(bold(AnsiColor::Red)).warning(bold(AnsiColor::Yellow))
        } else {
            Renderer::plain()
        };
        let renderer = renderer.term_width(MAX_COLUMNS);
        let mut text = String::new();
        for problem in &self.list {
            let _ = writeln!(text, "{}\n", self.draw_one(&renderer, level, problem));
        }
        let more = self.total - self.list.len();
        if more > 0 {
            let _ = writeln!(text, "... and {more} more\n");
        }
        text
    }

    fn draw_one(&self, renderer: &Renderer, level: &Level<'_>, problem: &Problem) -> String {
        let file = shown(&self.file.to_string_lossy());
        let title = level.clone().primary_title(shown(&problem.message));
        let at = problem.span.as_ref().map(|span| self.position(span));
        let mut group = match (&at, &problem.label) {
            (Some(at), Some(label)) => {
                let mark = AnnotationKind::Primary.span(at.marked.clone()).label(shown(label));
                title.element(
                    Snippet::source(at.text()).line_start(at.line).path(file).annotation(mark),
                )
            }
            (Some(at), None) => {
                title.element(Origin::path(file).line(at.line).char_column(at.column()))
            }
            (None, _) => title.element(Origin::path(file)),
        };
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.no_name().message(shown(hint)));
        }
        let drawn = renderer.render(&[group]);
        if problem.label.is_some() {
            return drawn;
        }
        // Indent the place as in a problem with a source line.
        let width = at.map_or(1, |at| at.line.to_string().len());
        drawn.replace('\n', &format!("\n{:width$}", ""))
    }

    fn position(&self, span: &Range<usize>) -> Position<'_> {
        let start = floor(&self.source, span.start);
        let line = self.lines.line(start);
        let (line_start, line_end) = self.lines.bounds(line);
        let end = floor(&self.source, span.end).clamp(start, line_end.max(start));
        Position {
            line,
            source: &self.source[line_start..line_end],
            marked: start - line_start..end - line_start,
        }
    }

    fn locate(&self, problem: &Problem) -> Located {
        let at = problem.span.as_ref().map(|span| self.position(span));
        let hint = match (&problem.label, &problem.hint) {
            (Some(label), Some(hint)) => Some(format!("{label}; {hint}")),
            (label, hint) => label.clone().or_else(|| hint.clone()),
        };
        Located {
            file: self.file.display().to_string(),
            line: at.as_ref().map(|at| at.line),
            column: at.as_ref().map(Position::column),
            message: problem.message.clone(),
            hint,
        }
    }
}

/// Where each line of a text starts; looked up, because a file without structure has a problem
/// everywhere.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    starts: Vec<usize>,
    length: usize,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(newlines).collect(), length: text.len() }
    }

    /// The line that holds the byte at `offset`, counted from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    fn bounds(&self, line: usize) -> (usize, usize) {
        let start = self.starts.get(line - 1).copied().unwrap_or(self.length);
        (start, self.starts.get(line).map_or(self.length, |next| next - 1))
    }
}

/// A line, counted from 1, and what is marked of it, in bytes.
struct Position<'a> {
    line: usize,
    source: &'a str,
    marked: Range<usize>,
}

impl Position<'_> {
    /// In characters, counted from 1.
    fn column(&self) -> usize {
        self.source[..self.marked.start].chars().count() + 1
    }

    /// The line as it can be shown, byte for byte as long.
    fn text(&self) -> String {
        let line = self.source.chars().map(|c| {
            match sanitize::one_line(&format!("x{c}x"), 3).chars().nth(1) {
                Some(safe) if safe == c => c.to_string(),
                _ => " ".repeat(c.len_utf8()),
            }
        });
        line.collect()
    }
}

/// Names and paths from elsewhere cannot command the terminal.
fn shown(text: &str) -> String {
    sanitize::one_line(text, 500)
}

/// The nearest character boundary at or before `index`.
fn floor(source: &str, index: usize) -> usize {
    (0..=index.min(source.len())).rev().find(|&i| source.is_char_boundary(i)).unwrap_or(0)
}
