//! Fills one slot: decides by what this run knows, asks GitHub for the slot's lock, dispatches once.
//!
//! A dispatch to a taken slot is not refused: the run waits, and starts the moment the other one ends. So the group is asked
//! right before, and whatever slips through between the two meets the ticket and the history at its admission.

use std::time::SystemTime;

use super::Actions;
use super::list::Known;
use super::refusal::refusal;
use super::session_input::{NewSession, dispatch};
use crate::backoff::{self, BackoffSettings};
use crate::fleet::{FleetName, Hold, HoldReason, Slot, Want};
use crate::github::Error;
use crate::github::actions::{DispatchAnswer, Group, Short, used_up};
use crate::platform::{CycleId, Start};

/// A start asks for the group, and dispatches.
const REQUESTS: u32 = 2;

/// What to do about a slot.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Start a session of this generation where GitHub says that the slot is free.
    Dispatch { generation: u64 },
    /// Leave it alone.
    Answer(Start),
}

/// The decision by what the inventory knows of the slot: nothing, where it failed or never saw it. Pure.
fn decide(session: &str, known: Option<&Known>, restraint: &BackoffSettings, now: SystemTime) -> Step {
    let Some(known) = known else { return Step::Dispatch { generation: 1 } };
    if known.record.live.is_some() {
        return Step::Answer(Start::AlreadyRunning);
    }
    match backoff::hold(session, &known.record.history, restraint, now) {
        Some(hold) => Step::Answer(Start::Held(hold)),
        None => Step::Dispatch { generation: known.next_generation },
    }
}

/// The workflow's `concurrency.group`: the lock of a slot. GitHub takes no notice of the case of letters, nor do names here.
pub(super) fn group(fleet: &FleetName, slot: &Slot) -> String {
    format!("coord-{fleet}-{}", slot.name())
}

fn held(reason: HoldReason, detail: String) -> Start {
    Start::Held(Hold { reason, until: None, detail })
}

impl Actions {
    pub(super) async fn fill(&self, want: &Want, cycle: &CycleId, now: SystemTime) -> anyhow::Result<Start> {
        if want.item.is_some() {
            return Ok(Start::unsupported());
        }
        let generation = match self.ready(want, now).await {
            Step::Dispatch { generation } => generation,
            Step::Answer(start) => return Ok(start),
        };
        let now = self.workflow.server_time().unwrap_or(now);
        let run = dispatch(&self.settings, want, NewSession { cycle, generation, now })?;
        match self.workflow.dispatch(&run).await {
            DispatchAnswer::Accepted { url } => {
                tracing::info!(slot = want.slot.name(), generation, url, "dispatched");
                Ok(Start::Started { generation })
            }
            DispatchAnswer::Refused { status, message } => {
                let repository = self.workflow.repository();
                anyhow::bail!(refusal(status, &message, &self.settings.actions, repository))
            }
            DispatchAnswer::RateLimited(limit) => Ok(Start::RateLimited(limit)),
            DispatchAnswer::Lost(why) => {
                anyhow::bail!("{why}; it may still have started: the next cycle's inventory shows it")
            }
        }
    }

    /// The same up to the dispatch.
    pub(super) async fn rehearse(&self, want: &Want, now: SystemTime) -> Start {
        if want.item.is_some() {
            return Start::unsupported();
        }
        match self.ready(want, now).await {
            Step::Dispatch { generation } => Start::Started { generation },
            Step::Answer(start) => start,
        }
    }

    /// Whether the slot may be filled now. The dispatch then has its place in the budget.
    async fn ready(&self, want: &Want, now: SystemTime) -> Step {
        let now = self.workflow.server_time().unwrap_or(now);
        let session = want.slot.session_name(&self.settings.fleet);
        let known = self.view.borrow().as_ref().map(|view| view.slots.get(&want.slot).cloned());
        let step = decide(&session, known.flatten().as_ref(), &want.spec.restraint, now);
        if let Step::Answer(_) = step {
            return step;
        }
        if let Err(short) = self.workflow.reserve(REQUESTS) {
            return Step::Answer(match short {
                Short::RateLimited(limit) => Start::RateLimited(limit),
                Short::Budget(most) => held(HoldReason::Quota, used_up(most)),
            });
        }
        let taken = match self.workflow.group(&group(&self.settings.fleet, &want.slot)).await {
            Ok(Group::Free) => return step,
            Ok(Group::Taken) => Start::AlreadyRunning,
            Err(Error::RateLimited(limit)) => Start::RateLimited(limit),
            Err(error @ (Error::Overloaded(_) | Error::Failed(_))) => {
                held(HoldReason::Unknown, error.to_string())
            }
        };
        self.workflow.give_back(1);
        Step::Answer(taken)
    }
}
