//! Sessions as local processes that outlive the run.
//!
//! The lock of a slot is a file lock held by every process of its session: by the shim (`coordinator session-run`),
//! which keeps the time limit and writes the records, and by the agent, which inherits it. The kernel frees it when the
//! last of them is gone, so no crash of anything can leave a slot with two sessions, or a free slot taken.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;

use anyhow::Context;
use bytes::Bytes;
use futures_util::Stream;

use coordinator_core::finding::Finding;
use coordinator_core::fleet::{FleetName, Group, Listing, Role, Slot, SlotSessions, Want};
use coordinator_core::platform::{CycleId, Platform, Start, StopAnswer};

mod check;
mod descriptors;
mod directory;
mod environment;
mod files;
mod history;
mod log;
mod proc;
mod record;
mod refusal;
mod root;
pub mod section;
mod shim;
mod stage;
mod start;
mod stop;
mod storage;
mod supervision;
mod survey;
mod sweep;

use directory::Directory;
use files::SlotFiles;

pub use refusal::refusal;
pub use shim::session_run;
pub use stage::session_exec;
pub use start::own_program;

/// What the platform needs to know of the roster.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose sessions.
    pub fleet: FleetName,
    /// The roster file, absolute: sessions of another one are not ours.
    pub roster: PathBuf,
    /// Absolute; the fleet's directory is below it.
    pub state_dir: PathBuf,
    /// `owner/repo`, told to every session.
    pub repository: Option<String>,
    /// Variables kept from every session whose role does not set them.
    pub secret_names: BTreeSet<String>,
    /// The program whose `session-run` keeps a session: this one.
    pub program: PathBuf,
}

/// The process platform of one fleet.
#[derive(Debug)]
pub struct Process {
    settings: Arc<Settings>,
    requests: AtomicU64,
}

impl Process {
    /// Opens the fleet's directory; nothing is made before the first start. Fails when the directory is not ours.
    pub fn open(settings: Settings) -> anyhow::Result<Self> {
        let process = Self { settings: Arc::new(settings), requests: AtomicU64::new(0) };
        process.directory().check()?;
        Ok(process)
    }

    fn directory(&self) -> Directory {
        Directory::new(&self.settings.state_dir, &self.settings.fleet)
    }

    /// Whether sessions can be kept on this machine.
    pub fn check(&self, roles: &[Role]) -> Vec<Finding> {
        check::findings(roles, &self.settings.roster, &self.settings.state_dir)
    }

    /// Every slot with all that is remembered of it, and why the others cannot be read.
    pub fn sessions(&self) -> anyhow::Result<(Vec<SlotSessions>, Vec<anyhow::Error>)> {
        let (mut slots, mut unreadable) = (Vec::new(), Vec::new());
        for found in survey::survey(&self.directory(), usize::MAX)? {
            match found {
                Ok(found) => slots.extend(found.sessions()),
                Err(error) => unreadable.push(error),
            }
        }
        Ok((slots, unreadable))
    }

    /// The log of a slot's newest session with a log, or of this generation; with `follow` until
    /// the session ends. Of `slots`, the first that is remembered counts.
    pub fn logs(
        &self,
        slots: &[Slot],
        generation: Option<u64>,
        follow: bool,
    ) -> anyhow::Result<impl Stream<Item = anyhow::Result<Bytes>> + use<>> {
        let files = |slot: &Slot| SlotFiles { directory: self.directory(), slot: slot.clone() };
        let known = slots.iter().map(files).find(SlotFiles::exist);
        let files = known.with_context(|| {
            let name = slots.last().map(Slot::name).unwrap_or_default();
            format!("no session of {name} is remembered; see `coordinator sessions`")
        })?;
        let home = files.home(generation)?;
        Ok(log::log(files, home, follow))
    }

    /// Asks the shim of the slot's live session to end it, and records who did.
    pub fn stop(&self, slot: &Slot, by: &str) -> anyhow::Result<StopAnswer> {
        stop::stop(&self.settings, slot, by)
    }
}

impl Platform for Process {
    async fn list(&self) -> anyhow::Result<Listing> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (directory, settings) = (self.directory(), Arc::clone(&self.settings));
        blocking(move || survey::listing(&directory, &settings.roster, settings.fleet.as_str())).await
    }

    async fn start(&self, want: &Want, cycle: &CycleId, now: SystemTime) -> anyhow::Result<Start> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (settings, want, cycle) = (Arc::clone(&self.settings), want.clone(), cycle.clone());
        blocking(move || start::start(&settings, &want, &cycle, now)).await
    }

    async fn preview(&self, want: &Want, now: SystemTime) -> anyhow::Result<Start> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (settings, want) = (Arc::clone(&self.settings), want.clone());
        blocking(move || start::preview(&settings, &want, now)).await
    }

    async fn sweep(&self, present: &BTreeSet<Slot>, groups: &BTreeSet<Group>, now: SystemTime) {
        let (directory, present, groups) = (self.directory(), present.clone(), groups.clone());
        let swept = blocking(move || sweep::sweep(&directory, &present, &groups, now)).await;
        if let Err(error) = swept {
            tracing::warn!("records of items that have left stay: {error:#}");
        }
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// They wait for the processors, as the other steps do: more of them end hardly sooner, and keep merges waiting.
    fn starts_at_once(&self) -> usize {
        thread::available_parallelism().map_or(2, |processors| processors.get() + 1).min(8)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("run file work beside the cycle")?
}
