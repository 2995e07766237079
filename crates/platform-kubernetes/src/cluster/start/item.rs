//! Starts the session of a work item, where nothing ran in its slot since the start was planned.
//!
//! The register comes first: a write that replaces exactly the version that was read. After it this
//! cycle alone may create the Job of that generation. It then removes the ended Job by its uid and
//! creates the next one, whose name is the lock, so that no slot ever has two live sessions.
//!
//! A start that dies after the register uses up a generation and no attempt. Its creation may
//! arrive late. While a Job of the slot is there, live or ended, it finds the name taken. Where
//! none is there and nothing has run since, it starts the attempt that was planned. Where something
//! has run since, its pod never starts: see [`register`].

use std::time::SystemTime;

use super::{Holder, Kubernetes, Step, hold, name_held, stranger};
use crate::cluster::answer::{Created, Deleted};
use crate::cluster::ledger::Mode;
use crate::cluster::record::{Job, Predecessor};
use crate::cluster::register::{self, Register, Stored};
use crate::generated::NewSession;
use coordinator_core::fleet::{HoldReason, ItemRun, Want};
use coordinator_core::platform::{CycleId, Start};

/// The decision on an item's slot. Pure.
fn decide(
    session: &str,
    want: &Want,
    register: &Register,
    holder: Holder,
    now: SystemTime,
) -> Step {
    let ended = match holder {
        Holder::Live => return Step::Answer(Start::AlreadyRunning),
        Holder::Leaving => return Step::Answer(Start::Held(name_held())),
        Holder::Stranger => return Step::Fail(stranger()),
        Holder::Unknown(why) => return Step::Answer(Start::Held(hold(HoldReason::Unknown, why))),
        Holder::None => Predecessor { uid: None, generation: 0, history: Vec::new() },
        Holder::Ended(predecessor) => predecessor,
    };
    let generation = register.generation.max(ended.generation);
    if !want.follows.allows(generation) {
        return Step::Answer(Start::Superseded);
    }
    let history = register.history(ended.history);
    match want.hold(session, &history, now) {
        Some(hold) => Step::Answer(Start::Held(hold)),
        None => Step::Create(Some(Predecessor { uid: ended.uid, generation, history })),
    }
}

impl Kubernetes {
    pub(super) async fn fill_item(
        &self,
        want: &Want,
        item: ItemRun,
        cycle: &CycleId,
        now: SystemTime,
    ) -> anyhow::Result<Start> {
        let session = want.slot.session_name(&self.settings.fleet);
        let predecessor = match self.register_start(want, item, now, Mode::Write).await? {
            Step::Create(predecessor) => predecessor,
            Step::Answer(start) => return Ok(start),
            Step::Fail(why) => anyhow::bail!(why),
        };
        let new = NewSession::after(predecessor.as_ref(), cycle);
        self.written.borrow_mut().insert(want.slot.clone());
        self.create_item(want, &session, &new).await
    }

    /// What [`Self::fill_item`] would come to; the writes are dry runs on the server.
    pub(super) async fn rehearse_item(
        &self,
        want: &Want,
        item: ItemRun,
        now: SystemTime,
    ) -> anyhow::Result<Start> {
        let session = want.slot.session_name(&self.settings.fleet);
        let predecessor = match self.register_start(want, item, now, Mode::DryRun).await? {
            Step::Create(predecessor) => predecessor,
            Step::Answer(start) => return Ok(start),
            Step::Fail(why) => anyhow::bail!(why),
        };
        let cycle = CycleId("dry-run".to_owned());
        let new = NewSession::after(predecessor.as_ref(), &cycle);
        let uid = predecessor.as_ref().and_then(|predecessor| predecessor.uid.as_ref());
        if let Some(uid) = uid
            && let Deleted::Refused(why) | Deleted::Unknown(why) | Deleted::Lost(why) =
                self.delete(&session, uid, true).await
        {
            anyhow::bail!(why);
        }
        match self.create(want, &new, true).await? {
            Created::NameTaken | Created::QuotaFull(_) if uid.is_some() => {
                Ok(Start::Started { generation: new.generation })
            }
            Created::Unknown(why) | Created::Lost(why) => anyhow::bail!(why),
            created => self.conclude(&session, &new, created).await,
        }
    }

    /// Decides, and raises the register. The step is the start's, once the register allows it.
    async fn register_start(
        &self,
        want: &Want,
        item: ItemRun,
        now: SystemTime,
        mode: Mode,
    ) -> anyhow::Result<Step> {
        let session = want.slot.session_name(&self.settings.fleet);
        let (register, holder) = match self.item_slot(want, &session).await {
            Ok(seen) => seen,
            Err(why) => return Ok(Step::Answer(Start::Held(hold(HoldReason::Unknown, why)))),
        };
        let now = self.api.server_time().unwrap_or(now);
        let step = decide(&session, want, &register, holder, now);
        let Step::Create(predecessor) = &step else { return Ok(step) };
        self.queue_is_there().await?;
        let (generation, history) = match predecessor {
            Some(predecessor) => {
                (predecessor.generation.saturating_add(1), &predecessor.history[..])
            }
            None => (1, &[][..]),
        };
        let next = register.next(generation, item, history, now);
        Ok(match next.store(&self.api, &self.settings.fleet, &session, mode).await {
            Stored::Yes => step,
            Stored::Superseded => Step::Answer(Start::Superseded),
            Stored::Refused(why) | Stored::Unknown(why) => Step::Answer(Start::Failed(why)),
        })
    }

    /// Register and holder of an item's slot, as the inventory saw them; else looked up, the
    /// register first, so that a session which starts in between shows as superseded.
    async fn item_slot(&self, want: &Want, session: &str) -> Result<(Register, Holder), String> {
        let seen = self.view.borrow().as_ref().and_then(|view| {
            let register = view.registers.as_ref()?.get(&want.slot).cloned();
            let holder = view.jobs.get(&want.slot).map(|job| self.holding(job, &view.pods));
            Some((
                register.unwrap_or_else(|| Ok(Register::default())),
                holder.unwrap_or(Holder::None),
            ))
        });
        if let Some((register, holder)) = seen {
            return Ok((register?, holder));
        }
        let mut register = register::one(&self.api, session).await?;
        let job = match self.look_up(session).await {
            Ok(job) => job,
            Err(why) => return Ok((register, Holder::Unknown(why))),
        };
        if let Some(now) = self.api.server_time() {
            register.give_up(job.as_ref().map(Job::generation), self.settings.unseen_after(), now);
        }
        let holder = match job {
            Some(job) => self.looked_up(session, &job).await,
            None => Holder::None,
        };
        Ok((register, holder))
    }

    /// The register lets this cycle alone create the Job of this generation.
    async fn create_item(
        &self,
        want: &Want,
        session: &str,
        new: &NewSession<'_>,
    ) -> anyhow::Result<Start> {
        let uid = new.replaces;
        if let Some(uid) = uid {
            match self.delete(session, uid, false).await {
                // Where something has the name by now, the creation is refused.
                Deleted::Yes | Deleted::SomebodyElse => {}
                Deleted::Refused(why) => anyhow::bail!(why),
                Deleted::Unknown(why) | Deleted::Lost(why) => match self.look_up(session).await {
                    Ok(None) => {}
                    Ok(Some(job)) if job.uid() != uid => return Ok(Start::AlreadyRunning),
                    Ok(Some(_)) | Err(_) => {
                        return Ok(Start::Failed(format!("{why}; the next cycle continues")));
                    }
                },
            }
        }
        let created = self.create_patiently(want, new, uid.is_some()).await?;
        self.conclude(session, new, created).await
    }
}

#[cfg(test)]
mod tests;
