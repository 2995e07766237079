//! `coordinator session-agent --wrap`: real processes, real signals, and what is left of them.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::coordinator;
use testkit::workplace::RosterText;
use testkit::{Finished, Program, Workplace};

/// A folder for what a wrapper writes.
struct Bench {
    workplace: Workplace,
}

impl Bench {
    fn new() -> Self {
        let workplace = RosterText::default().write();
        fs::create_dir(workplace.path().join("tmp")).expect("a folder");
        Self { workplace }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.workplace.path().join(name)
    }

    /// A wrapper of `sh -c SCRIPT`, with these options.
    fn wrap(&self, options: &[&str], script: &str) -> Program {
        let temporary = self.path("tmp");
        coordinator(&self.workplace)
            .args(["session-agent", "--wrap", "--end-file", "end"])
            .args(options.iter().copied())
            .args(["--", "/bin/sh", "-c", script])
            .env("TMPDIR", temporary.to_str().expect("temporary folders are UTF-8"))
    }

    fn end(&self) -> Value {
        let text = fs::read_to_string(self.path("end")).expect("the end is written");
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str(&text).expect("it is JSON")
    }

    /// Runs a wrapper to its end; nothing is left in the temporary folder.
    fn run(&self, options: &[&str], script: &str) -> Finished {
        self.left(self.wrap(options, script).run())
    }

    fn left(&self, finished: Finished) -> Finished {
        let left = fs::read_dir(self.path("tmp")).expect("a folder").count();
        assert_eq!(left, 0, "nothing is left behind");
        finished
    }
}

/// Waits until the agent wrote this: it is ready for what the test does next.
fn wait_for(printed: impl Fn() -> String, words: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    while !printed().contains(words) {
        assert!(Instant::now() < end, "the agent wrote: {}", printed());
        std::thread::yield_now();
    }
}

#[test]
fn both_streams_are_forwarded_byte_for_byte_and_copied_to_a_private_log() {
    let bench = Bench::new();
    let script = r"printf 'a\tb\033[1mc\r\n'; printf 'to stderr' >&2; printf '::x::\nlast'; exit 7";
    let finished = bench.run(&["--log", "raw"], script);
    let all = "a\tb\u{1b}[1mc\r\nto stderr::x::\nlast";
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(7), all), "{}", finished.stderr);
    assert_eq!(fs::read_to_string(bench.path("raw")).expect("a log"), all);
    let mode = fs::metadata(bench.path("raw")).expect("a log").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(bench.end(), json!({"coordinator_end": 1}));
}

#[test]
fn rendered_output_cannot_steer_a_terminal_and_the_log_stays_raw() {
    let bench = Bench::new();
    let finished = bench.run(&["--render", "--log", "raw"], r"printf 'a\033]0;title\007b\nc'");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "ab\nc\n"));
    assert_eq!(fs::read(bench.path("raw")).expect("a log"), b"a\x1b]0;title\x07b\nc");
}

#[test]
fn standard_input_is_the_agents() {
    let bench = Bench::new();
    fs::write(bench.path("prompt"), "do it\n").expect("a file");
    let mut command = bench.wrap(&[], "cat").into_command();
    command.stdin(File::open(bench.path("prompt")).expect("a file"));
    let output = command.output().expect("it starts");
    assert_eq!(output.stdout, b"do it\n");
}

#[test]
fn a_hundred_megabytes_pass_in_little_memory() {
    let bench = Bench::new();
    let script = "head -c 104857600 /dev/zero | tr '\\0' x; grep VmHWM /proc/$PPID/status >&2";
    let mut command = bench.wrap(&[], script).into_command();
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut pipe = child.stdout.take().expect("it is piped");
    let (mut count, mut end, mut chunk) = (0_usize, Vec::new(), vec![0; 65536]);
    loop {
        let read = pipe.read(&mut chunk).expect("a pipe can be read");
        if read == 0 {
            break;
        }
        count += read;
        end = chunk[..read].to_vec();
    }
    assert!(child.wait().expect("it ends").success());
    let status = String::from_utf8_lossy(&end).into_owned();
    let words = status.find("VmHWM").expect("it wrote its peak memory");
    assert_eq!(count - (status.len() - words), 104_857_600);
    let peak = status.split_whitespace().rev().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    assert!(peak.is_some_and(|kib| kib < 64 * 1024), "{}", &status[status.len() - 60..]);
}

#[test]
fn signals_reach_the_whole_group_and_the_agents_code_is_that_of_the_wrapper() {
    for (name, code) in [("TERM", 41), ("INT", 42), ("HUP", 43)] {
        let bench = Bench::new();
        let script = "trap 'exit 41' TERM; trap 'exit 42' INT; trap 'exit 43' HUP; echo ready
            while :; do sleep 600 & wait; done";
        let running = bench.wrap(&[], script).spawn();
        wait_for(|| running.printed(), "ready");
        running.signal(name);
        assert_eq!(bench.left(running.wait()).code, Some(code), "{name}");
    }
    let bench = Bench::new();
    let running = bench.wrap(&[], "echo ready; exec sleep 600").spawn();
    wait_for(|| running.printed(), "ready");
    running.signal("TERM");
    assert_eq!(bench.left(running.wait()).code, Some(128 + 15), "it does not handle the signal");
}

#[test]
fn an_agent_that_ignores_the_signal_is_killed_after_the_grace() {
    let bench = Bench::new();
    let script = "trap '' TERM; echo ready; while :; do sleep 600; done";
    let running = bench.wrap(&["--grace", "50ms"], script).spawn();
    wait_for(|| running.printed(), "ready");
    running.signal("TERM");
    let finished = bench.left(running.wait());
    assert_eq!(finished.code, Some(128 + 9), "{}", finished.stderr);
    assert_eq!(bench.end()["stalled"], Value::Null, "a person ended it");
}

#[test]
fn an_agent_that_writes_nothing_is_ended_as_stalled() {
    let bench = Bench::new();
    let finished = bench.run(&["--stall-timeout", "50ms"], "echo begun; exec sleep 600");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(124), "begun\n"));
    assert_eq!(bench.end()["stalled"], json!("no output for 50ms"));
    // Also one that ends well when it gets the signal.
    let script = "trap 'exit 0' TERM; sleep 600 & wait";
    assert_eq!(bench.run(&["--stall-timeout", "50ms"], script).code, Some(124));
}

#[test]
fn an_agent_whose_output_is_not_read_does_not_stall() {
    let bench = Bench::new();
    let timeout = ["--stall-timeout", "400ms"];
    let mut command =
        bench.wrap(&timeout, "echo begun; exec head -c 1048576 /dev/zero").into_command();
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut pipe = child.stdout.take().expect("it is piped");
    pipe.read_exact(&mut [0; 6]).expect("it begins");
    // Meanwhile three others stall, one after the other.
    let other = Bench::new();
    for _ in 0..3 {
        assert_eq!(other.run(&timeout, "exec sleep 600").code, Some(124));
    }
    let mut rest = Vec::new();
    pipe.read_to_end(&mut rest).expect("a pipe can be read");
    assert_eq!((child.wait().expect("it ends").code(), rest.len()), (Some(0), 1_048_576));
}

#[test]
fn a_reader_that_goes_away_does_not_end_the_agent() {
    let bench = Bench::new();
    let script = "yes | head -c 1000000; echo over; echo over >>finished; exit 5";
    let mut command = bench.wrap(&["--log", "raw"], script).into_command();
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(5));
    assert!(bench.path("finished").exists());
    assert_eq!(fs::metadata(bench.path("raw")).expect("a log").len(), 1_000_005);
}

#[test]
fn what_the_agent_leaves_in_its_group_ends_with_it_and_a_pipe_that_is_held_open_does_not_matter() {
    let bench = Bench::new();
    let script = "sleep 600 & echo $!; setsid sleep 601 >&2 & echo $!; exit 0";
    let finished = bench.run(&[], script);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let pids: Vec<&str> = finished.stdout.lines().collect();
    let status = fs::read_to_string(format!("/proc/{}/status", pids[0])).unwrap_or_default();
    assert!(status.is_empty() || status.contains("State:\tZ"), "{status}");
    // What left the group is not ours to end; the test ends it.
    let ended = Command::new("kill").arg(pids[1]).status().expect("kill starts");
    assert!(ended.success(), "it held the pipe open until now");
}

#[test]
fn the_end_file_is_filled_and_never_replaced_and_no_link_is_followed() {
    let bench = Bench::new();
    fs::write(bench.path("end"), "old and longer than the new one ".repeat(9)).expect("a file");
    let before = fs::metadata(bench.path("end")).expect("a file").ino();
    assert_eq!(bench.run(&[], "true").code, Some(0));
    assert_eq!(bench.end(), json!({"coordinator_end": 1}));
    assert_eq!(fs::metadata(bench.path("end")).expect("a file").ino(), before);
    let finished = bench.run(&[], "echo mine >precious; ln -sf precious end");
    assert_eq!(finished.code, Some(0));
    assert_eq!(fs::read_to_string(bench.path("precious")).expect("a file"), "mine\n");
    assert!(
        finished.stderr.starts_with("warning: write how the agent ended"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_result_that_is_no_regular_file_of_a_fair_size_is_as_if_there_were_none() {
    for script in [
        "ln -s /proc/self/status \"$COORDINATOR_RESULT\"",
        "mkfifo \"$COORDINATOR_RESULT\"",
        "mkdir \"$COORDINATOR_RESULT\"",
        "head -c 65537 /dev/zero | tr '\\0' ' ' >\"$COORDINATOR_RESULT\"",
        "echo '[1]' >\"$COORDINATOR_RESULT\"",
        "rm -r \"$(dirname \"$COORDINATOR_RESULT\")\"",
        "true",
    ] {
        let bench = Bench::new();
        let finished = bench.run(&[], script);
        assert_eq!(finished.code, Some(0), "{script}: {}", finished.stderr);
        assert_eq!(bench.end(), json!({"coordinator_end": 1}), "{script}");
    }
}

#[test]
fn the_result_is_where_the_environment_names_it_else_in_a_private_folder() {
    let bench = Bench::new();
    let script = "stat -c %a \"$(dirname \"$COORDINATOR_RESULT\")\"";
    assert_eq!(bench.run(&[], script).stdout, "700\n");
    let named = bench.wrap(&[], "echo \"$COORDINATOR_RESULT\"; echo x >\"$COORDINATOR_RESULT\"");
    let finished = bench.left(named.env("COORDINATOR_RESULT", "mine.json").run());
    assert_eq!(finished.stdout, "mine.json\n");
    assert!(bench.path("mine.json").exists(), "it is not ours to remove");
}

#[test]
fn the_agent_gets_the_wrappers_environment_and_nothing_more() {
    let bench = Bench::new();
    let finished = bench.wrap(&[], "env | cut -d= -f1 | sort").env("SOME", "x").run();
    let names: Vec<&str> = finished
        .stdout
        .lines()
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    let expected = [
        "COORDINATOR_CONFIG",
        "COORDINATOR_RESULT",
        "GITHUB_TOKEN",
        "HOME",
        "PATH",
        "SOME",
        "TMPDIR",
        "TZ",
        "XDG_STATE_HOME",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_program_that_cannot_be_started_has_a_shells_exit_code_and_a_wrong_option_is_named() {
    let bench = Bench::new();
    let wrap = |arguments: &[&str]| {
        let program = coordinator(&bench.workplace).args(["session-agent", "--wrap"]);
        program.args(arguments.iter().copied()).run()
    };
    let missing = wrap(&["--", "no-such-agent", "--wrap"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(127), ""));
    assert!(missing.stderr.contains("no command `no-such-agent` on PATH"), "{}", missing.stderr);
    for (arguments, words) in [
        (&["--agent", "gpt", "--", "true"][..], "expected `claude`, `codex` or `none`"),
        (&["--stall-timeout", "soon", "--", "true"], "soon"),
        (&["--log", "no/such/folder", "--", "true"], "create no/such/folder"),
        (&[], "PROGRAM"),
    ] {
        let refused = wrap(arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
}

/// Claude Code's output in short, and a result file with a lower cost.
const STREAM: &str = r#"
echo '{"type":"system","subtype":"init","session_id":"0b8a2f64-1111-4222-8333-444455556666"}'
echo '{"type":"assistant","message":{"content":[{"type":"text","text":"Looking."}]}}'
echo '{"type":"result","subtype":"success","is_error":false,"num_turns":3,"result":"Done.",
"session_id":"0b8a2f64-1111-4222-8333-444455556666","total_cost_usd":0.42,
"usage":{"input_tokens":1000,"output_tokens":200}}' | tr -d '\n'; echo
printf '{"status":"done","reason":"merged","usage":{"cost_usd":0.01}}' >"$COORDINATOR_RESULT"
"#;

#[test]
fn the_end_has_what_the_output_showed_and_what_the_agent_wrote() {
    let bench = Bench::new();
    let finished = bench.run(&["--agent", "claude", "--render", "--log", "raw"], STREAM);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let usage = json!({"cost_usd": 0.42, "measured": true, "input_tokens": 1000,
        "output_tokens": 200, "turns": 3});
    let expected = json!({"coordinator_end": 1, "status": "done", "reason": "merged",
        "usage": usage, "agent_session": "0b8a2f64-1111-4222-8333-444455556666"});
    assert_eq!(bench.end(), expected);
    let raw = fs::read_to_string(bench.path("raw")).expect("a log");
    assert_eq!(raw.lines().count(), 3, "{raw}");
    assert!(finished.stdout.contains("Looking.\n") && !finished.stdout.contains('{'));
    // Of another profile the same output shows nothing.
    bench.run(&["--agent", "none"], STREAM);
    assert_eq!(bench.end()["usage"], json!({"cost_usd": 0.01}));
}
