//! Rows without headings: the last cell of a row explains the others.

use std::iter;

use unicode_width::UnicodeWidthStr;

use super::{Cell, GAP, Narrow, Tone, paint, painted, width};
use crate::render::{Screen, wrap};

/// Cells of a title on a terminal.
const MAX_TITLE: usize = 39;
/// No column is made wider than this for one long title.
const MAX_COLUMN: usize = 40;
/// Nor for one long name than a third of the width, and of this where the width is unknown.
const USUAL_WIDTH: usize = 80;
/// A third of a narrow terminal may be less than the names of the steps.
const MIN_NAME: usize = 10;
/// With less room beside the columns, a longer last cell begins on a line of its own.
const MIN_LAST: usize = 24;
/// With less room in its column, a title that is wrapped goes on near the left edge.
const MIN_HANGING: usize = 12;

/// The lines of each row.
pub(super) fn rows(mut rows: Vec<Vec<Cell>>, indent: usize, screen: Screen) -> Vec<Vec<String>> {
    let titles = rows.iter_mut().flatten().filter(|cell| cell.narrow == Narrow::Cut);
    for line in titles.flat_map(|cell| &mut cell.lines).filter(|_| screen.width.is_some()) {
        *line = wrap::cut(line, MAX_TITLE);
    }
    let widths = widths(&rows, screen);
    rows.iter().map(|row| lines(row, &widths, indent, screen)).collect()
}

/// How wide each column is. A cell that is too wide for its column runs over.
fn widths(rows: &[Vec<Cell>], screen: Screen) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let max_name = (screen.width.unwrap_or(USUAL_WIDTH) / 3).max(MIN_NAME);
    let max = |cell: &Cell| if cell.narrow == Narrow::Cut { MAX_COLUMN } else { max_name };
    let widest = |column| {
        let cells = rows.iter().filter_map(|row: &Vec<Cell>| row.get(column));
        cells.filter(|cell| width(cell) <= max(cell)).map(width).max().unwrap_or_default()
    };
    (0..columns).map(widest).collect()
}

/// The cells before the last one of a row.
struct Head {
    parts: Vec<(Tone, String)>,
    /// Where its text ends.
    end: usize,
    /// Where the last cell begins, if it stands beside.
    column: usize,
    /// A cell is wider than its column.
    runs_over: bool,
}

impl Head {
    /// One space follows a sign, two follow any other cell.
    fn new(cells: &[Cell], widths: &[usize], indent: usize) -> Self {
        let parts = vec![(Tone::Plain, " ".repeat(indent))];
        let mut head = Self { parts, end: indent, column: indent, runs_over: false };
        for (cell, wide) in iter::zip(cells, widths) {
            let (used, text) = (width(cell), padded(cell, *wide));
            if text.is_empty() {
                continue;
            }
            if used > 0 {
                head.end = head.column + if cell.is_number { *wide } else { used };
            }
            head.column += text.width();
            head.runs_over |= used > *wide;
            head.parts.push((cell.tone, text));
        }
        head
    }

    fn stands_beside(&self, last: &Cell, screen: Screen) -> bool {
        let fits = |cells| screen.width.is_none_or(|width| self.column + cells <= width);
        let is_short = last.lines.len() <= 1 && fits(width(last));
        screen.width.is_none() || is_short || !self.runs_over && fits(MIN_LAST)
    }
}

/// The cell in its column, and the gap after it. Nothing where no cell of the column has text.
fn padded(cell: &Cell, wide: usize) -> String {
    let (used, text) = (width(cell), cell.lines.concat());
    let gap = match used.max(wide) {
        0 => 0,
        1 => 1,
        _ => GAP,
    };
    let rest = " ".repeat(wide.saturating_sub(used));
    let text = if cell.is_number { rest + &text } else { text + &rest };
    text + &" ".repeat(gap)
}

/// The last cell beside the others or below them.
fn lines(cells: &[Cell], widths: &[usize], indent: usize, screen: Screen) -> Vec<String> {
    let Some((last, named)) = cells.split_last() else { return Vec::new() };
    let mut head = Head::new(named, widths, indent);
    let is_beside = head.stands_beside(last, screen);
    let below = if is_beside { head.column } else { indent + 2 };
    let mut rows = last.lines.iter().flat_map(|line| wrap::wrapped(line, screen.room(below)));
    head.parts.extend(if is_beside { rows.next() } else { None }.map(|row| (last.tone, row)));
    let first = if is_beside || screen.width.is_none_or(|width| head.end <= width) {
        vec![painted(&head.parts, screen)]
    } else {
        wrapped_head(named, widths, indent, screen)
    };
    let rows = rows.map(|row| format!("{:below$}{}", "", paint(last.tone, &row, screen)));
    first.into_iter().chain(rows).collect()
}

/// The cells before the last one of a row, where they need more than one line: the title is wrapped
/// in its column.
fn wrapped_head(cells: &[Cell], widths: &[usize], indent: usize, screen: Screen) -> Vec<String> {
    let tone = cells.first().map_or(Tone::Plain, |cell| cell.tone);
    let named = iter::zip(cells, widths).filter(|(cell, _)| width(cell) > 0);
    let mut texts: Vec<String> = named.map(|(cell, wide)| padded(cell, *wide)).collect();
    let mut title = texts.pop().unwrap_or_default().trim_end().to_owned();
    let mut start = texts.concat();
    let mut hanging = indent + start.width();
    let mut room = screen.width.map(|width| width.saturating_sub(hanging));
    if room.is_some_and(|room| room < MIN_HANGING) {
        (title, start, hanging) = (start + &title, String::new(), indent + 2);
        room = screen.room(hanging);
    }
    let lines = wrap::wrapped(&title, room).into_iter().enumerate();
    lines
        .map(|(at, line)| match at {
            0 => format!("{:indent$}{}", "", paint(tone, &format!("{start}{line}"), screen)),
            _ => format!("{:hanging$}{}", "", paint(tone, &line, screen)),
        })
        .collect()
}
