//! The machine: the lock file, the newest record, and all processes.

use super::design::{Design, Orphans, Place, Removal, Unlink};
use super::run::{Agent, Child, Coordinator, Run, Shim};
use crate::planning::{End, Seen};

/// The slot's newest record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Record {
    None,
    /// `start.json` without `exit.json`.
    Open,
    Ended(End),
    /// The end was missing, and a later start has written it.
    Lost,
}

/// A state of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub runs: Vec<Run>,
    /// The file that has the lock's name; 0 is none.
    pub named: u8,
    /// The greatest file so far.
    pub files: u8,
    pub record: Record,
}

impl State {
    pub fn new(design: Design) -> Self {
        Self {
            runs: vec![Run::WAITING; usize::from(design.cycles)],
            named: 0,
            files: 0,
            record: Record::None,
        }
    }

    pub fn is_held(&self, design: Design, file: u8) -> bool {
        self.runs.iter().any(|run| run.file == file && run.holds(design))
    }

    /// A fresh list.
    pub fn seen(&self, design: Design) -> Seen {
        match self.record {
            _ if self.named > 0 && self.is_held(design, self.named) => Seen::Live,
            Record::None => Seen::Nothing,
            Record::Ended(end) => Seen::Ended(end),
            Record::Open | Record::Lost => Seen::Ended(End::Failed),
        }
    }

    /// How the last session ended, as a start that has the lock finds it.
    pub fn last_end(&self) -> Option<End> {
        match self.record {
            Record::None => None,
            Record::Ended(end) => Some(end),
            Record::Open | Record::Lost => Some(End::Failed),
        }
    }

    pub fn open(&mut self, run: usize) {
        if self.named == 0 {
            self.files += 1;
            self.named = self.files;
        }
        self.runs[run].file = self.named;
        self.runs[run].coordinator = Coordinator::Opened;
    }

    /// `flock`, without waiting.
    pub fn try_lock(&mut self, design: Design, run: usize) -> bool {
        let is_free = !self.is_held(design, self.runs[run].file);
        self.runs[run].coordinator = if is_free { Coordinator::Locked } else { Coordinator::Gone };
        is_free
    }

    pub fn check_place(&mut self, design: Design, run: usize) {
        let is_in_place = self.runs[run].file == self.named || design.place == Place::Ignored;
        // The file is opened anew; the lock on the old one is given up.
        self.runs[run].coordinator =
            if is_in_place { Coordinator::InPlace } else { Coordinator::Planned };
    }

    /// `History::read`, `record_ends` and `hold`. Returns whether an orphan holds the slot.
    pub fn decide(&mut self, design: Design, run: usize, may_start: bool) -> bool {
        if self.record == Record::Open {
            self.record = Record::Lost;
        }
        let is_orphaned = self.record == Record::Lost
            && design.orphans == Orphans::LookedFor
            && self.runs.iter().any(|run| run.is_recorded && run.has_processes());
        let goes = may_start && !is_orphaned;
        self.runs[run].coordinator = if goes { Coordinator::Decided } else { Coordinator::Gone };
        is_orphaned
    }

    /// The next step of the shim on its own.
    pub fn shim_step(&mut self, design: Design, run: usize) {
        let one = self.runs[run];
        self.runs[run].shim = match one.shim {
            Shim::Checking if one.file == self.named || design.place == Place::Ignored => {
                Shim::Recording
            }
            Shim::Checking => Shim::Gone,
            Shim::Recording => {
                self.runs.iter_mut().for_each(|other| other.is_recorded = false);
                self.runs[run].is_recorded = true;
                self.record = Record::Open;
                Shim::Spawning
            }
            Shim::Spawning => {
                self.runs[run].agent = Agent::Stage;
                Shim::Keeping
            }
            Shim::Sweeping(end) => {
                self.runs[run].child = Child::None;
                Shim::Writing(end)
            }
            Shim::Writing(end) => {
                // Its own record, which a person may have removed.
                if one.is_recorded {
                    self.record = Record::Ended(end);
                }
                Shim::Leaving
            }
            Shim::Leaving => {
                if design.unlink == Unlink::ByShim && one.file == self.named {
                    self.named = 0;
                }
                Shim::Gone
            }
            Shim::None | Shim::Keeping | Shim::Gone => one.shim,
        };
    }

    pub fn may_remove_record(&self, design: Design) -> bool {
        let is_over = matches!(self.record, Record::Ended(_) | Record::Lost);
        let has_processes = self.runs.iter().any(|run| run.is_recorded && run.has_processes());
        is_over && (design.removal == Removal::OfOrphaned || !has_processes)
    }

    pub fn remove_record(&mut self) {
        self.record = Record::None;
        self.runs.iter_mut().for_each(|run| run.is_recorded = false);
    }
}
