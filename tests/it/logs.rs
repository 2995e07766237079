//! `coordinator logs`: what agents do, of one slot and of all.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::json;

use crate::coordinator;
use crate::process_fleet::{Fleet, OPEN, SLEEPER, await_some};
use testkit::kubernetes::Kubernetes;
use testkit::plugin::Plugin;
use testkit::workplace::RosterText;

fn text(fleet: &Fleet, arguments: &[&str]) -> String {
    let output = fleet.run(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("output is text")
}

/// What a command wrote to standard error, and how it exited.
fn refused(fleet: &Fleet, arguments: &[&str]) -> (Option<i32>, String) {
    let output = fleet.run(arguments);
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The output of Claude Code in a short session.
fn stream() -> String {
    let content = |block| json!({"type": "assistant", "message": {"content": [block]}});
    let lines = [
        json!({"type": "system", "subtype": "init", "model": "opus", "session_id": "s1"}),
        content(json!({"type": "text", "text": "I list the folder."})),
        content(json!({"type": "tool_use", "name": "Bash", "input": {"command": "ls"}})),
        json!({"type": "user", "message": {"content":
            [{"type": "tool_result", "content": "a\nb"}]}}),
        json!({"type": "result", "subtype": "success", "is_error": false, "num_turns": 2,
            "total_cost_usd": 0.25, "session_id": "s1"}),
    ];
    lines.map(|line| format!("{line}\n")).concat()
}

const READABLE: &str = "-- session began with opus\nI list the folder.\n> Bash: ls\n  a\n  b\n\
    == succeeded, 2 turns, $0.25\n";

/// A fleet whose one session wrote that stream and ended.
fn streamed() -> Fleet {
    let settings = format!("{OPEN}agent = \"claude\"\n");
    let fleet = Fleet::new(&settings, &[("tester", 1, "")]);
    fs::write(fleet.path("tester.sh"), format!("cat {}", fleet.path("stream.jsonl").display()))
        .expect("write the agent");
    fs::write(fleet.path("stream.jsonl"), stream()).expect("write its output");
    fleet.reconcile();
    fleet.await_end("tester-s0");
    fleet
}

/// Lines that are there when the agent sleeps.
fn await_lines(fleet: &Fleet, slot: &str, count: usize) {
    await_some("the lines of the agent", || {
        let output = fleet.run(&["logs", slot]);
        (String::from_utf8_lossy(&output.stdout).lines().count() >= count).then_some(())
    });
}

#[test]
fn a_session_is_readable_and_raw_has_the_bytes_of_its_agent() {
    let fleet = streamed();
    assert_eq!(text(&fleet, &["logs", "tester"]), READABLE);
    assert_eq!(text(&fleet, &["logs", "tester", "--raw"]), stream());
    let coloured = text(&fleet, &["logs", "tester", "--color", "always"]);
    assert!(coloured.contains("\u{1b}[2m> Bash: ls\u{1b}[0m\n"), "{coloured:?}");
}

#[test]
fn the_last_lines_are_counted_as_they_are_shown() {
    let fleet = streamed();
    let last = |count: &str| text(&fleet, &["logs", "tester", "-n", count]);
    assert_eq!(last("3"), "  a\n  b\n== succeeded, 2 turns, $0.25\n");
    assert_eq!(last("99"), READABLE);
    assert_eq!(last("0"), "");
    let raw = text(&fleet, &["logs", "tester", "-n", "1", "--raw"]);
    assert!(raw.starts_with('{') && raw.lines().count() == 1, "{raw}");
}

#[test]
fn without_a_slot_the_logs_of_all_live_sessions_are_printed() {
    let speaker = format!("echo of $COORDINATOR_SLOT; {SLEEPER}");
    let roles = [("qa", 1, speaker.as_str()), ("builder", 2, &speaker), ("crasher", 1, "echo x")];
    let fleet = Fleet::new(OPEN, &roles);
    assert_eq!(text(&fleet, &["logs"]), "");
    fleet.reconcile();
    fleet.await_end("crasher-s0");
    for slot in ["qa-s0", "builder-s0", "builder-s1"] {
        await_lines(&fleet, slot, 1);
    }
    let shown = |arguments: &[&str]| {
        let shown = text(&fleet, arguments);
        let mut lines: Vec<String> = shown.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let expected = [
        "builder-s0 | of demo-builder-s0",
        "builder-s1 | of demo-builder-s1",
        "qa-s0      | of demo-qa-s0",
    ];
    assert_eq!(shown(&["logs"]), expected);
    assert_eq!(shown(&["logs", "--source", "roster"]), expected);
    assert_eq!(shown(&["logs", "--role", "qa"]), ["qa-s0 | of demo-qa-s0"]);
    assert_eq!(shown(&["logs", "--role", "crasher"]), Vec::<String>::new());
}

#[test]
fn logs_of_several_sessions_are_followed_as_they_come() {
    let wait = "while [ ! -e \"$WITNESS/$COORDINATOR_ROLE\" ]; do sleep 0.01; done";
    let speaker = format!("echo one; {wait}; echo two");
    let fleet = Fleet::new(OPEN, &[("qa", 1, &speaker), ("builder", 1, &speaker)]);
    fleet.reconcile();
    for slot in ["qa-s0", "builder-s0"] {
        await_lines(&fleet, slot, 1);
    }
    let mut command = fleet.command(&["logs", "--follow"]);
    let mut follower = command.stdout(Stdio::piped()).spawn().expect("follow the logs");
    let mut lines = BufReader::new(follower.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().map(|line| line.expect("a line"));
    let mut first = [next(), next()];
    first.sort();
    assert_eq!(first.map(Option::unwrap_or_default), ["builder-s0 | one", "qa-s0      | one"]);
    for (role, line) in [("qa", "qa-s0      | two"), ("builder", "builder-s0 | two")] {
        fs::write(fleet.path(&format!("witness/{role}")), "").expect("let the agent go");
        assert_eq!(next().as_deref(), Some(line));
    }
    assert_eq!(next(), None);
    assert!(follower.wait().expect("the follower ends").success());
}

#[test]
fn a_followed_log_begins_with_its_last_lines() {
    let wait = "while [ ! -e \"$WITNESS/go\" ]; do sleep 0.01; done";
    let speaker = format!("echo one; echo two; {wait}; echo three; echo four");
    let fleet = Fleet::new(OPEN, &[("qa", 1, &speaker)]);
    fleet.reconcile();
    await_lines(&fleet, "qa-s0", 2);
    let mut command = fleet.command(&["logs", "qa", "--follow", "-n", "1"]);
    let mut follower = command.stdout(Stdio::piped()).spawn().expect("follow the log");
    let mut lines = BufReader::new(follower.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().map(|line| line.expect("a line"));
    assert_eq!(next().as_deref(), Some("two"));
    fs::write(fleet.path("witness/go"), "").expect("let the agent go");
    assert_eq!([next(), next(), next()].map(Option::unwrap_or_default), ["three", "four", ""]);
    assert!(follower.wait().expect("the follower ends").success());
}

#[test]
fn sessions_that_were_live_since_then_are_printed_whole_and_oldest_first() {
    let fleet = Fleet::new(OPEN, &[("qa", 1, "echo generation $COORDINATOR_GENERATION")]);
    for _ in 0..2 {
        fleet.reconcile();
        fleet.await_end("qa-s0");
    }
    let both = "qa-s0-g1 | generation 1\nqa-s0-g2 | generation 2\n";
    for arguments in [&["logs", "--since", "1h"][..], &["logs", "qa", "--since", "1h"]] {
        assert_eq!(text(&fleet, arguments), both);
    }
    let (code, none) = refused(&fleet, &["logs", "--since", "0s"]);
    assert!(code == Some(0) && none.contains("no such session was live"), "{none}");
}

#[test]
fn a_session_whose_log_is_gone_is_a_note_and_the_others_are_printed() {
    let settings = format!("{OPEN}retain = 1\n");
    let fleet = Fleet::new(&settings, &[("qa", 1, "echo generation $COORDINATOR_GENERATION")]);
    for _ in 0..3 {
        fleet.reconcile();
        fleet.await_end("qa-s0");
    }
    let output = fleet.run(&["logs", "--since", "1h"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.ends_with("qa-s0-g3 | generation 3\n"), "{output:?}");
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(notes.contains("qa-s0-g1: qa-s0 has no log of generation 1"), "{notes}");
}

#[test]
fn a_slot_that_has_not_run_yet_is_explained() {
    let roles = [("qa", 1, SLEEPER), ("builder", 2, SLEEPER)];
    let fleet = Fleet::new(OPEN, &roles);
    let next = "qa-s0 has not run yet; the next cycle starts it\n";
    assert_eq!(text(&fleet, &["logs", "qa"]), next);
    let roster = fs::read_to_string(fleet.path("roster.toml")).expect("read the roster");
    fs::write(fleet.path("roster.toml"), format!("{roster}[platform]\nmax_running = 2\n"))
        .expect("write the roster");
    let capped = "builder-s1 has not run yet; cap: max_running = 2 is reached\n";
    assert_eq!(text(&fleet, &["logs", "builder-s1"]), capped);
    fleet.reconcile();
    assert_eq!(text(&fleet, &["logs", "builder-s1"]), capped);
    for slot in ["builder-s2", "nobody-s0"] {
        let (code, why) = refused(&fleet, &["logs", slot]);
        assert!(code == Some(1) && why.contains("coordinator sessions"), "{why}");
    }
}

#[test]
fn an_option_that_means_nothing_is_refused() {
    let fleet = Fleet::new(OPEN, &[("qa", 1, "true")]);
    for (arguments, why) in [
        (&["logs", "--role", "qb"][..], "did you mean `qa`?"),
        (&["logs", "--source", "issues"], "no source named `issues`"),
        (&["logs", "qa", "--role", "qa"], "--role"),
        (&["logs", "--generation", "1"], "SLOT"),
        (&["logs", "--since", "yesterday"], "--since"),
    ] {
        let (code, error) = refused(&fleet, arguments);
        assert!(code == Some(2) && error.contains(why), "{arguments:?}: {error}");
    }
}

#[test]
fn on_a_cluster_the_logs_of_all_live_sessions_are_printed_and_a_pod_without_one_is_a_note() {
    let cluster = Kubernetes::start();
    let roster = RosterText::kubernetes("").role("qa", 3, "[\"claude\", \"-p\", \"{prompt}\"]");
    let workplace = roster.write();
    let run = |arguments: &[&str]| {
        coordinator(&workplace).kubeconfig(&cluster).args(arguments.iter().copied()).run()
    };
    let unstarted = run(&["logs", "qa-s0"]);
    assert_eq!(unstarted.stdout, "qa-s0 has not run yet; the next cycle starts it\n");
    run(&["reconcile"]);
    cluster.state().run_all();
    cluster.state().write_log("demo-qa-s0", &stream());
    cluster.state().write_log("demo-qa-s1", "a plain line\n");
    cluster.state().wait("demo-qa-s2", "ImagePullBackOff", "no image");
    let shown = run(&["logs", "-n", "2"]);
    let expected = "qa-s0 |   b\nqa-s0 | == succeeded, 2 turns, $0.25\nqa-s1 | a plain line\n";
    assert_eq!((shown.code, shown.stdout.as_str()), (Some(0), expected), "{}", shown.stderr);
    assert!(shown.stderr.contains("qa-s2: "), "{}", shown.stderr);
}

#[test]
fn by_a_plugin_the_logs_of_all_live_sessions_are_printed() {
    let workplace = Plugin::default().at(&RosterText::exec("").role("qa", 2, "[\"agent\"]"));
    let run = |arguments: &[&str]| coordinator(&workplace).args(arguments.iter().copied()).run();
    assert!(run(&["logs", "qa-s0"]).stdout.starts_with("qa-s0 has not run yet; "));
    run(&["reconcile"]);
    let shown = run(&["logs"]);
    let expected = "qa-s0 | what it wrote\nqa-s1 | what it wrote\n";
    assert_eq!((shown.code, shown.stdout.as_str()), (Some(0), expected), "{}", shown.stderr);
}
