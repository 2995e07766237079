//! What the commands show of a fleet on a cluster, and what each does when the cluster cannot be
//! reached.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::coordinator;
use testkit::kubernetes::Kubernetes;
use testkit::kubernetes::trouble::Call;
use testkit::workplace::RosterText;
use testkit::{Finished, GitHub, Production, Pull, Repository, TOKEN, Workplace};

const AGENT: &str = "[\"agent\", \"{prompt}\"]";

fn fleet(count: u32) -> Workplace {
    RosterText::kubernetes("").role("ui_builder", count, AGENT).write()
}

fn run(workplace: &Workplace, cluster: &Kubernetes, arguments: &[&str]) -> Finished {
    coordinator(workplace).kubeconfig(cluster).args(arguments.iter().copied()).run()
}

fn report(workplace: &Workplace, cluster: &Kubernetes) -> Value {
    run(workplace, cluster, &["reconcile", "-o", "json"]).json()
}

/// Four slots: one runs, one has ended, one cannot pull its image, one is beyond the count.
fn troubled() -> (Kubernetes, Workplace) {
    let cluster = Kubernetes::start();
    report(&fleet(4), &cluster);
    let mut state = cluster.state();
    state.run_all();
    state.finish("demo-ui-builder-s1", 3, "no \u{1b}[31mkey");
    state.wait("demo-ui-builder-s2", "ImagePullBackOff", "no image \u{202e}`agents:lates` | <b>");
    state.advance(700);
    drop(state);
    (cluster, fleet(3))
}

#[test]
fn sessions_shows_every_slot_with_its_state_and_last_end() {
    let (cluster, workplace) = troubled();
    let table = run(&workplace, &cluster, &["sessions"]).stdout;
    let row = |slot: &str| {
        let row = table.lines().find(|line| line.starts_with(slot));
        row.unwrap_or_else(|| panic!("no {slot} in\n{table}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(row("ui-builder-s0").starts_with("ui-builder-s0 running 11 min 1"), "{table}");
    assert!(row("ui-builder-s1").contains("failed, exit 3 after"), "{table}");
    let pending = "ui-builder-s2 pending 11 min 1 ImagePullBackOff: no image `agents:lates`";
    assert!(row("ui-builder-s2").starts_with(pending), "{table}");
    assert!(row("ui-builder-s3").starts_with("ui-builder-s3 running"), "{table}");
    assert!(!table.contains(['\u{1b}', '\u{202e}']), "{table:?}");
    let page = run(&workplace, &cluster, &["sessions", "-o", "markdown"]).stdout;
    assert!(!page.contains('<') && !page.contains('`'), "{page}");
}

#[test]
fn programs_read_sessions_of_a_cluster_in_the_same_form() {
    let (cluster, workplace) = troubled();
    cluster.forget();
    let json = run(&workplace, &cluster, &["sessions", "-o", "json"]).json();
    assert_eq!(cluster.calls(), [Call::ListJobs, Call::ListPods]);
    assert_eq!(
        (&json["schema"], &json["fleet"]),
        (&json!("coordinator.sessions/v1"), &json!("demo"))
    );
    let sessions = json["sessions"].as_array().expect("a list");
    assert_eq!(sessions.len(), 4, "{json:#}");
    let ended = &sessions[1];
    assert_eq!(ended["slot"], "demo-ui-builder-s1");
    assert_eq!((&ended["outcome"], &ended["exit_code"]), (&json!("failed"), &json!(3)));
    assert_eq!(ended["detail"], "no [31mkey");
    let pending = sessions[2]["detail"].as_str().expect("a stuck session has a detail");
    assert!(pending.starts_with("pending: ImagePullBackOff: no image"), "{pending}");
    assert!(sessions.iter().all(|one| one["log"].is_null() && one["pid"].is_null()), "{json:#}");
}

#[test]
fn a_report_names_stuck_and_out_of_range_sessions_and_touches_none() {
    let (cluster, workplace) = troubled();
    let report = report(&workplace, &cluster);
    let inventory = &report["steps"]["inventory"];
    assert_eq!(inventory["out_of_range"], json!(["demo-ui-builder-s3"]));
    let stuck = &inventory["stuck"][0];
    assert_eq!(
        (&stuck["slot"], &stuck["reason"]),
        (&json!("demo-ui-builder-s2"), &json!("pending"))
    );
    let signals: Vec<&Value> = report["advice"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|advice| &advice["signal"])
        .collect();
    assert_eq!(signals, [&json!("pending: ui-builder-s2")]);
    assert_eq!(report["status"], "healthy");
}

#[test]
fn a_log_is_printed_without_secrets_and_escape_sequences() {
    let cluster = Kubernetes::start();
    let workplace = fleet(1);
    report(&workplace, &cluster);
    cluster.state().run_all();
    cluster
        .state()
        .write_log("demo-ui-builder-s0", &format!("a \u{1b}[31mred\u{1b}[0m\r\nkey {TOKEN} end"));
    for name in ["ui-builder-s0", "demo-ui-builder-s0", "ui_builder_s0"] {
        let finished = run(&workplace, &cluster, &["logs", name]);
        assert_eq!(
            (finished.code, finished.stdout.as_str()),
            (Some(0), "a red\nkey *** end\n"),
            "{name}"
        );
    }
}

#[test]
fn a_followed_log_ends_with_its_session() {
    let cluster = Kubernetes::start();
    let workplace = fleet(1);
    report(&workplace, &cluster);
    cluster.state().run_all();
    cluster.state().write_log("demo-ui-builder-s0", "one\n");
    let follower = coordinator(&workplace)
        .kubeconfig(&cluster)
        .args(["logs", "ui-builder-s0", "--follow"])
        .spawn();
    cluster.await_calls(Call::Log, 1);
    cluster.state().write_log("demo-ui-builder-s0", "two\n");
    cluster.state().finish("demo-ui-builder-s0", 0, "");
    let finished = follower.wait();
    assert_eq!(
        (finished.code, finished.stdout.as_str()),
        (Some(0), "one\ntwo\n"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_missing_log_is_explained() {
    let cluster = Kubernetes::start();
    let workplace = fleet(1);
    report(&workplace, &cluster);
    cluster.state().run_all();
    for (arguments, why) in [
        (&["logs", "ui-builder-s7"][..], "ui-builder-s7 has not run yet"),
        (
            &["logs", "ui-builder-s0", "--generation", "7"],
            "a Job keeps that of its newest session, which is 1",
        ),
    ] {
        let finished = run(&workplace, &cluster, arguments);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""), "{}", finished.stderr);
        assert!(finished.stderr.contains(why), "{}", finished.stderr);
    }
}

#[test]
fn doctor_finds_the_cluster_in_order_and_changes_nothing() {
    let cluster = Kubernetes::start();
    let finished = run(&fleet(1), &cluster, &["doctor"]);
    assert_eq!(finished.code, Some(0), "{}", finished.stdout);
    for words in [
        "context world, namespace agents",
        "accepts the credentials of",
        "would accept a session of",
    ] {
        let line = finished.stdout.lines().find(|line| line.contains(words));
        assert!(
            line.is_some_and(|line| line.starts_with("ok ")),
            "no {words} in\n{}",
            finished.stdout
        );
    }
    assert!(cluster.state().jobs().is_empty());
}

#[test]
fn doctor_names_a_verb_that_is_missing() {
    let cluster = Kubernetes::start();
    cluster.state().revoke("delete", "jobs");
    let finished = run(&fleet(1), &cluster, &["doctor"]);
    assert_eq!(finished.code, Some(1));
    let line = finished.stdout.lines().find(|line| line.starts_with("fail ")).expect("a failure");
    assert!(line.contains("may not delete jobs") && line.contains("Role `coordinator`"), "{line}");
}

#[test]
fn without_a_cluster_merges_and_health_checks_continue() {
    let (github, production) =
        (GitHub::start(Repository::with([Pull::eligible(7)])), Production::up());
    let roster = RosterText::kubernetes("").role("ui_builder", 1, AGENT).merging(&github, "");
    let workplace = roster.watching("production", &production.url(), "").write();
    let absent = workplace.path().join("absent.yaml");
    let absent = absent.to_str().expect("temporary folders are UTF-8");
    let program = coordinator(&workplace).env("KUBECONFIG", absent);
    let report = program.args(["reconcile", "-o", "json"]).run().json();
    for step in ["inventory", "spawn"] {
        let error = report["steps"][step]["error"].as_str().expect("the step fails");
        assert!(error.contains("KUBECONFIG"), "{error}");
    }
    assert_eq!(github.merged(), [7]);
    assert_eq!(report["steps"]["health"]["endpoints"][0]["verdict"], "up");
}

#[test]
fn a_context_that_is_not_there_is_named() {
    let cluster = Kubernetes::start();
    let finished = run(&fleet(1), &cluster, &["sessions", "--context", "elsewhere"]);
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.stderr.contains("elsewhere") && finished.stderr.contains("--context"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_program_that_brings_no_token_holds_up_nothing_but_the_sessions() {
    let production = Production::up();
    let roster = RosterText::kubernetes("").role("ui_builder", 1, AGENT).deadline("4s");
    let workplace = roster.watching("production", &production.url(), "").write();
    workplace.write("login", "#!/bin/sh\nexec sleep 50 2>/dev/null\n");
    let login = workplace.path().join("login");
    fs::set_permissions(&login, fs::Permissions::from_mode(0o755))
        .expect("it can be made executable");
    let exec = "exec:\n      apiVersion: client.authentication.k8s.io/v1\n      \
        interactiveMode: Never\n      command:";
    let config = Kubernetes::start().kubeconfig();
    let (start, end) = config.split_once("    token: ").expect("a user with a token");
    let (_, end) = end.split_once('\n').expect("more lines");
    workplace.write("kubeconfig.yaml", format!("{start}    {exec} {}\n{end}", login.display()));
    let program = coordinator(&workplace).env("KUBECONFIG", "kubeconfig.yaml");
    let report = program.args(["reconcile", "-o", "json"]).run().json();
    let error = report["steps"]["inventory"]["error"].as_str().expect("the inventory fails");
    assert!(error.contains("did not end within"), "{error}");
    assert_eq!(report["steps"]["health"]["endpoints"][0]["verdict"], "up");
}
