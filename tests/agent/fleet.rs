//! A fleet of one real agent: its roster, its coordinator, and what the outside can see of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::model::Model;

/// Long enough for a slow machine; nothing waits that long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(120);

/// The coordinator's own token, which no agent may see.
pub(crate) const TOKEN: &str = "ghp_of_the_coordinator_alone";

#[derive(Debug)]
pub(crate) struct Fleet {
    name: &'static str,
    folder: TempDir,
    claude: PathBuf,
}

impl Fleet {
    /// A roster with one role, the default command, and this `time_limit`.
    pub(crate) fn new(name: &'static str, model: &Model, time_limit: &str) -> Self {
        let claude = std::env::var_os("COORDINATOR_TEST_CLAUDE").expect(
            "COORDINATOR_TEST_CLAUDE names the claude program; .ci/suites/agent.sh installs and \
             names one",
        );
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let fleet = Self { name, folder, claude: PathBuf::from(claude) };
        fleet.write("home/.keep", "");
        fleet.write("briefs/preamble.md", "You are an agent in a test.\n");
        fleet.write("briefs/modes/self-directed.md", "Find one thing to do.\n");
        fleet.write("briefs/builder.md", "Writes the file that the test looks for.\n");
        fleet.write("roster.toml", &fleet.roster(model, time_limit));
        fleet
    }

    /// The same under this cap of a day, where a session may cost two dollars and is told so.
    pub(crate) fn capped(&self, model: &Model, per_day_usd: f64) {
        let told = "session_usd = 2.0\ncommand = [\"claude\", \"-p\", \"{prompt}\", \
                    \"--output-format\", \"stream-json\", \"--verbose\", \"--permission-mode\", \
                    \"bypassPermissions\", \"--max-budget-usd\", \"{budget}\"]\n[defaults.env]";
        let roster = self.roster(model, "60s").replacen("[defaults.env]", told, 1);
        self.write("roster.toml", &format!("{roster}[budget]\nper_day_usd = {per_day_usd:?}\n"));
    }

    fn roster(&self, model: &Model, time_limit: &str) -> String {
        // As root, Claude Code skips permissions only with IS_SANDBOX=1.
        let sandbox = if geteuid().is_root() { "IS_SANDBOX = \"1\"\n" } else { "" };
        let Self { name, folder, .. } = self;
        let folder = folder.path().display();
        let url = &model.url;
        format!(
            r#"
fleet = "{name}"
[platform]
kind = "process"
[platform.process]
state_dir = "{folder}/state"
[defaults]
time_limit = "{time_limit}"
# A model on loopback is done within a second.
min_runtime = "0s"
min_free = "0"
[defaults.env]
HOME = "{folder}/home"
ANTHROPIC_BASE_URL = "{url}"
ANTHROPIC_API_KEY = "no-key"
CLAUDE_CODE_MAX_RETRIES = "0"
CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC = "1"
{sandbox}
[[role]]
key = "builder"
name = "Builder"
count = 1
department = "Engineering"
mode = "self-directed"
"#
        )
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().expect("it is in the folder"))
            .expect("the folder is writable");
        fs::write(path, text).expect("the folder is writable");
    }

    /// Full name of the fleet's one session.
    pub(crate) fn session(&self) -> String {
        format!("{}-builder-s0", self.name)
    }

    /// One cycle of the first two steps.
    pub(crate) fn reconcile(&self) -> Value {
        self.coordinator(&["reconcile", "--only", "spawn", "-o", "json"])
    }

    /// The session once it has ended.
    pub(crate) fn finished(&self) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let list = self.coordinator(&["sessions", "-o", "json"]);
            let session = &list["sessions"][0];
            if session["state"] == "finished" {
                return session.clone();
            }
            assert!(Instant::now() < deadline, "the session has not ended: {list}\n{}", self.log());
            thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_coordinator"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", self.path())
            .env("HOME", self.folder.path().join("home"))
            .env("GITHUB_TOKEN", TOKEN)
            .output()
            .expect("the coordinator starts")
    }

    pub(crate) fn coordinator(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        let report = serde_json::from_slice(&output.stdout);
        report.unwrap_or_else(|error| {
            panic!("no report ({error}): {output:?}");
        })
    }

    /// The agent's folder before the machine's.
    fn path(&self) -> String {
        let folder = self.claude.parent().expect("a program is in a folder").display();
        format!("{folder}:/usr/local/bin:/usr/bin:/bin")
    }

    /// What the agent printed.
    pub(crate) fn log(&self) -> String {
        let output = self.run(&["logs", "builder", "--raw"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The same for people.
    pub(crate) fn readable_log(&self) -> String {
        let output = self.run(&["logs", "builder"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits for this in the readable log.
    pub(crate) fn await_log(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.readable_log().contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} in {}", self.readable_log());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The command that takes a person to the agent.
    pub(crate) fn attach(&self) -> String {
        let output = self.run(&["attach", "builder-s0"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What a person's command prints, in the environment of the role.
    pub(crate) fn in_shell(&self, model: &Model, command: &str) -> String {
        let output = Command::new("sh")
            .args(["-c", command])
            .env_clear()
            .env("PATH", self.path())
            .env("HOME", self.folder.path().join("home"))
            .env("ANTHROPIC_BASE_URL", &model.url)
            .env("ANTHROPIC_API_KEY", "no-key")
            .stdin(Stdio::null())
            .output()
            .expect("sh starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The text of a file with this name in the records or work directories of the fleet.
    pub(crate) fn file(&self, name: &str) -> Option<String> {
        find(&self.folder.path().join("state"), name).and_then(|path| fs::read_to_string(path).ok())
    }

    /// Whether some process of this fleet is alive.
    pub(crate) fn is_running(&self) -> bool {
        !self.processes().is_empty()
    }

    /// Processes of this fleet that do not end: shim, agent, and all that these started.
    pub(crate) fn survivors(&self) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.is_running() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(50));
        }
        let command =
            |process: &PathBuf| fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        self.processes().iter().map(|process| command(process).replace('\0', " ")).collect()
    }

    /// Below `/proc`, those that have the fleet's home folder in their environment.
    fn processes(&self) -> Vec<PathBuf> {
        let mark = format!("HOME={}/home\0", self.folder.path().display());
        let is_ours = |process: &PathBuf| {
            let environment = fs::read(process.join("environ")).unwrap_or_default();
            environment.windows(mark.len()).any(|window| window == mark.as_bytes())
        };
        let entries = fs::read_dir("/proc").expect("this is Linux");
        entries.flatten().map(|entry| entry.path()).filter(is_ours).collect()
    }
}

impl Drop for Fleet {
    /// A failed test leaves no agent behind.
    fn drop(&mut self) {
        for process in self.processes() {
            let id = process
                .file_name()
                .and_then(|id| id.to_str()?.parse().ok())
                .and_then(Pid::from_raw);
            if let Some(id) = id {
                // It may have ended by itself meanwhile.
                let _ = kill_process(id, Signal::KILL);
            }
        }
    }
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries: Vec<PathBuf> =
        fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    let here = entries
        .iter()
        .find(|path| path.is_file() && path.file_name().is_some_and(|file| file == name));
    here.cloned()
        .or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| find(path, name)))
}
