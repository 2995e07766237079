//! Rows below headings.

use std::iter;

use unicode_width::UnicodeWidthStr;

use super::{Cell, GAP, Narrow, Tone, paint, painted, width};
use crate::render::{Screen, wrap};

/// A sentence in fewer cells is not readable. Of its words, longer ones than `MAX_WORD` are broken.
const MIN_SENTENCE: usize = 16;
const MAX_WORD: usize = 34;
/// A title that is cut to fewer cells is not recognisable.
const MIN_TITLE: usize = 16;
/// Longer names are broken.
const MAX_NAME: usize = 40;

/// The lines of each row, or `None` where no table is readable in so little room. Optional columns
/// are left out from the right.
pub(super) fn rows(
    mut rows: Vec<Vec<Cell>>,
    indent: usize,
    screen: Screen,
) -> Option<Vec<Vec<String>>> {
    loop {
        let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
        if let Some(widths) = fitting(&rows, columns, screen.room(indent)) {
            return Some(rows.iter().map(|row| line(row, &widths, indent, screen)).collect());
        }
        let left_out = (0..columns)
            .rfind(|column| column_of(&rows, *column).any(|cell| cell.narrow == Narrow::LeftOut))?;
        for row in rows.iter_mut().filter(|row| left_out < row.len()) {
            row.remove(left_out);
        }
    }
}

fn column_of(rows: &[Vec<Cell>], column: usize) -> impl Iterator<Item = &Cell> {
    rows.iter().filter_map(move |row| row.get(column))
}

/// How wide each column is in a table of at most `room` cells. Each gets the least that it needs,
/// and the narrowest ones share what is left. `None` where the least of all does not fit.
fn fitting(rows: &[Vec<Cell>], columns: usize, room: Option<usize>) -> Option<Vec<usize>> {
    let wanted = (0..columns).map(|at| column_of(rows, at).map(width).max().unwrap_or_default());
    let wanted: Vec<usize> = wanted.collect();
    let Some(room) = room else { return Some(wanted) };
    let least = wanted
        .iter()
        .enumerate()
        .map(|(at, wanted)| least(rows, at, at + 1 == columns).min(*wanted));
    let mut widths: Vec<usize> = least.collect();
    let gaps = GAP * columns.saturating_sub(1);
    let mut left = room.checked_sub(widths.iter().sum::<usize>() + gaps)?;
    while left > 0 {
        let columns = iter::zip(&mut widths, &wanted).filter(|(width, wanted)| **width < **wanted);
        let Some((narrowest, _)) = columns.min_by_key(|(width, _)| **width) else { break };
        *narrowest += 1;
        left -= 1;
    }
    Some(widths)
}

/// Cells without which a column is not readable. The last one has sentences.
fn least(rows: &[Vec<Cell>], column: usize, is_last: bool) -> usize {
    let lines = column_of(rows, column).flat_map(|cell| &cell.lines);
    let longest = lines.map(|line| wrap::longest_word(line)).max().unwrap_or_default();
    match column_of(rows, column).any(|cell| cell.narrow == Narrow::Cut) {
        true => MIN_TITLE,
        false if is_last => longest.clamp(MIN_SENTENCE, MAX_WORD),
        false => longest.min(MAX_NAME),
    }
}

/// The cells in their columns, each in as many lines as it needs.
fn line(cells: &[Cell], widths: &[usize], indent: usize, screen: Screen) -> Vec<String> {
    let laid_out = |(cell, width): (&Cell, &usize)| -> Vec<String> {
        let lines = cell.lines.iter();
        match cell.narrow {
            Narrow::Cut => lines.map(|line| wrap::cut(line, *width)).collect(),
            _ => lines.flat_map(|line| wrap::wrapped(line, Some(*width))).collect(),
        }
    };
    let columns: Vec<Vec<String>> = iter::zip(cells, widths).map(laid_out).collect();
    let height = columns.iter().map(Vec::len).max().unwrap_or_default().max(1);
    let line = |at: usize| {
        let mut parts = vec![(Tone::Plain, " ".repeat(indent))];
        for ((cell, lines), wide) in iter::zip(cells, &columns).zip(widths) {
            let text = lines.get(at).map_or("", String::as_str);
            let rest = " ".repeat(wide.saturating_sub(text.width()));
            let text = if cell.is_number { rest + text } else { text.to_owned() + &rest };
            parts.push((cell.tone, text + &" ".repeat(GAP)));
        }
        painted(&parts, screen)
    };
    (0..height).map(line).collect()
}

/// A paragraph for each row.
pub(super) fn paragraphs(
    rows: &[Vec<Cell>],
    headings: &[&str],
    indent: usize,
    screen: Screen,
) -> Vec<Vec<String>> {
    rows.iter().map(|row| paragraph(row, headings, indent, screen)).collect()
}

/// The first cell, and below it each other one after its heading.
fn paragraph(cells: &[Cell], headings: &[&str], indent: usize, screen: Screen) -> Vec<String> {
    let Some((first, others)) = cells.split_first() else { return Vec::new() };
    let headings = headings.get(1..).unwrap_or_default();
    let wide = headings.iter().map(|heading| heading.width()).max().unwrap_or_default();
    let below = indent + 2 + wide + GAP;
    let mut lines: Vec<String> =
        first.lines.iter().flat_map(|line| wrap::wrapped(line, screen.room(indent))).collect();
    for line in &mut lines {
        *line = format!("{:indent$}{}", "", paint(first.tone, line, screen));
    }
    for (cell, heading) in iter::zip(others, headings) {
        let rows = cell.lines.iter().flat_map(|line| wrap::wrapped(line, screen.room(below)));
        lines.extend(rows.enumerate().map(|(at, row)| {
            let heading = if at == 0 { heading.to_lowercase() } else { String::new() };
            let start = format!("{:indent$}  {heading:wide$}  ", "");
            format!("{start}{}", paint(cell.tone, &row, screen))
        }));
    }
    lines
}
