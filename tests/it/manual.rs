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
