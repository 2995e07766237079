//! Bad input from outside: always a clear error, never a panic, never a hang, never a secret.

use serde_json::{Value, json};

use crate::coordinator;
use crate::merging::{left_alone, merged};
use testkit::server::Ending;
use testkit::workplace::RosterText;
use testkit::{Author, Fault, GitHub, Pull, Repository, Route, TOKEN};

const MERGE: [&str; 5] = ["reconcile", "--only", "merge", "-o", "json"];

fn one_eligible() -> GitHub {
    GitHub::start(Repository::with([Pull::eligible(1)]))
}

/// The merge step's error, when every list request gets this fault.
fn list_error(fault: Fault) -> String {
    let told = format!("{fault:?}").chars().take(300).collect::<String>();
    let github = one_eligible();
    github.always(Route::GraphQl, fault);
    let workplace = RosterText::default().deadline("4s").merging(&github, "").write();
    let finished = coordinator(&workplace).args(MERGE).run();
    let step = finished.json()["steps"]["merge"].clone();
    assert_eq!(step["outcome"], "failed", "{told}\n{step:#}");
    assert_eq!(finished.code, Some(1), "{told}\n{}", finished.stderr);
    assert!(!finished.stderr.contains("panicked"), "{told}\n{}", finished.stderr);
    assert!(finished.stdout.len() < 20_000, "{told}: {} bytes of report", finished.stdout.len());
    assert_eq!(github.merge_calls(), Vec::<u64>::new(), "{told}");
    step["error"].as_str().expect("a failed step has an error").to_owned()
}

#[test]
fn a_list_that_is_not_what_github_documents_fails_the_step_with_a_reason() {
    for (fault, words) in [
        (Fault::html(), "body"),
        (Fault::truncated(), "GitHub"),
        (Fault::garbage(), "GitHub"),
        (Fault::reset(), "GitHub"),
        (Fault::json(&Value::Null), "GitHub"),
        (Fault::json(&json!([])), "GitHub"),
        (Fault::json(&json!({})), "GitHub"),
        (Fault::json(&json!({"data": null})), "GitHub"),
        (Fault::json(&json!({"data": {"repository": null}})), "demo/app"),
        (Fault::json(&json!({"data": {"repository": {"pullRequests": 7}}})), "GitHub"),
        (
            Fault::json(&json!({"errors": [{"message": "Something went wrong"}]})),
            "Something went wrong",
        ),
        (Fault::status(401, "Bad credentials"), "token"),
        (Fault::status(500, "Server Error"), "500"),
        (Fault::status(302, "Moved"), "302"),
    ] {
        let error = list_error(fault);
        assert!(error.contains(words), "`{words}` is not in {error:?}");
    }
}

#[test]
fn a_server_that_never_answers_does_not_hold_the_run_past_its_deadline() {
    let error = list_error(Fault::never());
    assert!(error.contains("timed out after"), "{error}");
}

#[test]
fn a_server_that_sends_a_byte_a_second_does_not_hold_the_run_past_its_deadline() {
    let slow = Fault { ending: Ending::Trickle, ..Fault::none() };
    assert!(list_error(slow).contains("timed out after"));
}

#[test]
fn a_huge_answer_is_not_read_to_its_end() {
    let error = list_error(Fault::huge(64 << 20));
    assert!(error.len() < 700, "{} bytes of error", error.len());
}

#[test]
fn an_error_that_quotes_the_token_is_masked() {
    let error = list_error(Fault::status(403, &format!("the token {TOKEN} is bad")));
    assert!(!error.contains(TOKEN), "{error}");
    let error = list_error(Fault::json(&json!({"errors": [{"message": TOKEN}]})));
    assert!(!error.contains(TOKEN), "{error}");
}

#[test]
fn a_merge_answer_that_is_garbage_is_an_unknown_outcome() {
    for fault in
        [Fault::json(&Value::Null), Fault::json(&json!({"merged": "yes"})), Fault::huge(64 << 20)]
    {
        let github = one_eligible();
        github.script(Route::Merge(1), [fault]);
        let workplace = RosterText::default().merging(&github, "").write();
        let step = coordinator(&workplace).args(MERGE).run().json()["steps"]["merge"].clone();
        assert_eq!(left_alone(&step), json!([[1, "merge_outcome_unknown"]]));
        assert_eq!(github.merge_calls(), [1]);
    }
}

#[test]
fn fields_that_github_could_not_read_close_their_pull_request_alone() {
    let broken =
        ["author", "labels", "latestOpinionatedReviews", "reviewDecision", "statusCheckRollup"];
    let pulls = broken.iter().zip(1..).map(|(field, number)| Pull {
        broken_fields: vec![((*field).to_owned(), "INTERNAL".to_owned())],
        ..Pull::eligible(number)
    });
    let github = GitHub::start(Repository::with(pulls.chain([Pull::eligible(9)])));
    let workplace = RosterText::default().merging(&github, "").write();
    let step = coordinator(&workplace).args(MERGE).run().json()["steps"]["merge"].clone();
    assert_eq!(step["outcome"], "ok", "{step:#}");
    assert_eq!(merged(&step), json!([9]), "{step:#}");
    assert_eq!(left_alone(&step).as_array().map(Vec::len), Some(broken.len()), "{step:#}");
}

#[test]
fn a_title_on_a_terminal_keeps_its_joiners_and_loses_what_turns_text_around() {
    let persian = "صفحه\u{200c}ها 👩\u{200d}💻";
    let turned = "a\u{202e}b\u{2067}c\u{200f}d\u{e0041}";
    let github = GitHub::start(Repository::with([
        Pull::eligible(1).titled(persian),
        Pull::eligible(2).titled(turned),
    ]));
    let workplace = RosterText::default().merging(&github, "").write();
    for arguments in [
        &["pulls"][..],
        &["reconcile", "--only", "merge", "--dry-run"],
        &["pulls", "-o", "markdown"],
    ] {
        let shown = coordinator(&workplace).args(arguments.iter().copied()).run().stdout;
        assert!(shown.contains(persian) && shown.contains("abcd"), "{arguments:?}: {shown:?}");
    }
}

#[test]
fn text_from_github_reaches_no_output_as_more_than_text() {
    let title = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}<b>| `x` [y](javascript:z) @everyone\r\n\
        ::error::\u{9b}31m [skip ci]";
    let label = "\u{1b}[31mhold\u{1b}[0m";
    let hostile = |number| Pull {
        author: Some(Author::user("mal\u{1b}[31mlory\n## heading")),
        labels: vec![label.to_owned()],
        ..Pull::eligible(number).titled(title)
    };
    let blocked = Pull { draft: true, ..hostile(2) };
    let github = GitHub::start(Repository::with([hostile(1), blocked]));
    let workplace = RosterText::default().merging(&github, "").write();
    for form in ["text", "markdown", "json"] {
        let finished =
            coordinator(&workplace).args(["reconcile", "--only", "merge", "-o", form]).run();
        for output in [&finished.stdout, &finished.stderr] {
            let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!output.contains(bad), "{form}: {output:?}");
        }
        if form == "markdown" {
            assert!(!finished.stdout.contains("<b>"), "{}", finished.stdout);
            assert!(!finished.stdout.contains("](javascript:"), "{}", finished.stdout);
            assert!(
                !finished.stdout.lines().any(|line| line.starts_with("## heading")),
                "{}",
                finished.stdout
            );
        }
        assert!(
            !finished.stdout.lines().any(|line| line.starts_with("::error::")),
            "{}",
            finished.stdout
        );
    }
    let mut state = github.state();
    let message = &state.repository().branches["main"][1].message;
    assert!(
        !message.chars().any(char::is_control) && !message.contains("[skip ci]"),
        "{message:?}"
    );
}

#[test]
fn a_list_that_always_repeats_its_cursor_ends() {
    let github = one_eligible();
    let page = json!({"data": {
        "rateLimit": {"cost": 1, "remaining": 4_000, "resetAt": "2030-01-01T00:00:00Z"},
        "repository": {
            "nameWithOwner": "demo/app", "isArchived": false, "squashMergeAllowed": true,
            "deleteBranchOnMerge": true, "viewerPermission": "WRITE", "defaultBranchRef": null,
            "base_0": {"name": "main", "target": {"oid": "a", "history": {"nodes": []}}},
            "pullRequests": {
                "totalCount": 1, "pageInfo": {"hasNextPage": true, "endCursor": "row:1"},
                "nodes": [],
            },
        },
    }});
    github.always(Route::GraphQl, Fault::json(&page));
    let workplace = RosterText::default().deadline("4s").merging(&github, "").write();
    let finished = coordinator(&workplace).args(MERGE).run();
    assert_eq!(github.merge_calls(), Vec::<u64>::new());
    assert_eq!(finished.json()["steps"]["merge"]["outcome"], "failed", "{}", finished.stdout);
    assert!(github.journal().len() < 100, "{} requests", github.journal().len());
}

#[test]
fn a_list_that_never_comes_ends_with_the_deadline_for_pulls_too() {
    let github = GitHub::start(Repository::with([Pull::eligible(1)]));
    github.always(Route::List, Fault::never());
    let workplace = RosterText::default().deadline("1s").merging(&github, "").write();
    let finished = coordinator(&workplace).args(["pulls"]).run();
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.stderr.contains("timed out after 1s (`deadline` in the roster)"),
        "{}",
        finished.stderr
    );
}
