//! The platform itself: everything that talks to the API server.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use tokio::sync::OnceCell;
use tokio::time::Instant;

use coordinator_core::fleet::{Group, Listing, Pause, Slot, Want};
use coordinator_core::platform::{CycleId, Ended, Platform, Start};
use coordinator_core::report::Contacts;

use super::Settings;

mod answer;
mod api;
mod check;
mod connect;
mod inspect;
mod job;
mod kubeconfig;
mod ledger;
mod list;
mod named;
mod pace;
mod pause;
mod record;
mod register;
mod session;
mod start;
mod steering;
mod stuck;
#[cfg(test)]
mod tests;

use api::Api;
use ledger::Ledger;
use list::Snapshot;
use record::Job;

impl Settings {
    /// After this time a start may have left no trace: its Job may have run, ended and been removed
    /// by its `ttl`. A cycle may have written the register after a Job that it had not seen, so
    /// that the Job is older by up to a cycle.
    fn unseen_after(&self) -> Duration {
        self.kubernetes.ttl.saturating_sub(self.deadline)
    }
}

/// The Kubernetes platform of one fleet, for one run.
pub struct Kubernetes {
    settings: Settings,
    api: Api,
    ledger: Ledger,
    /// The inventory of this run; `None` before it, and where it failed.
    view: RefCell<Option<Snapshot>>,
    /// The pause by the newest list of Jobs of this run, also where the rest of it failed.
    paused: RefCell<Option<Pause>>,
    /// Items whose register this run has written since.
    written: RefCell<BTreeSet<Slot>>,
    /// Whether Kueue is installed, looked up once.
    queue: OnceCell<Result<(), String>>,
}

impl Kubernetes {
    /// Reads the kubeconfig, or the service account of the pod that this runs in, and sends nothing
    /// yet. `context` is the kubeconfig's context. No request begins after `until`.
    ///
    /// Fails without a configuration that can be used.
    pub async fn connect(
        settings: Settings,
        context: Option<&str>,
        until: Instant,
    ) -> anyhow::Result<Self> {
        let (client, namespace) = connect::client(context, until).await?;
        Ok(Self::new(settings, client, &namespace, until))
    }

    /// The platform on this client; its `namespace` counts where the roster names none.
    pub fn new(settings: Settings, client: kube::Client, namespace: &str, until: Instant) -> Self {
        let namespace =
            settings.kubernetes.namespace.clone().unwrap_or_else(|| namespace.to_owned());
        let api = Api::new(client, namespace, until);
        let ledger = Ledger::new(settings.fleet.clone());
        Self {
            settings,
            api,
            ledger,
            view: RefCell::new(None),
            written: RefCell::default(),
            paused: RefCell::default(),
            queue: OnceCell::new(),
        }
    }
}

impl Platform for Kubernetes {
    async fn list(&self) -> anyhow::Result<Listing> {
        let view = list::view(&self.api, &self.settings, &self.paused).await?;
        let listing = view.listing(&self.settings, self.api.server_time());
        *self.view.borrow_mut() = Some(view);
        Ok(listing)
    }

    /// The ledger gets the runs of all of them in one write; those of work items are in their
    /// registers.
    fn expect<'a>(&self, wants: impl Iterator<Item = &'a Want>) {
        let view = self.view.borrow();
        let Some(view) = &*view else { return };
        if let Some(now) = self.api.server_time() {
            let of_roles = view.jobs.iter().filter(|(slot, _)| slot.index().is_some());
            let successors = of_roles.map(|(_, job)| job).filter(|job| job.generation() > 1);
            self.ledger.assume_first(successors.filter_map(Job::created_at), now);
        }
        for want in wants.filter(|want| want.item.is_none()) {
            let job = view.jobs.get(&want.slot).filter(|job| job.end().is_some());
            if let Some(job) = job {
                let session = want.slot.session_name(&self.settings.fleet);
                self.ledger.expect(session, job.predecessor(&view.pods).history);
            }
        }
    }

    async fn start(&self, want: &Want, cycle: &CycleId, now: SystemTime) -> anyhow::Result<Start> {
        self.fill(want, cycle, now).await
    }

    async fn preview(&self, want: &Want, now: SystemTime) -> anyhow::Result<Start> {
        self.rehearse(want, now).await
    }

    async fn sweep(&self, present: &BTreeSet<Slot>, groups: &BTreeSet<Group>, now: SystemTime) {
        self.keep_registers(present, groups, now).await;
    }

    async fn ended(&self, since: SystemTime) -> anyhow::Result<Ended> {
        self.ended_since(since).await
    }

    async fn paused(&self) -> anyhow::Result<Option<Pause>> {
        self.read_pause().await
    }

    fn requests(&self) -> u64 {
        self.api.requests()
    }

    fn starts_at_once(&self) -> usize {
        self.api.starts_at_once()
    }

    fn contacts(&self) -> Contacts {
        Contacts { cluster: self.api.contact(), platform: self.api.access(), ..Contacts::default() }
    }
}
