//! What a cycle needs beside the edge under test.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use coordinator::cycle::{self, Cycle, Stop};
use coordinator::render::progress::Progress;
use coordinator::sources;
use coordinator::steps::StepName;
use coordinator_core::platform::{CycleId, Platform};
use coordinator_core::report::Report;
use coordinator_github::{Credentials, Github};
use coordinator_roster::Roster;
use tempfile::TempDir;

use super::server::TOKEN;

/// A roster in a folder of its own.
pub(super) struct Stage {
    pub(super) folder: TempDir,
    pub(super) roster: Roster,
}

impl Stage {
    /// On this platform, with a repository.
    pub(super) fn on(platform: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = format!(
            "fleet = \"demo\"\ndeadline = \"20s\"\n[platform]\n{platform}\n\
             [repository]\nname = \"demo/app\"\napi_url = \"https://api.example.com\"\n\
             [merge]\nsettle = \"0s\"\npause = \"0s\"\nbases = [\"main\"]\n\
             protected_paths = [\"secret/**\"]\n\
             [[role]]\nkey = \"builder\"\nname = \"Builder\"\ncount = 3\n\
             department = \"Engineering\"\n\
             mode = \"task-driven\"\ncommand = [\"agent\"]\n"
        );
        furnish(folder.path(), text.as_bytes());
        let roster = load(folder.path()).unwrap_or_else(|told| panic!("{told}"));
        Self { folder, roster }
    }

    /// GitHub behind this service.
    pub(super) fn github(&self, server: &super::server::Server) -> Github {
        let repository = self.roster.repository.as_ref().expect("the roster has one");
        let credentials = Credentials::token(TOKEN).expect("a good token");
        Github::new(server.github(), repository, credentials).expect("good addresses")
    }

    /// One cycle of these steps.
    pub(super) async fn cycle<P: Platform>(
        &self,
        steps: &[StepName],
        platform: anyhow::Result<P>,
        github: anyhow::Result<Github>,
    ) -> Report {
        let cycle = Cycle {
            roster: &self.roster,
            id: CycleId("2a".to_owned()),
            steps: steps.to_vec(),
            sources: sources::configured(&self.roster, &[], &[]),
            dry_run: false,
            platform,
            github,
            probe: Err(anyhow::anyhow!("nothing is probed")),
            clock: SystemTime::now,
            progress: Progress::default(),
        };
        cycle::run(&cycle, &Stop::default()).await
    }
}

/// Puts a roster and its briefs into a folder.
pub(super) fn furnish(folder: &Path, roster: &[u8]) {
    fs::create_dir_all(folder.join("briefs/modes")).expect("a folder can be made");
    for (name, text) in [
        ("roster.toml", roster),
        ("briefs/preamble.md", b"You are an agent.".as_slice()),
        ("briefs/modes/task-driven.md", b"This is how you work.".as_slice()),
        ("briefs/builder.md", b"Build one thing.".as_slice()),
    ] {
        fs::write(folder.join(name), text).expect("a file can be written");
    }
}

/// The roster of a folder, or the errors in it.
pub(super) fn load(folder: &Path) -> Result<Roster, String> {
    let home = folder.to_str().map(str::to_owned);
    let environment = |name: &str| home.clone().filter(|_| name == "HOME");
    coordinator_roster::load(&folder.join("roster.toml"), &environment)
        .map_err(|problems| problems.render(false))
}

/// Runs it to its end, on this thread.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(work)
}
