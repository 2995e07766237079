//! Sessions as local processes that outlive the run.
//!
//! The lock of a slot is a file lock held by every process of its session: by the shim
//! (`coordinator session-run`), which keeps the time limit and writes the records, and by the
//! agent, which inherits it. The kernel frees it when the last of them is gone, so no crash can
//! leave a slot with two sessions, or a free slot taken.
//!
//! The life of a session: `start` decides and spawns the `shim`, which spawns `exec`, which becomes
//! the agent; `supervision` ends it in time, `stop` before; `retention` removes what is old. `scan`
//! reads what they all leave in the fleet's `directory`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;

use anyhow::Context;
use bytes::Bytes;
use futures_util::Stream;
use tokio::task::spawn_blocking;

use coordinator_core::finding::Finding;
use coordinator_core::fleet::{
    FleetName, Group, HISTORY, Listing, Pause, Role, Slot, SlotRecord, SlotSessions, Unmanaged,
    Want,
};
use coordinator_core::platform::{CycleId, Ended, Platform, Start, StopAnswer};

mod check;
pub(crate) mod directory;
pub(crate) mod record;
pub mod section;
mod scan;
mod start;
mod shim;
mod exec;
mod supervision;
mod proc;
mod logs;
mod left;
mod neighbors;
mod stop;
mod steering;
mod retention;

use crate::pause;
use directory::Directory;
use scan::SlotScan;

pub use check::refusal;
pub use exec::session_exec;
pub use shim::session_run;
pub use start::own_program;

/// What the platform takes from the roster.
#[derive(Debug, Clone)]
pub struct Settings {
    pub fleet: FleetName,
    /// The roster file, absolute: sessions of another file are not ours.
    pub roster: PathBuf,
    /// Absolute; the fleet's directory is below it.
    pub state_dir: PathBuf,
    /// `owner/repo`, for every session's environment.
    pub repository: Option<String>,
    /// Variables kept from every session whose role does not set them.
    pub secret_names: BTreeSet<String>,
    /// The program whose `session-run` keeps a session: this one, except in tests.
    pub program: PathBuf,
}

impl Settings {
    fn directory(&self) -> Directory {
        Directory::new(&self.state_dir, &self.fleet)
    }
}

/// The process platform of one fleet.
#[derive(Debug)]
pub struct Process {
    settings: Arc<Settings>,
    requests: AtomicU64,
}

impl Process {
    /// Makes nothing before the first start. Fails when the fleet's directory is not ours.
    pub fn open(settings: Settings) -> anyhow::Result<Self> {
        settings.directory().check()?;
        Ok(Self { settings: Arc::new(settings), requests: AtomicU64::new(0) })
    }

    /// Whether sessions can be kept on this machine.
    pub fn check(&self, roles: &[Role]) -> Vec<Finding> {
        let directory = self.settings.directory();
        let slots = directory.slots().unwrap_or_default();
        let leftovers: Vec<_> =
            slots.iter().flat_map(|slot| retention::leftovers(&directory, slot)).collect();
        let mut findings = check::findings(roles, &self.settings.roster, &self.settings.state_dir);
        findings.extend(check::leftovers(&leftovers));
        findings.extend(neighbors::findings(&self.settings));
        findings
    }

    /// Every slot with all its records, and the errors of those that cannot be read.
    pub fn sessions(&self) -> anyhow::Result<(Vec<SlotSessions>, Vec<anyhow::Error>)> {
        let (mut slots, mut unreadable) = (Vec::new(), Vec::new());
        let (directory, boot_id) = (self.settings.directory(), proc::boot_id());
        for slot in directory.slots()? {
            match SlotScan::read(&directory, slot, usize::MAX, &boot_id) {
                Ok(scan) => slots.extend(scan.sessions()),
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
        let directory = self.settings.directory();
        let known = slots.iter().find(|slot| directory.records(slot).is_dir());
        let slot = known.with_context(|| {
            let name = slots.last().map(Slot::name).unwrap_or_default();
            format!("{name} has not run yet; see `coordinator sessions`")
        })?;
        let home = logs::home_with_log(&directory, slot, generation)?;
        Ok(logs::stream(home, directory.lock(slot), follow))
    }

    /// Ends the slot's live session through its shim, and records the person.
    pub fn stop(&self, slot: &Slot, by: &str) -> anyhow::Result<StopAnswer> {
        stop::stop(&self.settings, slot, by)
    }
}

impl Platform for Process {
    /// One slot that cannot be read fails the list: a partial one would let the fleet grow beyond
    /// its size.
    async fn list(&self) -> anyhow::Result<Listing> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let settings = Arc::clone(&self.settings);
        let list = move || {
            let (directory, boot_id) = (settings.directory(), proc::boot_id());
            let paused = pause::read(&directory.paused())?;
            let mut listing = Listing { paused, ..Listing::default() };
            for slot in directory.slots()? {
                // One more than the history: the newest may be the live one.
                let scan = SlotScan::read(&directory, slot, HISTORY + 1, &boot_id)?;
                if let Some(reason) = scan.unmanaged(&settings.roster) {
                    let session = scan.slot.session_name(&settings.fleet);
                    listing.unmanaged.push(Unmanaged { session, reason });
                }
                listing.leftovers.extend(retention::leftovers(&directory, &scan.slot));
                let record = scan.record();
                if record != SlotRecord::default() {
                    listing.slots.insert(scan.slot, record);
                }
            }
            Ok(listing)
        };
        spawn_blocking(list).await?
    }

    async fn start(&self, want: &Want, cycle: &CycleId, now: SystemTime) -> anyhow::Result<Start> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (settings, want, cycle) = (Arc::clone(&self.settings), want.clone(), cycle.clone());
        spawn_blocking(move || start::start(&settings, &want, &cycle, now)).await?
    }

    async fn preview(&self, want: &Want, now: SystemTime) -> anyhow::Result<Start> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (settings, want) = (Arc::clone(&self.settings), want.clone());
        spawn_blocking(move || start::preview(&settings, &want, now)).await?
    }

    async fn sweep(&self, present: &BTreeSet<Slot>, groups: &BTreeSet<Group>, now: SystemTime) {
        let (directory, present) = (self.settings.directory(), present.clone());
        let groups = groups.clone();
        let sweep = move || retention::sweep(&directory, &present, &groups, now);
        if let Err(error) = spawn_blocking(sweep).await.map_err(Into::into).flatten() {
            tracing::warn!("records of items that left their source were not removed: {error:#}");
        }
    }

    async fn ended(&self, since: SystemTime) -> anyhow::Result<Ended> {
        self.history(since).await
    }

    async fn paused(&self) -> anyhow::Result<Option<Pause>> {
        self.read_pause().await
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Starts wait for the processors, as the other steps do: more of them would end hardly sooner
    /// and delay merges.
    fn starts_at_once(&self) -> usize {
        thread::available_parallelism().map_or(2, |processors| processors.get() + 1).min(8)
    }
}
