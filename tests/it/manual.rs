//! The manual: README.md and the pages in docs.

mod commands;
#[cfg(target_os = "linux")]
mod console;
mod generated;
#[cfg(target_os = "linux")]
mod page;

use std::fs;
use std::path::{Path, PathBuf};

fn path(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(page)
}

fn read(page: &str) -> String {
    fs::read_to_string(path(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

#[test]
fn the_readme_is_one_page() {
    let size = read("README.md").len();
    assert!(size <= 8192, "README.md has {size} bytes; move a part of it to docs");
}

/// The words that a file of the program gives to its reasons: `Self::Draft => "draft",`.
fn words(source: &str) -> Vec<String> {
    let text = read(source);
    let words =
        text.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once("=> \""));
    words.filter_map(|(_, word)| word.strip_suffix("\",").map(str::to_owned)).collect()
}

#[test]
fn each_reason_word_has_a_row_with_its_remedy() {
    for (source, page) in [
        ("crates/core/src/merge/reason.rs", "docs/merging.md"),
        ("crates/core/src/fleet/hold.rs", "docs/operations.md"),
    ] {
        let (words, text) = (words(source), read(page));
        assert!(words.len() > 10, "{source}: {words:?}");
        for word in words {
            let row = text.lines().find(|line| line.starts_with(&format!("| `{word}` |")));
            let cells = row.map(|row| row.split(" | ").filter(|cell| !cell.is_empty()).count());
            assert_eq!(cells, Some(3), "{page}: a row for `{word}` with meaning and remedy");
        }
    }
}
