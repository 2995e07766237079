//! Cycles on a plugin: the requests that it gets, and the effect of its answers.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::coordinator;
use testkit::plugin::{NOTHING, Plugin, asked, sessions};
use testkit::workplace::RosterText;
use testkit::{TOKEN, Workplace};

fn roster(count: u32) -> RosterText {
    RosterText::exec("env = { KEY = \"${VENDOR_KEY}\", REGION = \"north\" }").role(
        "qa",
        count,
        "[\"agent\", \"{slot}\"]",
    )
}

fn run(workplace: &Workplace, arguments: &[&str]) -> Value {
    let program = coordinator(workplace).env("VENDOR_KEY", "k3y-of-the-vendor");
    program.args(arguments.iter().copied().chain(["-o", "json"])).run().json()
}

fn reconcile(workplace: &Workplace) -> Value {
    run(workplace, &["reconcile"])
}

fn count(report: &Value, list: &str) -> usize {
    report["steps"]["spawn"][list].as_array().map_or(0, Vec::len)
}

#[test]
fn a_fleet_is_filled_once_and_each_operation_is_one_request() {
    let workplace = Plugin::default().at(&roster(2));
    let first = reconcile(&workplace);
    assert_eq!(
        (count(&first, "spawned"), &first["requests"]["platform"]),
        (2, &4.into()),
        "{first:#}"
    );
    assert_eq!(sessions(&workplace), ["qa-0", "qa-1"]);
    let second = reconcile(&workplace);
    assert_eq!(
        (count(&second, "spawned"), &second["requests"]["platform"]),
        (0, &2.into()),
        "{second:#}"
    );
    assert_eq!(second["steps"]["inventory"]["running"], 2);
}

#[test]
fn a_dry_run_starts_nothing() {
    let workplace = Plugin::default().at(&roster(2));
    let report = run(&workplace, &["reconcile", "--dry-run"]);
    assert_eq!((count(&report, "spawned"), asked(&workplace, "spawn")), (2, 2), "{report:#}");
    assert!(sessions(&workplace).is_empty());
}

#[test]
fn a_plugin_without_dry_run_gets_no_spawn_in_one() {
    let capabilities =
        r#"echo '{"ok":true,"protocol":[1],"name":"test","slot_exclusive":"create"}'"#;
    let plugin = Plugin { capabilities: capabilities.to_owned(), ..Plugin::default() };
    let workplace = plugin.at(&roster(2));
    let report = run(&workplace, &["reconcile", "--dry-run"]);
    assert_eq!((count(&report, "spawned"), asked(&workplace, "spawn")), (2, 0), "{report:#}");
}

#[test]
fn a_plugin_receives_the_command_and_no_secret_but_its_own() {
    let spawn = "env > \"$HOME/environment\"; printf '%s' \"$request\" > \"$HOME/request\"\n\
        echo '{\"ok\":true,\"result\":\"created\"}'";
    let workplace = Plugin::spawning(spawn)
        .at(&roster(1).defaults("env = { MODE = \"fast\" }\ntime_limit = \"90m\""));
    assert_eq!(count(&reconcile(&workplace), "spawned"), 1);
    let environment =
        fs::read_to_string(workplace.path().join("environment")).expect("an environment");
    let environment: BTreeMap<&str, &str> =
        environment.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(environment.get("KEY"), Some(&"k3y-of-the-vendor"));
    assert_eq!(environment.get("REGION"), Some(&"north"));
    assert_eq!(environment.get("COORDINATOR_PROTOCOL"), Some(&"1"));
    assert!(
        environment.get("COORDINATOR_DEADLINE_MS").is_some_and(|left| left.parse::<u64>().is_ok())
    );
    for absent in ["GITHUB_TOKEN", "VENDOR_KEY", "COORDINATOR_CONFIG"] {
        assert!(!environment.contains_key(absent), "{absent}");
    }
    let request = fs::read_to_string(workplace.path().join("request")).expect("a request");
    assert!(!request.contains(TOKEN));
    let request: Value = serde_json::from_str(&request).expect("JSON");
    assert_eq!(request["idempotency_key"], "demo/qa/0/1");
    assert_eq!(request["slot"], serde_json::json!({ "role": "qa", "index": 0 }));
    assert!(request.get("follows").is_none() && request.get("item").is_none(), "{request:#}");
    assert_eq!(
        (&request["generation"], &request["expected_predecessor"]),
        (&1.into(), &Value::Null)
    );
    let spec = &request["spec"];
    assert_eq!(spec["command"], serde_json::json!(["agent", "demo-qa-s0"]));
    assert_eq!((&spec["session"], &spec["time_limit_s"]), (&"demo-qa-s0".into(), &5400.into()));
    assert_eq!(spec["stdin"], spec["prompt"]);
    assert_eq!(
        (&spec["env"]["MODE"], &spec["env"]["COORDINATOR_ROLE"]),
        (&"fast".into(), &"qa".into())
    );
    let session = spec["env"]["COORDINATOR_SESSION"].as_str().expect("a text");
    let cycle = request["cycle"].as_str().expect("a text");
    assert_eq!(session, format!("demo-qa-s0-g1-{cycle}"));
    let expires = request["expires_at"].as_str().expect("a time");
    assert!(humantime::parse_rfc3339(expires).expect("RFC 3339") > SystemTime::now());
}

/// A list with one ended session of generation 6 that failed this many seconds ago.
fn failed(seconds_ago: u64) -> String {
    let time = |ago| {
        humantime::format_rfc3339_seconds(SystemTime::now() - Duration::from_secs(ago)).to_string()
    };
    format!(
        r#"echo '{{"ok":true,"complete":true,"sessions":[{{
        "id":"old","slot":{{"role":"qa","index":0}},"generation":6,"state":"finished",
        "outcome":"failure","exit_code":7,"started_at":"{}","finished_at":"{}"}}]}}'"#,
        time(seconds_ago + 5),
        time(seconds_ago)
    )
}

#[test]
fn a_slot_backs_off_by_the_history_that_the_plugin_lists() {
    let soon = reconcile(&Plugin::listing(&failed(5)).at(&roster(1)));
    assert_eq!(soon["steps"]["spawn"]["held"][0]["reason"], "backoff", "{soon:#}");
    let spawn =
        "printf '%s' \"$request\" > \"$HOME/request\"; echo '{\"ok\":true,\"result\":\"created\"}'";
    let later = Plugin { spawn: spawn.to_owned(), ..Plugin::listing(&failed(300)) }.at(&roster(1));
    assert_eq!(reconcile(&later)["steps"]["spawn"]["spawned"][0]["generation"], 7);
    let request = fs::read_to_string(later.path().join("request")).expect("a request");
    assert!(request.contains(r#""expected_predecessor":"old""#), "{request}");
}

#[test]
fn what_a_spawn_answers_decides_on_the_slot() {
    let mine = r#"cycle=$(printf '%s' "$request" | sed 's/.*"cycle":"\([^"]*\)".*/\1/')
        slot='"slot":{"role":"qa","index":0}'
        session="\"id\":\"x\",$slot,\"generation\":1,\"state\":\"running\",\"cycle\":\"$cycle\""
        echo "{\"ok\":true,\"result\":\"exists\",\"session\":{$session}}""#;
    for (spawn, list) in [
        (r#"echo '{"ok":true,"result":"created"}'"#, "spawned"),
        (r#"echo '{"ok":true,"result":"deferred"}'"#, "spawned"),
        (r#"echo '{"ok":true,"result":"exists"}'"#, "already_running"),
        (mine, "spawned"),
        ("refuse conflict 'another caller was first'", "already_running"),
        ("refuse quota 'ten machines are all'", "held"),
        ("refuse rate_limited 'slowly'", "held"),
        ("refuse denied 'no'", "failed"),
    ] {
        let report = reconcile(&Plugin::spawning(spawn).at(&roster(1)));
        for other in ["spawned", "already_running", "held", "failed"] {
            assert_eq!(count(&report, other), usize::from(other == list), "{spawn}: {report:#}");
        }
    }
}

#[test]
fn a_rate_limit_ends_the_starts_of_the_cycle_with_its_own_exit_code() {
    let limit = concat!(
        r#"echo '{"ok":false,"error":{"code":"rate_limited","message":"slowly","#,
        r#""retry_after_s":90}}'; exit 1"#
    );
    let workplace = Plugin::spawning(limit).at(&roster(12));
    let finished = coordinator(&workplace)
        .env("VENDOR_KEY", "k3y-of-the-vendor")
        .args(["reconcile", "-o", "json"])
        .run();
    let report = finished.json();
    assert_eq!((finished.code, count(&report, "held")), (Some(75), 12), "{report:#}");
    assert!(asked(&workplace, "spawn") <= 8);
    assert!(report["steps"]["spawn"]["held"][0]["until"].is_string());
}

#[test]
fn without_an_inventory_only_a_plugin_with_exclusive_slots_gets_spawns() {
    let broken = Plugin::listing("refuse unavailable 'the list is down'");
    let blind = reconcile(&broken.at(&roster(1)));
    assert_eq!(count(&blind, "spawned"), 1, "{blind:#}");
    let capabilities = concat!(
        r#"echo '{"ok":true,"protocol":[1],"name":"test","slot_exclusive":"create","#,
        r#""history":true}'"#
    );
    let workplace = Plugin { capabilities: capabilities.to_owned(), ..broken }.at(&roster(1));
    let seeing = reconcile(&workplace);
    assert_eq!(seeing["steps"]["spawn"]["held"][0]["reason"], "unknown", "{seeing:#}");
    assert_eq!(asked(&workplace, "spawn"), 0);
}

#[test]
fn a_spec_that_is_too_large_for_the_plugin_is_not_sent() {
    let small = concat!(
        r#"echo '{"ok":true,"protocol":[1],"name":"test","slot_exclusive":"create","#,
        r#""max_spec_bytes":100}'"#
    );
    let plugin =
        Plugin { capabilities: small.to_owned(), list: NOTHING.to_owned(), ..Plugin::default() };
    let workplace = plugin.at(&roster(1));
    let report = reconcile(&workplace);
    let error = report["steps"]["spawn"]["failed"][0]["error"].as_str().unwrap_or_default();
    assert!(error.contains("takes 100; shorten"), "{report:#}");
    assert_eq!(asked(&workplace, "spawn"), 0);
}

#[test]
fn an_incompatible_plugin_stops_inventory_and_spawn_and_no_other_step() {
    let open = r#"echo '{"ok":true,"protocol":[1],"name":"test"}'"#;
    let workplace = Plugin { capabilities: open.to_owned(), ..Plugin::default() }.at(&roster(1));
    let report = reconcile(&workplace);
    let inventory = report["steps"]["inventory"]["error"].as_str().unwrap_or_default();
    assert!(
        inventory.contains("slot_exclusive") && inventory.contains("on_inventory_failure"),
        "{report:#}"
    );
    assert_eq!(report["steps"]["spawn"]["failed"][0]["error"], inventory);
    assert_eq!(report["steps"]["health"]["outcome"], "not_configured");
    assert_eq!(
        (asked(&workplace, "capabilities"), asked(&workplace, "list"), asked(&workplace, "spawn")),
        (1, 0, 0)
    );
}

#[test]
fn merges_and_health_alone_leave_the_plugin_alone() {
    let workplace = Plugin::default().at(&roster(1));
    run(&workplace, &["reconcile", "--only", "health"]);
    assert_eq!(asked(&workplace, "capabilities"), 0);
}
