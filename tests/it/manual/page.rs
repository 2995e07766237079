//! A page as its reader follows it: commands to type, lines to edit.

use std::mem::take;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

/// What the reader does next.
#[derive(Debug)]
pub(super) enum Step {
    /// A command of a `console` block, and what the page prints below it.
    Run { command: String, output: Vec<String> },
    /// Lines of a `toml` block, for the roster.
    EditRoster(String),
    /// Lines of an `ini` block, for the file of the tokens.
    WriteTokens(String),
}

/// The steps of the page, in its order.
pub(super) fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut language, mut text) = (String::new(), String::new());
    for event in Parser::new(page) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(word))) => {
                language = word.into_string();
            }
            Event::Text(part) if !language.is_empty() => text.push_str(&part),
            Event::End(TagEnd::CodeBlock) => {
                steps.extend(of_block(&take(&mut language), &take(&mut text)));
            }
            _ => {}
        }
    }
    steps
}

fn of_block(language: &str, text: &str) -> Vec<Step> {
    match language {
        "console" => commands(text),
        "toml" => vec![Step::EditRoster(text.to_owned())],
        "ini" => vec![Step::WriteTokens(text.to_owned())],
        _ => Vec::new(),
    }
}

/// A line `$ ...` is a command, goes on after a `\`, and has its output below it.
fn commands(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step::Run { command: command.to_owned(), output: Vec::new() });
        } else if let Some(Step::Run { command, output }) = steps.last_mut() {
            if command.ends_with('\\') {
                command.push('\n');
                command.push_str(line);
            } else {
                output.push(line.to_owned());
            }
        }
    }
    steps
}

/// The roster after the reader has followed a `toml` block: each line of the block replaces the
/// next line of the roster with the same header or key, which may be behind a `#`.
pub(super) fn edited(roster: &str, block: &str) -> String {
    let mut lines: Vec<&str> = roster.lines().collect();
    let mut from = 0;
    for line in block.lines().filter(|line| !line.is_empty()) {
        let is_meant = |old: &&str| name(old) == name(line);
        let found = lines.iter().skip(from).position(is_meant);
        let found =
            found.unwrap_or_else(|| panic!("the roster has no line for {line:?}:\n{roster}"));
        from += found;
        lines[from] = line;
    }
    lines.join("\n") + "\n"
}

/// `[merge]` of `# [merge]   # a comment`; `key = "reviewer"` as a whole, because a key names its
/// role; else `min_approvals` of `# min_approvals = 1`.
fn name(line: &str) -> &str {
    let line = line.trim_start_matches(['#', ' ']);
    if line.starts_with('[') {
        return line.split('#').next().unwrap_or_default().trim();
    }
    if line.starts_with("key = ") {
        return line.trim();
    }
    line.split('=').next().unwrap_or_default().trim()
}
