//! The API server and what it keeps: Jobs, their processes, requests that are still on their way.

use super::design::{Collector, Design, Ending, Naming, Removal};
use crate::planning::{End, MAX_SLOTS};

/// A Job's identity. A removed one never comes back, so that all removed ones can be called
/// [`GONE`].
pub type Uid = u8;

/// Of a Job that is no more.
pub const GONE: Uid = 0;

/// How far a Job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    Live,
    Ended(End),
    /// Ended and deleted; a finalizer keeps the name.
    Leaving(End),
}

/// One Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Job {
    pub uid: Uid,
    /// The part of its name that differs from that of another Job of the slot.
    pub name: u8,
    pub phase: Phase,
    /// Its process runs.
    pub runs: bool,
    /// Its run is in the ledger.
    pub recorded: bool,
    /// The cycles that were under way when it was made, and still are, as bits.
    pub watchers: u8,
}

/// One slot: its Jobs, oldest first, and processes whose Job is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub jobs: Vec<Job>,
    pub orphans: u8,
    /// A coordinator deleted the last Job, whose run is in no ledger, and no other Job followed:
    /// the slot has lost its history.
    pub forgotten: bool,
}

/// A write, as the server gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Write {
    Create {
        slot: u8,
        name: u8,
    },
    Delete {
        slot: u8,
        uid: Uid,
    },
    /// The ledger gets the run of this Job.
    Record {
        slot: u8,
        uid: Uid,
    },
}

/// The server's answer to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// 409: a live Job has the name.
    TakenByLive,
    /// 409: an ended one has it.
    TakenByEnded,
    /// 404, or 409: no Job of that uid has the name.
    Conflict,
}

/// Everything that the coordinator does not keep.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cluster {
    pub slots: [Place; MAX_SLOTS],
    /// A deletion of a coordinator ended a process.
    pub killed: bool,
}

impl Write {
    pub fn slot(self) -> u8 {
        match self {
            Self::Create { slot, .. } | Self::Delete { slot, .. } | Self::Record { slot, .. } => {
                slot
            }
        }
    }
}

impl Job {
    pub fn is_terminal(self) -> bool {
        match self.phase {
            Phase::Live => false,
            Phase::Ended(_) | Phase::Leaving(_) => true,
        }
    }
}

impl Place {
    pub fn processes(&self) -> u8 {
        self.orphans
            + u8::try_from(self.jobs.iter().filter(|job| job.runs).count()).unwrap_or(u8::MAX)
    }

    /// The collector's, a person's.
    pub fn may_be_removed(&self, place: usize, collector: Collector) -> bool {
        let job = &self.jobs[place];
        let is_newest = place + 1 == self.jobs.len();
        let ended = matches!(job.phase, Phase::Ended(_));
        ended
            && match collector {
                Collector::Anything => true,
                Collector::Nothing => false,
                Collector::AllButNewest => !is_newest,
                Collector::OldAndUnwatched => !is_newest && job.watchers == 0,
            }
    }
}

impl Cluster {
    /// The server's part of a write: one transaction.
    pub fn apply(&mut self, design: &Design, write: Write, watchers: u8) -> Answer {
        match write {
            Write::Create { slot, name } => self.create(design, slot, name, watchers),
            Write::Delete { slot, uid } => self.delete(design, slot, uid),
            Write::Record { slot, uid } => self.record(slot, uid),
        }
    }

    /// The ledger keeps its runs, also when the Job is gone.
    fn record(&mut self, slot: u8, uid: Uid) -> Answer {
        let place = &mut self.slots[usize::from(slot)];
        match place.jobs.iter_mut().find(|job| job.uid == uid) {
            Some(job) => job.recorded = true,
            None => place.forgotten = false,
        }
        Answer::Done
    }

    fn create(&mut self, design: &Design, slot: u8, name: u8, watchers: u8) -> Answer {
        let place = &mut self.slots[usize::from(slot)];
        let holder = match design.naming {
            Naming::Slot | Naming::Generation => place.jobs.iter().find(|job| job.name == name),
            Naming::Unique => None,
        };
        if let Some(holder) = holder {
            return if holder.is_terminal() { Answer::TakenByEnded } else { Answer::TakenByLive };
        }
        let uid = place.jobs.iter().map(|job| job.uid).max().unwrap_or(GONE) + 1;
        let watchers = if design.collector == Collector::OldAndUnwatched { watchers } else { 0 };
        place.jobs.push(Job {
            uid,
            name,
            phase: Phase::Live,
            runs: true,
            recorded: false,
            watchers,
        });
        place.forgotten = false;
        Answer::Done
    }

    fn delete(&mut self, design: &Design, slot: u8, uid: Uid) -> Answer {
        let place = &mut self.slots[usize::from(slot)];
        let target = match design.removal {
            Removal::ByUid => place.jobs.iter().position(|job| job.uid == uid),
            // A name means the object that has it now.
            Removal::ByName | Removal::ByNameOrphaning => place.jobs.len().checked_sub(1),
            Removal::Never => None,
        };
        let Some(target) = target else { return Answer::Conflict };
        let job = place.jobs.remove(target);
        place.forgotten = !job.recorded;
        if job.runs && design.removal == Removal::ByNameOrphaning {
            place.orphans += 1;
        } else if job.runs {
            self.killed = true;
        }
        Answer::Done
    }

    /// A deletion while a finalizer is there.
    pub fn hold(&mut self, write: Write) -> Answer {
        let Write::Delete { slot, uid } = write else { return Answer::Conflict };
        let target = self.slots[usize::from(slot)].jobs.iter_mut().find(|job| job.uid == uid);
        match target.map(|job| (job.phase, job)) {
            Some((Phase::Ended(end) | Phase::Leaving(end), job)) => {
                job.phase = Phase::Leaving(end);
                Answer::Done
            }
            Some((Phase::Live, _)) | None => Answer::Conflict,
        }
    }

    /// A session ends.
    pub fn end(&mut self, design: &Design, slot: u8, job: usize, end: End) {
        let job = &mut self.slots[usize::from(slot)].jobs[job];
        job.phase = Phase::Ended(end);
        job.runs = match design.ending {
            Ending::ProcessGone => false,
            Ending::ProcessLeaving => true,
        };
    }
}
