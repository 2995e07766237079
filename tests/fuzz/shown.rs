//! Checks that hold for every report, whatever its input.

use coordinator::render::words::UTC;
use coordinator::render::{Form, Output, Screen, metrics, workflow};
use coordinator::workflow_commands::Escape;
use coordinator_core::report::Report;
use coordinator_core::secrets::Secrets;
use pulldown_cmark::{Event, Options, Parser, Tag};

use super::server::TOKEN;

/// In bytes: the limit for a report of one small fleet and a few pull requests, whatever text from
/// outside is in it.
const MAX_REPORT: usize = 1 << 20;

/// The escape sequences of our own colours.
const PALETTE: [&str; 5] = ["\u{1b}[0m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"];

/// Fails unless every form of the report is harmless to its reader.
pub(super) fn check(report: &Report) {
    no_panic(report);
    let secrets = &Secrets::new([TOKEN.to_owned()]);
    let of = |output, screen| {
        Form { screen, ..Form::plain(output, secrets) }
            .report(report)
            .expect("every report can be written")
    };
    let narrow = |color| Screen { color, width: Some(60) };
    let plain = of(Output::Text, narrow(false));
    let json = of(Output::Json, Screen::PLAIN);
    let markdown = of(Output::Markdown, Screen::PLAIN);
    let notes = workflow::annotations(report, &UTC, secrets);
    let all = [
        &plain,
        &of(Output::Text, Screen::PLAIN),
        &json,
        &markdown,
        &notes,
        &metrics::report(report, secrets),
    ];
    for text in all {
        is_tame(text);
    }
    let colored = of(Output::Text, narrow(true));
    let stripped = PALETTE.iter().fold(colored, |text, code| text.replace(code, ""));
    assert_eq!(stripped, plain, "colour adds nothing but colour");

    serde_json::from_str::<serde_json::Value>(&json).expect("the report is JSON");
    let for_runner = Escape::WorkflowCommands.json(&json);
    serde_json::from_str::<serde_json::Value>(&for_runner).expect("it still is, for a runner");
    for text in [
        &for_runner,
        &Escape::WorkflowCommands.text(&plain),
        &Escape::WorkflowCommands.text(&markdown),
    ] {
        assert!(!text.lines().any(is_command), "{text}");
    }
    for line in notes.lines() {
        assert!(
            line.starts_with("::error title=") || line.starts_with("::warning title="),
            "{line}"
        );
    }
    is_plain_markdown(&markdown);
}

/// One text that a terminal, a log or a page shows.
pub(super) fn is_tame(text: &str) {
    let is_odd = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(is_odd), "{text:?}");
    assert!(!text.contains(TOKEN), "{text}");
    assert!(text.len() < MAX_REPORT, "{} bytes", text.len());
}

/// A panic is caught by its step: it must not hide there.
fn no_panic(report: &Report) {
    let outcomes = [&report.inventory.outcome, &report.spawn.outcome, &report.merge.outcome];
    outcomes.into_iter().filter_map(|outcome| outcome.error()).for_each(is_fair);
    report.spawn.body.failed.iter().for_each(|failure| is_fair(&failure.error));
}

/// An error names its document and is bounded in length.
pub(super) fn is_fair(error: &str) {
    assert!(!error.contains("panicked"), "{error}");
    assert!(error.len() < MAX_REPORT, "{} bytes", error.len());
}

/// Whether the runner of GitHub Actions would obey this line.
fn is_command(line: &str) -> bool {
    line.trim_start().starts_with("::") || line.contains("##[")
}

/// The Markdown has only the report's own structure: one heading, one table of five rows, lists.
fn is_plain_markdown(markdown: &str) {
    let github = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_MATH
        | Options::ENABLE_GFM;
    let (mut headings, mut cells) = (0, 0);
    for event in Parser::new_ext(markdown, github) {
        match event {
            Event::Start(Tag::Heading { .. }) => headings += 1,
            Event::Start(Tag::TableCell) => cells += 1,
            Event::Start(
                Tag::Paragraph
                | Tag::List(None)
                | Tag::Item
                | Tag::Strong
                | Tag::Table(_)
                | Tag::TableHead
                | Tag::TableRow,
            )
            | Event::End(_)
            | Event::Text(_)
            | Event::SoftBreak => {}
            Event::InlineHtml(html) if &*html == "<br>" => {}
            other => panic!("{other:?} in\n{markdown}"),
        }
    }
    assert_eq!((headings, cells), (1, 5 * 4), "{markdown}");
    for sign in ["://", "www.", "@"] {
        assert!(!markdown.contains(sign), "{sign} in\n{markdown}");
    }
}
