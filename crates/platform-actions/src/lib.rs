//! Sessions as runs of a workflow on GitHub Actions.
//!
//! The lock of a slot is the concurrency group that the workflow names after it: GitHub runs one
//! run of a group at a time. The lock is taken when a run begins, not when it is dispatched; a
//! second run waits, and would begin the moment the first one ends. What keeps it from that is in
//! the run itself: a ticket that expires, and an admission that reads the slot's history before the
//! agent's job may start. With an unknown inventory a slot's history is unknown here, too: then the
//! admission alone keeps the backoff.
//!
//! The runs are the records: slot and generation are in their titles, the end of a session in their
//! jobs. They are the register of work items, too: see `item.rs`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use coordinator_core::fleet::{FleetName, Group, Listing, Pause, Want};
use coordinator_core::platform::{CycleId, Ended, Platform, Start};
use coordinator_core::report::Contacts;
use coordinator_github::Github;
use coordinator_github::actions::Workflow;

pub mod admit;
mod check;
mod item;
mod list;
mod outcome;
mod runs;
pub mod section;
mod session;
pub mod session_input;
mod start;
mod steering;
#[cfg(test)]
mod tests;
mod title;

pub use section::ActionsSettings;
pub use session::{Log, LogText};
pub use title::RESUMED;

use list::Snapshot;

/// The part of the roster that the platform needs.
#[derive(Debug, Clone)]
pub struct Settings {
    pub fleet: FleetName,
    /// How long a session may be live, or hold its slot back afterwards. The list of runs is read
    /// this far back.
    pub longest: Duration,
    /// The time limits of roles' sessions. The title of a work item's session has its own.
    pub time_limits: BTreeMap<Group, Duration>,
    pub actions: ActionsSettings,
}

/// The platform of one fleet, for one run.
pub struct Actions {
    settings: Settings,
    workflow: Workflow,
    /// The inventory of this run; `None` before it, and where it failed.
    view: RefCell<Option<Snapshot>>,
    /// Until the session workflow refuses a work item: one of before does.
    takes_items: Cell<bool>,
}

impl Actions {
    /// The platform on this client, which nothing else uses: its requests are the platform's.
    pub fn new(settings: Settings, github: Github) -> Self {
        let workflow =
            Workflow::new(github, &settings.actions.workflow, settings.actions.max_requests);
        Self { settings, workflow, view: RefCell::new(None), takes_items: Cell::new(true) }
    }
}

impl Platform for Actions {
    async fn list(&self) -> anyhow::Result<Listing> {
        let view = list::view(&self.workflow, &self.settings).await?;
        let listing = view.listing(&self.settings, self.workflow.server_time());
        *self.view.borrow_mut() = Some(view);
        Ok(listing)
    }

    async fn start(&self, want: &Want, cycle: &CycleId, now: SystemTime) -> anyhow::Result<Start> {
        self.fill(want, cycle, now).await
    }

    async fn preview(&self, want: &Want, now: SystemTime) -> anyhow::Result<Start> {
        Ok(self.rehearse(want, now).await)
    }

    /// An agent can write annotations of its own run: they may raise what it counts, and not lower
    /// it.
    async fn ended(&self, since: SystemTime) -> anyhow::Result<Ended> {
        let mut ended = self.history(since).await?;
        for (_, run) in &mut ended.runs {
            if let Some(result) = &mut run.result {
                result.usage.measured = false;
            }
        }
        Ok(ended)
    }

    async fn paused(&self) -> anyhow::Result<Option<Pause>> {
        self.read_pause().await
    }

    fn requests(&self) -> u64 {
        self.workflow.requests()
    }

    fn contacts(&self) -> Contacts {
        Contacts { github: self.workflow.contact(), ..Contacts::default() }
    }
}
