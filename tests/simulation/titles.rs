//! Titles of pull requests, kind and unkind, and what a merge call may make of them.

use serde_json::Value;

/// What strangers call their pull requests.
pub(crate) const UNKIND: [&str; 12] = [
    "wip: not yet",
    "[WIP] not yet",
    "Draft: not yet",
    "Wipe the cache",
    "Save minutes [skip ci]",
    "[No CI] save ***NO_CI*** minutes",
    "skip-checks: true",
    "Colour \u{1b}[31mred\u{7}\tbell",
    "pay\u{202e}daol\u{200b} [skip\u{200b} ci]",
    "Like the other one (#7)",
    " \u{200b} ",
    "A title that goes on, and on, and on, and on, and on, and on, and on, and on, and on, and on, and on, and on, \
     and on, and on, and on, and on, and on, and on, and on, and on, and on, and on, and on, and on, and on, and \
     on, and on, and on, and on, and on, and on, and on, and on, and on [skip ci]",
];

/// More than GitHub's longest title and a number.
const LONGEST: usize = 256 + 16;

/// By the pattern that README.md gives for `block_title`.
pub(crate) fn is_work_in_progress(title: &str) -> bool {
    let text = title.trim_start().to_lowercase();
    let after = text.strip_prefix('[').unwrap_or(&text).strip_prefix("wip");
    let ends_there = |rest: &str| rest.starts_with(|c: char| c == ':' || c == ']' || c.is_whitespace());
    text.starts_with("draft:") || after.is_some_and(ends_there)
}

/// What is wrong with the commit that a merge call asks for, where the pull request was shown under this title.
pub(crate) fn flaw(call: &Value, number: u64, shown: &str, is_own: bool) -> Result<(), String> {
    let given = call["commit_title"].as_str();
    let usual = format!("{shown} (#{number})");
    let title = given.unwrap_or(&usual);
    if is_own && (given.is_none() || call["commit_message"] != "") {
        return Err("without a title of its own, or with a body".to_owned());
    }
    if !title.ends_with(&format!("(#{number})")) || title.chars().count() > LONGEST {
        return Err(format!("as {title:?}, which does not end in its number, or is too long"));
    }
    if title.chars().any(is_hidden) || keeps_ci_from_running(title) {
        return Err(format!("as {title:?}, which hides something or keeps checks from running"));
    }
    if shown.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ') && title != usual {
        return Err(format!("as {title:?}, and it is called {shown:?}"));
    }
    Ok(())
}

fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

/// <https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs>, and Azure's word for it.
fn keeps_ci_from_running(title: &str) -> bool {
    let text = title.to_lowercase();
    let tokens = ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]", "***no_ci***"];
    tokens.iter().any(|token| text.contains(token))
        || text.contains("skip-checks:true")
        || text.contains("skip-checks: true")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_title_is_held_by_the_pattern_and_by_no_more() {
        let held: Vec<_> = UNKIND.into_iter().filter(|title| is_work_in_progress(title)).collect();
        assert_eq!(held, ["wip: not yet", "[WIP] not yet", "Draft: not yet"]);
    }

    #[test]
    fn a_commit_that_should_not_be_called_so_is_noticed() {
        let flawed = |title: &str, shown: &str| {
            flaw(&json!({"commit_title": title, "commit_message": ""}), 7, shown, true).is_err()
        };
        assert!(!flawed("Change 7 (#7)", "Change 7"));
        for title in ["Change 7", "Change (#7)", "Change 7 [skip ci] (#7)", "Change 7\u{202e} (#7)"] {
            assert!(flawed(title, "Change 7"), "{title:?}");
        }
        assert!(flawed(&format!("{} (#7)", "x".repeat(300)), "x!"));
        assert!(flaw(&json!({"commit_title": "Change 7 (#7)"}), 7, "Change 7", true).is_err());
        assert!(flaw(&json!({}), 7, "Change 7", false).is_ok());
        assert!(flaw(&json!({}), 7, "Change 7 [no ci]", false).is_err());
    }
}
