//! `roster.toml`: what is valid, what is not, and the errors.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

mod actions;
mod defaults;
mod exec;
mod hostile;
mod init;
mod init_github_actions;
mod kubernetes;
mod init_kubernetes;
mod kubernetes_mistakes;
mod mistakes;
mod shipped;
mod template;

/// A folder with a roster and the briefs of its roles.
pub(crate) struct Folder {
    dir: TempDir,
}

impl Folder {
    /// Holds this roster and nothing else.
    pub(crate) fn bare(roster: impl AsRef<[u8]>) -> Self {
        let folder = Self { dir: tempfile::tempdir().expect("a temporary folder") };
        folder.write("roster.toml", roster);
        folder
    }

    /// Holds this roster and a brief for each `key = "..."` in it.
    pub(crate) fn with_briefs(roster: &str) -> Self {
        let folder = Self::bare(roster);
        for line in roster.lines() {
            if let Some(key) = line.strip_prefix("key = \"").and_then(|rest| rest.strip_suffix('"'))
            {
                folder.write(&format!("briefs/{key}.md"), "Does one thing.\n");
            }
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder above it"))
            .expect("the folder can be made");
        fs::write(path, text).expect("the file can be written");
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).expect("the file can be read")
    }

    fn load(&self) -> Result<coordinator_roster::Roster, String> {
        let environment = |name: &str| match name {
            "HOME" => Some("/home/someone".to_owned()),
            "TOKEN" => Some("s3cret-value".to_owned()),
            _ => None,
        };
        coordinator_roster::load(&self.path().join("roster.toml"), &environment)
            .map_err(|problems| problems.render(false))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coordinator"));
        command.args(arguments).current_dir(self.path()).env_clear();
        command.env("HOME", self.path()).env("PATH", "/usr/bin:/bin").env("TZ", "UTC");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }
}

/// The output and exit code of a command.
pub(crate) struct Run {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Self { stdout: text(stdout), stderr: text(stderr), code: status.code() }
    }
}
