//! The upkeep of the registers beside the starts: ended sessions are written down before
//! their Jobs vanish, and a register goes when its item has been gone for long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::{Register, Registers, Stored};
use crate::cluster::Kubernetes;
use crate::cluster::ledger::Mode;
use crate::cluster::record::{Job, Pods};
use coordinator_core::fleet::{Group, Slot};
use coordinator_core::platform::KEPT_AFTER_ITEM;

/// Requests of one cycle; the next one continues.
const MAX_CHORES: usize = 50;

/// One register to write or to remove.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chore {
    Store(Slot, Register),
    Remove(Slot, Register),
}

/// The inventory, and the items of the sources.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) jobs: &'a BTreeMap<Slot, Job>,
    pub(super) pods: &'a Pods,
    pub(super) registers: &'a Registers,
    /// Items that their sources have.
    pub(super) present: &'a BTreeSet<Slot>,
    /// Sources that were read whole: an item of theirs that is not present has left.
    pub(super) groups: &'a BTreeSet<Group>,
}

/// The chores of all items, first those that keep what would be lost.
pub(super) fn chores(seen: Seen<'_>, now: SystemTime) -> Vec<Chore> {
    let of_jobs =
        seen.jobs.iter().filter(|(slot, job)| slot.index().is_none() && job.end().is_some());
    let slots: BTreeSet<&Slot> =
        of_jobs.map(|(slot, _)| slot).chain(seen.registers.keys()).collect();
    let mut chores: Vec<Chore> =
        slots.into_iter().filter_map(|slot| chore(seen, slot, now)).collect();
    chores.sort_by_key(|chore| matches!(chore, Chore::Remove(..)));
    chores
}

fn chore(seen: Seen<'_>, slot: &Slot, now: SystemTime) -> Option<Chore> {
    let register = match seen.registers.get(slot) {
        Some(Ok(register)) => register.clone(),
        Some(Err(_)) => return None,
        None => Register::default(),
    };
    let job = seen.jobs.get(slot);
    let mut next = register.clone();
    if let Some(ended) = job.filter(|job| job.end().is_some()) {
        next.remember(&ended.predecessor(seen.pods).history);
        next.generation = next.generation.max(ended.generation());
        next.item = next.item.or_else(|| ended.item_run());
    }
    if seen.groups.contains(&slot.group) {
        let left = next.left.unwrap_or(now);
        next.left = (!seen.present.contains(slot)).then_some(left);
        let is_old =
            |time: SystemTime| now.duration_since(time).is_ok_and(|age| age >= KEPT_AFTER_ITEM);
        let last = register.runs.values().last().map(|run| run.finished_at).max(register.started);
        if job.is_none() && next.left.is_some_and(is_old) && last.is_none_or(is_old) {
            return Some(Chore::Remove(slot.clone(), register));
        }
    }
    (next != register).then(|| Chore::Store(slot.clone(), next))
}

impl Kubernetes {
    pub(in crate::cluster) async fn keep_registers(
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
                // Another cycle has written it meanwhile, from newer facts.
                Stored::Yes | Stored::Superseded => {}
                Stored::Refused(why) | Stored::Unknown(why) => {
                    tracing::warn!("the register of {session} was not updated: {why}");
                }
            }
        }
    }
}
