//! Plugins that misbehave: each ends in a sentence that names it, within its time, and leaves no
//! process behind.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::coordinator;
use testkit::plugin::{NOTHING, Plugin};
use testkit::workplace::RosterText;
use testkit::{Finished, Workplace};

fn roster() -> RosterText {
    RosterText::exec("timeout = \"1s\"").role("qa", 1, "[\"agent\"]")
}

/// Enough for a loaded machine to run three operations that do not hang.
fn patient() -> RosterText {
    RosterText::exec("timeout = \"20s\"").role("qa", 1, "[\"agent\"]")
}

fn reconcile(workplace: &Workplace) -> Finished {
    coordinator(workplace).args(["reconcile", "-o", "json"]).run()
}

fn await_no_process(workplace: &Workplace, case: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    while !workplace.processes().is_empty() {
        assert!(Instant::now() < end, "{case}: {:?} still run", workplace.processes());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn inventory_error(report: &Value) -> &str {
    assert_eq!(report["steps"]["inventory"]["outcome"], "failed", "{report:#}");
    assert!(report["steps"]["inventory"]["running"].is_null());
    report["steps"]["inventory"]["error"].as_str().expect("a sentence")
}

/// Invalid lists: the script, and a part of the error.
const BAD_LISTS: [(&str, &str); 17] = [
    ("echo hello", "it must be one JSON object"),
    ("echo '[1]'", "it must be one JSON object"),
    (r#"echo '{"ok":true,"complete":true,"sessions":[]} {}'"#, "trailing characters"),
    (r#"echo '{"ok":true,"complete":true,"sess'"#, "EOF"),
    (":", "exit 0 without an answer"),
    ("exit 3", "exit 3 without an answer"),
    ("printf '\\377'", "not UTF-8"),
    (r#"echo '{"ok":true,"complete":"yes","sessions":[]}'"#, "no answer by the protocol"),
    (r#"echo '{"ok":true,"complete":true,"sessions":[{"id":7}]}'"#, "no answer by the protocol"),
    (r#"echo '{"complete":true,"sessions":[]}'"#, "missing field `ok`"),
    (r#"echo '{"ok":true,"complete":true,"sessions":[]}'; exit 1"#, "contradict"),
    (r#"echo '{"ok":false,"error":{"code":"denied","message":"no"}}'"#, "contradict"),
    (r#"echo '{"ok":false}'; exit 1"#, "without an `error`"),
    (r#"echo '{"ok":true,"sessions":[]}'"#, "not complete"),
    (r#"echo '{"ok":true,"complete":false,"sessions":[]}'"#, "not complete"),
    ("kill -SEGV $$", "signal 11"),
    (r"refuse unavailable 'the vendor \u001b[31mis down'", "unavailable: the vendor [31mis down"),
];

#[test]
fn an_invalid_list_is_an_unknown_inventory_and_the_error_names_the_plugin() {
    for (script, expected) in BAD_LISTS {
        let workplace =
            Plugin::listing(script).at(&patient().platform("on_inventory_failure = \"skip\""));
        let report = reconcile(&workplace).json();
        let error = inventory_error(&report);
        assert!(error.contains(expected), "{script}: {error}");
        assert!(error.contains("plugin"), "{script}: {error}");
        assert!(error.contains("list"), "{script}: {error}");
        assert!(!error.contains('\u{1b}'), "{script}: {error}");
        assert_eq!(report["steps"]["spawn"]["held"][0]["reason"], "unknown", "{script}");
        await_no_process(&workplace, script);
    }
}

#[test]
fn a_plugin_that_hangs_is_killed_with_its_children_at_its_timeout() {
    for script in [
        "sleep 1000",
        "exec sleep 1000",
        "trap '' TERM INT HUP; while :; do sleep 1; done",
        "sleep 1000 & sleep 1000 & wait",
        "exec >&- 2>&-; sleep 1000",
    ] {
        let workplace =
            Plugin::listing(script).at(&roster().platform("on_inventory_failure = \"skip\""));
        let report = reconcile(&workplace).json();
        let error = inventory_error(&report);
        assert!(
            error.contains("plugin plugin.sh list: killed: timed out after 1s"),
            "{script}: {error}"
        );
        await_no_process(&workplace, script);
    }
}

#[test]
fn a_list_that_would_outlast_its_step_is_the_plugins_failure() {
    let workplace = Plugin::listing("sleep 1000")
        .at(&patient().deadline("8s").platform("on_inventory_failure = \"skip\""));
    let report = reconcile(&workplace).json();
    assert!(
        inventory_error(&report).contains("plugin plugin.sh list: killed: timed out after"),
        "{report:#}"
    );
    await_no_process(&workplace, "a slow list");
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let workplace =
        Plugin::listing("exec yes").at(&patient().platform("on_inventory_failure = \"skip\""));
    let report = reconcile(&workplace).json();
    assert!(inventory_error(&report).contains("longer than 16 MiB"), "{report:#}");
    await_no_process(&workplace, "yes");
}

#[test]
fn what_a_plugin_leaves_in_its_group_is_ended_and_does_not_hold_the_answer_up() {
    let workplace = Plugin::listing(&format!("sleep 1000 &\n{NOTHING}")).at(&patient());
    let report = reconcile(&workplace).json();
    assert_eq!(report["steps"]["inventory"]["outcome"], "ok", "{report:#}");
    await_no_process(&workplace, "a child");
}

#[test]
fn a_session_in_a_group_of_its_own_lives_on_and_may_keep_the_output_open() {
    let started = "setsid sh -c 'echo > \"$HOME/started\"; exec sleep 1000' & while [ ! -e \
        \"$HOME/started\" ]; do sleep 0.01; done";
    let spawn = format!("{started}\necho '{{\"ok\":true,\"result\":\"created\"}}'");
    let workplace = Plugin::spawning(&spawn).at(&patient());
    let report = reconcile(&workplace).json();
    assert_eq!(report["steps"]["spawn"]["spawned"][0]["slot"], "demo-qa-s0", "{report:#}");
    assert_eq!(workplace.processes().len(), 1, "the session was ended");
}

#[test]
fn the_answer_of_a_plugin_that_does_not_read_its_request_counts() {
    let brief = "x".repeat(90 << 10);
    let plugin = Plugin { list: NOTHING.to_owned(), ..Plugin::default() };
    let workplace = plugin.at(&patient());
    let text = std::fs::read_to_string(workplace.path().join("plugin.sh")).expect("the plugin");
    let deaf = text.replace(
        "spawn) read_request;",
        "spawn) exec <&-; echo '{\"ok\":true,\"result\":\"created\"}'; exit 0;",
    );
    workplace.write("plugin.sh", deaf);
    workplace.write("briefs/qa.md", brief);
    let report = reconcile(&workplace).json();
    assert_eq!(report["steps"]["spawn"]["spawned"][0]["generation"], 1, "{report:#}");
}

#[test]
fn a_flood_on_stderr_is_bounded_and_its_secrets_are_masked() {
    let script = format!(
        "i=0; while [ $i -lt 300 ]; do echo \"line $i of $KEY \u{1b}[31m\" >&2; i=$((i+1)); done\n\
         printf '%0490d%s\\n' 0 \"$KEY\" >&2\n{NOTHING}"
    );
    let exec = RosterText::exec("env = { KEY = \"${VENDOR_KEY}\" }").role("qa", 0, "[\"agent\"]");
    let workplace = Plugin::listing(&script).at(&exec);
    let secret = "k3y-of-the-vendor-which-is-long";
    let finished =
        coordinator(&workplace).env("VENDOR_KEY", secret).args(["reconcile", "-o", "json"]).run();
    assert_eq!(finished.json()["steps"]["inventory"]["outcome"], "ok");
    finished.hides(&secret[..10]);
    assert!(
        finished.stderr.contains("plugin plugin.sh list: line 0 of *** [31m"),
        "{}",
        finished.stderr
    );
    assert!(finished.stderr.contains("more than 100 lines on stderr"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("line 100 of"), "{}", finished.stderr);
}

#[test]
fn half_a_secret_at_the_cut_of_a_long_line_is_masked_too() {
    let script = format!("printf '%0490d%s\\n' 0 \"$KEY\" >&2\n{NOTHING}");
    let exec = RosterText::exec("env = { KEY = \"${VENDOR_KEY}\" }").role("qa", 0, "[\"agent\"]");
    let workplace = Plugin::listing(&script).at(&exec);
    let secret = "k3y-of-the-vendor-which-is-long";
    let finished = coordinator(&workplace).env("VENDOR_KEY", secret).args(["reconcile"]).run();
    assert!(finished.stderr.contains("000***"), "{}", finished.stderr);
    finished.hides(&secret[..4]);
}

#[test]
fn unknown_fields_and_words_are_taken_carefully() {
    let list = r#"echo '{"ok":true,"complete":true,"mood":"good","sessions":[
        {"id":"a","slot":{"role":"qa","index":0,"x":1},"generation":3,"state":"dreaming",
        "later":[1]},
        {"id":"b","slot":{"role":"No Role","index":0},"generation":1,"state":"running"}]}'"#;
    let workplace = Plugin::listing(list).at(&patient());
    let report = reconcile(&workplace).json();
    assert_eq!(report["steps"]["inventory"]["running"], 1, "{report:#}");
    let unmanaged = report["steps"]["inventory"]["unmanaged"].to_string();
    assert!(unmanaged.contains("with an invalid name"), "{unmanaged}");
    assert_eq!(report["steps"]["spawn"]["spawned"].as_array().map(Vec::len), Some(0));
}

/// Failing spawns: the script, and a part of the error.
const BAD_SPAWNS: [(&str, &[&str]); 7] = [
    ("refuse denied 'no such key'", &["denied: no such key", "better credentials"]),
    ("refuse invalid 'no image'", &["invalid: no image"]),
    ("refuse ambiguous 'lost the answer'", &["it may have succeeded", "next inventory"]),
    ("refuse on_fire 'what now'", &["internal: what now"]),
    ("echo nonsense", &["it must be one JSON object", "may still have started"]),
    (
        r#"echo '{"ok":true,"result":"perhaps"}'"#,
        &["unknown variant `perhaps`", "may still have started"],
    ),
    (
        "sleep 1000",
        &["killed: timed out after", "may still have started: the next inventory shows it"],
    ),
];

#[test]
fn the_error_of_a_failed_spawn_has_the_reason_and_whether_the_session_may_run() {
    for (script, expected) in BAD_SPAWNS {
        let workplace = Plugin::spawning(script).at(&RosterText::exec("timeout = \"3s\"").role(
            "qa",
            1,
            "[\"agent\"]",
        ));
        let report = reconcile(&workplace).json();
        let error = report["steps"]["spawn"]["failed"][0]["error"].as_str().unwrap_or_default();
        for part in expected {
            assert!(error.contains(part), "{script}: {report:#}");
        }
        assert!(error.contains("plugin plugin.sh spawn"), "{script}: {error}");
        await_no_process(&workplace, script);
    }
}

#[test]
fn a_plugin_that_cannot_be_started_is_reported_with_a_remedy() {
    let workplace = Plugin::default().at(&patient());
    workplace.write("plugin.sh", "#!/nowhere/interpreter\n");
    let report = reconcile(&workplace).json();
    let error = inventory_error(&report);
    assert!(error.contains("cannot start") && error.contains("install the plugin"), "{error}");
    let absent = patient().text().replace("./plugin.sh", "absent-plugin");
    let report = reconcile(&Workplace::new(&absent)).json();
    assert!(inventory_error(&report).contains("cannot start absent-plugin"), "{report:#}");
    workplace.write("plain", "#!/bin/sh\n");
    let plain = patient().text().replace("./plugin.sh", "./plain");
    workplace.write("roster.toml", plain);
    let refused = coordinator(&workplace).args(["reconcile"]).run();
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("executable"), "{}", refused.stderr);
}

#[test]
fn an_interrupted_run_leaves_no_operation_behind() {
    let workplace =
        Plugin::listing("echo > \"$HOME/listing\"; sleep 1000 & exec sleep 1000").at(&patient());
    let running = coordinator(&workplace).args(["reconcile"]).spawn();
    let end = Instant::now() + Duration::from_secs(20);
    while !workplace.path().join("listing").exists() {
        assert!(Instant::now() < end, "no list");
        std::thread::sleep(Duration::from_millis(5));
    }
    running.signal("INT");
    running.signal("INT");
    assert_eq!(running.wait().code, Some(130));
    await_no_process(&workplace, "interrupted");
}
