//! What commands show to people: rows laid out by display width, as text and as Markdown.
//!
//! Cells and lines take text from anywhere. It is made harmless, masked and cut here.

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use super::markdown::escaped;
use super::{MAX_LINE, MAX_SENTENCE, Screen, shown, wrap};
use coordinator_core::secrets::Secrets;

mod grid;
mod list;

/// Between two columns.
const GAP: usize = 2;

/// A table and the lines below it.
#[derive(Debug, Default)]
pub struct View {
    pub table: Table,
    pub lines: Vec<String>,
}

impl View {
    pub fn text(&self, screen: Screen, secrets: &Secrets) -> String {
        self.below(self.table.text(0, screen, secrets).concat(), |line| {
            wrap::wrapped(&shown(line, MAX_LINE, secrets), screen.room(0))
        })
    }

    pub fn markdown(&self, secrets: &Secrets) -> String {
        self.below(self.table.markdown(secrets), |line| {
            vec![escaped(&shown(line, MAX_LINE, secrets))]
        })
    }

    fn below(&self, mut rows: Vec<String>, shown: impl Fn(&String) -> Vec<String>) -> String {
        if !rows.is_empty() && !self.lines.is_empty() {
            rows.push(String::new());
        }
        rows.extend(self.lines.iter().flat_map(shown));
        rows.join("\n") + "\n"
    }
}

/// With headings it is a table: each cell is wrapped or cut in its column, and where no readable
/// columns fit beside each other, each row is a paragraph. Without headings it is a list: the last
/// cell of a row explains the others, and Markdown shows bullets.
#[derive(Debug, Default)]
pub struct Table {
    pub headings: &'static [&'static str],
    /// As many cells each as there are headings.
    pub rows: Vec<Vec<Cell>>,
}

/// The colour of a text. It repeats the meaning of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Done,
    /// Held, left for later, or to be looked at.
    Held,
    Failed,
    /// Of less weight.
    Detail,
}

#[derive(Debug, Clone)]
pub struct Cell {
    lines: Vec<String>,
    max: usize,
    tone: Tone,
    is_number: bool,
    narrow: Narrow,
    markdown: Markdown,
}

/// How a cell is fitted to a terminal that is too narrow for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Narrow {
    Wrapped,
    /// Ends in `…`.
    Cut,
    /// The table is shown without its column.
    LeftOut,
}

/// What Markdown shows of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Markdown {
    Escaped,
    AsItIs,
    Instead(&'static str),
}

impl Cell {
    /// Text from anywhere.
    pub fn new(text: impl Into<String>) -> Self {
        Self::lines(vec![text.into()])
    }

    /// Our own words, whose signs mean in Markdown what they mean.
    pub fn ours(text: impl Into<String>) -> Self {
        Self { markdown: Markdown::AsItIs, ..Self::new(text) }
    }

    /// Shown to the right.
    pub fn number(number: impl Into<u64>) -> Self {
        Self { is_number: true, ..Self::ours(number.into().to_string()) }
    }

    /// Several lines, for the last column.
    pub fn lines(lines: Vec<String>) -> Self {
        Self {
            lines,
            max: MAX_SENTENCE,
            tone: Tone::Plain,
            is_number: false,
            narrow: Narrow::Wrapped,
            markdown: Markdown::Escaped,
        }
    }

    #[must_use]
    pub fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    /// At most so many characters of each line.
    #[must_use]
    pub fn max(self, max: usize) -> Self {
        Self { max, ..self }
    }

    /// Cut on a narrow terminal, as a title is.
    #[must_use]
    pub fn cut(self) -> Self {
        Self { narrow: Narrow::Cut, ..self }
    }

    /// Left out with its column where the table is too wide for the terminal.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { narrow: Narrow::LeftOut, ..self }
    }

    /// What Markdown shows in place of the text.
    #[must_use]
    pub fn in_markdown(self, words: &'static str) -> Self {
        Self { markdown: Markdown::Instead(words), ..self }
    }

    fn shown(&self, secrets: &Secrets) -> Self {
        let lines = self.lines.iter().map(|line| shown(line, self.max, secrets));
        Self { lines: lines.filter(|line| !line.is_empty()).collect(), ..self.clone() }
    }

    fn markdown(&self, line_break: &str, secrets: &Secrets) -> String {
        let lines = self.shown(secrets).lines;
        match self.markdown {
            Markdown::Escaped => {
                lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join(line_break)
            }
            Markdown::AsItIs => lines.join(line_break),
            Markdown::Instead(words) => words.to_owned(),
        }
    }
}

impl Table {
    /// The lines of each row, the headings first, from the column `indent` on.
    pub(super) fn text(
        &self,
        indent: usize,
        screen: Screen,
        secrets: &Secrets,
    ) -> Vec<Vec<String>> {
        let rows = self.rows.iter().map(|row| row.iter().map(|cell| cell.shown(secrets)).collect());
        let rows: Vec<Vec<Cell>> = rows.collect();
        if rows.is_empty() || self.headings.is_empty() {
            return list::rows(rows, indent, screen);
        }
        let headings = self.headings.iter().enumerate().map(|(column, heading)| Cell {
            is_number: self.is_number(column),
            ..Cell::ours(heading.to_uppercase())
        });
        let with_headings: Vec<_> = [headings.collect()].into_iter().chain(rows.clone()).collect();
        grid::rows(with_headings, indent, screen)
            .unwrap_or_else(|| grid::paragraphs(&rows, self.headings, indent, screen))
    }

    pub(super) fn markdown(&self, secrets: &Secrets) -> Vec<String> {
        if self.headings.is_empty() {
            return self.rows.iter().map(|row| bullet(row, secrets)).collect();
        }
        let row = |row: &Vec<Cell>| {
            let cells = row.iter().map(|cell| match cell.markdown("<br>", secrets) {
                text if text.is_empty() => " |".to_owned(),
                text => format!(" {text} |"),
            });
            format!("|{}", cells.collect::<String>())
        };
        let headings = row(&self.headings.iter().map(|heading| Cell::ours(*heading)).collect());
        let columns = 0..self.headings.len();
        let rule = columns.map(|column| if self.is_number(column) { "---:|" } else { "---|" });
        let rule = format!("|{}", rule.collect::<String>());
        let rows = self.rows.iter().map(row);
        if self.rows.is_empty() {
            Vec::new()
        } else {
            [headings, rule].into_iter().chain(rows).collect()
        }
    }

    fn is_number(&self, column: usize) -> bool {
        self.rows.iter().filter_map(|row| row.get(column)).any(|cell| cell.is_number)
    }
}

/// `- **failed** ui_builder s0: no runner`.
fn bullet(row: &[Cell], secrets: &Secrets) -> String {
    let cells: Vec<String> = row.iter().map(|cell| cell.markdown("; ", secrets)).collect();
    let Some((last, named)) = cells.split_last() else { return String::new() };
    let named = named.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(" ");
    let colon = if row.len() > 2 && !last.is_empty() { ":" } else { "" };
    format!("- {}", format!("{named}{colon} {last}").trim())
}

fn width(cell: &Cell) -> usize {
    cell.lines.iter().map(|line| line.width()).max().unwrap_or_default()
}

/// Parts of one tone are painted together; spaces at the end are left out.
fn painted(parts: &[(Tone, String)], screen: Screen) -> String {
    let end =
        parts.iter().rposition(|(_, text)| !text.trim().is_empty()).map_or(0, |last| last + 1);
    let spans: Vec<_> = parts[..end].chunk_by(|(one, _), (other, _)| one == other).collect();
    let spans = spans.iter().enumerate().map(|(at, span)| {
        let text: String = span.iter().map(|(_, text)| text.as_str()).collect();
        let text = if at + 1 == spans.len() { text.trim_end() } else { &text };
        paint(span[0].0, text, screen)
    });
    spans.collect()
}

pub(crate) fn paint(tone: Tone, text: &str, screen: Screen) -> String {
    let style = match tone {
        Tone::Plain => Style::new(),
        Tone::Done => AnsiColor::Green.on_default(),
        Tone::Held => AnsiColor::Yellow.on_default(),
        Tone::Failed => AnsiColor::Red.on_default(),
        Tone::Detail => Style::new().dimmed(),
    };
    if screen.color && !text.is_empty() {
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "ghp_0123456789";

    fn secrets() -> Secrets {
        Secrets::new([SECRET.to_owned()])
    }

    fn table() -> View {
        let row = |role: &str, count: u32, note: &str| {
            vec![Cell::ours(role), Cell::number(count), Cell::new(note)]
        };
        let rows = vec![row("ui_builder", 3, "a|b"), row("größer", 12, ""), row("設計", 1, "x")];
        View { table: Table { headings: &["role", "count", "note"], rows }, lines: Vec::new() }
    }

    fn list(text: &str) -> View {
        let row =
            vec![Cell::ours("!").in_markdown("**failed**"), Cell::new("a s0"), Cell::new(text)];
        View { table: Table { headings: &[], rows: vec![row] }, lines: vec!["the end".to_owned()] }
    }

    #[test]
    fn columns_line_up_by_what_is_seen_and_no_line_ends_in_spaces() {
        let expected = "ROLE        COUNT  NOTE\nui_builder      3  a|b\ngrößer         12\n\
            設計            1  x\n";
        assert_eq!(table().text(Screen::PLAIN, &secrets()), expected);
    }

    #[test]
    fn a_bar_in_a_cell_does_not_end_it() {
        let expected = "| role | count | note |\n|---|---:|---|\n| ui_builder | 3 | a&#124;b |\n\
            | größer | 12 | |\n| 設計 | 1 | x |\n";
        assert_eq!(table().markdown(&secrets()), expected);
    }

    #[test]
    fn a_list_is_wrapped_beside_its_names_or_below_them() {
        let sentence = "one two three four five six seven eight";
        let text =
            |width| list(sentence).text(Screen { color: false, width: Some(width) }, &secrets());
        assert_eq!(
            text(40),
            "! a s0  one two three four five six\n        seven eight\n\nthe end\n"
        );
        assert_eq!(text(30), "! a s0\n  one two three four five six\n  seven eight\n\nthe end\n");
        assert_eq!(
            list(sentence).markdown(&secrets()),
            format!("- **failed** a s0: {sentence}\n\nthe end\n")
        );
    }

    #[test]
    fn a_secret_that_would_be_cut_wrapped_or_escaped_is_masked() {
        let secrets = Secrets::new([SECRET.to_owned(), "two words_of one".to_owned()]);
        let long = "x".repeat(MAX_SENTENCE - 8);
        let hidden = SECRET.replace('_', "_\u{200b}");
        for text in
            [&format!("{long}{SECRET}"), &format!("{} two words_of one", "y".repeat(25)), &hidden]
        {
            let view = View { lines: vec![text.clone()], ..list(text) };
            let narrow = Screen { color: false, width: Some(40) };
            for text in [view.text(narrow, &secrets), view.markdown(&secrets)] {
                let leaks = ["ghp", "two", "words"].iter().any(|part| text.contains(part));
                assert!(!leaks && text.contains("**"), "{text}");
            }
        }
    }

    #[test]
    fn cells_of_one_tone_are_painted_together() {
        let row = ["!", "a", "b"].map(|text| Cell::ours(text).tone(Tone::Failed)).to_vec();
        let view = View { table: Table { headings: &[], rows: vec![row] }, lines: Vec::new() };
        let screen = Screen { color: true, width: None };
        assert_eq!(view.text(screen, &secrets()), "\u{1b}[31m! a b\u{1b}[0m\n");
    }
}
