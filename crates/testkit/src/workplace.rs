//! A folder with a roster and its briefs.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::github::GitHub;

/// A temporary folder that holds a roster, its briefs, the state and a home; dropping it removes
/// it.
#[derive(Debug)]
pub struct Workplace {
    directory: TempDir,
}

impl Workplace {
    /// A folder with this roster, and a brief for each role in it.
    pub fn new(roster: &str) -> Self {
        let workplace = Self { directory: tempfile::tempdir().expect("a temporary folder") };
        workplace.write("briefs/preamble.md", "You are an agent of a fleet.");
        for mode in ["thinker", "task-driven", "self-directed", "reviewer", "sentinel"] {
            workplace.write(&format!("briefs/modes/{mode}.md"), "This is how you work.");
        }
        for key in roster
            .lines()
            .filter_map(|line| line.trim().strip_prefix("key = \"")?.strip_suffix('"'))
        {
            workplace.write(&format!("briefs/{key}.md"), "Do one useful thing.");
        }
        workplace.write("roster.toml", roster);
        workplace
    }

    /// Writes a file, folders included.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a file has a folder"))
            .expect("a folder can be made");
        fs::write(path, text).expect("a file can be written");
    }

    /// The roster file.
    pub fn roster(&self) -> PathBuf {
        self.directory.path().join("roster.toml")
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Processes that were started from here and still run: their environment names this folder.
    /// Linux alone.
    pub fn processes(&self) -> Vec<u32> {
        let mark = self.directory.path().as_os_str().as_encoded_bytes();
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|id: &u32| {
                let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
                environment.windows(mark.len()).any(|window| window == mark)
            })
            .collect()
    }

    /// Ends what a fleet left running: it outlives its coordinator, but not its test.
    pub fn end_processes(&self) {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.processes();
            if left.is_empty() || Instant::now() > end {
                break;
            }
            let ids = left.iter().map(u32::to_string);
            // One of them may have ended meanwhile.
            let _ = Command::new("kill").arg("-KILL").args(ids).stderr(Stdio::null()).status();
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        self.end_processes();
    }
}

/// The text of a roster, made of its sections.
#[derive(Debug, Clone)]
pub struct RosterText {
    top: String,
    platform: String,
    /// Of the platform's own.
    section: Option<String>,
    defaults: String,
    merge: Option<String>,
    rest: String,
}

impl Default for RosterText {
    fn default() -> Self {
        Self {
            top: "fleet = \"demo\"\ndeadline = \"50s\"".to_owned(),
            platform: "kind = \"process\"".to_owned(),
            section: None,
            defaults: String::new(),
            merge: None,
            rest: String::new(),
        }
    }
}

impl RosterText {
    /// On a cluster; `settings` are further lines of `[platform.kubernetes]`.
    pub fn kubernetes(settings: &str) -> Self {
        let own = "image = \"example.com/agent:1\"\nnamespace = \"agents\"\n";
        Self {
            platform: "kind = \"kubernetes\"".to_owned(),
            section: Some(format!("[platform.kubernetes]\n{own}{settings}\n")),
            ..Self::default()
        }
    }

    /// By the plugin `plugin.sh` beside the roster; `settings` are further lines of
    /// `[platform.exec]`.
    pub fn exec(settings: &str) -> Self {
        Self {
            platform: "kind = \"exec\"".to_owned(),
            section: Some(format!("[platform.exec]\nplugin = \"./plugin.sh\"\n{settings}\n")),
            ..Self::default()
        }
    }

    /// As runs of a workflow in the world's repository, from which nothing is merged; `settings`
    /// are further lines of `[platform.github-actions]`.
    pub fn actions(github: &GitHub, settings: &str) -> Self {
        let url = github.url();
        let repository = format!(
            "[repository]\nname = \"demo/app\"\napi_url = \"{url}\"\n[merge]\nenabled = false\n"
        );
        Self {
            platform: format!("kind = \"github-actions\"\n[platform.github-actions]\n{settings}"),
            merge: Some(repository),
            ..Self::default()
        }
    }

    /// With these lines of `[defaults]`.
    #[must_use]
    pub fn defaults(mut self, lines: &str) -> Self {
        self.defaults = format!("[defaults]\n{lines}\n");
        self
    }

    /// With the world's repository; `settings` are further lines of `[merge]`, which does not wait
    /// in between.
    #[must_use]
    pub fn merging(mut self, github: &GitHub, settings: &str) -> Self {
        let url = github.url();
        let own = |key: &str| settings.lines().any(|line| line.trim_start().starts_with(key));
        let mut merge =
            format!("[repository]\nname = \"demo/app\"\napi_url = \"{url}\"\n[merge]\n");
        for (key, value) in [("bases", "[\"main\"]"), ("settle", "\"0s\""), ("pause", "\"0s\"")] {
            if !own(key) {
                let _ = writeln!(merge, "{key} = {value}");
            }
        }
        self.merge = Some(merge + settings);
        self
    }

    /// With this deadline.
    #[must_use]
    pub fn deadline(mut self, deadline: &str) -> Self {
        self.top = format!("fleet = \"demo\"\ndeadline = \"{deadline}\"");
        self
    }

    /// Of another fleet than `demo`.
    #[must_use]
    pub fn fleet(mut self, name: &str) -> Self {
        self.top = self.top.replace("fleet = \"demo\"", &format!("fleet = \"{name}\""));
        self
    }

    /// With further lines of `[platform]`.
    #[must_use]
    pub fn platform(mut self, lines: &str) -> Self {
        self.platform = format!("{}\n{lines}", self.platform);
        self
    }

    /// With an endpoint; `settings` are further lines.
    #[must_use]
    pub fn watching(mut self, name: &str, url: &str, settings: &str) -> Self {
        let _ = write!(self.rest, "\n[[health]]\nname = \"{name}\"\nurl = \"{url}\"\n{settings}\n");
        self
    }

    /// With a role whose agent runs this command (a TOML array).
    #[must_use]
    pub fn role(mut self, key: &str, count: u32, command: &str) -> Self {
        // Only a local session needs this machine's disk.
        let local = if self.section.is_none() { "min_free = \"0\"\n" } else { "" };
        let _ = write!(
            self.rest,
            "\n[[role]]\nkey = \"{key}\"\nname = \"{key}\"\ncount = {count}\n\
             department = \"Engineering\"\n\
             mode = \"task-driven\"\ncommand = {command}\n{local}"
        );
        self
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let Self { top, platform, section, defaults, merge, rest } = self;
        let [section, merge] = [section, merge].map(|part| part.as_deref().unwrap_or_default());
        format!("{top}\n[platform]\n{platform}\n{section}{defaults}{merge}\n{rest}")
    }

    /// The file in a folder of its own.
    pub fn write(&self) -> Workplace {
        Workplace::new(&self.text())
    }
}
