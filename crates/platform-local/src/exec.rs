//! Sessions by a plugin: a user's program that starts, lists and shows sessions wherever they run.
//!
//! The [`protocol`] is one process per operation, JSON in and JSON out. The lock of a slot is the
//! plugin's: its `capabilities` decide whether the coordinator starts sessions without an
//! inventory. A plugin that excludes nothing is used under a lock of this machine, and never
//! without an inventory. No operation outlives its deadline, and no process of its group
//! outlives the operation.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use bytes::Bytes;
use futures_util::Stream;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::lock;
use crate::secure_fs::{create_directory, create_parents};
use coordinator_core::fleet::{FleetName, Group, Listing, Pause, Slot, Want};
use coordinator_core::plan::OnInventoryFailure;
use coordinator_core::platform::{CycleId, Ended, Platform, Start, StopAnswer};

pub mod section;
pub mod protocol;
mod plugin;
mod operation;
mod view;
mod follow;
mod start;
mod steering;
mod stopped;
mod check;

pub use check::{Incompatible, item_refusal};
pub use plugin::{Failure, Plugin};
pub use section::ExecSettings;

use protocol::{
    Capabilities, Capable, List, Listed, Log, Logs, Operation, SlotExclusive, StopResult, Stopped,
};
use view::View;

/// Older sessions do not hold back the next one: the longest failing streak that counts is shorter.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Of a log, its end. As JSON it may be six times as long.
const MAX_TAIL_BYTES: u64 = 2 << 20;

/// What the platform takes from the roster.
#[derive(Debug, Clone)]
pub struct Settings {
    pub fleet: FleetName,
    /// `owner/repo`, for every session's environment.
    pub repository: Option<String>,
    /// The groups of the roster: a hint for `list`.
    pub groups: Vec<Group>,
    pub on_inventory_failure: OnInventoryFailure,
    /// `[platform.exec]`.
    pub exec: ExecSettings,
    /// Variables kept from the plugin when its `env` does not set them.
    pub secret_names: BTreeSet<String>,
}

/// What a run does with the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To start sessions: under the lock where the plugin needs one.
    Start,
    /// To look, which needs no lock.
    Look,
}

/// The plugin of one fleet, for one run.
#[derive(Debug)]
pub struct Exec {
    settings: Settings,
    purpose: Purpose,
    /// No list runs after this.
    list_until: Instant,
    plugin: Plugin,
    /// Requested once, before anything else.
    capabilities: OnceCell<Result<Capabilities, String>>,
    /// Taken before the list, kept until the end of the run; `None` where none is needed.
    lease: OnceCell<Option<Lease>>,
    /// The inventory of this run; `None` before it, and when it failed.
    view: RefCell<Option<View>>,
}

impl Exec {
    /// Sends nothing yet. No list runs after `list_until`, no other operation after `until`.
    pub fn new(settings: Settings, purpose: Purpose, list_until: Instant, until: Instant) -> Self {
        let plugin = Plugin::new(&settings.exec, &settings.secret_names, until);
        let (capabilities, lease) = (OnceCell::new(), OnceCell::new());
        Self {
            settings,
            purpose,
            list_until,
            plugin,
            capabilities,
            lease,
            view: RefCell::new(None),
        }
    }

    /// The plugin's capabilities, whether or not the roster can use it.
    pub async fn capabilities(&self) -> anyhow::Result<&Capabilities> {
        let request = || async {
            let answer =
                self.plugin.call_until(self.list_until, Operation::Capabilities, &Capable {}).await;
            answer.map_err(|failure| failure.to_string())
        };
        let answer = self.capabilities.get_or_init(request).await;
        answer.as_ref().map_err(|why| anyhow::anyhow!("{why}"))
    }

    /// Why the roster cannot use the plugin as it is; `None` when it can.
    pub fn incompatible(&self, capabilities: &Capabilities) -> Option<Incompatible> {
        check::refusal(capabilities, self.settings.on_inventory_failure)
    }

    async fn fit(&self) -> anyhow::Result<&Capabilities> {
        let capabilities = self.capabilities().await?;
        match self.incompatible(capabilities) {
            Some(incompatible) => bail!(incompatible.sentence()),
            None => Ok(capabilities),
        }
    }

    /// Makes this the only run that starts sessions, where the plugin does not see to it.
    async fn lease(&self, capabilities: &Capabilities) -> anyhow::Result<Option<&Lease>> {
        if self.purpose == Purpose::Look || capabilities.slot_exclusive != SlotExclusive::None {
            return Ok(None);
        }
        let take = || async {
            let (state_dir, fleet) =
                (self.settings.exec.state_dir.clone(), self.settings.fleet.clone());
            let taken = tokio::task::spawn_blocking(move || Lease::take(&state_dir, &fleet)).await;
            taken.context("take the lock of the run").flatten().map(Some)
        };
        Ok(self.lease.get_or_try_init(take).await?.as_ref())
    }

    /// The folder of the fleet on this machine.
    fn directory(&self) -> PathBuf {
        self.settings.exec.state_dir.join(self.settings.fleet.as_str())
    }

    /// One consistent list of the fleet's sessions. A partial list is a failed list.
    async fn look(&self) -> anyhow::Result<View> {
        self.look_since(SystemTime::now() - MAX_AGE).await
    }

    /// [`Exec::look`] with the sessions that finished since then.
    async fn look_since(&self, since: SystemTime) -> anyhow::Result<View> {
        let capabilities = self.fit().await?;
        self.lease(capabilities).await?;
        let request = List {
            fleet: self.settings.fleet.as_str(),
            roles: self.settings.groups.iter().map(Group::as_str).collect(),
            include_finished_since: since,
        };
        let listed: Listed =
            self.plugin.call_until(self.list_until, Operation::List, &request).await?;
        if !listed.complete {
            bail!(
                "plugin {} list: the list is not complete, and a partial list would start \
                sessions twice; the next cycle tries again",
                self.settings.exec.plugin.display()
            );
        }
        let plugin = self.settings.exec.plugin.display();
        let held = stopped::HeldSlots::read(&self.directory())?;
        View::of(listed, &self.settings.fleet, held)
            .with_context(|| format!("plugin {plugin} list"))
    }

    /// The end of a session's log: of this generation, else of the live one, else of the newest.
    pub async fn logs(&self, slot: &Slot, generation: Option<u64>) -> anyhow::Result<String> {
        let id = self.session_with_log(slot, generation).await?;
        let request = Logs { id: &id, tail_bytes: MAX_TAIL_BYTES, follow: false };
        let log: Log = self.plugin.call(Operation::Logs, &request).await?;
        if log.truncated {
            let name = slot.session_name(&self.settings.fleet);
            tracing::warn!("only the end of the log of {name}: the plugin has more");
        }
        Ok(log.text)
    }

    /// The log of that session as it grows, until the session has ended; without the capability
    /// `follow` its tail is read again and again.
    pub async fn follow(
        &self,
        slot: &Slot,
        generation: Option<u64>,
    ) -> anyhow::Result<impl Stream<Item = anyhow::Result<Bytes>> + use<>> {
        let id = self.session_with_log(slot, generation).await?;
        let can_follow = self.capabilities().await?.follow;
        Ok(follow::stream(&self.settings, id, can_follow))
    }

    /// The plugin's name for the session whose log is meant.
    async fn session_with_log(
        &self,
        slot: &Slot,
        generation: Option<u64>,
    ) -> anyhow::Result<String> {
        if !self.fit().await?.logs {
            bail!("the plugin gives no logs; see `coordinator sessions`");
        }
        let view = self.look().await?;
        let sessions = view.sessions(slot);
        let wanted = match generation {
            Some(wanted) => sessions.iter().rev().find(|session| session.generation == wanted),
            None => {
                sessions.iter().rev().find(|session| view::is_live(session)).or(sessions.last())
            }
        };
        let name = slot.session_name(&self.settings.fleet);
        wanted.map(|session| session.id.clone()).with_context(|| match generation {
            Some(wanted) => format!(
                "the plugin lists no generation {wanted} of {name}; see `coordinator sessions`"
            ),
            None => format!("{name} has not run yet; see `coordinator sessions`"),
        })
    }

    /// Ends the slot's live session, with the plugin's grace; it is then listed with the outcome
    /// `stopped`. For commands alone: a cycle never ends a session.
    pub async fn stop(&self, slot: &Slot, by: &str) -> anyhow::Result<StopAnswer> {
        if !self.fit().await?.stop {
            bail!("the plugin cannot stop a session; end it where it runs");
        }
        let view = self.look().await?;
        let live = view.sessions(slot).iter().rev().find(|session| view::is_live(session));
        let Some(session) = live else { return Ok(StopAnswer::NotLive) };
        let generation = session.generation;
        let request = protocol::Stop { slot: &session.slot, id: &session.id, generation, by };
        create_parents(&self.settings.exec.state_dir)?;
        // The mark comes first: a session that has ended without it would be replaced.
        stopped::hold(&self.directory(), slot, generation, by)?;
        let stopped: Stopped = self.plugin.call(Operation::Stop, &request).await?;
        Ok(match stopped.result {
            StopResult::Stopping => StopAnswer::Asked { generation: Some(generation) },
            StopResult::Finished => StopAnswer::NotLive,
        })
    }
}

impl Platform for Exec {
    async fn list(&self) -> anyhow::Result<Listing> {
        let view = self.look().await?;
        let mut listing = view.listing(&self.settings.fleet);
        listing.paused = self.read_pause().await?;
        *self.view.borrow_mut() = Some(view);
        Ok(listing)
    }

    async fn start(&self, want: &Want, cycle: &CycleId, now: SystemTime) -> anyhow::Result<Start> {
        self.fill(want, cycle, now).await
    }

    async fn preview(&self, want: &Want, now: SystemTime) -> anyhow::Result<Start> {
        self.rehearse(want, now).await
    }

    async fn ended(&self, since: SystemTime) -> anyhow::Result<Ended> {
        self.ended_since(since).await
    }

    async fn paused(&self) -> anyhow::Result<Option<Pause>> {
        self.read_pause().await
    }

    fn requests(&self) -> u64 {
        self.plugin.requests()
    }
}

/// The lock of a plugin that excludes nothing: one run at a time on this machine starts sessions.
#[derive(Debug)]
enum Lease {
    /// It may, until this value is dropped.
    Ours { file: File },
    /// Another run may.
    Theirs,
}

impl Lease {
    /// Takes the lock when it is free, and never waits for it.
    fn take(state_dir: &Path, fleet: &FleetName) -> anyhow::Result<Self> {
        let directory = state_dir.join(fleet.as_str());
        create_parents(state_dir)?;
        create_directory(&directory)?;
        let path = directory.join("exec.lock");
        let Some(file) = lock::acquire(&path)? else { return Ok(Self::Theirs) };
        // Every process of the plugin inherits the lock: when this run is killed, its spawn under
        // way still keeps other runs from starting the same session.
        let flags = fcntl_getfd(&file).with_context(|| format!("look at {}", path.display()))?;
        fcntl_setfd(&file, flags - FdFlags::CLOEXEC)
            .with_context(|| format!("pass on {}", path.display()))?;
        Ok(Self::Ours { file })
    }
}

impl Drop for Lease {
    /// Unlocks for every process that inherited the lock: at the regular end of a run none of its
    /// operations is under way, and a session must not block the next run.
    fn drop(&mut self) {
        if let Self::Ours { file } = self
            && let Err(error) = file.unlock()
        {
            tracing::debug!("cannot unlock: {error}");
        }
    }
}
