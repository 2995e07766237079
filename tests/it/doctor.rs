//! `coordinator doctor`: what it finds, and how it exits.

use crate::coordinator;
use testkit::production::Refusing;
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
fn where_all_is_well_every_line_is_ok_and_production_is_not_asked() {
    let (github, production) = (GitHub::start(Repository::with([])), Production::up());
    let roster =
        RosterText::default().merging(&github, "").watching("production", &production.url(), "");
    let finished = doctor(&roster.role("worker", 1, "[\"/bin/sh\"]").write());
    assert_eq!(finished.code, Some(0), "{}", finished.stdout);
    for words in
        ["1 role, 1 agent", "the agent of role worker is /bin/sh", "the address of production"]
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
    let line = line(&finished, "no command `no-such-agent` on PATH");
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
        line(&finished, "head commit|pair of eyes|last pusher").to_owned()
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
    let found =
        line(&finished, "production is reached through the proxy proxy.example:3128 (HTTP_PROXY)");
    assert!(found.starts_with("ok "), "{found}");
    assert!(!finished.stdout.contains("hunter22"), "{}", finished.stdout);
}
