//! Aligned tables for people, in text and in Markdown.

/// Headings and rows; every row has as many cells as there are headings.
#[derive(Debug)]
pub struct Table<'a> {
    /// One per column.
    pub headings: &'a [&'a str],
    /// In the order in which they are shown.
    pub rows: Vec<Vec<String>>,
}

impl Table<'_> {
    /// Columns two spaces apart, numbers to the right; each line ends in a line break.
    pub fn text(&self) -> String {
        let headings: Vec<String> = self.headings.iter().map(|heading| heading.to_uppercase()).collect();
        let columns: Vec<Column> = (0..headings.len()).map(|index| self.column(index)).collect();
        let lines = std::iter::once(&headings).chain(&self.rows).map(|row| line(row, &columns));
        lines.collect()
    }

    /// A Markdown table; `|` in a cell is escaped.
    pub fn markdown(&self) -> String {
        let columns: Vec<Column> = (0..self.headings.len()).map(|index| self.column(index)).collect();
        let cells = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let rule = columns.iter().map(|column| if column.numeric { "---:" } else { "---" }.to_owned());
        let mut text = cells(self.headings.iter().map(|heading| (*heading).to_owned()).collect());
        text += &cells(rule.collect());
        for row in &self.rows {
            text += &cells(row.iter().map(|cell| cell.replace('|', "\\|")).collect());
        }
        text
    }

    fn column(&self, index: usize) -> Column {
        let cells = || self.rows.iter().filter_map(|row| row.get(index));
        let heading = self.headings.get(index).map_or(0, |heading| heading.chars().count());
        Column {
            width: cells().map(|cell| cell.chars().count()).fold(heading, usize::max),
            numeric: !self.rows.is_empty() && cells().all(|cell| cell.parse::<u64>().is_ok()),
        }
    }
}

struct Column {
    width: usize,
    numeric: bool,
}

fn line(cells: &[String], columns: &[Column]) -> String {
    let padded = cells.iter().zip(columns).map(|(cell, Column { width, numeric })| {
        if *numeric { format!("{cell:>width$}") } else { format!("{cell:width$}") }
    });
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<'static> {
        let rows = [["ui_builder", "3", "a|b"], ["größer", "12", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec()).to_vec();
        Table { headings: &["role", "count", "note"], rows }
    }

    #[test]
    fn columns_line_up_and_no_line_ends_in_spaces() {
        assert_eq!(table().text(), "ROLE        COUNT  NOTE\nui_builder      3  a|b\ngrößer         12\n");
    }

    #[test]
    fn a_bar_in_a_cell_does_not_end_it() {
        let expected =
            "| role | count | note |\n| --- | ---: | --- |\n| ui_builder | 3 | a\\|b |\n| größer | 12 |  |\n";
        assert_eq!(table().markdown(), expected);
    }
}
