//! The runs of one slot, as GitHub has them, and the cycles that dispatch them.

use std::collections::BTreeSet;

use super::design::{Admission, Design, Group};
use crate::planning::{Clock, End, Seen, may_start};

/// Whether a run may still begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ticket {
    Valid,
    Expired,
}

/// The inputs of a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dispatch {
    pub generation: u8,
    pub ticket: Ticket,
}

/// How far a run is. One that is over is history, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// It waits for its group.
    Pending,
    /// In progress: the job `admit`.
    Admission,
    /// In progress: it is admitted, and the agent's job waits for a runner. The session has begun.
    Admitted,
    /// In progress: the agent's job.
    Agent,
}

/// A run that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Run {
    pub stage: Stage,
    pub dispatch: Dispatch,
}

impl Run {
    pub fn is_live(self) -> bool {
        match self.stage {
            Stage::Pending | Stage::Admission => false,
            Stage::Admitted | Stage::Agent => true,
        }
    }
}

/// `Actions::fill` of `crates/platform-actions/src/start.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cycle {
    Waiting,
    /// It has a plan, and reads the group next.
    Asking {
        generation: u8,
    },
    /// The group was free; it dispatches next.
    Dispatching {
        generation: u8,
    },
    Over,
}

/// The last session, as far as GitHub remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Past {
    pub end: End,
    /// By GitHub's clock, which the admission reads.
    pub clock: Moment,
}

/// How long ago the last session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Moment {
    Just,
    LongAgo,
}

/// Whether sessions may start at all (not with `max_spawns = 0` or `count = 0`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fleet {
    Wanted,
    /// Cycles that begin plan nothing; those that had begun continue.
    Paused,
    /// Paused for longer than a cycle lasts and a ticket lives.
    LongPaused,
}

/// Violations other than two live sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wrong {
    /// A dispatch ended a session.
    Killed,
    /// A session began while its slot backed off.
    Hasty,
    /// A session began in a fleet that had been paused for long.
    Unwanted,
    /// An agent started in such a fleet, whenever its session began. Not promised.
    Overdue,
}

/// A state of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// Oldest first.
    pub runs: Vec<Run>,
    pub cycles: Vec<Cycle>,
    pub late: Vec<Dispatch>,
    pub past: Option<Past>,
    pub fleet: Fleet,
    pub faults: u8,
    /// The violation that happened.
    pub wrongs: BTreeSet<Wrong>,
}

impl State {
    pub fn new(design: Design) -> Self {
        Self {
            runs: Vec::new(),
            cycles: vec![Cycle::Waiting; usize::from(design.cycles)],
            late: Vec::new(),
            past: None,
            fleet: Fleet::Wanted,
            faults: design.faults,
            wrongs: BTreeSet::new(),
        }
    }

    pub fn sessions(&self) -> usize {
        self.runs.iter().filter(|run| run.is_live()).count()
    }

    /// A fresh list.
    pub fn seen(&self) -> Seen {
        match self.past {
            _ if !self.runs.is_empty() => Seen::Live,
            None => Seen::Nothing,
            Some(past) => Seen::Ended(past.end),
        }
    }

    pub fn ask(&mut self, cycle: usize, generation: u8) -> bool {
        let is_free = self.runs.is_empty();
        self.cycles[cycle] = if is_free { Cycle::Dispatching { generation } } else { Cycle::Over };
        is_free
    }

    /// GitHub gets a dispatch. A newer run that waits takes the place of an older one that waits.
    /// Returns whether one was there.
    pub fn dispatched(&mut self, design: Design, dispatch: Dispatch) -> bool {
        let shares = |run: &Run| shares_group(design.group, run.dispatch, dispatch);
        if design.group == Group::OfSlotCancelling && self.sessions() > 0 {
            self.wrongs.insert(Wrong::Killed);
            self.runs.clear();
        }
        let before = self.runs.len();
        self.runs.retain(|run| run.stage != Stage::Pending || !shares(run));
        let replaced = self.runs.len() < before;
        self.runs.push(Run { stage: Stage::Pending, dispatch });
        replaced
    }

    /// Whether GitHub may begin this run: nothing of its group is in progress.
    pub fn may_begin(&self, design: Design, place: usize) -> bool {
        let one = self.runs[place];
        let in_progress = |run: &Run| {
            run.stage != Stage::Pending && shares_group(design.group, run.dispatch, one.dispatch)
        };
        one.stage == Stage::Pending && !self.runs.iter().any(in_progress)
    }

    /// `decide` of `crates/platform-actions/src/admit.rs`, with the truth before its eyes.
    pub fn admits(&self, design: Design, place: usize) -> bool {
        let mut others = self.runs.iter().enumerate().filter(|(other, _)| *other != place);
        let is_taken = others.any(|(_, run)| run.stage != Stage::Pending);
        self.has_valid_ticket(design, place)
            && (design.admission == Admission::AllButOther || !is_taken)
            && (design.admission == Admission::AllButBackoff || !self.backs_off())
    }

    pub fn has_valid_ticket(&self, design: Design, place: usize) -> bool {
        design.admission == Admission::AllButTicket
            || self.runs[place].dispatch.ticket == Ticket::Valid
    }

    /// The shipped backoff, by GitHub's clock.
    pub fn backs_off(&self) -> bool {
        let Some(past) = self.past else { return false };
        let clock = match past.clock {
            Moment::Just => Clock::Early,
            Moment::LongAgo => Clock::Late,
        };
        !may_start(Some(past.end), clock)
    }

    /// The session begins, or the run is over and was none.
    pub fn decided(&mut self, place: usize, goes: bool) {
        if !goes {
            self.runs.remove(place);
            return;
        }
        if self.backs_off() {
            self.wrongs.insert(Wrong::Hasty);
        }
        if self.fleet == Fleet::LongPaused {
            self.wrongs.insert(Wrong::Unwanted);
        }
        self.runs[place].stage = Stage::Admitted;
    }

    /// A runner takes the agent's job.
    pub fn started(&mut self, place: usize) {
        if self.fleet == Fleet::LongPaused {
            self.wrongs.insert(Wrong::Overdue);
        }
        self.runs[place].stage = Stage::Agent;
    }

    pub fn ended(&mut self, place: usize, end: End) {
        self.runs.remove(place);
        self.past = Some(Past { end, clock: Moment::Just });
    }

    pub fn pause(&mut self) {
        match self.fleet {
            Fleet::Wanted => self.fleet = Fleet::Paused,
            Fleet::Paused | Fleet::LongPaused => {
                self.fleet = Fleet::LongPaused;
                self.cycles.iter_mut().for_each(|cycle| *cycle = Cycle::Over);
                let runs = self.runs.iter_mut().map(|run| &mut run.dispatch);
                for dispatch in runs.chain(&mut self.late) {
                    dispatch.ticket = Ticket::Expired;
                }
            }
        }
    }

    pub fn compact(&mut self, symmetry: bool) {
        self.late.sort_unstable();
        // The ticket of a session that has begun is not read any more.
        for run in self.runs.iter_mut().filter(|run| run.is_live()) {
            run.dispatch.ticket = Ticket::Expired;
        }
        if symmetry {
            self.cycles.sort_unstable();
        }
    }
}

fn shares_group(group: Group, one: Dispatch, other: Dispatch) -> bool {
    match group {
        Group::OfSlot | Group::OfSlotCancelling => true,
        Group::OfGeneration => one.generation == other.generation,
        Group::None => false,
    }
}
