//! The command of `[alerts]`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use super::{CYCLE, World, warnings};
use crate::coordinator;

/// A world whose command is a script beside the roster.
fn world(script: &str) -> World {
    let world = World::new("command = [\"./alert.sh\", \"an argument\"]");
    write(&world, script);
    world
}

fn write(world: &World, script: &str) {
    world.workplace.write("alert.sh", format!("#!/bin/sh\n{script}\n"));
    let path = world.workplace.path().join("alert.sh");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions can be set");
}

fn left(world: &World, name: &str) -> PathBuf {
    world.workplace.path().join(name)
}

#[test]
fn the_command_reads_the_report_of_a_cycle_that_is_not_healthy() {
    let world = world("cat > report.json; printf '%s' \"$1\" > argument");
    let report = world.cycle();
    assert_eq!((&report["status"], left(&world, "argument").exists()), (&"healthy".into(), false));
    world.answers(503);
    let report = world.cycle();
    let read = fs::read_to_string(left(&world, "report.json")).expect("the command has run");
    let read: Value = serde_json::from_str(&read).expect("it is JSON");
    assert_eq!(read["schema"], "coordinator.report/v1");
    assert_eq!((&read["reasons"], &read["steps"]), (&report["reasons"], &report["steps"]));
    assert_eq!(fs::read_to_string(left(&world, "argument")).expect("written"), "an argument");
    assert_eq!(warnings(&report), Vec::<&str>::new());
}

#[test]
fn the_command_inherits_no_secret() {
    let world = world("env > variables");
    world.answers(503);
    let roster = fs::read_to_string(world.workplace.roster()).expect("a roster");
    let roster = roster + "[[role]]\nkey = \"b\"\ncount = 0\nenv = { A = \"${MODEL_KEY}\" }\n";
    world.workplace.write("roster.toml", roster);
    world.workplace.write("briefs/b.md", "Build.");
    let secrets = [("GH_TOKEN", "gh-9213"), ("MODEL_KEY", "mk-77120"), ("REDIS_URL", "redis://x")];
    let program = secrets
        .iter()
        .fold(coordinator(&world.workplace), |program, (name, value)| program.env(name, value));
    program.env("PLAIN", "kept-4711").args(CYCLE).run();
    let variables = fs::read_to_string(left(&world, "variables")).expect("the command has run");
    assert!(variables.contains("PLAIN=kept-4711"), "{variables}");
    for secret in secrets.iter().map(|(_, value)| *value).chain([testkit::TOKEN]) {
        assert!(!variables.contains(secret), "{variables}");
    }
}

#[test]
fn a_command_that_hangs_is_killed_with_its_group() {
    let world = world("sleep 600 & echo $! > child; trap '' TERM; echo 'no network' >&2; wait");
    world.answers(503);
    let finished = world.run(&CYCLE);
    let report = finished.json();
    assert_eq!((finished.code, &report["status"]), (Some(1), &"broken".into()));
    let [warning] = warnings(&report)[..] else { panic!("one warning: {report:#}") };
    assert!(warning.ends_with("alert.sh: killed after 10 s: no network"), "{warning}");
    let running = world.workplace.processes();
    assert_eq!(running, Vec::<u32>::new(), "the child of the command ended with it");
}

#[test]
fn a_command_that_fails_or_floods_is_a_warning() {
    for (script, expected) in [
        ("echo 'bad \\033[31mhook' >&2; exit 3", "exit status: 3: bad hook"),
        ("head -c 1000000 /dev/zero | tr '\\0' 'x' >&2; exit 1", "xxx"),
        ("kill -9 $$", "signal: 9"),
    ] {
        let world = world(script);
        world.answers(503);
        let finished = world.run(&CYCLE);
        let report = finished.json();
        let [warning] = warnings(&report)[..] else { panic!("one warning: {report:#}") };
        assert!(warning.contains(expected) && warning.len() < 1_000, "{warning}");
        assert_eq!((finished.code, &report["status"]), (Some(1), &"broken".into()));
    }
}

#[test]
fn a_command_need_not_read_its_input_and_a_dry_run_starts_none() {
    let world = world("exec 0<&-; touch ran");
    world.answers(503);
    world.run(&["reconcile", "--dry-run"]);
    assert!(!left(&world, "ran").exists());
    let report = world.cycle();
    assert_eq!((left(&world, "ran").exists(), warnings(&report).len()), (true, 0));
}

#[test]
fn a_command_that_cannot_be_found_is_refused_before_the_cycle() {
    let world = World::new("command = [\"./missing.sh\"]");
    let finished = coordinator(&world.workplace).args(CYCLE).run();
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("./missing.sh"), "{}", finished.stderr);
    let world = World::new("command = [\"no-such-program-4711\"]");
    world.answers(503);
    let report = world.cycle();
    assert!(warnings(&report)[0].contains("no-such-program-4711: start it"), "{report:#}");
}
