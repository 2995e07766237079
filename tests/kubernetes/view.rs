//! `coordinator sessions` and `coordinator logs` on real Jobs and pods.

use std::fs::OpenOptions;
use std::io::Write;

use serde_json::{Value, json};

use crate::cluster::{Cluster, until};
use crate::fleet::{Fleet, Roster, text};

const FIRST: &str = "demo-ui-builder-s0";

/// Every container of the cluster "writes" this, from now on.
fn agents_write(line: &str) {
    let path = std::env::var("COORDINATOR_TEST_POD_LOG").expect("the log of all containers");
    let mut log = OpenOptions::new().append(true).open(path).expect("the log is there");
    writeln!(log, "2026-01-01T00:00:00.000000000Z stdout F {line}").expect("it can be written");
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn sessions_shows_what_runs_and_how_the_earlier_ones_ended() {
    let cluster = Cluster::new("sessions");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 2));
    fleet.cycle();
    cluster.end(FIRST, 3, "the disk is full");
    fleet.cycle();
    cluster.running(FIRST);
    cluster.running("demo-ui-builder-s1");

    let shown = fleet.json(&["sessions"]);

    let sessions = shown["sessions"].as_array().expect("a list");
    let brief = |one: &Value| {
        json!([one["slot"], one["generation"], one["state"], one["outcome"], one["exit_code"]])
    };
    let brief: Vec<Value> = sessions.iter().map(brief).collect();
    let expected = [
        json!([FIRST, 1, "finished", "failed", 3]),
        json!([FIRST, 2, "running", null, null]),
        json!(["demo-ui-builder-s1", 1, "running", null, null]),
    ];
    assert_eq!(brief, expected, "{shown:#}");
    assert_eq!(sessions[0]["detail"], "the disk is full", "{shown:#}");

    let table = fleet.run(&["sessions"]);
    assert_eq!(table.code, Some(0), "{}", table.stderr);
    let row = table
        .stdout
        .lines()
        .find(|line| line.starts_with("ui-builder-s0"))
        .expect("a row for each slot");
    assert!(row.contains("running") && row.contains("failed, exit 3"), "{row}");
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn logs_prints_what_an_agent_wrote_and_follows_what_it_writes_next() {
    let cluster = Cluster::new("logs");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    fleet.cycle();
    cluster.running(FIRST);
    agents_write("a line of \u{1b}[31mred\u{1b}[0m");

    for slot in ["ui-builder-s0", FIRST, "ui_builder_s0"] {
        let log = fleet.run(&["logs", slot]);
        assert_eq!(log.code, Some(0), "{}", log.stderr);
        assert!(log.stdout.starts_with("the first line of a session\n"), "{}", log.stdout);
        assert!(
            log.stdout.contains("a line of red\n"),
            "without its escape sequences: {:?}",
            log.stdout
        );
    }

    let following = fleet.program().args(["logs", "ui-builder-s0", "--follow"]).spawn();
    until("what was there before", || following.printed().contains("a line of red").then_some(()));
    agents_write("written while somebody reads");
    until("what came after", || following.printed().contains("while somebody reads").then_some(()));
    following.signal("INT");
    assert_eq!(following.wait().stderr, "");
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn logs_says_why_there_is_none() {
    let cluster = Cluster::new("no-logs");
    let mut roster = Roster::of("ui_builder", 1);
    roster.kubernetes = "node_selector = { disk = \"none\" }\n".to_owned();
    let fleet = Fleet::new(&cluster, roster);
    let refused = |arguments: &[&str], code: i32, why: &str| {
        let finished = fleet.run(arguments);
        assert_eq!(finished.code, Some(code), "{}", finished.stdout);
        assert!(finished.stderr.contains(why), "{:?} has not {why:?}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    };

    let unstarted = fleet.run(&["logs", "ui-builder-s0"]);
    let sentence = "ui-builder-s0 has not run yet; the next cycle starts it\n";
    assert_eq!((unstarted.code, unstarted.stdout.as_str()), (Some(0), sentence));
    fleet.cycle();
    let other = ["logs", "ui-builder-s0", "--generation", "7"];
    refused(&other, 1, "generation 7 has no log any more");
    until("its pod waits for a node", || (cluster.pods(FIRST).len() == 1).then_some(()));
    refused(&["logs", "ui-builder-s0"], 1, "no log of pod demo-ui-builder-s0-");
    refused(&["logs", "nonsense"], 1, "no slot named `nonsense`");

    let sessions = fleet.json(&["sessions"]);
    assert_eq!(text(&sessions, "/sessions/0/state"), "starting", "{sessions:#}");
}
