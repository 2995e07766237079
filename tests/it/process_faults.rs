//! Crashes, stale knowledge and damage on the process platform: a slot never has two sessions, and
//! no coordinator ends one.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::process_fleet::{
    Fleet, OPEN, SLEEPER, await_true, held, is_running, report, shift, slots,
};

const BOTH_LIVE: [&str; 2] = ["ui-builder-s0", "ui-builder-s1"];

/// Makes the inventory of the whole fleet fail.
fn damage(fleet: &Fleet) {
    let home = fleet.state("sessions/stranger-s0/1");
    fs::create_dir_all(&home).expect("make a record");
    fs::write(home.join("start.json"), "{ not json").expect("write garbage");
}

#[test]
fn a_failed_inventory_does_not_double_the_fleet() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 2, SLEEPER)]);
    fleet.reconcile();
    damage(&fleet);
    let report = fleet.reconcile();
    assert_eq!(report["steps"]["inventory"]["outcome"], "failed");
    let error = report["steps"]["inventory"]["error"].as_str().expect("a failed step has an error");
    assert!(error.contains("stranger-s0/1/start.json") && error.contains("move"), "{error}");
    assert_eq!(slots(&report, "spawned").len(), 0);
    assert_eq!(slots(&report, "already_running").len(), 2);
    let generations = BOTH_LIVE
        .map(|slot| fs::read_dir(fleet.state(&format!("sessions/{slot}"))).expect("read").count());
    assert_eq!(generations, [1, 1]);
}

#[test]
fn a_slot_with_an_unreadable_record_does_not_start_and_the_others_do() {
    let fleet = Fleet::new(OPEN, &[("sick", 1, SLEEPER), ("well", 1, SLEEPER)]);
    for (name, content) in
        [("start.json", "garbage"), ("start.json", "{\"version\": 99}"), ("start.json", "")]
    {
        let home = fleet.state("sessions/sick-s0/1");
        fs::create_dir_all(&home).expect("make a record");
        fs::write(home.join(name), content).expect("write garbage");
        let report = fleet.reconcile();
        assert_eq!(slots(&report, "failed"), ["demo-sick-s0"], "{content}");
    }
    let well = fs::read_dir(fleet.state("sessions/well-s0")).expect("the other role runs").count();
    assert_eq!(well, 1);
}

#[test]
fn a_failed_inventory_does_not_bypass_the_backoff() {
    let fleet = Fleet::new("min_free = \"0\"\n", &[("crasher", 1, "exit 1")]);
    fleet.reconcile();
    fleet.await_end("crasher-s0");
    damage(&fleet);
    let report = fleet.reconcile();
    assert_eq!(report["steps"]["inventory"]["outcome"], "failed");
    assert_eq!(held(&report), ["backoff"]);
}

#[test]
fn agents_outside_a_smaller_roster_drain_and_a_larger_one_takes_them_in_again() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 5, SLEEPER)]);
    fleet.reconcile();
    let agents: Vec<i32> =
        (0..5).map(|index| fleet.pid(&format!("ui-builder-s{index}"), 1, "agent")).collect();
    fleet.write_roster("roster.toml", OPEN, &[("ui_builder", 3, SLEEPER)]);
    let smaller = fleet.reconcile();
    assert_eq!(slots(&smaller, "spawned").len(), 0);
    assert_eq!(smaller["steps"]["inventory"]["roles"][0]["surplus"], 2);
    fleet.kill(agents[0]);
    fleet.await_end("ui-builder-s0");
    assert_eq!(
        slots(&fleet.reconcile(), "spawned").len(),
        0,
        "four are live, the roster has three"
    );
    fleet.write_roster("roster.toml", OPEN, &[("ui_builder", 5, SLEEPER)]);
    assert_eq!(slots(&fleet.reconcile(), "spawned"), ["demo-ui-builder-s0"]);
    assert!(agents[1..].iter().all(|agent| is_running(*agent)));
}

#[test]
fn cycles_with_different_rosters_never_share_a_slot() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 5, SLEEPER)]);
    fleet.write_roster("small.toml", OPEN, &[("ui_builder", 3, SLEEPER)]);
    let cycles: Vec<_> = (0..6)
        .map(|number| {
            fleet.reconcile_in_background(if number % 2 == 0 {
                "roster.toml"
            } else {
                "small.toml"
            })
        })
        .collect();
    let spawned: usize = cycles
        .into_iter()
        .map(|cycle| slots(&report(&cycle.wait_with_output().expect("wait")), "spawned").len())
        .sum();
    assert!(spawned <= 5, "{spawned} sessions in 5 slots");
    fleet.reconcile();
    let live = (0..5)
        .filter(|index| fleet.newest(&format!("ui-builder-s{index}"))["generation"] == 1)
        .count();
    assert_eq!(live, 5, "a second session replaced a live one");
}

#[test]
fn agents_of_another_roster_file_are_reported_and_count() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, SLEEPER)]);
    fleet.write_roster("other.toml", OPEN, &[("ui_builder", 1, SLEEPER)]);
    fleet.reconcile_with("other.toml");
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "spawned").len(), 0);
    let unmanaged = report["steps"]["inventory"]["unmanaged"].to_string();
    assert!(
        unmanaged.contains("demo-ui-builder-s0") && unmanaged.contains("other.toml"),
        "{unmanaged}"
    );
}

#[test]
fn agents_of_a_removed_role_are_reported_and_left_alone() {
    let fleet = Fleet::new(OPEN, &[("old_role", 1, SLEEPER)]);
    fleet.reconcile();
    let agent = fleet.pid("old-role-s0", 1, "agent");
    fleet.write_roster("roster.toml", OPEN, &[("new_role", 1, SLEEPER)]);
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "spawned"), ["demo-new-role-s0"]);
    let unmanaged = report["steps"]["inventory"]["unmanaged"].to_string();
    assert!(unmanaged.contains("demo-old-role-s0"), "{unmanaged}");
    assert!(is_running(agent));
}

#[test]
fn a_killed_agent_is_recorded_and_its_slot_starts_again() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, SLEEPER)]);
    fleet.reconcile();
    fleet.kill(fleet.pid("ui-builder-s0", 1, "agent"));
    let ended = fleet.await_end("ui-builder-s0");
    assert_eq!(
        (ended["outcome"].as_str(), ended["detail"].as_str()),
        (Some("failed"), Some("signal 9"))
    );
    assert_eq!(slots(&fleet.reconcile(), "spawned"), ["demo-ui-builder-s0"]);
    assert_eq!(fleet.newest("ui-builder-s0")["generation"], 2);
}

#[test]
fn an_agent_does_not_outlive_its_killed_shim() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, SLEEPER)]);
    fleet.reconcile();
    let agent = fleet.pid("ui-builder-s0", 1, "agent");
    fleet.kill(fleet.pid("ui-builder-s0", 1, "shim"));
    await_true("the agent's end", || !is_running(agent));
    assert_eq!(slots(&fleet.reconcile(), "spawned"), ["demo-ui-builder-s0"]);
    let lost = &fleet.sessions("ui-builder-s0")[0];
    assert_eq!((lost["outcome"].as_str(), lost["detail"].as_str()), (Some("lost"), Some("killed")));
}

#[test]
fn a_lost_session_backs_off_from_its_last_sign_of_life() {
    let fleet = Fleet::new("min_free = \"0\"\n", &[("ui_builder", 1, SLEEPER)]);
    fleet.reconcile();
    let agent = fleet.pid("ui-builder-s0", 1, "agent");
    fleet.kill(fleet.pid("ui-builder-s0", 1, "shim"));
    await_true("the agent's end", || !is_running(agent));
    assert_eq!(held(&fleet.reconcile()), ["backoff"]);
    let mut start = fleet.record("ui-builder-s0", 1, "start.json");
    shift(&mut start, "started_at", -300);
    fleet.write_record("ui-builder-s0", 1, "start.json", &start);
    let five_minutes_ago = SystemTime::now() - Duration::from_secs(300);
    for name in ["start.json", "output.log"] {
        let file = fs::File::options()
            .write(true)
            .open(fleet.state("sessions/ui-builder-s0/1").join(name));
        file.and_then(|file| file.set_modified(five_minutes_ago)).expect("age a file");
    }
    assert_eq!(
        slots(&fleet.reconcile(), "spawned"),
        ["demo-ui-builder-s0"],
        "the wait never passes"
    );
}

#[test]
fn a_daemon_that_an_agent_leaves_is_ended_with_the_session() {
    let script = "setsid sh -c 'echo $$ > \"$WITNESS/daemon\"; exec sleep 1000' > /dev/null &\n\
        while [ ! -s \"$WITNESS/daemon\" ]; do sleep 0.01; done";
    let fleet = Fleet::new(OPEN, &[("leaver", 1, script)]);
    fleet.reconcile();
    let daemon: i32 = fleet.await_witness("daemon").parse().expect("a pid");
    assert_eq!(fleet.await_end("leaver-s0")["outcome"], "idle");
    assert!(!is_running(daemon));
}

/// Closes every descriptor that a shell can name, as most languages do before they start a child.
const CLOSE_ALL: &str = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-";

#[test]
fn a_daemon_that_let_go_of_the_lock_still_holds_the_slot_of_a_killed_shim() {
    let daemon = format!("{CLOSE_ALL}; echo $$ > \"$WITNESS/daemon\"; exec sleep 1000");
    let script = format!("setsid sh -c '{daemon}' > /dev/null &\nexec sleep 1000");
    let fleet = Fleet::new(OPEN, &[("leaver", 1, &script)]);
    fleet.reconcile();
    let daemon: i32 = fleet.await_witness("daemon").parse().expect("a pid");
    let agent = fleet.pid("leaver-s0", 1, "agent");
    fleet.kill(fleet.pid("leaver-s0", 1, "shim"));
    await_true("the agent's end", || !is_running(agent));
    for _ in 0..2 {
        let report = fleet.reconcile();
        assert_eq!(held(&report), ["orphan"]);
        assert_eq!(slots(&report, "spawned").len(), 0);
        assert!(is_running(daemon));
    }
    fleet.kill(daemon);
    await_true("the daemon's end", || !is_running(daemon));
    assert_eq!(slots(&fleet.reconcile(), "spawned"), ["demo-leaver-s0"]);
}

#[test]
fn a_daemon_with_the_lock_of_a_killed_shim_keeps_the_slot() {
    let script = "setsid sh -c 'echo $$ > \"$WITNESS/daemon\"; exec sleep 1000' > /dev/null &\n\
        exec sleep 1000";
    let fleet = Fleet::new(OPEN, &[("leaver", 1, script)]);
    fleet.reconcile();
    let daemon: i32 = fleet.await_witness("daemon").parse().expect("a pid");
    let agent = fleet.pid("leaver-s0", 1, "agent");
    fleet.kill(fleet.pid("leaver-s0", 1, "shim"));
    await_true("the agent's end", || !is_running(agent));
    let report = fleet.reconcile();
    assert_eq!(report["steps"]["inventory"]["running"], 1);
    assert_eq!(slots(&report, "spawned").len(), 0);
    assert!(is_running(daemon));
}

#[test]
fn sessions_from_before_a_reboot_are_lost_and_a_stranger_with_their_pid_is_left_alone() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, "exit 0"), ("well", 1, SLEEPER)]);
    fleet.reconcile();
    fleet.await_end("ui-builder-s0");
    let mut stranger =
        std::process::Command::new("sleep").arg("1000").spawn().expect("start a stranger");
    let mut start = fleet.record("ui-builder-s0", 1, "start.json");
    start["boot_id"] = json!("00000000-0000-0000-0000-000000000000");
    for who in ["shim", "agent"] {
        start[who]["pid"] = json!(stranger.id());
    }
    fleet.write_record("ui-builder-s0", 1, "start.json", &start);
    fs::remove_file(fleet.state("sessions/ui-builder-s0/1/exit.json"))
        .expect("the end was recorded");
    assert_eq!(fleet.newest("ui-builder-s0")["outcome"], "lost");
    assert_eq!(slots(&fleet.reconcile(), "spawned"), ["demo-ui-builder-s0"]);
    assert_eq!(fleet.record("ui-builder-s0", 1, "exit.json")["reason"], "reboot");
    let lives = stranger.try_wait().expect("look at the stranger").is_none();
    stranger.kill().and_then(|()| stranger.wait()).expect("end the stranger");
    assert!(lives, "a stranger was killed");
}

#[test]
fn a_slot_whose_lock_file_was_removed_is_held_while_its_agent_lives() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, SLEEPER)]);
    fleet.reconcile();
    let agent = fleet.pid("ui-builder-s0", 1, "agent");
    fs::remove_file(fleet.state("slots/ui-builder-s0.lock")).expect("the lock is there");
    for _ in 0..2 {
        let report = fleet.reconcile();
        assert_eq!(held(&report), ["orphan"]);
        assert_eq!(slots(&report, "spawned").len(), 0);
    }
    assert!(is_running(agent));
}

#[test]
fn no_agent_runs_when_its_start_cannot_be_recorded() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, "echo ran >> \"$WITNESS/ran\"")]);
    fleet.reconcile();
    fleet.await_end("ui-builder-s0");
    // A directory in its way fails the write as a full disk does.
    let (first, second) = ("sessions/ui-builder-s0/1", fleet.state("sessions/ui-builder-s0/2"));
    fs::create_dir_all(second.join("work")).expect("make a generation");
    fs::create_dir(second.join("start.json.tmp")).expect("get in the way");
    for name in ["launch.json", "prompt.md"] {
        fs::copy(fleet.state(first).join(name), second.join(name)).expect("copy an order");
    }
    let lock =
        fs::File::options().read(true).write(true).open(fleet.state("slots/ui-builder-s0.lock"));
    let lock = lock.expect("the lock is there");
    lock.try_lock().expect("the slot is free");
    let mut shim = std::process::Command::new(env!("CARGO_BIN_EXE_coordinator"));
    fleet.surround(&mut shim);
    let output = shim
        .arg("session-run")
        .arg(&second)
        .stdin(Stdio::from(lock))
        .output()
        .expect("run the shim");
    drop(shim);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("start.json"), "{output:?}");
    assert_eq!(fleet.witness("ran"), "ran\n", "an agent without a record ran");
    assert_eq!(slots(&fleet.reconcile(), "spawned"), ["demo-ui-builder-s0"]);
    assert_eq!(fleet.newest("ui-builder-s0")["generation"], 2);
}

#[test]
fn a_session_whose_end_cannot_be_recorded_counts_as_lost() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, "mkdir ../exit.json.tmp")]);
    fleet.reconcile();
    let ended = fleet.await_end("ui-builder-s0");
    assert_eq!(
        (ended["outcome"].as_str(), ended["detail"].as_str()),
        (Some("lost"), Some("killed"))
    );
}

#[test]
fn no_session_starts_without_enough_space() {
    let settings = "backoff_base = \"0s\"\nmin_free = \"4096TiB\"\n";
    let fleet = Fleet::new(settings, &[("ui_builder", 1, SLEEPER)]);
    let report = fleet.reconcile();
    assert_eq!(held(&report), ["disk"]);
    assert_eq!(slots(&report, "spawned").len(), 0);
}

#[test]
fn a_directory_left_by_a_coordinator_that_died_early_is_not_a_run() {
    let fleet = Fleet::new("min_free = \"0\"\n", &[("ui_builder", 1, SLEEPER)]);
    fs::create_dir_all(fleet.state("sessions/ui-builder-s0/1/work")).expect("make a directory");
    fs::write(fleet.state("sessions/ui-builder-s0/1/prompt.md"), "half")
        .expect("write half a prompt");
    assert_eq!(slots(&fleet.reconcile(), "spawned"), ["demo-ui-builder-s0"]);
    assert_eq!(fleet.newest("ui-builder-s0")["generation"], 1);
}

#[test]
fn records_with_a_wrong_date_neither_hold_a_free_slot_nor_free_a_live_one() {
    for day in [-86_400, 86_400] {
        let fleet =
            Fleet::new("min_free = \"0\"\n", &[("done", 1, "exit 1"), ("live", 1, SLEEPER)]);
        fleet.reconcile();
        fleet.await_end("done-s0");
        for (slot, name) in
            [("done-s0", "start.json"), ("done-s0", "exit.json"), ("live-s0", "start.json")]
        {
            let mut record = fleet.record(slot, 1, name);
            shift(&mut record, "started_at", day);
            if name == "exit.json" {
                shift(&mut record, "finished_at", day);
            }
            fleet.write_record(slot, 1, name, &record);
        }
        assert_eq!(
            slots(&fleet.reconcile(), "spawned"),
            ["demo-done-s0"],
            "the clock is off by {day} s"
        );
        assert_eq!(fleet.sessions("live-s0").len(), 1);
    }
}

#[test]
fn what_a_killed_shim_leaves_keeps_the_slot_and_row_and_advice_agree_on_what_ends_it() {
    let script = "sleep 1000 & echo $! > \"$WITNESS/child.tmp\"; \
        mv \"$WITNESS/child.tmp\" \"$WITNESS/child\"; wait";
    let fleet = Fleet::new(OPEN, &[("parent", 1, script)]);
    fleet.reconcile();
    let child: i32 = fleet.await_witness("child").trim().parse().expect("a process id");
    let agent = fleet.pid("parent-s0", 1, "agent");
    fleet.kill(fleet.pid("parent-s0", 1, "shim"));
    await_true("the agent dies with its shim", || !is_running(agent));
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "spawned").len(), 0, "{report}");
    let unmanaged = &report["steps"]["inventory"]["unmanaged"][0];
    assert_eq!(unmanaged["slot"], "demo-parent-s0");
    let reason = unmanaged["reason"].as_str().expect("a reason is text");
    let expected = format!(
        "its shim was killed, so process {child} runs without a time limit; end it with \
         `kill {child}`"
    );
    assert_eq!(reason, expected);
    let advice = &report["advice"][0];
    assert_eq!(advice["signal"], "1 session is not managed by this roster", "{report:#}");
    assert!(!advice["action"].to_string().contains("by themselves"), "{advice}");
    fleet.kill(child);
    await_true("the slot is filled again", || slots(&fleet.reconcile(), "spawned").len() == 1);
}

#[test]
fn a_place_that_cannot_hold_sessions_is_broken_and_stops_no_other_step() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, SLEEPER)]);
    fs::write(fleet.path("state"), "a file").expect("put a file in the way");
    let output = fleet.run(&["reconcile", "-o", "json"]);
    let report = report(&output);
    assert_eq!((output.status.code(), &report["status"]), (Some(1), &json!("broken")));
    assert_eq!(report["steps"]["spawn"]["outcome"], "failed");
    assert_eq!(report["steps"]["merge"]["outcome"], "not_configured");
}

#[test]
fn a_pipe_in_place_of_a_record_does_not_block_a_cycle() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, "exit 0"), ("well", 1, SLEEPER)]);
    fleet.reconcile();
    fleet.await_end("ui-builder-s0");
    let record = fleet.state("sessions/ui-builder-s0/1/exit.json");
    fs::remove_file(&record).expect("take the record away");
    let made = std::process::Command::new("mkfifo").arg(&record).status().expect("run mkfifo");
    assert!(made.success());
    let output = fleet.run(&["sessions"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("exit.json is not a regular file"), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("well-s0"), "one bad record hides no other slot: {stdout}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn two_rosters_of_one_fleet_name_each_strange_session_once() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, SLEEPER), ("api_builder", 1, SLEEPER)]);
    fleet.reconcile();
    fleet.write_roster("other.toml", OPEN, &[("ui_builder", 1, SLEEPER)]);
    let report = fleet.reconcile_with("other.toml");
    let unmanaged = report["steps"]["inventory"]["unmanaged"].as_array().expect("an array");
    let mut names: Vec<_> =
        unmanaged.iter().map(|one| one["slot"].as_str().expect("a slot")).collect();
    names.sort_unstable();
    assert_eq!(names, ["demo-api-builder-s0", "demo-ui-builder-s0"]);
}
