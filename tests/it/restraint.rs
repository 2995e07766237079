//! What the coordinator never does, read from the journal of whole cycles: it assigns no work, ends
//! no agent, reviews no code, pushes nothing and keeps no file of its own.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::contract::assert_conforms;
use crate::coordinator;
use testkit::workplace::RosterText;
use testkit::{Entry, Fault, GitHub, Kind, Production, Pull, Repository, Route};

fn busy_repository() -> Repository {
    let draft = Pull { draft: true, ..Pull::eligible(4) };
    Repository::with([Pull::eligible(1), Pull::eligible(2), Pull::eligible(3), draft])
}

#[test]
fn a_full_cycle_reads_the_list_merges_checks_production_and_nothing_else() {
    let github = GitHub::start(busy_repository());
    let production = Production::up();
    let roster = RosterText::default()
        .merging(&github, "")
        .role("ui_builder", 1, r#"["sleep", "600"]"#)
        .watching("production", &production.url(), "");
    let workplace = roster.write();
    let report = coordinator(&workplace).args(["reconcile", "-o", "json"]).run().json();
    let asked: Vec<String> =
        github.journal().iter().map(|entry| format!("{} {}", entry.method, entry.path)).collect();
    let merges = [1, 2, 3].map(|number| format!("PUT /repos/demo/app/pulls/{number}/merge"));
    assert_eq!(asked, [&["POST /graphql".to_owned()][..], &merges[..]].concat());
    assert_eq!(report["requests"], json!({"github": 4, "platform": 2, "health": 1}), "{report:#}");
    assert_eq!(production.state().journal, ["GET /healthz"]);
    assert_conforms(&github);
}

#[test]
fn no_work_item_is_read_and_nothing_is_written_but_merges() {
    let github = GitHub::start(busy_repository());
    let workplace =
        RosterText::default().merging(&github, "protected_paths = [\"secret/**\"]").write();
    coordinator(&workplace).args(["reconcile", "-o", "json"]).run();
    for Entry { kind, method, path, body, .. } in github.journal() {
        assert_ne!(kind, Kind::Write, "{method} {path}");
        assert_ne!(method, http::Method::DELETE, "{path}");
        let document = body["query"].as_str().unwrap_or_default();
        assert!(!document.contains("mutation") && !document.contains("issue"), "{document}");
        assert!(
            !path.contains("/issues") && !path.contains("/reviews") && !path.contains("/git/"),
            "{path}"
        );
    }
}

#[test]
fn a_merge_carries_its_guard_and_the_credential_and_names_the_program() {
    let github = GitHub::start(busy_repository());
    let workplace = RosterText::default().merging(&github, "").write();
    coordinator(&workplace).args(["reconcile", "--only", "merge"]).run();
    for call in github.journal().iter().filter(|entry| entry.kind == Kind::Merge) {
        let number = call.pull().expect("a merge call names its pull request");
        assert_eq!(call.body["sha"], json!(testkit::commit_id(&format!("h{number}"))));
        assert_eq!(call.body["merge_method"], "squash");
        assert_eq!(call.header("x-github-api-version"), "2022-11-28");
        assert!(
            call.header("user-agent").starts_with("coordinator"),
            "{}",
            call.header("user-agent")
        );
        assert!(!call.path.contains(testkit::TOKEN));
    }
    assert_eq!(github.merged(), [1, 2, 3]);
}

#[test]
fn a_failed_operation_is_not_repeated_within_the_run() {
    for fault in [
        Fault::status(500, "Server Error"),
        Fault::status(404, "Not Found"),
        Fault::status(405, "Pull Request is not mergeable"),
        Fault::status(409, "Head branch was modified. Review and try the merge again."),
        Fault::status(422, "Validation Failed"),
        Fault::reset(),
    ] {
        let github = GitHub::start(busy_repository());
        github.always(Route::Merge(2), fault);
        let workplace = RosterText::default().merging(&github, "").write();
        coordinator(&workplace).args(["reconcile", "--only", "merge"]).run();
        assert_eq!(github.merge_calls(), [1, 2, 3]);
    }
    let github = GitHub::start(busy_repository());
    github.always(Route::List, Fault::status(500, "Server Error"));
    let workplace = RosterText::default().merging(&github, "").write();
    coordinator(&workplace).args(["reconcile", "--only", "merge"]).run();
    assert_eq!(github.journal().len(), 1);
}

#[test]
fn a_run_without_agents_leaves_no_file_behind() {
    let github = GitHub::start(busy_repository());
    let production = Production::up();
    let roster =
        RosterText::default().merging(&github, "").watching("production", &production.url(), "");
    let workplace = roster.write();
    let before = files(workplace.path());
    coordinator(&workplace).args(["reconcile"]).run();
    assert_eq!(files(workplace.path()), before);
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder can be read").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        }
        found.push(path.display().to_string());
    }
    found.sort();
    found
}

#[test]
fn a_running_agent_is_never_ended() {
    let roster = RosterText::default().role("ui_builder", 2, r#"["sleep", "600"]"#);
    let workplace = roster.write();
    let first = coordinator(&workplace).args(["reconcile", "-o", "json"]).run().json();
    assert_eq!(first["steps"]["spawn"]["spawned"].as_array().map(Vec::len), Some(2), "{first:#}");
    let running = workplace.processes();
    assert!(running.len() >= 2, "{running:?}");
    workplace.write(
        "roster.toml",
        RosterText::default().role("ui_builder", 1, r#"["sleep", "600"]"#).text(),
    );
    let second = coordinator(&workplace).args(["reconcile", "-o", "json"]).run().json();
    assert_eq!(second["steps"]["inventory"]["roles"][0]["surplus"], json!(1), "{second:#}");
    workplace.write("roster.toml", RosterText::default().text());
    let third = coordinator(&workplace).args(["reconcile", "-o", "json"]).run().json();
    assert_eq!(
        third["steps"]["inventory"]["unmanaged"].as_array().map(Vec::len),
        Some(2),
        "{third:#}"
    );
    let left = workplace.processes();
    assert!(running.iter().all(|id| left.contains(id)), "{running:?} became {left:?}");
}

#[test]
fn a_mistake_in_the_configuration_or_the_command_line_touches_nothing() {
    let github = GitHub::start(busy_repository());
    let good = RosterText::default().merging(&github, "");
    let mistakes: [(String, &[&str]); 5] = [
        (good.clone().text().replace("fleet", "flet"), &["reconcile"]),
        (String::new(), &["reconcile"]),
        (good.clone().merging(&github, "min_approvals = 0").text(), &["reconcile"]),
        (good.text(), &["reconcile", "--only", "everything"]),
        (good.text(), &["reconcile", "--detailed-exitcode"]),
    ];
    for (text, arguments) in mistakes {
        let workplace = testkit::Workplace::new(&text);
        let finished = coordinator(&workplace).args(arguments.iter().copied()).run();
        assert_eq!(
            (finished.code, finished.stdout.as_str()),
            (Some(2), ""),
            "{text}\n{}",
            finished.stderr
        );
        assert!(!finished.stderr.is_empty());
    }
    let workplace = good.write();
    let half_an_app = coordinator(&workplace).env("GITHUB_APP_ID", "7").args(["reconcile"]).run();
    assert_eq!(half_an_app.code, Some(2), "{}{}", half_an_app.stdout, half_an_app.stderr);
    assert_eq!(github.journal().len(), 0);
}

#[test]
fn the_token_is_in_no_output_at_the_finest_log_level() {
    let github = GitHub::start(busy_repository());
    let workplace = RosterText::default().merging(&github, "").write();
    for form in ["text", "json"] {
        let arguments =
            ["reconcile", "--only", "merge", "--log-level", "trace", "--log-format", form];
        let finished = coordinator(&workplace).args(arguments).run();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let encoded: Value = json!(testkit::TOKEN);
        finished.hides(encoded.as_str().unwrap_or_default());
    }
}
