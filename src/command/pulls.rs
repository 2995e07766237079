//! `coordinator pulls`: every open pull request with its verdict and reason. It is the merge step
//! without its merges.

use std::iter;

use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use crate::command::{Finished, clients};
use crate::render::json::{Json, object};
use crate::render::table::{Cell, Table, Tone, View};
use crate::render::{Form, Output};
use crate::steps::merge::{self, MergeContext};
use coordinator_core::merge::MergePolicy;
use coordinator_core::report::MergeReport;
use coordinator_github::Github;
use coordinator_http::Client;
use coordinator_roster::Roster;

/// Characters in the table.
const MAX_TITLE: usize = 50;
const MAX_DETAIL: usize = 300;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRow {
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
pub async fn run(roster: &Roster, form: Form<'_>) -> anyhow::Result<Finished> {
    let github = clients::github(roster, &Client::new())??;
    let body = judged(&github, &roster.merge, roster.deadline).await?;
    let (rows, notes) = (rows(&body), notes(&github, &body));
    if form.output == Output::Json {
        // The document has no place for them.
        for note in &notes {
            tracing::warn!("{note}");
        }
    }
    Ok(Finished::ok(show(&rows, notes, form)?))
}

/// What concerns all pull requests.
fn notes(github: &Github, body: &MergeReport) -> Vec<String> {
    let blocker = body.blocker.as_ref();
    let blocker = blocker.map(|skip| format!("nothing can be merged: {}", skip.detail));
    let renamed = github
        .renamed_to()
        .map(|name| format!("the repository is now `{name}`; correct `name` in [repository]"));
    blocker.into_iter().chain(renamed).chain(github.unavailable()).collect()
}

/// Asks GitHub and judges; merges nothing.
///
/// Fails when the list fails.
pub async fn judged(
    github: &Github,
    policy: &MergePolicy,
    deadline: Duration,
) -> anyhow::Result<MergeReport> {
    let mut body = MergeReport::default();
    let merge_until = Instant::now() + deadline;
    let context = MergeContext {
        dry_run: true,
        merge_until,
        stop: CancellationToken::new(),
        production: None,
        pause: None,
    };
    merge::run(&mut body, github, policy, &context).await?;
    Ok(body)
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

fn show(rows: &[PullRow], notes: Vec<String>, form: Form<'_>) -> serde_json::Result<String> {
    form.show(|| view(rows, notes), |secrets| document(rows).pretty(secrets))
}

fn document(rows: &[PullRow]) -> Json {
    let pulls = rows.iter().map(|row| {
        object([
            ("number", row.number.into()),
            ("title", Json::Exact(row.title.clone())),
            ("verdict", row.verdict.into()),
            ("detail", Json::Exact(row.detail.clone())),
        ])
    });
    object([("schema", "coordinator.pulls/v1".into()), ("pulls", pulls.collect())])
}

fn view(rows: &[PullRow], notes: Vec<String>) -> View {
    let row = |row: &PullRow| {
        let tone = if row.verdict == "merge" { Tone::Done } else { Tone::Held };
        vec![
            Cell::ours(format!("#{}", row.number)),
            Cell::new(&row.title).max(MAX_TITLE).cut(),
            Cell::ours(row.verdict).tone(tone),
            Cell::new(&row.detail).max(MAX_DETAIL),
        ]
    };
    let headings = &["pull", "title", "verdict", "why"];
    let table = Table { headings, rows: rows.iter().map(row).collect() };
    View { table, lines: iter::once(conclusion(rows)).chain(notes).collect() }
}

fn conclusion(rows: &[PullRow]) -> String {
    let merges = rows.iter().filter(|row| row.verdict == "merge").count();
    match (rows.len(), merges) {
        (0, _) => "no open pull request".to_owned(),
        (open, 0) => format!("none would be merged now, {open} open"),
        (open, merges) => format!("{merges} would be merged now, {} left open", open - merges),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use unicode_width::UnicodeWidthStr;

    use super::*;
    use crate::render::Screen;
    use coordinator_core::merge::reason::Reason;
    use coordinator_core::report::{Merged, NotMerged};
    use coordinator_core::secrets::Secrets;

    fn shown(rows: &[PullRow], output: Output) -> String {
        show(rows, Vec::new(), Form::plain(output, &Secrets::default())).expect("rendering works")
    }

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
        let text = shown(&rows(&body()), Output::Text);
        let expected = "\
PULL  TITLE               VERDICT     WHY
#3    [31mred | <b> @all  ci_pending  `build` is in progress
#7    Add login           merge       approved and green

1 would be merged now, 1 left open
";
        assert_eq!(text, expected);
    }

    /// Titles that are long or without spaces, and long names of files and checks.
    fn usual() -> Vec<PullRow> {
        let row = |number, title: &str, verdict, detail: &str| PullRow {
            number,
            title: title.to_owned(),
            verdict,
            detail: detail.to_owned(),
        };
        vec![
            row(7, "Add the login form", "merge", "approved and green"),
            row(
                9,
                "Fix the flaky parser test that fails on Tuesdays",
                "ci_pending",
                "`build` runs",
            ),
            row(12, "Bump serde", "not_approved", "0 of 1 approvals on the head commit"),
            row(13, "ログイン画面の認証トークンの更新処理を修正", "conflict", "conflict with main"),
            row(15, "Red build", "ci_failed", "`integration-tests (ubuntu-latest, stable)` failed"),
            row(
                16,
                "Run the checks once a day",
                "protected_path",
                ".github/workflows/integration.yml is left to people",
            ),
            row(104, "Rename config keys", "blocked_label", "the label `do-not-merge` holds it"),
        ]
    }

    fn on_a_terminal(width: usize) -> String {
        let (secrets, screen) = (Secrets::default(), Screen { color: false, width: Some(width) });
        let form = Form { screen, ..Form::plain(Output::Text, &secrets) };
        show(&usual(), Vec::new(), form).expect("rendering works")
    }

    #[test]
    fn ordinary_pull_requests_are_a_table_on_an_ordinary_terminal() {
        assert_snapshot!(on_a_terminal(80), @"
        PULL  TITLE                    VERDICT         WHY
        #7    Add the login form       merge           approved and green
        #9    Fix the flaky parser t…  ci_pending      `build` runs
        #12   Bump serde               not_approved    0 of 1 approvals on the head
                                                       commit
        #13   ログイン画面の認証トー…  conflict        conflict with main
        #15   Red build                ci_failed       `integration-tests
                                                       (ubuntu-latest, stable)` failed
        #16   Run the checks once a…   protected_path  .github/workflows/integration.yml
                                                       is left to people
        #104  Rename config keys       blocked_label   the label `do-not-merge` holds it

        1 would be merged now, 6 left open
        ");
    }

    #[test]
    fn where_no_table_fits_each_pull_request_is_a_paragraph() {
        let text = on_a_terminal(40);
        let start: Vec<&str> = text.lines().take(4).collect();
        assert_eq!(
            start.join("\n"),
            "\
#7
  title    Add the login form
  verdict  merge
  why      approved and green"
        );
        assert!(text.lines().all(|line| line.width() <= 40), "{text}");
    }

    #[test]
    fn a_hostile_title_can_neither_steer_a_terminal_nor_write_markdown() {
        for output in [Output::Text, Output::Markdown] {
            let text = shown(&rows(&body()), output);
            assert!(!text.contains('\u{1b}'), "{text:?}");
            assert_eq!(text.lines().filter(|line| line.contains("all")).count(), 1, "{text}");
        }
        let text = shown(&rows(&body()), Output::Markdown);
        assert!(!text.contains("<b>") && !text.contains("red |"), "{text}");
    }

    #[test]
    fn json_names_its_schema_and_keeps_the_title_whole() {
        let text = shown(&rows(&body()), Output::Json);
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(value["schema"], "coordinator.pulls/v1");
        assert_eq!(value["pulls"][0]["title"], "\u{1b}[31mred | <b>\n@all");
        assert_eq!(value["pulls"][1]["verdict"], "merge");
    }

    #[test]
    fn without_pull_requests_there_is_no_table() {
        assert_eq!(shown(&[], Output::Text), "no open pull request\n");
    }
}
