//! What is wrong with a roster: where, why, and what to do. All of it in one go.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;

use coordinator_core::sanitize;

/// More than these are counted, not shown: a file that is no roster at all would fill the screen.
const SHOWN: usize = 50;

/// Characters of a source line that are shown around a mistake.
const EXCERPT: usize = 120;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, with the offending text.
    pub message: String,
    /// Where in the file, in bytes; `None` when the whole file is meant.
    pub span: Option<Range<usize>>,
    /// Stands under the marked text: what was expected. With it the source line is shown.
    pub label: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl Problem {
    /// A mistake at `span`.
    pub fn new(message: impl Into<String>, span: Option<Range<usize>>) -> Self {
        Self { message: message.into(), span, label: None, hint: None }
    }

    /// Shows the source line with `label` under the marked text.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

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
    /// What is wrong.
    pub message: String,
    /// What was expected, and what to do next.
    pub hint: Option<String>,
}

impl Problems {
    /// The mistakes of `file` in the order of the file.
    pub fn new(file: PathBuf, source: String, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
        list.dedup();
        let total = list.len();
        list.truncate(SHOWN);
        Self { file, lines: Lines::of(&source), source, list, total }
    }

    /// The first mistakes, with line and column.
    pub fn located(&self) -> Vec<Located> {
        self.list.iter().map(|problem| self.locate(problem)).collect()
    }

    /// All of it for people, in the manner of a compiler, with a closing line that counts.
    pub fn render(&self, color: bool) -> String {
        let mut text = self.render_as(&Paint { color, word: "error", style: RED });
        let noun = if self.total == 1 { "problem" } else { "problems" };
        let _ = writeln!(text, "{} {noun}; nothing was changed", self.total);
        text
    }

    /// The same of what does not make the roster invalid.
    pub fn render_warnings(&self, color: bool) -> String {
        let mut text = self.render_as(&Paint { color, word: "warning", style: YELLOW });
        let noun = if self.total == 1 { "warning" } else { "warnings" };
        let _ = writeln!(text, "{} {noun}", self.total);
        text
    }

    fn render_as(&self, paint: &Paint) -> String {
        let mut text = String::new();
        for problem in &self.list {
            self.render_one(&mut text, problem, paint);
        }
        let more = self.total - self.list.len();
        if more > 0 {
            let _ = writeln!(text, "... and {more} more\n");
        }
        text
    }

    fn render_one(&self, text: &mut String, problem: &Problem, paint: &Paint) {
        let at = problem.span.as_ref().map(|span| self.position(span));
        let number = at.as_ref().map(|at| at.line.to_string()).unwrap_or_default();
        let gutter = number.len().max(1);
        let bar = paint.dim("|");
        let _ = writeln!(text, "{}: {}", paint.strong(paint.word), shown(&problem.message));
        let place = at.as_ref().map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
        let _ = writeln!(
            text,
            "{:gutter$}{} {}{place}",
            "",
            paint.dim("-->"),
            shown(&self.file.to_string_lossy())
        );
        if let (Some(at), Some(label)) = (&at, &problem.label) {
            let (line, before) = at.excerpt();
            let marks = "^".repeat(at.width.clamp(1, EXCERPT));
            let _ = writeln!(text, "{:gutter$} {bar}", "");
            let _ = writeln!(text, "{number} {bar} {line}");
            let _ = writeln!(
                text,
                "{:gutter$} {bar} {:before$}{}",
                "",
                "",
                paint.strong(&format!("{marks} {}", shown(label)))
            );
        }
        if let Some(hint) = &problem.hint {
            let _ = writeln!(text, "{:gutter$} {} {}", "", paint.dim("="), shown(hint));
        }
        text.push('\n');
    }

    fn position(&self, span: &Range<usize>) -> Position<'_> {
        let start = floor(&self.source, span.start);
        let line = self.lines.line(start);
        let (line_start, line_end) = self.lines.bounds(line);
        let end = floor(&self.source, span.end).clamp(start, line_end.max(start));
        Position {
            line,
            column: self.source[line_start..start].chars().count() + 1,
            width: self.source[start..end].chars().count(),
            text: self.source[line_start..line_end].trim_end_matches('\r'),
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
            column: at.as_ref().map(|at| at.column),
            message: problem.message.clone(),
            hint,
        }
    }
}

/// Where each line of a text starts; looked up, because a file without structure has a problem everywhere.
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

/// Where a span is: line and column from 1, in characters.
struct Position<'a> {
    line: usize,
    column: usize,
    width: usize,
    text: &'a str,
}

impl Position<'_> {
    /// The line as it can be shown, and how many characters of it stand before the mark.
    fn excerpt(&self) -> (String, usize) {
        let skipped = if self.column > EXCERPT { self.column - EXCERPT / 4 } else { 0 };
        let shown = self.text.chars().skip(skipped).take(EXCERPT);
        // One character for one character, so that the mark stays below its text.
        let line = shown.map(|c| match sanitize::one_line(&format!("x{c}x"), 3).chars().nth(1) {
            Some(safe) if safe == c => c,
            _ => ' ',
        });
        (line.collect::<String>().trim_end().to_owned(), self.column - 1 - skipped)
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

const RED: &str = "\u{1b}[1;31m";
const YELLOW: &str = "\u{1b}[1;33m";

struct Paint {
    color: bool,
    /// Begins each problem.
    word: &'static str,
    style: &'static str,
}

impl Paint {
    fn strong(&self, text: &str) -> String {
        self.wrap(self.style, text)
    }

    fn dim(&self, text: &str) -> String {
        self.wrap("\u{1b}[2m", text)
    }

    fn wrap(&self, code: &str, text: &str) -> String {
        if self.color { format!("{code}{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
