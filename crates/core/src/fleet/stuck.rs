//! Live sessions that are stuck. They are reported and never touched: only the platform's own
//! deadline frees them.

use std::time::SystemTime;

use super::Slot;

/// Why a live session needs a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StuckReason {
    /// Its agent has not started within the start timeout.
    Pending,
    /// It was deleted on the platform, and has not ended.
    Terminating,
    /// It outlived its deadline, which the platform should have enforced.
    OverDeadline,
    /// A person suspended it, or a queue holds it.
    Suspended,
}

impl StuckReason {
    /// All reasons, in the order of the report.
    pub const ALL: [Self; 4] =
        [Self::Pending, Self::Terminating, Self::OverDeadline, Self::Suspended];

    /// The word in the report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Terminating => "terminating",
            Self::OverDeadline => "over_deadline",
            Self::Suspended => "suspended",
        }
    }
}

/// A live session that does not start, or does not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Where.
    pub slot: Slot,
    /// The reason word.
    pub reason: StuckReason,
    /// Since when, where the platform shows it.
    pub since: Option<SystemTime>,
    /// The platform's reason, and what to do: may quote untrusted text.
    pub detail: String,
}
