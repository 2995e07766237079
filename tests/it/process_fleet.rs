//! A fleet of real agent processes in a temporary directory, driven through the real binary.
//! Dropping it ends every process that it started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The longest wait of a test, generous for a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

/// A variable in the environment of every process of a fleet, by which a test finds its own
/// processes.
const MARK: &str = "FLEET_UNDER_TEST";

/// An agent that runs until it is ended.
pub(crate) const SLEEPER: &str = "exec sleep 1000";

/// Settings that keep slots free to start: each test sets the limits that it needs.
pub(crate) const OPEN: &str = "backoff_base = \"0s\"\nmin_free = \"0\"\n";

pub(crate) struct Fleet {
    home: TempDir,
}

/// A role's key, its count and its agent, a shell script.
pub(crate) type Row<'a> = (&'a str, u32, &'a str);

impl Fleet {
    pub(crate) fn new(defaults: &str, roles: &[Row<'_>]) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let fleet = Self { home };
        fs::create_dir_all(fleet.path("briefs/modes")).expect("make briefs");
        fs::create_dir(fleet.path("witness")).expect("make the witness");
        fs::write(fleet.path("briefs/preamble.md"), "Work.\n").expect("write the preamble");
        fs::write(fleet.path("briefs/modes/thinker.md"), "Think.\n").expect("write the mode");
        fleet.write_roster("roster.toml", defaults, roles);
        fleet
    }

    pub(crate) fn write_roster(&self, file: &str, defaults: &str, roles: &[Row<'_>]) {
        let state = "fleet = \"demo\"\n[platform.process]\nstate_dir = \"state\"\n";
        let mut text = format!("{state}[defaults]\ncommand = [\"sh\", \"agent.sh\"]\n{defaults}");
        for (key, count, script) in roles {
            fs::write(self.path(&format!("briefs/{key}.md")), format!("Be {key}.\n"))
                .expect("write a brief");
            let agent = self.path(&format!("{key}.sh"));
            fs::write(&agent, script).expect("write an agent");
            let head = format!("[[role]]\nkey = \"{key}\"\nname = \"{key}\"\ncount = {count}\n");
            let tail = format!("mode = \"thinker\"\ncommand = [\"sh\", \"{}\"]\n", agent.display());
            text.extend([head, tail]);
        }
        fs::write(self.path(file), text).expect("write the roster");
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.home.path().join(relative)
    }

    /// Of the fleet's directory.
    pub(crate) fn state(&self, relative: &str) -> PathBuf {
        self.path("state/demo").join(relative)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_with("roster.toml", arguments)
    }

    pub(crate) fn command_with(&self, roster: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coordinator"));
        self.surround(&mut command);
        command.arg("-c").arg(self.path(roster)).args(arguments);
        command
    }

    /// Gives a process the controlled environment of this fleet.
    pub(crate) fn surround(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("WITNESS", self.path("witness"))
            .env(MARK, self.home.path())
            .stdin(Stdio::null());
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("run the coordinator")
    }

    /// One cycle of inventory and spawn, as its JSON report.
    pub(crate) fn reconcile(&self) -> Value {
        self.reconcile_with("roster.toml")
    }

    pub(crate) fn reconcile_with(&self, roster: &str) -> Value {
        let output = self.command_with(roster, &RECONCILE).output().expect("run the coordinator");
        report(&output)
    }

    /// A cycle that a test may disturb.
    pub(crate) fn reconcile_in_background(&self, roster: &str) -> Child {
        let mut command = self.command_with(roster, &RECONCILE);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the coordinator")
    }

    /// Every session of a slot, oldest first.
    pub(crate) fn sessions(&self, slot: &str) -> Vec<Value> {
        let output = self.run(&["sessions", "-o", "json"]);
        let listing: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("no listing: {error}: {}", String::from_utf8_lossy(&output.stderr))
        });
        let sessions = listing["sessions"].as_array().expect("sessions are an array").clone();
        sessions
            .into_iter()
            .filter(|session| session["slot"] == format!("demo-{slot}").as_str())
            .collect()
    }

    pub(crate) fn newest(&self, slot: &str) -> Value {
        self.sessions(slot).pop().unwrap_or_else(|| panic!("no session of {slot}"))
    }

    /// Waits until the newest session of the slot has ended, and returns it.
    pub(crate) fn await_end(&self, slot: &str) -> Value {
        await_some("the session's end", || {
            let newest = self.newest(slot);
            (newest["state"] == "finished").then_some(newest)
        })
    }

    /// A line that an agent wrote to the witness directory.
    pub(crate) fn await_witness(&self, name: &str) -> String {
        let path = self.path("witness").join(name);
        await_some(&format!("the agent's {name}"), || {
            fs::read_to_string(&path)
                .ok()
                .filter(|text| text.ends_with('\n'))
                .map(|text| text.trim().to_owned())
        })
    }

    pub(crate) fn witness(&self, name: &str) -> String {
        fs::read_to_string(self.path("witness").join(name)).unwrap_or_default()
    }

    /// A record of one session: `start.json` or `exit.json`.
    pub(crate) fn record(&self, slot: &str, generation: u64, name: &str) -> Value {
        let path = self.state(&format!("sessions/{slot}/{generation}/{name}"));
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&text).expect("records are JSON")
    }

    pub(crate) fn write_record(&self, slot: &str, generation: u64, name: &str, record: &Value) {
        let path = self.state(&format!("sessions/{slot}/{generation}/{name}"));
        fs::write(path, record.to_string()).expect("write a record");
    }

    /// The pid of the session's `shim` or `agent`.
    pub(crate) fn pid(&self, slot: &str, generation: u64, who: &str) -> i32 {
        let pid = self.record(slot, generation, "start.json")[who]["pid"].as_i64();
        i32::try_from(pid.expect("the record has a pid")).expect("a pid is small")
    }

    /// All processes of this fleet, coordinators included.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let mark = format!("{MARK}={}", self.home.path().display());
        pids().into_iter().filter(|pid| environment(*pid).contains(&mark)).collect()
    }

    /// Sends SIGKILL, if the process is still one of this fleet.
    pub(crate) fn kill(&self, pid: i32) {
        if self.processes().contains(&pid) {
            signal(pid, Signal::KILL);
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            for pid in left {
                signal(pid, Signal::KILL);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

const RECONCILE: [&str; 5] = ["reconcile", "--only", "spawn", "-o", "json"];

/// The JSON on stdout.
pub(crate) fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("no report: {error}: {}", String::from_utf8_lossy(&output.stderr))
    })
}

/// The slots in one array of the spawn step.
pub(crate) fn slots(report: &Value, array: &str) -> Vec<String> {
    let items = report["steps"]["spawn"][array].as_array().expect("arrays are always present");
    let name = |item: &Value| item["slot"].as_str().or(item.as_str()).map(str::to_owned);
    items.iter().map(|item| name(item).expect("an item names its slot")).collect()
}

/// The reasons for which slots were held.
pub(crate) fn held(report: &Value) -> Vec<String> {
    let items = report["steps"]["spawn"]["held"].as_array().expect("arrays are always present");
    items
        .iter()
        .map(|item| item["reason"].as_str().expect("a reason is a word").to_owned())
        .collect()
}

pub(crate) fn await_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited for {what} in vain");
        thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn await_true(what: &str, mut look: impl FnMut() -> bool) {
    await_some(what, || look().then_some(()));
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    // It may have ended by itself.
    let _ = kill_process(Pid::from_raw(pid).expect("a pid is not 0"), signal);
}

/// Whether the process runs; a zombie does not.
pub(crate) fn is_running(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    })
}

pub(crate) fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("these tests need /proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The environment that the process was started with; empty when it is gone.
pub(crate) fn environment(pid: i32) -> Vec<String> {
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environ
        .split(|byte| *byte == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

/// The files that the process has open.
pub(crate) fn open_files(pid: i32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
}

/// A record's time, moved by whole seconds.
pub(crate) fn shift(record: &mut Value, field: &str, seconds: i64) {
    let time =
        humantime::parse_rfc3339(record[field].as_str().expect("a time is text")).expect("a time");
    let by = Duration::from_secs(seconds.unsigned_abs());
    let moved = if seconds < 0 { time - by } else { time + by };
    record[field] = humantime::format_rfc3339_millis(moved).to_string().into();
}

pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(path).expect("the path exists").mode() & 0o777
}
