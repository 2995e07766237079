//! `coordinator sessions` and `coordinator logs`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::process_fleet::{Fleet, OPEN, SLEEPER, await_some};

fn text(fleet: &Fleet, arguments: &[&str]) -> String {
    let output = fleet.run(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("output is text")
}

#[test]
fn the_table_shows_one_line_per_slot_with_its_state_and_last_end() {
    let settings = "min_free = \"0\"\n";
    let roles = [("crasher", 1, "exit 7"), ("ui_builder", 1, SLEEPER)];
    let fleet = Fleet::new(settings, &roles);
    assert!(text(&fleet, &["sessions"]).contains("no sessions yet"));
    fleet.reconcile();
    fleet.await_end("crasher-s0");
    let table = text(&fleet, &["sessions"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 5, "two rows, and how to read a log: {table}");
    assert!(lines[0].starts_with("SLOT"), "{table}");
    for part in ["crasher-s0", "backoff", "until ", "failed, exit 7 after"] {
        assert!(lines[1].contains(part), "no {part} in {table}");
    }
    for part in ["ui-builder-s0", "running"] {
        assert!(lines[2].contains(part), "no {part} in {table}");
    }
}

#[test]
fn the_listing_for_programs_has_every_session_with_its_times_and_log() {
    let fleet = Fleet::new(OPEN, &[("crasher", 1, "exit 7")]);
    for _ in 0..2 {
        fleet.reconcile();
        fleet.await_end("crasher-s0");
    }
    let listing: serde_json::Value =
        serde_json::from_str(&text(&fleet, &["sessions", "-o", "json"])).expect("JSON");
    assert_eq!(
        (listing["schema"].as_str(), listing["fleet"].as_str()),
        (Some("coordinator.sessions/v1"), Some("demo"))
    );
    let sessions = fleet.sessions("crasher-s0");
    assert_eq!(sessions.len(), 2);
    for (session, generation) in sessions.iter().zip(1..) {
        assert_eq!(session["role"], "crasher");
        assert_eq!(session["index"], 0);
        assert_eq!(session["generation"], generation);
        assert_eq!(session["outcome"], "failed");
        assert_eq!(session["exit_code"], 7);
        for time in ["started_at", "finished_at"] {
            humantime::parse_rfc3339(session[time].as_str().expect("a time is text"))
                .expect("RFC 3339");
        }
        assert!(fs::metadata(session["log"].as_str().expect("a log is a path")).is_ok());
    }
}

#[test]
fn a_slot_is_named_with_or_without_the_fleet_with_hyphens_or_underscores() {
    let fleet = Fleet::new(OPEN, &[("demo_tester", 1, "echo hello")]);
    fleet.reconcile();
    fleet.await_end("demo-tester-s0");
    for name in ["demo-tester-s0", "demo_tester_s0", "demo-demo-tester-s0", "demo_tester-s0"] {
        assert_eq!(text(&fleet, &["logs", name]), "hello\n", "{name}");
    }
    for name in ["demo-tester-s1", "tester", "../etc"] {
        let output = fleet.run(&["logs", name]);
        assert!(!output.status.success() && output.stdout.is_empty(), "{name}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("coordinator sessions"), "{name}");
    }
}

#[test]
fn logs_prints_an_older_generation_with_its_rotated_part_first() {
    let fleet = Fleet::new(OPEN, &[("tester", 1, "echo generation $COORDINATOR_GENERATION")]);
    for _ in 0..2 {
        fleet.reconcile();
        fleet.await_end("tester-s0");
    }
    assert_eq!(text(&fleet, &["logs", "tester-s0"]), "generation 2\n");
    assert_eq!(text(&fleet, &["logs", "tester-s0", "--generation", "1"]), "generation 1\n");
    let output = fleet.run(&["logs", "tester-s0", "--generation", "9"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("it has logs of 1, 2"), "{output:?}");
    fs::write(fleet.state("sessions/tester-s0/2/output.log.1"), "before\n")
        .expect("write a rotated log");
    assert_eq!(text(&fleet, &["logs", "tester-s0"]), "before\ngeneration 2\n");
}

#[test]
fn no_secret_and_no_escape_sequence_of_an_agent_is_printed() {
    let script =
        "printf 'a \\033[31mred\\033[0m \\033]0;title\\007b\\r\\nkey %s end' \"$MODEL_KEY\"";
    let fleet = Fleet::new(OPEN, &[("tester", 1, script)]);
    let roster = fs::read_to_string(fleet.path("roster.toml")).expect("read the roster");
    fs::write(
        fleet.path("roster.toml"),
        format!("{roster}env = {{ MODEL_KEY = \"${{MODEL_KEY}}\" }}\n"),
    )
    .expect("write the roster");
    let run = |arguments: &[&str]| {
        fleet
            .command(arguments)
            .env("MODEL_KEY", "key_topsecret")
            .output()
            .expect("run the coordinator")
    };
    run(&["reconcile", "--only", "spawn"]);
    let log = await_some("the log", || {
        let log = fs::read_to_string(fleet.state("sessions/tester-s0/1/output.log")).ok()?;
        log.ends_with("end").then_some(log)
    });
    assert!(log.contains("key_topsecret") && log.contains('\u{1b}'), "the file has every byte");
    let printed = run(&["logs", "tester-s0"]).stdout;
    assert_eq!(String::from_utf8_lossy(&printed), "a red b\nkey *** end\n");
}

#[test]
fn the_runner_of_a_workflow_obeys_no_output_of_an_agent() {
    let script = "printf '::add-mask::a\\n \\t::stop-commands::b\\r::error::c\\nd ##[error]e\\n'";
    let fleet = Fleet::new(OPEN, &[("tester", 1, script)]);
    fleet.reconcile();
    fleet.await_end("tester-s0");
    let run = |mark: &str| {
        let output = fleet
            .command(&["logs", "tester-s0"])
            .env("GITHUB_ACTIONS", mark)
            .output()
            .expect("run it");
        String::from_utf8(output.stdout).expect("a log is text")
    };
    assert_eq!(run("true"), ": :add-mask::a\n \t: :stop-commands::b\n: :error::c\nd ## [error]e\n");
    assert_eq!(run("false"), "::add-mask::a\n \t::stop-commands::b\n::error::c\nd ##[error]e\n");
}

#[test]
fn a_followed_log_is_printed_as_it_grows_across_rotation_and_ends_with_the_session() {
    let wait = "while [ ! -e \"$WITNESS/go\" ]; do sleep 0.01; done";
    let fleet = Fleet::new(OPEN, &[("tester", 1, &format!("echo one; {wait}; echo three"))]);
    fleet.reconcile();
    let mut command = fleet.command(&["logs", "tester-s0", "--follow"]);
    let mut follower = command.stdout(Stdio::piped()).spawn().expect("follow the log");
    let mut lines = BufReader::new(follower.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().map(|line| line.expect("a line"));
    assert_eq!(next().as_deref(), Some("one"));
    // As the shim rotates: what follows was written before the copy and has not been printed yet.
    let home = fleet.state("sessions/tester-s0/1");
    fs::write(home.join("output.log.1"), "one\ntwo\n").expect("copy the log aside");
    fs::File::options()
        .write(true)
        .open(home.join("output.log"))
        .and_then(|log| log.set_len(0))
        .expect("empty it");
    assert_eq!(next().as_deref(), Some("two"));
    fs::write(fleet.path("witness/go"), "").expect("let the agent go");
    assert_eq!(next().as_deref(), Some("three"));
    assert_eq!(next(), None);
    assert!(follower.wait().expect("the follower ends").success());
}
