//! Keeps the registers of work items: see [`super::register`].

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::Kubernetes;
use super::ledger::Mode;
use super::register::{Chore, Seen, Stored, chores};
use coordinator_core::fleet::{Group, Slot};

/// Requests of one cycle; the next one goes on.
const MAX_CHORES: usize = 50;

impl Kubernetes {
    pub(super) async fn keep_registers(
        &self,
        present: &BTreeSet<Slot>,
        groups: &BTreeSet<Group>,
        now: SystemTime,
    ) {
        let now = self.api.server_time().unwrap_or(now);
        let due = {
            let view = self.view.borrow();
            let Some((view, registers)) =
                view.as_ref().and_then(|view| Some((view, view.registers.as_ref()?)))
            else {
                return;
            };
            chores(Seen { jobs: &view.jobs, pods: &view.pods, registers, present, groups }, now)
        };
        for chore in due.into_iter().take(MAX_CHORES) {
            let (Chore::Store(slot, _) | Chore::Remove(slot, _)) = &chore;
            if self.written.borrow().contains(slot) {
                continue;
            }
            let session = slot.session_name(&self.settings.fleet);
            let done = match &chore {
                Chore::Store(_, register) => {
                    register.store(&self.api, &self.settings.fleet, &session, Mode::Write).await
                }
                Chore::Remove(_, register) => register.remove(&self.api, &session).await,
            };
            match done {
                // Whoever wrote it meanwhile knew more.
                Stored::Yes | Stored::Superseded => {}
                Stored::Refused(why) | Stored::Unknown(why) => {
                    tracing::warn!("the register of {session} stays as it was: {why}");
                }
            }
        }
    }
}
