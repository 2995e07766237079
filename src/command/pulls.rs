//! `coordinator pulls`: every open pull request with its verdict and reason. It is the merge step without its merges.

use std::fmt::Write;

use serde::Serialize;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use crate::cli::Global;
use crate::command::{Outcome, edges};
use crate::render::Output;
use crate::render::Screen;
use crate::render::markdown::escaped;
use crate::steps::merge::{self, MergeContext};
use coordinator_core::merge::MergePolicy;
use coordinator_core::report::MergeReport;
use coordinator_core::sanitize::one_line;
use coordinator_github::Github;
use coordinator_http::client;
use coordinator_roster::Roster;

/// A table wider than this helps nobody.
const LONGEST_TITLE_CHARS: usize = 50;
const LONGEST_DETAIL_CHARS: usize = 300;

/// One open pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PullRow {
    /// Its number.
    pub number: u64,
    /// Untrusted text.
    pub title: String,
    /// `merge`, or the reason word.
    pub verdict: &'static str,
    /// The verdict in a sentence; may quote untrusted text.
    pub detail: String,
}

/// Lists and renders.
///
/// Fails when the list fails.
pub async fn run(roster: &Roster, global: &Global) -> anyhow::Result<Outcome> {
    let github = edges::github(roster, &client())??;
    let rows = judged(&github, &roster.merge, roster.deadline).await?;
    let mut stdout = render(&rows, global.output, Screen::stdout(global.color))?;
    for note in notes(&github) {
        match global.output {
            // The document has no place for it.
            Output::Json => tracing::warn!("{note}"),
            Output::Text | Output::Markdown => {
                // A String takes everything.
                let _ = writeln!(stdout, "{note}");
            }
        }
    }
    Ok(Outcome::ok(stdout))
}

/// What concerns all pull requests.
fn notes(github: &Github) -> Vec<String> {
    let renamed = github
        .renamed_to()
        .map(|name| format!("the repository is `{name}` by now; correct `name` in [repository]"));
    renamed.into_iter().chain(github.unavailable()).collect()
}

/// Asks GitHub and judges; merges nothing.
///
/// Fails when the list fails.
pub async fn judged(
    github: &Github,
    policy: &MergePolicy,
    deadline: Duration,
) -> anyhow::Result<Vec<PullRow>> {
    let mut body = MergeReport::default();
    let merge_until = Instant::now() + deadline;
    let context =
        MergeContext { dry_run: true, merge_until, stop: CancellationToken::new(), production: None };
    merge::run(&mut body, github, policy, &context).await?;
    Ok(rows(&body))
}

/// The entries of a dry run, oldest first.
pub fn rows(body: &MergeReport) -> Vec<PullRow> {
    let merged = body.merged.iter().map(|merged| PullRow {
        number: merged.number,
        title: merged.title.clone(),
        verdict: "merge",
        detail: "approved and green".to_owned(),
    });
    let others = body.skipped.iter().chain(&body.failed).map(|entry| PullRow {
        number: entry.number,
        title: entry.title.clone(),
        verdict: entry.reason.word(),
        detail: entry.detail.clone(),
    });
    let mut rows: Vec<PullRow> = merged.chain(others).collect();
    rows.sort_by_key(|row| row.number);
    rows
}

/// The rows in the form that was asked for, with a line break at its end.
pub fn render(rows: &[PullRow], output: Output, screen: Screen) -> anyhow::Result<String> {
    match output {
        Output::Text => Ok(text(rows, screen)),
        Output::Json => json(rows),
        Output::Markdown => Ok(markdown(rows)),
    }
}

fn json(rows: &[PullRow]) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: &'static str,
        pulls: &'a [PullRow],
    }
    let document = Document { schema: "coordinator.pulls/v1", pulls: rows };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn text(rows: &[PullRow], screen: Screen) -> String {
    let cells: Vec<[String; 4]> = rows
        .iter()
        .map(|row| {
            let title = one_line(&row.title, LONGEST_TITLE_CHARS);
            [format!("#{}", row.number), title, row.verdict.to_owned(), sentence(row)]
        })
        .collect();
    let head = ["PULL", "TITLE", "VERDICT", "WHY"].map(str::to_owned);
    let width = |column: usize| {
        let lines = std::iter::once(&head).chain(&cells);
        lines.map(|line| line[column].chars().count()).max().unwrap_or_default()
    };
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    if !cells.is_empty() {
        for line in std::iter::once(&head).chain(&cells) {
            let [number, title, verdict, why] = line;
            let [a, b, c] = widths;
            let painted = paint(verdict, c, screen);
            let line = format!("{number:<a$}  {title:<b$}  {painted}  {why}");
            // A String takes everything.
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text.push('\n');
    }
    text + &conclusion(rows) + "\n"
}

fn paint(verdict: &str, width: usize, screen: Screen) -> String {
    let padded = format!("{verdict:<width$}");
    let style = match verdict {
        "merge" => anstyle::AnsiColor::Green.on_default(),
        _ => anstyle::AnsiColor::Yellow.on_default(),
    };
    if screen.color && verdict != "VERDICT" { format!("{style}{padded}{style:#}") } else { padded }
}

fn markdown(rows: &[PullRow]) -> String {
    let mut text = String::new();
    if !rows.is_empty() {
        text.push_str("| pull request | title | verdict | why |\n|---|---|---|---|\n");
        for row in rows {
            let title = escaped(&one_line(&row.title, LONGEST_TITLE_CHARS));
            // A String takes everything.
            let _ = writeln!(
                text,
                "| {} | {title} | {} | {} |",
                row.number,
                escaped(row.verdict),
                escaped(&sentence(row))
            );
        }
        text.push('\n');
    }
    text + &conclusion(rows) + "\n"
}

fn sentence(row: &PullRow) -> String {
    one_line(&row.detail, LONGEST_DETAIL_CHARS)
}

fn conclusion(rows: &[PullRow]) -> String {
    let merges = rows.iter().filter(|row| row.verdict == "merge").count();
    match (rows.len(), merges) {
        (0, _) => "no open pull request".to_owned(),
        (open, 0) => format!("none of {open} open would be merged now"),
        (open, merges) => format!("{merges} of {open} open would be merged now"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coordinator_core::merge::reason::Reason;
    use coordinator_core::report::{Merged, NotMerged};

    fn body() -> MergeReport {
        MergeReport {
            merged: vec![Merged {
                number: 7,
                title: "Add login".to_owned(),
                head: "a".to_owned(),
                commit: None,
            }],
            skipped: vec![NotMerged {
                number: 3,
                title: "\u{1b}[31mred | <b>\n@all".to_owned(),
                reason: Reason::CiPending,
                detail: "`build` is in progress".to_owned(),
            }],
            ..MergeReport::default()
        }
    }

    #[test]
    fn the_oldest_pull_request_comes_first_and_each_has_a_verdict() {
        let shown = text(&rows(&body()), Screen::PLAIN);
        let expected = "\
PULL  TITLE               VERDICT     WHY
#3    [31mred | <b> @all  ci_pending  `build` is in progress
#7    Add login           merge       approved and green

1 of 2 open would be merged now
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_hostile_title_can_neither_steer_a_terminal_nor_write_markdown() {
        for output in [Output::Text, Output::Markdown] {
            let shown = render(&rows(&body()), output, Screen::PLAIN).expect("rendering works");
            assert!(!shown.contains('\u{1b}'), "{shown:?}");
            assert_eq!(shown.lines().filter(|line| line.contains("all")).count(), 1, "{shown}");
        }
        let shown = markdown(&rows(&body()));
        assert!(!shown.contains("<b>") && !shown.contains("red |"), "{shown}");
    }

    #[test]
    fn json_names_its_schema_and_keeps_the_title_whole() {
        let text = json(&rows(&body())).expect("rendering works");
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(value["schema"], "coordinator.pulls/v1");
        assert_eq!(value["pulls"][0]["title"], "\u{1b}[31mred | <b>\n@all");
        assert_eq!(value["pulls"][1]["verdict"], "merge");
    }

    #[test]
    fn without_pull_requests_there_is_no_table() {
        assert_eq!(text(&[], Screen::PLAIN), "no open pull request\n");
    }
}
