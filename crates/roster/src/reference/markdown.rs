//! The reference for people.

use std::fmt::Write as _;

use super::{Fallback, Key, ROSTER, Section};

/// Every section and key of the roster as Markdown tables.
pub fn markdown() -> String {
    let mut text = String::new();
    write_section(&mut text, &ROSTER);
    text
}

fn write_section(text: &mut String, section: &Section) {
    let heading = if section.heading.is_empty() {
        "Top of the file".to_owned()
    } else {
        format!("`{}`", section.heading)
    };
    let _ = writeln!(text, "**{heading}**: {}\n", section.doc);
    let _ = writeln!(text, "| Key | Holds | Default | Meaning |");
    let _ = writeln!(text, "|---|---|---|---|");
    let tables = |key: &&Key| key.section().is_none();
    for key in section.keys.iter().filter(tables) {
        let meaning = key.doc.replace('|', "\\|");
        let _ = writeln!(text, "| `{}` | {} | {} | {meaning} |", key.name, key.kind.word(), default(key));
    }
    text.push('\n');
    for below in section.keys.iter().filter_map(Key::section) {
        write_section(text, below);
    }
}

fn default(key: &Key) -> String {
    match key.default {
        Fallback::Toml(literal) => format!("`{}`", literal.replace('|', "\\|")),
        Fallback::Required => "required".to_owned(),
        Fallback::Derived(rule) => rule.to_owned(),
    }
}
