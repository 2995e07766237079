//! The coordinator's part, one remote call at a time: what
//! `crates/platform-kubernetes/src/cluster/start.rs` does.

use super::cluster::{Answer, Phase, Place, Uid, Write};
use super::design::{Blind, Design, Ledger, Naming, Removal};
use crate::planning::{End, MAX_SLOTS, Seen, Starts};

/// The holder of a slot's name, as `Kubernetes::holder` finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Holder {
    None,
    Live,
    Leaving { end: End },
    Ended { uid: Uid, end: End },
}

/// A slot as a cycle has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Look {
    pub holder: Holder,
    /// The greatest generation seen, where it is part of the name.
    pub greatest: u8,
}

/// How far the start of one slot is. Each state but the last waits for an answer of the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Task {
    /// GET, because there was no list.
    LookUp,
    /// The ledger's write, before the DELETE of the predecessor or after it.
    Record(Uid),
    /// DELETE of the predecessor.
    Delete(Uid),
    /// GET, because the DELETE had no answer.
    LookAgain(Uid),
    /// POST.
    Create { name: u8 },
    /// The start is over: no further write.
    #[default]
    Over,
}

/// One run of the coordinator. It may stop for good at any step: that is a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cycle {
    /// It will begin, some time.
    Waiting,
    /// The answer to its list is fixed already.
    Promised([Look; MAX_SLOTS]),
    /// Starts of different slots are under way at once.
    Working([Task; MAX_SLOTS]),
    Over,
}

/// The fate of a request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// Applied, and the answer is lost.
    ReplyLost,
    /// Not applied yet, and no answer.
    Late,
    /// Applied, answered, and applied again later.
    Twice,
    /// Answered; the deleted Job stays until its finalizer is gone.
    Held,
    /// 4xx: certainly not applied.
    Refused,
}

impl Look {
    pub fn at(place: &Place, naming: Naming) -> Self {
        let live = place.jobs.iter().find(|job| job.phase == Phase::Live);
        let holder = match (live, place.jobs.last()) {
            (Some(_), _) => Holder::Live,
            (None, None) => Holder::None,
            (None, Some(job)) => match job.phase {
                Phase::Live => Holder::Live,
                Phase::Leaving(end) => Holder::Leaving { end },
                Phase::Ended(end) => Holder::Ended { uid: job.uid, end },
            },
        };
        let greatest = match naming {
            Naming::Slot | Naming::Unique => 0,
            Naming::Generation => place.jobs.iter().map(|job| job.name).max().unwrap_or(0),
        };
        Self { holder, greatest }
    }

    /// The same in the terms of `plan`.
    pub fn seen(self) -> Seen {
        match self.holder {
            Holder::None => Seen::Nothing,
            Holder::Live => Seen::Live,
            Holder::Leaving { end } | Holder::Ended { end, .. } => Seen::Ended(end),
        }
    }

    /// `decide` of `start.rs`; the verdict is that of `backoff::hold`.
    pub fn decide(self, design: &Design, may_start: bool) -> Task {
        let name = match design.naming {
            Naming::Slot | Naming::Unique => 0,
            Naming::Generation => self.greatest + 1,
        };
        match self.holder {
            Holder::None => Task::Create { name },
            Holder::Live | Holder::Leaving { .. } => Task::Over,
            Holder::Ended { .. } if !may_start => Task::Over,
            Holder::Ended { uid, .. } => match (design.naming, design.removal) {
                // Their own names are free: nothing has to go.
                (Naming::Generation | Naming::Unique, _) => Task::Create { name },
                (Naming::Slot, Removal::Never) => Task::Over,
                (Naming::Slot, Removal::ByUid | Removal::ByName | Removal::ByNameOrphaning) => {
                    match design.ledger {
                        Ledger::BeforeDelete => Task::Record(uid),
                        Ledger::AfterDelete | Ledger::Never => Task::Delete(uid),
                    }
                }
            },
        }
    }
}

impl Task {
    /// The write that it sends next; `None` where it sends a GET, or nothing.
    pub fn write(self, slot: u8) -> Option<Write> {
        match self {
            Self::Record(uid) => Some(Write::Record { slot, uid }),
            Self::Delete(uid) => Some(Write::Delete { slot, uid }),
            Self::Create { name } => Some(Write::Create { slot, name }),
            Self::LookUp | Self::LookAgain(_) | Self::Over => None,
        }
    }

    /// `replace`, from one answer to the next request.
    pub fn after(self, design: &Design, fate: Fate, answer: Answer) -> Self {
        match (self, fate) {
            // An answer that is lost is looked for in the ledger itself.
            (Self::Record(uid), Fate::Answered | Fate::Twice | Fate::ReplyLost) => {
                match design.ledger {
                    Ledger::BeforeDelete => Self::Delete(uid),
                    Ledger::AfterDelete | Ledger::Never => Self::Create { name: 0 },
                }
            }
            (Self::Delete(uid), Fate::Answered | Fate::Twice | Fate::Held) => match answer {
                Answer::Done if design.ledger == Ledger::AfterDelete => Self::Record(uid),
                Answer::Done => Self::Create { name: 0 },
                Answer::Conflict | Answer::TakenByLive | Answer::TakenByEnded => Self::Over,
            },
            (Self::Delete(uid), Fate::ReplyLost | Fate::Late) => Self::LookAgain(uid),
            (Self::Record(_), Fate::Late | Fate::Held | Fate::Refused)
            | (Self::Delete(_), Fate::Refused)
            | (Self::Create { .. }, _) => Self::Over,
            (Self::LookUp | Self::LookAgain(_) | Self::Over, _) => self,
        }
    }

    /// `replace` after a deletion of which nothing was heard: on only where the name is free.
    pub fn looked_again(look: Look) -> Self {
        match look.holder {
            Holder::None => Self::Create { name: 0 },
            Holder::Live | Holder::Leaving { .. } | Holder::Ended { .. } => Self::Over,
        }
    }
}

impl Cycle {
    /// With a list, [`Look::decide`] decides. Without one the slot is looked up.
    pub fn begun(design: &Design, list: Option<[Look; MAX_SLOTS]>, starts: Starts) -> Self {
        let mut tasks = [Task::Over; MAX_SLOTS];
        for (slot, task) in tasks.iter_mut().enumerate().filter(|(slot, _)| starts[*slot]) {
            *task = match (list, design.blind) {
                // A cycle whose clock is behind does nothing here, like one that sleeps.
                (Some(looks), _) => looks[slot].decide(design, true),
                (None, Blind::LookUp) => Task::LookUp,
                (None, Blind::AssumeEmpty) => {
                    Look { holder: Holder::None, greatest: 0 }.decide(design, true)
                }
                (None, Blind::Rest) => Task::Over,
            };
        }
        Self::Working(tasks).settled()
    }

    /// A cycle with nothing left to do is over.
    pub fn settled(self) -> Self {
        match self {
            Self::Working(tasks) if tasks.iter().all(|task| *task == Task::Over) => Self::Over,
            Self::Waiting | Self::Promised(_) | Self::Working(_) | Self::Over => self,
        }
    }
}
