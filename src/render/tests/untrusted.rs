use proptest::prelude::*;

use super::metrics_file::check_exposition;
use super::text_on;
use crate::render::sample::filled_with;
use crate::render::words::UTC;
use crate::render::{Screen, json, markdown, metrics};
use coordinator_core::secrets::Secrets;

/// Text with the signs that terminals, Markdown, HTML, GitHub and Prometheus read.
fn hostile() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "\\PC{0,8}",
        any::<char>().prop_map(String::from),
        prop::sample::select(vec![
            "\u{1b}[31m",
            "\u{1b}]8;;https://evil.example\u{7}",
            "\r",
            "\n",
            "\t",
            "\0",
            "\u{9b}",
            "\u{202e}",
            "`",
            "``",
            "```\n",
            "|",
            "\\",
            "\"",
            "\\\"",
            "<b>",
            "</td>",
            "<!--",
            "&lt;",
            "&#60;",
            "@everyone",
            "@org/team",
            "#1",
            "org/repo#1",
            "[x](https://evil.example)",
            "![x](y)",
            "https://evil.example",
            "www.evil.example",
            "a@evil.example",
            "**",
            "_a_",
            "~~",
            "$x$",
            "- ",
            "1. ",
            "# ",
            "> ",
            "}",
            "{",
            " 1\n",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(word, 0..8).prop_map(|words| words.concat())
}

/// What a Markdown reader makes of it, text aside.
fn structure(markdown: &str) -> Vec<pulldown_cmark::Event<'_>> {
    use pulldown_cmark::{Event, Options, Parser};
    let github = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_MATH
        | Options::ENABLE_GFM;
    Parser::new_ext(markdown, github).filter(|event| !matches!(event, Event::Text(_))).collect()
}

fn is_control(c: char) -> bool {
    c.is_control() && c != '\n'
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_brings_a_control_character_to_any_output(text in hostile(), width in 1..200_usize) {
        let report = filled_with(&text);
        let screen = |color| Screen { color, width: Some(width) };
        let plain = text_on(&report, screen(false), &Secrets::default());
        let outputs = [
            plain.clone(),
            text_on(&report, Screen::PLAIN, &Secrets::default()),
            markdown::report(&report, &UTC, &Secrets::default()),
            metrics::report(&report, &Secrets::default()),
            json::report(&report, &Secrets::default()).expect("it is written"),
        ];
        for output in outputs {
            prop_assert!(!output.contains(is_control), "{output:?}");
            prop_assert!(!output.contains('\u{202e}'), "{output:?}");
        }
        let colored = text_on(&report, screen(true), &Secrets::default());
        let palette = ["\u{1b}[0m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"];
        let stripped = palette.iter().fold(colored, |text, code| text.replace(code, ""));
        prop_assert_eq!(stripped, plain);
    }

    #[test]
    fn no_text_changes_how_many_lines_a_report_has(text in hostile()) {
        let (hostile, tame) = (filled_with(&text), filled_with("tame"));
        prop_assert_eq!(metrics::report(&hostile, &Secrets::default()).lines().count(),
            metrics::report(&tame, &Secrets::default()).lines().count());
        prop_assert_eq!(markdown::report(&hostile, &UTC, &Secrets::default()).lines().count(),
            markdown::report(&tame, &UTC, &Secrets::default()).lines().count());
    }

    #[test]
    fn no_text_changes_the_structure_of_the_markdown(text in hostile()) {
        let (hostile, tame) = (markdown::report(&filled_with(&text), &UTC, &Secrets::default()),
            markdown::report(&filled_with("tame"), &UTC, &Secrets::default()));
        prop_assert_eq!(structure(&hostile), structure(&tame), "{}", hostile);
    }

    #[test]
    fn escaped_text_has_no_sign_that_markdown_html_or_github_read(text in hostile()) {
        let escaped = markdown::escaped(&text);
        prop_assert!(!escaped.contains(['<', '>', '|', '`', '\\', '*', '_', '[', ']', '@', '$',
            '~', '"']), "{escaped}");
        prop_assert!(!escaped.contains("://") && !escaped.contains("www."), "{escaped}");
    }

    #[test]
    fn metrics_are_well_formed_whatever_the_text(text in hostile()) {
        check_exposition(&metrics::report(&filled_with(&text), &Secrets::default()))?;
    }
}
