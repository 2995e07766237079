//! No line is wider than the terminal, whatever script its words are in.

use proptest::prelude::*;
use unicode_width::UnicodeWidthStr;

use super::text;
use crate::render::Screen;
use crate::render::sample::filled_with;
use crate::render::table::{Cell, Table, View};
use coordinator_core::secrets::Secrets;

/// Words of at most ten cells: wide letters, joined signs, flags, signs in colour, marks.
const WORDS: [&str; 12] = [
    "部門",
    "日本語の名",
    "한국어",
    "👩\u{200d}💻",
    "👨\u{200d}👩\u{200d}👧",
    "🇩🇪🇫🇷",
    "☁\u{fe0f}",
    "e\u{301}e\u{301}",
    "größer",
    "a",
    "plain",
    "conflict:",
];

fn words() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..14)
        .prop_map(|words| words.join(" "))
}

fn fits(text: &str, width: usize) -> Result<(), TestCaseError> {
    for line in text.lines() {
        prop_assert!(line.width() <= width, "{} cells: {line:?} in\n{text}", line.width());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_report_fits_any_terminal(words in words(), width in 40..=200_usize) {
        fits(&text(&filled_with(&words), Some(width)), width)?;
    }

    #[test]
    fn words_without_a_space_to_break_at_fit_any_terminal(
        words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..40),
        width in 40..=200_usize,
    ) {
        let words = words.concat();
        fits(&text(&filled_with(&words), Some(width)), width)?;
        let all = || Cell::new(&words);
        let row = vec![Cell::new("#7"), all(), all().cut(), all()];
        let table = Table { headings: &["pull", "author", "title", "why"], rows: vec![row] };
        let view = View { table, lines: vec![words] };
        fits(&view.text(Screen { color: false, width: Some(width) }, &Secrets::default()), width)?;
    }

    #[test]
    fn a_table_fits_any_terminal_and_keeps_its_words(
        rows in prop::collection::vec(prop::collection::vec(words(), 5), 1..6),
        width in 40..=200_usize,
    ) {
        let cells = |row: &Vec<String>| row.iter().map(Cell::new).collect();
        let table = Table {
            headings: &["pull", "department", "title", "verdict", "why"],
            rows: rows.iter().map(cells).collect(),
        };
        let view = View { table, lines: rows.concat() };
        let shown = view.text(Screen { color: false, width: Some(width) }, &Secrets::default());
        fits(&shown, width)?;
        for word in rows.iter().flatten().flat_map(|text| text.split_whitespace()) {
            prop_assert!(shown.split_whitespace().any(|it| it == word), "no {word} in\n{shown}");
        }
    }
}

fn pulls(width: usize) -> String {
    let row = |cells: [&str; 4]| cells.map(Cell::new).to_vec();
    let table = Table {
        headings: &["pull", "title", "verdict", "why"],
        rows: vec![
            row(["#7", "部門の設定 👩\u{200d}💻", "merge", "approved and green"]),
            row(["#12", "Cafe\u{301} 🇩🇪", "ci_pending", "`build` is in progress, for 3 min"]),
        ],
    };
    let screen = Screen { color: false, width: Some(width) };
    View { table, lines: Vec::new() }.text(screen, &Secrets::default())
}

#[test]
fn columns_line_up_by_cells_and_narrow_terminals_get_more_lines() {
    let wide = "\
PULL  TITLE          VERDICT     WHY
#7    部門の設定 👩\u{200d}💻  merge       approved and green
#12   Cafe\u{301} 🇩🇪        ci_pending  `build` is in progress, for 3 min
";
    assert_eq!((pulls(200), pulls(80)), (wide.to_owned(), wide.to_owned()));
    let narrow = "\
PULL  TITLE       VERDICT     WHY
#7    部門の設定  merge       approved and
      👩\u{200d}💻                      green
#12   Cafe\u{301} 🇩🇪     ci_pending  `build` is in
                              progress, for 3
                              min
";
    assert_eq!(pulls(46), narrow);
    let paragraphs = "\
#7
  title    部門の設定 👩\u{200d}💻
  verdict  merge
  why      approved and green
#12
  title    Cafe\u{301} 🇩🇪
  verdict  ci_pending
  why      `build` is in progress, for 3
           min
";
    assert_eq!(pulls(40), paragraphs);
}
