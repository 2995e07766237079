//! `coordinator doctor`: its findings and exit codes.

use std::time::{Duration, Instant};

use crate::coordinator;
use testkit::production::Refusing;
use testkit::state::Account;
use testkit::workplace::RosterText;
use testkit::{Fault, Finished, GitHub, Production, Repository, Route, Workplace};

fn doctor(workplace: &Workplace) -> Finished {
    coordinator(workplace).args(["doctor"]).run()
}

fn line<'a>(finished: &'a Finished, words: &str) -> &'a str {
    let is_meant = |line: &&str| words.split('|').any(|words| line.contains(words));
    finished.stdout.lines().find(is_meant).unwrap_or_else(|| {
        panic!("nothing about {words:?}\n{}\n{}", finished.stdout, finished.stderr);
    })
}

#[test]
fn on_a_healthy_set_up_every_line_is_ok_and_production_gets_no_request() {
    let (github, production) = (GitHub::start(Repository::with([])), Production::up());
    let roster =
        RosterText::default().merging(&github, "").watching("production", &production.url(), "");
    let finished = doctor(&roster.role("worker", 1, "[\"/bin/sh\"]").write());
    assert_eq!(finished.code, Some(0), "{}", finished.stdout);
    // Nothing requires a second account to approve: that is one warning.
    assert!(finished.stdout.starts_with("1 warning\n\nwarn "), "{}", finished.stdout);
    for words in
        ["1 role, 1 agent", "agent command found: /bin/sh (role worker)", "production resolves"]
    {
        assert!(line(&finished, words).starts_with("ok "), "{}", finished.stdout);
    }
    assert!(!finished.stdout.contains("fail"), "{}", finished.stdout);
    assert!(production.state().journal.is_empty());
    assert!(github.merge_calls().is_empty());
}

#[test]
fn what_stands_in_the_way_is_named_with_its_remedy() {
    let workplace = RosterText::default().role("worker", 1, "[\"no-such-agent\"]").write();
    let finished = doctor(&workplace);
    assert_eq!(finished.code, Some(1));
    let line = line(&finished, "agent command not found: no `no-such-agent` on PATH");
    assert!(line.starts_with("fail ") && line.contains("; install it"), "{line}");
}

#[test]
fn a_missing_token_and_a_refused_one_are_failures() {
    let github = GitHub::start(Repository::with([]));
    let workplace = RosterText::default().merging(&github, "").write();
    let finished = coordinator(&workplace).args(["doctor"]).without_env("GITHUB_TOKEN").run();
    assert_eq!(finished.code, Some(1));
    assert!(line(&finished, "GITHUB_TOKEN").starts_with("fail "), "{}", finished.stdout);

    github.always(Route::GraphQl, Fault::status(401, "Bad credentials"));
    let finished = doctor(&workplace);
    assert_eq!(finished.code, Some(1));
    assert!(line(&finished, "token").starts_with("fail "), "{}", finished.stdout);
}

#[test]
fn programs_read_findings_as_json() {
    let refusing = Refusing::start();
    let workplace = RosterText::default().watching("production", &refusing.url(), "").write();
    let finished = coordinator(&workplace).args(["doctor", "-o", "json"]).run();
    let json = finished.json();
    assert_eq!(json["schema"], "coordinator.doctor/v1");
    let findings = json["findings"].as_array().expect("a list");
    assert!(findings.len() >= 4, "{json}");
    for finding in findings {
        assert!(finding["what"].is_string(), "{finding}");
        assert_eq!(finding["grade"] == "ok", finding["remedy"].is_null(), "{finding}");
    }
}

#[test]
fn a_deadline_that_leaves_no_time_to_merge_is_spoken_of() {
    let github = GitHub::start(Repository::with([]));
    let finished = doctor(&RosterText::default().merging(&github, "").deadline("20s").write());
    assert!(line(&finished, "nothing is ever merged").starts_with("warn "), "{}", finished.stdout);
}

#[test]
fn a_reviewer_who_may_approve_a_push_of_their_own_is_spoken_of() {
    let eyes = |repository: Repository, merge: &str| {
        let github = GitHub::start(repository);
        let finished = doctor(&RosterText::default().merging(&github, merge).write());
        crate::contract::assert_conforms(&github);
        line(&finished, "head commit|last pusher").to_owned()
    };
    let bare = Repository::with([]);
    let warning = eyes(bare.clone(), "");
    assert!(warning.starts_with("warn ") && warning.contains("last_push_approval"), "{warning}");
    let ruled = Repository { last_push_rule: true, ..bare.clone() };
    let protected = Repository { last_push_protection: Some(true), ..bare.clone() };
    let unprotected = Repository { last_push_protection: Some(false), ..bare.clone() };
    assert!(eyes(unprotected, "").starts_with("warn "));
    for (repository, merge) in
        [(ruled, ""), (protected, ""), (bare, "last_push_approval = \"require\"")]
    {
        let fine = eyes(repository, merge);
        assert!(fine.starts_with("ok "), "{fine}");
    }
}

#[test]
fn an_empty_configuration_variable_is_as_good_as_none() {
    let workplace = RosterText::default().write();
    let finished = coordinator(&workplace).env("COORDINATOR_CONFIG", "").args(["check"]).run();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

#[test]
fn what_keeps_github_out_of_reach_has_a_remedy_that_fits() {
    let (github, refusing) = (GitHub::start(Repository::with([])), Refusing::start());
    let text = RosterText::default().merging(&github, "").text();
    let refused = doctor(&Workplace::new(&text.replace(&github.url(), &refusing.url())));
    let found = line(&refused, "no answer from GitHub");
    assert!(
        found.contains("connection refused") && found.contains("this machine's network"),
        "{found}"
    );
    assert!(!found.contains("token"), "{found}");

    let (workplace, proxy) = (Workplace::new(&text), refusing.url());
    let program = coordinator(&workplace).env("HTTP_PROXY", &proxy);
    let proxied = program.args(["doctor"]).run();
    let found = line(&proxied, "no answer from GitHub");
    assert!(
        found.contains("through the proxy 127.0.0.1:") && found.contains("NO_PROXY"),
        "{found}"
    );

    let program = coordinator(&workplace).env("ALL_PROXY", "socks5://127.0.0.1:1080");
    let socks = program.args(["doctor"]).run();
    let found = line(&socks, "no answer from GitHub");
    assert!(found.contains("ALL_PROXY names a socks5 proxy, which is not supported"), "{found}");
}

#[test]
fn production_behind_a_proxy_is_not_looked_up_here() {
    let workplace =
        RosterText::default().watching("production", "http://no-such-host.invalid/", "").write();
    let program =
        coordinator(&workplace).env("HTTP_PROXY", "http://me:hunter22@proxy.example:3128");
    let finished = program.args(["doctor"]).run();
    let found = line(&finished, "is reached through the proxy proxy.example:3128 (HTTP_PROXY)");
    assert!(found.starts_with("ok "), "{found}");
    assert!(!finished.stdout.contains("hunter22"), "{}", finished.stdout);
}

/// A builder and a reviewer, with these tokens.
fn builder_and_reviewer(github: &GitHub, merge: &str, builder: &str, reviewer: &str) -> String {
    let roster = RosterText::default().merging(github, merge);
    let roster =
        roster.role("builder", 1, "[\"/bin/sh\"]").role("reviewer", 1, "[\"/bin/sh\"]").text();
    let (top, last) = roster.rsplit_once("mode = \"task-driven\"").expect("two roles");
    let top = top.replacen(
        "mode = \"task-driven\"",
        &format!("env = {{ {builder} }}\nmode = \"task-driven\""),
        1,
    );
    format!("{top}env = {{ {reviewer} }}\nmode = \"reviewer\"{last}")
}

const BUILDER_TOKEN: &str = "token-of-the-builders-4b1d";
const REVIEWER_TOKEN: &str = "token-of-the-reviewers-9f2e";

/// The findings of `doctor` about the accounts, with these tokens in `env`.
fn accounts(merge: &str, builder: &str, reviewer: &str, permission: &str) -> (Finished, GitHub) {
    let github = GitHub::start(Repository::with([]));
    for (token, login) in [(BUILDER_TOKEN, "build-bot"), (REVIEWER_TOKEN, "review-bot")] {
        let permission = Some(permission.to_owned());
        let account = Account { login: login.to_owned(), permission };
        github.state().accounts.insert(token.to_owned(), account);
    }
    let workplace = Workplace::new(&builder_and_reviewer(&github, merge, builder, reviewer));
    let program = coordinator(&workplace).env("BUILDER", BUILDER_TOKEN);
    let finished = program.env("REVIEWER", REVIEWER_TOKEN).args(["doctor"]).run();
    crate::contract::assert_conforms(&github);
    for token in [BUILDER_TOKEN, REVIEWER_TOKEN] {
        let output = format!("{}{}", finished.stdout, finished.stderr);
        assert!(!output.contains(token), "{output}");
    }
    (finished, github)
}

#[test]
fn an_agent_that_gets_the_coordinators_own_token_is_a_warning() {
    let (finished, _) =
        accounts("", "GH_TOKEN = \"${GITHUB_TOKEN}\"", "GH_TOKEN = \"${REVIEWER}\"", "WRITE");
    let found = line(&finished, "has the coordinator's own GITHUB_TOKEN");
    assert!(found.starts_with("warn "), "{found}");
}

#[test]
fn builders_and_reviewers_with_one_account_are_a_warning() {
    let (finished, github) =
        accounts("", "GH_TOKEN = \"${BUILDER}\"", "GITHUB_TOKEN = \"${BUILDER}\"", "WRITE");
    let found = line(&finished, "builders and reviewers are one GitHub account, `build-bot`");
    assert!(found.starts_with("warn "), "{found}");
    assert!(finished.stdout.contains("second account"), "{}", finished.stdout);
    assert_eq!(github.journal().len(), 2, "one request per distinct token beside the usual one");
}

#[test]
fn two_accounts_are_fine_and_each_needs_what_makes_its_approval_count() {
    let (builder, reviewer) = ("GH_TOKEN = \"${BUILDER}\"", "GH_TOKEN = \"${REVIEWER}\"");
    let about = |merge: &str, permission: &str, words: &str| {
        let (finished, _) = accounts(merge, builder, reviewer, permission);
        line(&finished, words).to_owned()
    };
    let fine = about("", "WRITE", "different GitHub accounts");
    assert!(fine.starts_with("ok "), "{fine}");
    for (merge, permission, words) in [
        ("", "READ", "approvals by `review-bot` do not count: the account has no write access"),
        ("trusted_approvers = [\"alice\"]", "WRITE", "`trusted_approvers` does not list"),
        ("min_approvals = 2", "WRITE", "only 1 account other than `build-bot` reviews"),
    ] {
        let warning = about(merge, permission, words);
        assert!(warning.starts_with("warn "), "{warning}");
    }
}

#[test]
fn accounts_whose_tokens_the_roster_does_not_have_are_said_to_be_unchecked() {
    let (finished, github) = accounts("", "GH_TOKEN = \"${BUILDER}\"", "X = \"1\"", "WRITE");
    let note = line(&finished, "not checked: whether builders and reviewers");
    assert!(note.starts_with("note ") && note.contains("role reviewer"), "{note}");
    assert_eq!(github.journal().len(), 1);
}

#[test]
fn a_token_of_an_agent_that_github_refuses_is_a_problem() {
    let (finished, _) =
        accounts("", "GH_TOKEN = \"wrong-token\"", "GH_TOKEN = \"${REVIEWER}\"", "WRITE");
    let found = line(&finished, "the GitHub token of role builder does not work");
    assert!(found.starts_with("fail "), "{found}");
}

/// `doctor --try-agent` for roles with these commands; leaves nothing behind.
fn trial(commands: &[&str]) -> Finished {
    let roster = commands.iter().zip(["first", "second", "third"]);
    let roster = roster.fold(RosterText::default(), |roster, (command, key)| {
        roster.role(key, 2, &format!("[\"/bin/sh\", \"-c\", '{command}', \"{{prompt}}\"]"))
    });
    let workplace = roster.write();
    let finished = coordinator(&workplace).args(["doctor", "--try-agent"]).run();
    assert!(!workplace.path().join("state").exists(), "a file is left");
    assert_eq!(workplace.processes(), Vec::<u32>::new(), "a process is left");
    finished
}

#[test]
fn a_trial_runs_each_distinct_command_once_as_a_session_would() {
    let reply = "echo $0 $COORDINATOR_SLOT; sleep 1000 & ls";
    let finished = trial(&[reply, reply]);
    assert_eq!(finished.code, Some(0), "{}", finished.stdout);
    let found = line(&finished, "the agent of 2 roles replied after");
    assert!(found.starts_with("ok "), "{found}");
    assert!(finished.stdout.contains("Reply with the word: ready"), "{}", finished.stdout);
}

#[test]
fn an_agent_that_fails_its_trial_is_a_problem_with_its_last_words() {
    let finished = trial(&["echo Please run /login; exit 7", "exit 0"]);
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    let found = line(&finished, "the agent of role first failed, exit code 7 after");
    assert!(found.starts_with("fail ") && found.contains("Please run /login"), "{found}");
    let silent = line(&finished, "the agent of role second exited with 0");
    assert!(silent.starts_with("warn "), "{silent}");
}

#[test]
fn a_trial_of_an_agent_that_streams_shows_its_words() {
    let text = r#"{\"type\":\"assistant\",\"message\":{\"content\":\"I am ready.\"}}"#;
    let end = r#"{\"type\":\"result\",\"subtype\":\"success\",\"num_turns\":1}"#;
    let command = format!("[\"/bin/sh\", \"-c\", 'echo \"{text}\"; echo \"{end}\"']");
    let roster = RosterText::default().defaults("agent = \"claude\"");
    let workplace = roster.role("worker", 1, &command).write();
    let finished = coordinator(&workplace).args(["doctor", "--try-agent"]).run();
    let found = line(&finished, "the agent of role worker replied after");
    assert!(finished.stdout.contains("I am ready. | == succeeded, 1 turn"), "{}", finished.stdout);
    assert!(found.starts_with("ok "), "{found}");
}

#[test]
fn a_trial_that_is_interrupted_leaves_no_agent() {
    let command = "[\"/bin/sh\", \"-c\", 'echo > \"$HOME/began\"; exec sleep 1000']";
    let workplace = RosterText::default().role("worker", 1, command).write();
    let running = coordinator(&workplace).args(["doctor", "--try-agent"]).spawn();
    let end = Instant::now() + Duration::from_secs(20);
    while !workplace.path().join("began").exists() {
        assert!(Instant::now() < end, "the agent does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    running.signal("INT");
    let finished = running.wait();
    assert_eq!(finished.code, Some(130), "{}", finished.stdout);
    assert_eq!(workplace.processes(), Vec::<u32>::new(), "a process is left");
    assert!(!workplace.path().join("state").exists(), "a file is left");
}

#[test]
fn without_a_trial_a_note_names_the_option() {
    let finished = doctor(&RosterText::default().role("worker", 1, "[\"/bin/sh\"]").write());
    let note = line(&finished, "not checked: whether the agent is logged in");
    assert!(note.starts_with("note ") && note.contains("--try-agent"), "{note}");
}

#[test]
fn a_fleet_that_does_not_fit_into_memory_is_a_warning() {
    let finished = doctor(&RosterText::default().role("worker", 10_000, "[\"/bin/sh\"]").write());
    let found = line(&finished, "10000 more sessions need about 1855.4 GiB of memory");
    assert!(found.starts_with("warn ") && found.contains("`max_running`"), "{found}");
}

#[test]
fn example_values_that_init_wrote_are_problems() {
    let github = GitHub::start(Repository::with([]));
    let roster = RosterText::default().merging(&github, "");
    let text = roster.text().replace("name = \"demo/app\"", "name = \"owner/repo\"");
    let finished = doctor(&Workplace::new(&text));
    let found = line(&finished, "`name` in [repository] is still the example `owner/repo`");
    assert!(found.starts_with("fail "), "{found}");
}

#[test]
fn a_second_roster_of_the_fleet_and_a_former_name_are_warnings() {
    let roster = RosterText::default().role("worker", 1, "[\"sleep\", \"1000\"]");
    let workplace = roster.write();
    coordinator(&workplace).args(["reconcile"]).run();
    workplace.write("second.toml", roster.text());
    let second = coordinator(&workplace).args(["-c", "second.toml", "doctor"]).run();
    let found = line(&second, "roster.toml runs the fleet `demo` too");
    assert!(found.starts_with("warn "), "{found}");
    workplace.write("roster.toml", roster.fleet("renamed").text());
    let renamed = doctor(&workplace);
    let found = line(&renamed, "1 live session of the fleet `demo`");
    assert!(found.starts_with("warn ") && found.contains("former name"), "{found}");
}
