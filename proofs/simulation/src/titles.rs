//! Titles of pull requests, kind and unkind, and what a merge call may make of them.

use serde_json::Value;

/// Hostile titles of pull requests.
pub(crate) const UNKIND: [&str; 20] = [
    "wip: not yet",
    "[WIP] not yet",
    "Draft: not yet",
    "WIP",
    "(wip) not yet",
    "Not yet [Draft]",
    "W\u{200b}IP/parser: not yet",
    "Wipe the cache",
    "Draft the release notes",
    "اصلاح نمایش صفحه\u{200c}ها",
    "👩\u{200d}💻 [skip\u{200d} ci]",
    "Approved\u{e0041}\u{e0042}\u{e0043} by nobody",
    "Save minutes [skip ci]",
    "[No CI] save ***NO_CI*** minutes",
    "skip-checks: true",
    "Colour \u{1b}[31mred\u{7}\tbell",
    "pay\u{202e}daol\u{200b} [skip\u{200b} ci]",
    "Like the other one (#7)",
    " \u{200b} ",
    "A title that goes on, and on, and on, and on, and on, and on, and on, and on, and on, \
     and on, and on, and on, and on, and on, and on, and on, and on, and on, and on, and on, \
     and on, and on, and on, and on, and on, and on, and on, and on, and on, and on, and on, \
     and on, and on [skip ci]",
];

/// In characters: GitHub's limit for a title, and room for the number that is added.
const MAX_TITLE: usize = 256 + 16;

/// The word in front, alone or with a sign after it, or in brackets at the end.
pub(crate) fn is_work_in_progress(title: &str) -> bool {
    let text = without_joints(title).to_lowercase();
    let is_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    let text = text.trim_start_matches(|c| !is_of_a_word(c)).trim_end();
    let is_wip = text.strip_prefix("wip").is_some_and(|rest| !rest.starts_with(is_of_a_word));
    let is_draft = text.strip_prefix("draft").is_some_and(|rest| {
        rest.trim_start().starts_with([':', ']', ')']) || !rest.contains(is_of_a_word)
    });
    is_wip
        || is_draft
        || ["[wip]", "(wip)", "[draft]", "(draft)"].iter().any(|end| text.ends_with(end))
}

/// Without what joins letters or keeps them apart and is not seen.
fn without_joints(title: &str) -> String {
    title
        .chars()
        .filter(|c| !matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}'))
        .collect()
}

/// The flaw in the commit of a merge call, for a pull request that was shown under this title.
pub(crate) fn flaw(call: &Value, number: u64, shown: &str, is_own: bool) -> Result<(), String> {
    let given = call["commit_title"].as_str();
    let usual = format!("{shown} (#{number})");
    let title = given.unwrap_or(&usual);
    if is_own && (given.is_none() || call["commit_message"] != "") {
        return Err("without a title of its own, or with a body".to_owned());
    }
    if !title.ends_with(&format!("(#{number})")) || title.chars().count() > MAX_TITLE {
        return Err(format!("as {title:?}, which does not end in its number, or is too long"));
    }
    if title.chars().any(is_hidden) || keeps_ci_from_running(title) {
        return Err(format!("as {title:?}, which hides something or keeps checks from running"));
    }
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '\u{200c}');
    if shown.chars().all(is_plain) && title != usual {
        return Err(format!("as {title:?}, and it is called {shown:?}"));
    }
    Ok(())
}

fn is_hidden(c: char) -> bool {
    let has_no_width = matches!(c, '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2060}'..='\u{206f}');
    let turns = matches!(c, '\u{202a}'..='\u{202e}');
    c.is_control() || has_no_width || turns || matches!(c, '\u{e0000}'..='\u{e007f}')
}

/// <https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs>, and
/// Azure's word for it.
fn keeps_ci_from_running(title: &str) -> bool {
    let text = without_joints(title).to_lowercase();
    let tokens =
        ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]", "***no_ci***"];
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
        let expected = [
            "wip: not yet",
            "[WIP] not yet",
            "Draft: not yet",
            "WIP",
            "(wip) not yet",
            "Not yet [Draft]",
            "W\u{200b}IP/parser: not yet",
        ];
        assert_eq!(held, expected);
    }

    #[test]
    fn a_commit_that_should_not_be_called_so_is_noticed() {
        let flawed = |title: &str, shown: &str| {
            flaw(&json!({"commit_title": title, "commit_message": ""}), 7, shown, true).is_err()
        };
        assert!(!flawed("Change 7 (#7)", "Change 7"));
        for title in [
            "Change 7",
            "Change (#7)",
            "Change 7 [skip ci] (#7)",
            "Change 7\u{202e} (#7)",
            "Ch\u{e0061}ange 7 (#7)",
        ] {
            assert!(flawed(title, "Change 7"), "{title:?}");
        }
        assert!(flawed(&format!("{} (#7)", "x".repeat(300)), "x!"));
        assert!(flaw(&json!({"commit_title": "Change 7 (#7)"}), 7, "Change 7", true).is_err());
        assert!(flaw(&json!({}), 7, "Change 7", false).is_ok());
        assert!(flaw(&json!({}), 7, "Change 7 [no ci]", false).is_err());
    }
}
