//! The title of a squash commit: untrusted text that is written to the base branch.

use crate::merge::CommitMessage;
use crate::sanitize::{one_line, visible};

/// GitHub's own limit for a title; longer ones come from elsewhere.
const MAX_TITLE_CHARS: usize = 256;

/// The commit's text in a merge call; `None`: by the repository's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitText {
    /// First line.
    pub title: Option<String>,
    /// The rest.
    pub message: Option<String>,
}

/// The text of the commit that merges pull request `number`.
pub fn commit_text(mode: CommitMessage, title: &str, number: u64) -> CommitText {
    let clean = commit_title(title, number);
    match mode {
        CommitMessage::Title => CommitText { title: Some(clean), message: Some(String::new()) },
        CommitMessage::Repository => {
            let unchanged = clean == format!("{title} (#{number})") || clean == title;
            CommitText { title: (!unchanged).then_some(clean), message: None }
        }
    }
}

/// `<title> (#n)` on one line, without control characters and direction overrides, and with every
/// token broken that would keep CI from running on the base.
pub fn commit_title(title: &str, number: u64) -> String {
    let suffix = format!("(#{number})");
    let title = without_skip_tokens(one_line(title, MAX_TITLE_CHARS));
    match title.trim() {
        "" => format!("Pull request {suffix}"),
        title if title.ends_with(&suffix) => title.to_owned(),
        title => format!("{title} {suffix}"),
    }
}

/// Words in brackets that make some CI skip the commit, without spaces, hyphens and underscores.
const BRACKETED: [&str; 6] =
    ["skipci", "ciskip", "noci", "skipactions", "actionsskip", "skipchecks"];

/// A token with an invisible joiner in it becomes whole again where a CI drops joiners.
fn without_skip_tokens(title: String) -> String {
    let seen = visible(&title);
    let broken = break_skip_tokens(&seen);
    if broken == seen { title } else { broken }
}

fn break_skip_tokens(title: &str) -> String {
    let starless = break_stars(title);
    let mut broken = String::new();
    let mut rest = starless.as_str();
    while let Some(open) = rest.find('[') {
        let (before, from_open) = rest.split_at(open);
        broken.push_str(before);
        let inner = &from_open[1..];
        let end = inner.find(['[', ']']).filter(|end| inner[*end..].starts_with(']'));
        match end.map(|end| inner.split_at(end)) {
            Some((token, after)) if is_skip_token(token) => {
                broken.push('(');
                broken.push_str(token);
                broken.push(')');
                rest = &after[1..];
            }
            Some(_) | None => {
                broken.push('[');
                rest = inner;
            }
        }
    }
    broken.push_str(rest);
    break_trailer(&broken)
}

fn is_skip_token(text: &str) -> bool {
    let bare: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect();
    BRACKETED.contains(&bare.as_str())
}

/// `***NO_CI***` works by its stars.
fn break_stars(title: &str) -> String {
    let bare: String = title.chars().filter(|c| !c.is_whitespace()).collect();
    if bare.to_ascii_lowercase().contains("***no_ci***") {
        title.replace('*', "")
    } else {
        title.to_owned()
    }
}

/// `skip-checks: true` works as one word before a colon.
fn break_trailer(title: &str) -> String {
    const KEY: &str = "skip-checks";
    let mut broken = title.to_owned();
    for (at, _) in title.to_ascii_lowercase().match_indices(KEY) {
        if title[at + KEY.len()..].trim_start().starts_with(':') {
            let hyphen = at + "skip".len();
            broken.replace_range(hyphen..=hyphen, " ");
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_title_gets_its_number_once() {
        assert_eq!(commit_title("Fix bug", 12), "Fix bug (#12)");
        assert_eq!(commit_title("Fix bug (#12)", 12), "Fix bug (#12)");
        assert_eq!(commit_title("Fix bug (#7)", 12), "Fix bug (#7) (#12)");
        assert_eq!(commit_title("\u{200b}\n", 12), "Pull request (#12)");
    }

    #[test]
    fn a_title_is_one_line_without_control_characters() {
        assert_eq!(
            commit_title("Fix\r\n\r\nCo-authored-by: x\u{1b}[31m", 12),
            "Fix    Co-authored-by: x[31m (#12)"
        );
        let long = commit_title(&"x".repeat(10_000), 12);
        assert!(long.ends_with("… (#12)") && long.chars().count() < 300, "{long}");
    }

    #[test]
    fn joiners_and_flags_are_part_of_a_title_and_direction_overrides_are_not() {
        let persian = "اصلاح نمایش صفحه\u{200c}ها";
        let flag = "\u{1F3F4}\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F} spelling";
        for title in [persian, flag, "👩\u{200d}👧 family"] {
            assert_eq!(commit_title(title, 12), format!("{title} (#12)"));
        }
        assert_eq!(
            commit_title("Fix \u{202e}gnp.exe\u{202c} and \u{2067}x\u{2069}", 12),
            "Fix gnp.exe and x (#12)"
        );
        assert_eq!(commit_title("\u{200d}\u{202e}", 12), "Pull request (#12)");
    }

    #[test]
    fn skip_tokens_are_broken_but_readable() {
        for (title, expected) in [
            ("Bump deps [skip ci]", "Bump deps (skip ci) (#12)"),
            ("[CI Skip] Bump", "(CI Skip) Bump (#12)"),
            ("Bump [no  ci]", "Bump (no  ci) (#12)"),
            ("Bump [skip actions][actions skip]", "Bump (skip actions)(actions skip) (#12)"),
            ("Bump [skip\u{200b} ci]", "Bump (skip ci) (#12)"),
            ("Bump [skip\nci]", "Bump (skip ci) (#12)"),
            ("Bump [skip\u{200d} ci]", "Bump (skip ci) (#12)"),
            ("Bump [[skip ci]]", "Bump [(skip ci)] (#12)"),
            ("Bump [skip-ci]", "Bump (skip-ci) (#12)"),
            ("Bump ***NO_CI***", "Bump NO_CI (#12)"),
            ("* * *NO_CI* * * Bump", "NO_CI   Bump (#12)"),
            ("skip-checks: true", "skip checks: true (#12)"),
            ("[core] keep [this] [skip", "[core] keep [this] [skip (#12)"),
        ] {
            assert_eq!(commit_title(title, 12), expected);
        }
    }

    #[test]
    fn the_repositorys_own_message_is_kept_unless_its_title_would_silence_ci() {
        let text = |title| commit_text(CommitMessage::Repository, title, 12);
        for title in ["Fix bug", "Fix bug (#12)"] {
            assert_eq!(text(title), CommitText { title: None, message: None });
        }
        assert_eq!(text("Fix [skip ci]").title.as_deref(), Some("Fix (skip ci) (#12)"));
        let own = commit_text(CommitMessage::Title, "Fix bug", 12);
        assert_eq!(
            (own.title.as_deref(), own.message.as_deref()),
            (Some("Fix bug (#12)"), Some(""))
        );
    }

    fn silences_ci(title: &str) -> bool {
        let title = visible(title).to_lowercase();
        let bare: String = title.chars().filter(|c| !c.is_whitespace()).collect();
        [
            "[skipci]",
            "[ciskip]",
            "[noci]",
            "[skipactions]",
            "[actionsskip]",
            "***no_ci***",
            "skip-checks:true",
        ]
        .iter()
        .any(|token| bare.contains(token))
    }

    proptest! {
        #[test]
        fn no_title_silences_ci_or_breaks_the_line(
            parts in prop::collection::vec(
                prop_oneof![
                    Just("["), Just("]"), Just("skip"), Just("ci"), Just("no"), Just("actions"),
                    Just(" "), Just("*"), Just("**"), Just("***"), Just("NO_CI"),
                    Just("skip-checks"), Just(":"),
                    Just("true"), Just("\u{200b}"), Just("\u{200d}"), Just("-"), Just("\n"),
                ],
                0..24,
            ),
            noise in ".{0,8}",
        ) {
            let title = commit_title(&(parts.concat() + &noise), 12);
            prop_assert!(!silences_ci(&title), "{:?}", title);
            let is_clean = !title.chars().any(char::is_control);
            prop_assert!(title.ends_with("(#12)") && is_clean, "{:?}", title);
            prop_assert_eq!(commit_title(&title, 12), title);
        }
    }
}
