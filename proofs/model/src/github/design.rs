//! The shipped design, and unsafe variants.

/// The workflow's `concurrency`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// One per slot; a run in progress is not cancelled. Shipped.
    OfSlot,
    /// One per slot and generation.
    OfGeneration,
    /// One per slot, with `cancel-in-progress: true`.
    OfSlotCancelling,
    None,
}

/// Which list of the slot's other runs the admission reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// The current state.
    Fresh,
    /// Anything: its list lags, or lacks runs.
    Anything,
}

/// What the admission requires of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// A ticket that has not expired, nothing else in progress, no backoff. Shipped.
    All,
    /// All but the ticket.
    AllButTicket,
    /// All but the backoff.
    AllButBackoff,
    /// All but whether another run is in progress.
    AllButOther,
}

/// A design, and the size of the world in which it is searched.
#[derive(Debug, Clone, Copy)]
pub struct Design {
    pub group: Group,
    pub sight: Sight,
    pub admission: Admission,
    pub cycles: u8,
    /// Lost replies, late and doubled dispatches.
    pub faults: u8,
}

impl Design {
    /// The design of `crates/platform-actions/src/{start,admit}.rs` and
    /// `deploy/github-actions/agent-session.yml`
    /// do.
    pub fn shipped(cycles: u8, faults: u8) -> Self {
        Self {
            group: Group::OfSlot,
            sight: Sight::Fresh,
            admission: Admission::All,
            cycles,
            faults,
        }
    }
}
