//! What the owner of a fleet asks and does: what runs, what waits and why, what happened, stop, go
//! on, try again.

use std::fs;

use serde_json::{Value, json};

use crate::documents::valid;
use crate::process_fleet::{Fleet, OPEN, SLEEPER, held, slots};
use testkit::pull::Pull;
use testkit::{GitHub, Repository};

/// Fails at once, with a result of its own.
const FAILS: &str = "echo 'out of paper' >&2\n\
    echo '{\"status\":\"failed\",\"reason\":\"no paper\",\"usage\":{\"cost_usd\":0.5}}' > \
    \"$COORDINATOR_RESULT\"\nexit 3";

const HOLDS: &str =
    "min_free = \"0\"\nmin_runtime = \"0s\"\nbackoff_base = \"1h\"\nbackoff_cap = \"1h\"\n";

fn text(fleet: &Fleet, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = fleet.command(arguments);
    let output = command.env("USER", "alice").env("TZ", "UTC").output().expect("it runs");
    let said = String::from_utf8(output.stdout).expect("output is text")
        + &String::from_utf8(output.stderr).expect("output is text");
    (output.status.code(), said)
}

fn document(fleet: &Fleet, arguments: &[&str]) -> Value {
    let output = fleet.run(&[arguments, &["-o", "json"]].concat());
    valid(serde_json::from_slice(&output.stdout).expect("a document"))
}

/// A builder that runs, and a tester that has failed.
fn mixed() -> Fleet {
    let fleet = Fleet::new(HOLDS, &[("builder", 1, SLEEPER), ("tester", 1, FAILS)]);
    fleet.reconcile();
    fleet.await_end("tester-s0");
    fleet
}

#[test]
fn status_shows_what_runs_and_why_the_other_slots_are_empty() {
    let fleet = mixed();
    let (code, shown) = text(&fleet, &["status"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("builder  1 of 1"), "{shown}");
    assert!(shown.contains("tester   0 of 1") && shown.contains("backoff until"), "{shown}");
    assert!(shown.contains("failed: exit 3") && shown.contains("no paper"), "{shown}");
    let status = document(&fleet, &["status"]);
    assert_eq!(status["schema"], "coordinator.status/v1");
    let [builder, tester] = [0, 1].map(|group| status["groups"][group].clone());
    assert_eq!((&builder["desired"], &builder["running"]), (&json!(1), &json!(1)));
    assert_eq!(builder["slots"][0]["state"], "running");
    let slot = &tester["slots"][0];
    assert_eq!((&slot["state"], &slot["reason"]), (&json!("waiting"), &json!("backoff")));
    assert_eq!((&slot["exit_code"], &slot["last_line"]), (&json!(3), &json!("no paper")));
    assert!(slot["until"].is_string() && status["last_cycle_at"].is_string(), "{status:#}");
    assert_eq!((&status["pulls"], &status["endpoints"]), (&Value::Null, &Value::Null));
}

#[test]
fn history_shows_what_ended_with_its_cost_and_never_takes_an_unknown_one_for_nothing() {
    let fleet = mixed();
    let (code, _) = text(&fleet, &["stop", "builder-s0", "-y"]);
    assert_eq!(code, Some(0));
    let history = document(&fleet, &["history"]);
    assert_eq!(history["schema"], "coordinator.history/v1");
    let [tester, builder] = [0, 1].map(|session| history["sessions"][session].clone());
    assert_eq!(
        [&tester["slot"], &tester["outcome"], &tester["reason"], &tester["exit_code"]],
        [&json!("demo-tester-s0"), &json!("failed"), &json!("no paper"), &json!(3)]
    );
    assert_eq!(tester["usage"]["cost_usd"], 0.5);
    assert_eq!((&builder["outcome"], &builder["usage"]), (&json!("stopped"), &Value::Null));
    assert_eq!(builder["reason"], "stopped by alice");
    let totals = &history["totals"];
    assert_eq!(
        [&totals["sessions"], &totals["cost_usd"], &totals["unknown_cost"]],
        [&json!(2), &json!(0.5), &json!(1)]
    );
    assert_eq!(
        totals["by_role"]["tester"],
        json!({
            "sessions": 1, "cost_usd": 0.5, "unknown_cost": 0
        })
    );
    let (_, shown) = text(&fleet, &["history", "--since", "1h"]);
    assert!(shown.contains("2 sessions, $0.50, the cost of 1 unknown"), "{shown}");
}

#[test]
fn a_paused_fleet_starts_nothing_and_merges_nothing_until_it_is_resumed() {
    let github = GitHub::start(Repository::with([Pull::eligible(7)]));
    let fleet = Fleet::new(OPEN, &[("builder", 1, SLEEPER)]);
    let roster = fs::read_to_string(fleet.path("roster.toml")).expect("the roster");
    let repository = format!("[repository]\nname = \"demo/app\"\napi_url = \"{}\"\n", github.url());
    fs::write(fleet.path("roster.toml"), roster + &repository).expect("it can be written");
    let cycle = || {
        let mut command = fleet.command(&["reconcile", "-o", "json"]);
        let output = command.env("GITHUB_TOKEN", testkit::TOKEN).output().expect("it runs");
        serde_json::from_slice::<Value>(&output.stdout).expect("a report")
    };
    let (code, said) = text(&fleet, &["pause", "-m", "the demo is on"]);
    assert_eq!(
        (code, said.lines().next()),
        (Some(0), Some("demo is paused by alice: the demo is on"))
    );
    let report = cycle();
    assert_eq!((slots(&report, "spawned").len(), held(&report)), (0, vec!["paused".to_owned()]));
    assert_eq!(report["steps"]["merge"]["skipped"][0]["reason"], "paused", "{report:#}");
    assert_eq!(report["status"], "healthy");
    let pause = &report["paused"];
    assert_eq!((&pause["by"], &pause["reason"]), (&json!("alice"), &json!("the demo is on")));
    assert_eq!(document(&fleet, &["status"])["paused"], *pause);
    let (code, said) = text(&fleet, &["retry", "builder-s0"]);
    assert!(code == Some(1) && said.contains("paused by alice: the demo is on"), "{said}");
    assert_eq!(text(&fleet, &["resume"]), (Some(0), "demo goes on\n".to_owned()));
    let report = cycle();
    assert_eq!((slots(&report, "spawned").len(), &report["paused"]), (1, &Value::Null));
    assert_eq!(report["steps"]["merge"]["merged"][0]["number"], 7, "{report:#}");
}

#[test]
fn a_pause_that_cannot_be_read_starts_nothing() {
    let fleet = Fleet::new(OPEN, &[("builder", 1, SLEEPER)]);
    text(&fleet, &["pause"]);
    fs::write(fleet.state("paused.json"), "{").expect("it can be written");
    let report = fleet.reconcile();
    assert_eq!((slots(&report, "spawned").len(), held(&report)), (0, vec!["unknown".to_owned()]));
    assert_eq!(text(&fleet, &["resume"]).0, Some(1), "the list fails");
    fs::remove_file(fleet.state("paused.json")).expect("it is there");
    assert_eq!(slots(&fleet.reconcile(), "spawned").len(), 1);
}

#[test]
fn stop_all_pauses_first_and_resume_lets_every_slot_go_on() {
    let fleet = Fleet::new(OPEN, &[("builder", 2, SLEEPER)]);
    fleet.reconcile();
    let (code, said) = text(&fleet, &["stop", "--all", "-y", "-m", "enough"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.starts_with("the fleet is paused") && said.contains("builder-s1: stopped"),
        "{said}"
    );
    let report = fleet.reconcile();
    assert_eq!(
        (slots(&report, "spawned").len(), held(&report)),
        (0, vec!["stopped".to_owned(); 2])
    );
    let (_, said) = text(&fleet, &["resume"]);
    assert_eq!(said.lines().count(), 3, "{said}");
    assert_eq!(slots(&fleet.reconcile(), "spawned").len(), 2);
}

#[test]
fn retry_starts_once_whatever_failed_before_and_never_beside_a_live_session() {
    let fleet = mixed();
    let (code, said) = text(&fleet, &["retry", "tester-s0"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("tester-s0: session 2 started"), "{said}");
    fleet.await_end("tester-s0");
    assert_eq!(held(&fleet.reconcile()), ["backoff"], "one start, no more");
    let (code, said) = text(&fleet, &["retry", "builder-s0"]);
    assert!(code == Some(1) && said.contains("a session is live"), "{said}");
    let (code, said) = text(&fleet, &["retry", "builder-s7"]);
    assert!(code == Some(1) && said.contains("raise the `count`"), "{said}");
}

#[test]
fn a_result_that_is_not_a_small_regular_file_of_the_agents_counts_as_none() {
    let odd = [
        "ln -s /etc/passwd \"$COORDINATOR_RESULT\"",
        "mkfifo \"$COORDINATOR_RESULT\"",
        "head -c 70000 /dev/zero > \"$COORDINATOR_RESULT\"",
        "mkdir \"$COORDINATOR_RESULT\"",
        "echo 'no JSON' > \"$COORDINATOR_RESULT\"",
    ];
    for script in odd {
        let fleet = Fleet::new(HOLDS, &[("builder", 1, script)]);
        fleet.reconcile();
        let ended = fleet.await_end("builder-s0");
        assert_eq!((&ended["result"], &ended["usage"]), (&Value::Null, &Value::Null), "{script}");
        assert_eq!(ended["outcome"], "succeeded", "{script}");
    }
}

#[test]
fn an_agent_that_writes_nothing_for_its_stall_timeout_is_ended_as_timed_out() {
    let defaults = format!("{HOLDS}stall_timeout = \"1s\"\n");
    let silent = Fleet::new(&defaults, &[("silent", 1, SLEEPER)]);
    silent.reconcile();
    let ended = silent.await_end("silent-s0");
    assert_eq!(
        (&ended["outcome"], &ended["detail"]),
        (&json!("timed_out"), &json!("stalled: no output for 1s"))
    );
    let monitor = fs::read_to_string(silent.state("sessions/silent-s0/1/monitor.log"));
    assert!(monitor.expect("it is there").contains("stalled"), "the shim says so");
    let meta = silent.record("silent-s0", 1, "meta.json");
    assert_eq!((&meta["slot"], &meta["outcome"]), (&json!("silent-s0"), &json!("timed_out")));
}

#[test]
fn status_watch_is_refused_where_nobody_sees_it() {
    let fleet = Fleet::new(HOLDS, &[("builder", 1, SLEEPER)]);
    let (code, said) = text(&fleet, &["status", "--watch"]);
    assert!(code == Some(2) && said.contains("--watch redraws a terminal"), "{said}");
}
