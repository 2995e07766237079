//! Files that are written from the program: the schema of the roster, and two pages.
//! `UPDATE_REFERENCE=1 cargo test --test it manual` writes them.

use std::fs;

use clap::CommandFactory;
use coordinator::cli::Cli;
use coordinator_roster::reference;

use super::{commands, path, read};

const BEGIN: &str = "<!-- generated: begin -->\n";
const END: &str = "<!-- generated: end -->";

/// The file must hold this text; with `UPDATE_REFERENCE` it is written.
fn holds(file: &str, expected: &str) {
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(path(file), expected).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    let is_current = read(file) == expected;
    assert!(is_current, "{file}: run UPDATE_REFERENCE=1 cargo test --test it manual");
}

/// The page must have this text between its two marks.
fn page_holds(page: &str, part: &str) {
    let text = read(page);
    let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("{page}: no {BEGIN}"));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{page}: no {END}"));
    holds(page, &[before, BEGIN, "\n", part, END, after].concat());
}

#[test]
fn the_schema_is_the_one_that_the_program_prints() {
    holds("roster.schema.json", &format!("{:#}\n", reference::schema()));
}

#[test]
fn the_page_of_the_roster_has_every_key_with_its_default() {
    page_holds("docs/roster.md", &reference::markdown());
}

#[test]
fn the_page_of_commands_has_every_command_with_its_options() {
    page_holds("docs/commands.md", &commands::markdown(Cli::command()));
}
