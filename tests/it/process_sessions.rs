//! The life of one session on the process platform.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use rustix::process::Signal;
use walk::files_below;

use crate::process_fleet::{
    Fleet, OPEN, SLEEPER, await_true, environment, held, is_running, mode, open_files, report,
    signal, slots,
};

mod walk {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// Every path below a directory, links not followed.
    pub(super) fn files_below(directory: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).expect("read a directory").flatten();
        entries
            .flat_map(|entry| {
                let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let below = if is_dir { files_below(&entry.path()) } else { Vec::new() };
                below.into_iter().chain([entry.path()])
            })
            .collect()
    }
}

#[test]
fn a_session_outlives_the_run_and_its_end_is_recorded() {
    let script =
        "echo out; echo err >&2; while [ ! -e \"$WITNESS/go\" ]; do sleep 0.01; done; exit 3";
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, script)]);
    assert_eq!(slots(&fleet.reconcile(), "spawned"), ["demo-ui-builder-s0"]);
    let live = fleet.newest("ui-builder-s0");
    assert_eq!((live["state"].as_str(), live["generation"].as_u64()), (Some("running"), Some(1)));
    fs::write(fleet.path("witness/go"), "").expect("let the agent go");
    let ended = fleet.await_end("ui-builder-s0");
    assert_eq!((ended["outcome"].as_str(), ended["exit_code"].as_i64()), (Some("failed"), Some(3)));
    let log = fs::read_to_string(ended["log"].as_str().expect("a log")).expect("read the log");
    assert_eq!(log, "out\nerr\n");
}

#[test]
fn the_next_session_of_a_slot_is_one_generation_on_and_starts_in_an_empty_directory() {
    let script = "ls -A >> \"$WITNESS/found\"; pwd >> \"$WITNESS/where\"; touch left";
    let fleet = Fleet::new(OPEN, &[("tester", 1, script)]);
    for generation in 1..=2 {
        fleet.reconcile();
        assert_eq!(fleet.await_end("tester-s0")["generation"], generation);
    }
    assert_eq!(fleet.witness("found"), "");
    let home = |generation| {
        fleet.state(&format!("sessions/tester-s0/{generation}/work")).display().to_string()
    };
    assert_eq!(fleet.witness("where"), format!("{}\n{}\n", home(1), home(2)));
}

#[test]
fn the_prompt_comes_on_standard_input_unless_the_command_carries_it() {
    let fleet = Fleet::new(
        OPEN,
        &[("reader", 1, "cat > \"$WITNESS/stdin\"; echo \"$1\" > \"$WITNESS/argument\"")],
    );
    fleet.reconcile();
    fleet.await_end("reader-s0");
    assert!(fleet.witness("stdin").contains("Be reader."));
    let roster = fs::read_to_string(fleet.path("roster.toml")).expect("read the roster");
    let roster = roster.replace("reader.sh\"]", "reader.sh\", \"{prompt}\"]");
    fs::write(fleet.path("roster.toml"), roster).expect("write the roster");
    fleet.reconcile();
    fleet.await_end("reader-s0");
    assert_eq!(fleet.witness("stdin"), "");
    assert!(fleet.witness("argument").contains("Be reader."));
}

#[test]
fn a_command_that_is_not_there_is_a_failed_spawn_that_backs_off() {
    let fleet = Fleet::new("min_free = \"0\"\n", &[("ui_builder", 1, SLEEPER)]);
    let roster = fs::read_to_string(fleet.path("roster.toml")).expect("read the roster");
    let (start, _) = roster.split_once("[[role]]").expect("there is a role");
    let role = "[[role]]\nkey = \"ui_builder\"\nname = \"x\"\ncount = 1\nmode = \"thinker\"\n\
        command = [\"no-such-agent\"]\n";
    fs::write(fleet.path("roster.toml"), format!("{start}{role}")).expect("write the roster");
    let first = fleet.reconcile();
    assert_eq!(slots(&first, "failed"), ["demo-ui-builder-s0"]);
    let error =
        first["steps"]["spawn"]["failed"][0]["error"].as_str().expect("an error has a text");
    assert_eq!(
        error,
        "no command `no-such-agent` on PATH; install it, or set `command` for this role in \
         roster.toml"
    );
    assert_eq!(held(&fleet.reconcile()), ["backoff"]);
    let log = fleet.run(&["logs", "ui-builder-s0"]);
    assert_eq!(String::from_utf8_lossy(&log.stdout), format!("coordinator: {error}\n"));
}

#[test]
fn an_agent_gets_sigterm_at_its_time_limit() {
    let script = "trap 'echo ended > \"$WITNESS/term\"; kill $!; exit 0' TERM; sleep 1000 & wait";
    let fleet = Fleet::new(&format!("{OPEN}time_limit = \"1s\"\n"), &[("slow", 1, script)]);
    fleet.reconcile();
    let ended = fleet.await_end("slow-s0");
    assert_eq!(ended["outcome"], "timed_out");
    assert_eq!(ended["detail"], "time limit of 1s");
    assert_eq!(fleet.witness("term"), "ended\n");
}

#[test]
fn an_agent_that_does_not_heed_its_time_limit_is_killed_with_its_children() {
    let script = "trap '' TERM; sleep 1000 & echo $! > \"$WITNESS/child\"; while :; do wait; done";
    let fleet = Fleet::new(&format!("{OPEN}time_limit = \"1s\"\n"), &[("deaf", 1, script)]);
    fleet.reconcile();
    let child: i32 = fleet.await_witness("child").parse().expect("a pid");
    assert_eq!(fleet.await_end("deaf-s0")["outcome"], "timed_out");
    assert_eq!(fleet.record("deaf-s0", 1, "exit.json")["signal"], 9);
    assert!(!is_running(child));
}

#[test]
fn a_shim_that_gets_sigterm_ends_its_agent() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, SLEEPER)]);
    fleet.reconcile();
    signal(fleet.pid("ui-builder-s0", 1, "shim"), Signal::TERM);
    let ended = fleet.await_end("ui-builder-s0");
    assert_eq!(ended["outcome"], "stopped");
    assert_eq!(fleet.record("ui-builder-s0", 1, "exit.json")["signal"], 15);
}

#[test]
fn a_session_whose_shim_and_agent_get_the_signal_together_is_stopped_and_its_slot_starts_again() {
    let fleet = Fleet::new("min_free = \"0\"\n", &[("ui_builder", 1, SLEEPER)]);
    fleet.reconcile();
    let (shim, agent) =
        (fleet.pid("ui-builder-s0", 1, "shim"), fleet.pid("ui-builder-s0", 1, "agent"));
    // As `pkill -f coordinator` does it; stopped, the shim sees both at once.
    signal(shim, Signal::STOP);
    signal(agent, Signal::TERM);
    await_true("the agent has ended", || !is_running(agent));
    signal(shim, Signal::TERM);
    signal(shim, Signal::CONT);
    assert_eq!(fleet.await_end("ui-builder-s0")["outcome"], "stopped");
    assert_eq!(slots(&fleet.reconcile(), "spawned").len(), 1, "a stopped session holds nothing");
}

#[test]
fn an_agent_holds_its_own_lock_and_nothing_else_that_it_did_not_open() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 8, SLEEPER)]);
    let foreign = fleet.path("foreign.lock");
    let mut shell = std::process::Command::new("sh");
    fleet.surround(&mut shell);
    let run = format!(
        "exec 9>>{}; exec {} -c {} reconcile --only spawn -o json",
        foreign.display(),
        env!("CARGO_BIN_EXE_coordinator"),
        fleet.path("roster.toml").display()
    );
    let output =
        shell.arg("-c").arg(run).stdout(Stdio::piped()).output().expect("run the coordinator");
    assert_eq!(slots(&report(&output), "spawned").len(), 8);
    for index in 0..8 {
        let slot = format!("ui-builder-s{index}");
        let home = fleet.state(&format!("sessions/{slot}/1"));
        let mut expected = vec![
            home.join("prompt.md"),
            home.join("output.log"),
            home.join("output.log"),
            fleet.state(&format!("slots/{slot}.lock")),
        ];
        expected.sort();
        let agent = fleet.pid(&slot, 1, "agent");
        // The shell has its script open until it becomes the sleeper.
        await_true(&format!("{expected:?} alone to be open"), || {
            let mut found = open_files(agent);
            found.sort();
            found == expected
        });
        assert!(!open_files(fleet.pid(&slot, 1, "shim")).contains(&foreign));
    }
}

#[test]
fn no_credential_reaches_an_agent_its_files_or_a_command_line() {
    let fleet = Fleet::new(OPEN, &[("plain", 1, SLEEPER), ("trusted", 1, SLEEPER)]);
    let roster = fs::read_to_string(fleet.path("roster.toml")).expect("read the roster");
    let roster = format!("{roster}env = {{ MODEL_KEY = \"${{MODEL_KEY}}\" }}\n");
    fs::write(fleet.path("roster.toml"), roster).expect("write the roster");
    let mut command = fleet.command(&["reconcile", "--only", "spawn", "-o", "json"]);
    command.env("GITHUB_TOKEN", "ghp_topsecret").env("MODEL_KEY", "key_topsecret");
    let output = command.env("COORDINATOR_SLOT", "outer").output().expect("run the coordinator");
    assert_eq!(slots(&report(&output), "spawned").len(), 2, "{output:?}");
    let environment_of = |slot: &str| environment(fleet.pid(slot, 1, "agent"));
    assert!(!environment_of("plain-s0").iter().any(|variable| variable.contains("topsecret")));
    assert!(environment_of("plain-s0").contains(&"COORDINATOR_SLOT=demo-plain-s0".to_owned()));
    assert!(environment_of("trusted-s0").contains(&"MODEL_KEY=key_topsecret".to_owned()));
    for pid in fleet.processes() {
        let command_line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(!command_line.contains("topsecret"), "{command_line}");
    }
    for path in files_below(&fleet.path("state")).into_iter().filter(|path| path.is_file()) {
        let content = fs::read(&path).expect("read a record");
        assert!(!String::from_utf8_lossy(&content).contains("topsecret"), "{}", path.display());
    }
}

#[test]
fn everything_is_private_whatever_the_umask() {
    for umask in ["000", "077"] {
        let fleet = Fleet::new(OPEN, &[("ui_builder", 1, "umask > \"$WITNESS/umask\"")]);
        let mut shell = std::process::Command::new("sh");
        fleet.surround(&mut shell);
        let run =
            format!("umask {umask}; exec \"$0\" -c roster.toml reconcile --only spawn -o json");
        shell.arg("-c").arg(run).arg(env!("CARGO_BIN_EXE_coordinator")).current_dir(fleet.path(""));
        let output = shell.output().expect("run the coordinator");
        assert_eq!(slots(&report(&output), "spawned").len(), 1, "umask {umask}: {output:?}");
        fleet.await_end("ui-builder-s0");
        for path in files_below(&fleet.state("")) {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), expected, "umask {umask}: {}", path.display());
        }
        assert_eq!(
            fleet.witness("umask").trim_start_matches('0'),
            umask.trim_start_matches('0').to_owned() + "\n"
        );
    }
}

#[test]
fn a_link_in_place_of_our_directory_or_lock_is_refused() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, SLEEPER)]);
    fs::create_dir_all(fleet.state("slots")).expect("make the directory");
    fs::write(fleet.path("precious"), "kept").expect("write a file");
    symlink(fleet.path("precious"), fleet.state("slots/ui-builder-s0.lock")).expect("link");
    assert_eq!(slots(&fleet.reconcile(), "failed"), ["demo-ui-builder-s0"]);
    fs::remove_dir_all(fleet.state("")).expect("remove the directory");
    fs::create_dir(fleet.path("elsewhere")).expect("make a directory");
    symlink(fleet.path("elsewhere"), fleet.path("state/demo")).expect("link");
    let output = fleet.run(&["reconcile", "--only", "spawn", "-o", "json"]);
    assert!(!output.status.success() || slots(&report(&output), "spawned").is_empty());
    assert_eq!(fs::read_dir(fleet.path("elsewhere")).expect("read").count(), 0);
    assert_eq!(fs::read_to_string(fleet.path("precious")).expect("read"), "kept");
}

/// Only the same user, or root, can plant a link in a directory of mode 0700; a mistake must
/// do no harm either.
#[test]
fn a_link_in_place_of_a_record_or_a_log_is_neither_read_nor_written_through() {
    for name in [
        "start.json",
        "exit.json",
        "start.json.tmp",
        "output.log",
        "monitor.log",
        "prompt.md",
        "launch.json",
    ] {
        let fleet = Fleet::new(OPEN, &[("ui_builder", 1, "true")]);
        fs::write(fleet.path("precious"), "kept").expect("write a file");
        fleet.reconcile();
        fleet.await_end("ui-builder-s0");
        for generation in [1, 2] {
            let planted = fleet.state(&format!("sessions/ui-builder-s0/{generation}/{name}"));
            fs::create_dir_all(planted.parent().expect("it has one")).expect("make a directory");
            if fs::symlink_metadata(&planted).is_ok() {
                fs::remove_file(&planted).expect("remove a file");
            }
            symlink(fleet.path("precious"), &planted).expect("link");
        }
        fleet.run(&["reconcile", "--only", "spawn", "-o", "json"]);
        fleet.run(&["sessions"]);
        let logs = fleet.run(&["logs", "ui-builder-s0"]);
        assert!(!String::from_utf8_lossy(&logs.stdout).contains("kept"), "{name}: {logs:?}");
        assert_eq!(fs::read_to_string(fleet.path("precious")).expect("read"), "kept", "{name}");
        assert_eq!(mode(&fleet.path("precious")), 0o644, "{name}");
    }
}

#[test]
fn a_second_name_of_a_file_elsewhere_loses_nothing_to_a_record() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, "true")]);
    fleet.reconcile();
    fleet.await_end("ui-builder-s0");
    fs::write(fleet.path("precious"), "kept").expect("write a file");
    let home = fleet.state("sessions/ui-builder-s0/2");
    fs::create_dir_all(&home).expect("make a directory");
    for name in
        ["start.json", "start.json.tmp", "exit.json.tmp", "output.log", "monitor.log", "prompt.md"]
    {
        fs::hard_link(fleet.path("precious"), home.join(name)).expect("link");
    }
    fs::remove_file(home.join("start.json")).expect("remove a file");
    assert_eq!(slots(&fleet.reconcile(), "spawned"), ["demo-ui-builder-s0"]);
    fleet.await_end("ui-builder-s0");
    assert_eq!(fs::read_to_string(fleet.path("precious")).expect("read"), "kept");
}

#[test]
fn old_logs_and_work_directories_go_when_the_next_session_has_started() {
    let settings = format!("{OPEN}retain = 2\nretain_work = 1\n");
    let fleet =
        Fleet::new(&settings, &[("ui_builder", 1, "mkdir cache; touch cache/x; chmod 500 cache")]);
    for _ in 0..4 {
        fleet.reconcile();
        fleet.await_end("ui-builder-s0");
    }
    let has = |generation: u64, name: &str| {
        fleet.state(&format!("sessions/ui-builder-s0/{generation}/{name}")).exists()
    };
    assert_eq!(
        [1, 2, 3, 4].map(|generation| has(generation, "output.log")),
        [false, false, true, true]
    );
    assert_eq!([1, 2, 3, 4].map(|generation| has(generation, "work")), [false, false, false, true]);
    assert_eq!([1, 2, 3, 4].map(|generation| has(generation, "exit.json")), [true; 4]);
}

#[test]
fn the_platform_is_refused_where_sessions_would_be_killed() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, SLEEPER)]);
    let mut command = fleet.command(&["reconcile", "--only", "spawn"]);
    let output = command.env("GITHUB_ACTIONS", "true").output().expect("run the coordinator");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("GitHub Actions"));
    assert!(!fleet.path("state").exists());
}

#[test]
fn sessions_run_on_when_the_coordinator_is_started_with_signals_ignored() {
    let fleet = Fleet::new(OPEN, &[("ui_builder", 1, SLEEPER)]);
    let mut shell = std::process::Command::new("sh");
    fleet.surround(&mut shell);
    let run =
        "trap '' HUP INT QUIT TERM CHLD; exec \"$0\" -c roster.toml reconcile --only spawn -o json";
    shell.arg("-c").arg(run).arg(env!("CARGO_BIN_EXE_coordinator")).current_dir(fleet.path(""));
    let output = shell.output().expect("run the coordinator");
    assert_eq!(slots(&report(&output), "spawned").len(), 1, "{output:?}");
    let agent = fleet.pid("ui-builder-s0", 1, "agent");
    let status = fs::read_to_string(format!("/proc/{agent}/status")).expect("the agent runs");
    let ignored =
        status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a status has it");
    let ignored = u64::from_str_radix(ignored.trim(), 16).expect("a mask");
    assert_eq!(ignored & 0x7fff, 0, "the agent ignores {ignored:x}");
    await_true("the agent's end", || {
        signal(agent, Signal::TERM);
        !is_running(agent)
    });
}
