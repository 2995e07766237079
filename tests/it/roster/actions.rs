//! `[platform.github-actions]`: defaults, overrides, and what cannot be.

use std::time::Duration;

use coordinator_platform_actions::ActionsSettings;
use coordinator_roster::PlatformKind;

use super::Folder;
use super::mistakes::refused;

const LEAST: &str =
    "fleet = \"demo\"\n[platform]\nkind = \"github-actions\"\n[repository]\nname = \"demo/app\"\n";
const ROLE: &str = "[[role]]\nkey = \"a\"\n";

fn load(settings: &str) -> ActionsSettings {
    let text = format!("{LEAST}[platform.github-actions]\n{settings}\n{ROLE}");
    let roster = Folder::with_briefs(&text).load().unwrap_or_else(|problems| panic!("{problems}"));
    match roster.platform.kind {
        PlatformKind::GithubActions(settings) => settings,
        other => panic!("the platform is github-actions, not {other:?}"),
    }
}

#[test]
fn a_repository_is_all_that_workflow_runs_need() {
    let settings = load("");
    assert_eq!(
        (settings.workflow.as_str(), settings.git_ref.as_str()),
        ("agent-session.yml", "main")
    );
    assert_eq!(settings.ticket, Duration::from_secs(300));
    assert_eq!(settings.start_timeout, Duration::from_secs(900));
    assert_eq!(settings.max_requests, 80);
}

#[test]
fn every_key_arrives() {
    let settings = load(
        "workflow = \"agents.yaml\"\nref = \"release/1\"\nticket = \"10m\"\n\
         start_timeout = \"1h\"\nmax_requests = 400",
    );
    assert_eq!(
        (settings.workflow.as_str(), settings.git_ref.as_str()),
        ("agents.yaml", "release/1")
    );
    assert_eq!(settings.ticket, Duration::from_secs(600));
    assert_eq!(settings.start_timeout, Duration::from_secs(3600));
    assert_eq!(settings.max_requests, 400);
}

#[test]
fn what_cannot_be_is_refused_with_its_place_and_what_to_do() {
    let no_repository = format!("fleet = \"demo\"\n[platform]\nkind = \"github-actions\"\n{ROLE}");
    refused(
        &no_repository,
        "3:8",
        &["`github-actions` needs a repository to run workflows in", "add [repository]"],
    );
    let with = |line: &str| format!("{LEAST}[platform.github-actions]\n{line}\n{ROLE}");
    refused(
        &with("workflow = \".github/workflows/a.yml\""),
        "7:12",
        &["workflows are in `.github/workflows`"],
    );
    refused(
        &with("workflow = \"a.json\""),
        "7:12",
        &["write a file name such as `agent-session.yml`"],
    );
    refused(&with("ref = \"-x\""), "7:7", &["write a branch such as `main`"]);
    refused(&with("ticket = \"5s\""), "7:10", &["1m to 365days"]);
    refused(&with("max_requests = 5"), "7:16", &["10"]);
    let day = format!("{LEAST}{ROLE}time_limit = \"6days\"\n");
    refused(&day, "8:14", &["`time_limit` of `a`", "at most 5 days"]);
}

#[test]
fn a_secret_would_be_readable_in_the_inputs_of_a_run() {
    let roster = format!("{LEAST}{ROLE}env = {{ KEY = \"${{TOKEN}}\" }}\n");
    refused(&roster, "8:15", &["copy `TOKEN` into the run's inputs", "secret of the repository"]);
}

#[test]
fn an_agent_larger_than_the_inputs_of_a_run_is_refused() {
    let large = format!("{LEAST}{ROLE}env = {{ TEXT = \"{}\" }}\n", "x".repeat(70_000));
    refused(&large, "7:7", &["the inputs of a run of `a` would be too large", "at most 65535"]);
    let quotes = format!("{LEAST}{ROLE}env = {{ TEXT = '{}' }}\n", "\"".repeat(20_000));
    refused(&quotes, "7:7", &["would be too large"]);
}

#[test]
fn check_shows_where_the_fleet_runs() {
    let run = Folder::with_briefs(&format!("{LEAST}{ROLE}")).run(&["check"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let expected = "runs    as runs of agent-session.yml on main in demo/app";
    assert!(run.stdout.lines().any(|line| line == expected), "{}", run.stdout);
}
