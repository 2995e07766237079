//! Why a slot stays empty for now.

use std::time::SystemTime;

/// Why a slot that should run is not started now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldReason {
    /// A person paused the fleet.
    Paused,
    /// A person stopped its last session.
    Stopped,
    /// Its last sessions failed.
    Backoff,
    /// Its last session found nothing to do.
    Idle,
    /// `min_interval` since its last start has not passed.
    Interval,
    /// A cap of `[budget]` has no room for it, or what was spent is unknown.
    Budget,
    /// `sessions_per_hour` sessions started in the last hour.
    Rate,
    /// `max_running` sessions are live.
    Cap,
    /// `max_spawns` sessions started in this cycle.
    MaxSpawns,
    /// `max_concurrent` sessions of the source are live.
    Concurrency,
    /// The platform cannot run work items.
    Unsupported,
    /// Another session of the work item ran since the plan was made.
    Superseded,
    /// Another session of the role failed to start in this cycle; the next cycle tries again.
    RoleFailed,
    /// The inventory is unknown and the slot could not be looked up on its own, or must not be.
    Unknown,
    /// A process of its last session still runs.
    Orphan,
    /// The platform's quota is full.
    Quota,
    /// Less than `min_free` is free on the disk.
    Disk,
}

impl HoldReason {
    /// Every reason.
    pub const ALL: [Self; 17] = [
        Self::Paused,
        Self::Stopped,
        Self::Backoff,
        Self::Idle,
        Self::Interval,
        Self::Budget,
        Self::Rate,
        Self::Cap,
        Self::MaxSpawns,
        Self::Concurrency,
        Self::Unsupported,
        Self::Superseded,
        Self::RoleFailed,
        Self::Unknown,
        Self::Orphan,
        Self::Quota,
        Self::Disk,
    ];

    /// The word in the report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Backoff => "backoff",
            Self::Idle => "idle",
            Self::Interval => "interval",
            Self::Budget => "budget",
            Self::Rate => "rate",
            Self::Cap => "cap",
            Self::MaxSpawns => "max_spawns",
            Self::Concurrency => "concurrency",
            Self::Unsupported => "unsupported",
            Self::Superseded => "superseded",
            Self::RoleFailed => "role_failed",
            Self::Unknown => "unknown",
            Self::Orphan => "orphan",
            Self::Quota => "quota",
            Self::Disk => "disk",
        }
    }
}

/// A slot held back: why, until when, and in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The reason word.
    pub reason: HoldReason,
    /// When it may start again, where that is known.
    pub until: Option<SystemTime>,
    /// The reason for people: `failed 3 times, last exit 1 after 4 s`.
    pub detail: String,
}
