//! What the commands show of a fleet by a plugin.

use serde_json::Value;

use crate::coordinator;
use testkit::plugin::{CAPABLE, OPEN, Plugin, asked};
use testkit::workplace::RosterText;
use testkit::{Finished, Workplace};

fn roster() -> RosterText {
    RosterText::exec("").role("qa", 2, "[\"agent\"]")
}

fn run(workplace: &Workplace, arguments: &[&str]) -> Finished {
    coordinator(workplace).args(arguments.iter().copied()).run()
}

fn filled() -> Workplace {
    let workplace = Plugin::default().at(&roster());
    assert_eq!(run(&workplace, &["reconcile"]).code, Some(0));
    workplace
}

fn saying(capabilities: &str) -> Plugin {
    Plugin { capabilities: capabilities.to_owned(), ..Plugin::default() }
}

#[test]
fn sessions_are_those_that_the_plugin_lists() {
    let shown = run(&filled(), &["sessions", "-o", "json"]).json();
    let slots: Vec<_> =
        shown["sessions"].as_array().expect("an array").iter().map(|one| &one["slot"]).collect();
    assert_eq!(slots, ["demo-qa-s0", "demo-qa-s1"]);
    assert_eq!(shown["sessions"][0]["state"], "running");
}

#[test]
fn a_log_is_the_plugins() {
    let workplace = filled();
    assert_eq!(run(&workplace, &["logs", "qa-s1"]).stdout, "what it wrote\n");
    let absent = run(&workplace, &["logs", "qa-s7"]);
    assert_eq!(absent.code, Some(1));
    assert!(absent.stderr.contains("demo-qa-s7 has not run yet"), "{}", absent.stderr);
    assert_eq!(run(&workplace, &["logs", "qa-s1", "--generation", "9"]).code, Some(1));
}

#[test]
fn a_plugin_that_cannot_follow_gives_its_tail_again_until_the_session_has_ended() {
    let logs = r#"case $(grep -c ^logs "$HOME/journal") in
        1) text='one\n';;
        *) text='one\ntwo\n'; rmdir "$HOME/store/qa-1" 2>/dev/null;;
        esac
        case $request in *follow*) refuse denied 'it cannot follow';; esac
        printf '%s' "{\"ok\":true,\"text\":\"$text\",\"truncated\":false}""#;
    let plugin = Plugin { logs: logs.to_owned(), ..Plugin::default() };
    let workplace = plugin.at(&roster());
    assert_eq!(run(&workplace, &["reconcile"]).code, Some(0));
    let followed = run(&workplace, &["logs", "qa-s1", "--follow"]);
    assert_eq!(
        (followed.code, followed.stdout.as_str()),
        (Some(0), "one\ntwo\n"),
        "{}",
        followed.stderr
    );
}

#[test]
fn check_refuses_a_plugin_that_excludes_nothing_under_a_roster_that_starts_blindly() {
    let workplace = saying(&format!("echo '{OPEN}'")).at(&roster());
    let refused = run(&workplace, &["check"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stdout);
    assert!(refused.stderr.contains("on_inventory_failure = \"skip\""), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("plugin = \"./plugin.sh\""),
        "the place is shown: {}",
        refused.stderr
    );
    let problem: Value = run(&workplace, &["check", "-o", "json"]).json();
    assert!(problem["problems"][0]["line"].is_number(), "{problem:#}");
    let careful = roster().platform("on_inventory_failure = \"skip\"");
    assert_eq!(run(&saying(&format!("echo '{OPEN}'")).at(&careful), &["check"]).code, Some(0));
}

#[test]
fn check_calls_only_capabilities_of_a_plugin() {
    let workplace = saying("exit 4").at(&roster());
    let refused = run(&workplace, &["check"]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("capabilities: exit 4 without an answer"),
        "{}",
        refused.stderr
    );
    let fine = Plugin::default().at(&roster());
    let shown = run(&fine, &["check"]);
    assert!(
        shown.stdout.contains("by the plugin") && !shown.stdout.contains("history"),
        "{}",
        shown.stdout
    );
    assert_eq!((asked(&fine, "capabilities"), asked(&fine, "list")), (1, 0));
}

#[test]
fn a_plugin_without_history_is_spoken_of() {
    let forgetful = r#"echo '{"ok":true,"protocol":[1],"name":"test","slot_exclusive":"create"}'"#;
    let workplace = saying(forgetful).at(&roster());
    assert!(run(&workplace, &["check"]).stdout.contains("keeps no history"));
    let doctor = run(&workplace, &["doctor"]);
    assert_eq!(doctor.code, Some(0), "{}", doctor.stdout);
    assert!(doctor.stdout.contains("lists no ended sessions"), "{}", doctor.stdout);
}

#[test]
fn doctor_reads_the_list_and_fails_where_a_cycle_would() {
    let well = run(&filled(), &["doctor"]);
    assert_eq!(well.code, Some(0), "{}", well.stdout);
    assert!(well.stdout.contains("lists its sessions: 2 live"), "{}", well.stdout);
    let open = saying(&format!("echo '{OPEN}'"));
    for plugin in [open, saying("exit 4"), Plugin::listing("refuse denied 'no'")] {
        let failed = run(&plugin.at(&roster()), &["doctor"]);
        assert_eq!(failed.code, Some(1), "{}", failed.stdout);
    }
}

#[test]
fn attach_prints_the_command_of_a_plugin_that_has_it() {
    let attach = r#"case $request in *'"id":"qa-1"'*) ;; *) refuse invalid "$request";; esac
        echo '{"ok":true,"argv":["tmux","attach","-t","the pane"],"directory":"/var/my state"}'"#;
    let capabilities = CAPABLE.replace(r#""logs":true"#, r#""logs":true,"attach":true"#);
    let plugin = Plugin { attach: attach.to_owned(), ..saying(&format!("echo '{capabilities}'")) };
    let workplace = plugin.at(&roster());
    assert_eq!(run(&workplace, &["reconcile"]).code, Some(0));
    let printed = run(&workplace, &["attach", "qa-s1"]);
    assert_eq!(
        (printed.code, printed.stdout.as_str()),
        (Some(0), "cd '/var/my state' && tmux attach -t 'the pane'\n"),
        "{}",
        printed.stderr
    );
}

#[test]
fn attach_without_the_capability_says_what_else_shows_the_agent() {
    let workplace = filled();
    let refused = run(&workplace, &["attach", "qa-s1"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(refused.stderr.contains("coordinator logs"), "{}", refused.stderr);
    assert_eq!(asked(&workplace, "attach"), 0);
}
