//! Where sessions run. The platform, not the coordinator, keeps the invariant: creation in a taken
//! slot fails.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::fleet::{Group, Hold, HoldReason, Listing, Pause, Run, Slot, Want};
use crate::report::{Contacts, RateLimit};

/// A platform keeps what it remembers of a work item for so long after the item left its source and
/// its last session ended.
pub const KEPT_AFTER_ITEM: Duration = Duration::from_secs(48 * 60 * 60);

/// Identity of one run of the coordinator; every session records which cycle created it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CycleId(pub String);

/// What became of one start. A failed start is the error of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// A session of this generation runs now.
    Started {
        /// 1 + the predecessor's.
        generation: u64,
    },
    /// The slot holds a live session: another cycle was first, or the inventory was unknown.
    AlreadyRunning,
    /// Another session ran in the slot since the start was planned: see [`crate::fleet::Follows`].
    Superseded,
    /// The platform looked at the slot itself and holds it back.
    Held(Hold),
    /// It failed, or may have, for a reason that concerns this slot alone: the other slots of the
    /// role are still tried.
    Failed(String),
    /// The platform accepts no more requests for now, for any slot.
    RateLimited(RateLimit),
}

/// The result of `coordinator stop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopAnswer {
    /// The platform ends it, with its grace, and records it as stopped.
    Asked {
        /// Which session it is, where that is known.
        generation: Option<u64>,
    },
    /// No session of the slot is live.
    NotLive,
}

/// Sessions that ended in some time, for `coordinator history`.
#[derive(Debug, Default)]
pub struct Ended {
    /// Of each session its slot and its end, in any order.
    pub runs: Vec<(Slot, Run)>,
    /// Sessions whose record cannot be read.
    pub damaged: Vec<Damaged>,
    /// What could not be read beside these, a sentence each: sessions may be missing.
    pub unreadable: Vec<String>,
}

/// A session whose record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Its slot.
    pub slot: Slot,
    /// When the record was written.
    pub at: SystemTime,
    /// Why, in a sentence.
    pub why: String,
}

/// How a person gets to an agent: a command that reads their terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attach {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Where it must run; `None`: anywhere.
    pub directory: Option<PathBuf>,
}

impl Start {
    /// The answer of a platform that keeps no register of work items.
    pub fn unsupported() -> Self {
        let detail = "this platform cannot run work items".to_owned();
        Self::Held(Hold { reason: HoldReason::Unsupported, until: None, detail })
    }
}

/// A place that runs sessions and refuses a second one in a slot.
pub trait Platform {
    /// Every session of the fleet that is live or remembered. A partial answer is an error.
    fn list(&self) -> impl Future<Output = anyhow::Result<Listing>>;

    /// All that is going to be started, before the first of it is, so that the platform can prepare
    /// in one go.
    fn expect<'a>(&self, _wants: impl Iterator<Item = &'a Want>) {}

    /// Starts a session where the slot is certainly free, nothing ran in it since [`Want::follows`]
    /// was decided, and [`crate::backoff::hold`] does not hold it: all judged anew by the
    /// platform's own records, under its own lock. Safe to call for any slot, any number of times,
    /// by any number of callers.
    fn start(
        &self,
        want: &Want,
        cycle: &CycleId,
        now: SystemTime,
    ) -> impl Future<Output = anyhow::Result<Start>>;

    /// What [`Platform::start`] would answer now, with nothing started or changed: the dry run.
    fn preview(&self, want: &Want, now: SystemTime) -> impl Future<Output = anyhow::Result<Start>>;

    /// Keeps what the platform remembers of work items, after the starts of a cycle. `present` are
    /// the slots of all items of the sources `groups`, which were read whole: what is remembered of
    /// other items of theirs goes after a while.
    fn sweep(
        &self,
        _present: &BTreeSet<Slot>,
        _groups: &BTreeSet<Group>,
        _now: SystemTime,
    ) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// The sessions that ended since then, as far as [`Platform::list`] does not show them: what
    /// counts against a budget. Fails where sessions may be missing.
    fn ended(&self, _since: SystemTime) -> impl Future<Output = anyhow::Result<Ended>> {
        std::future::ready(Err(anyhow::anyhow!("this platform keeps no history")))
    }

    /// Whether the fleet is paused, for a cycle without a list, which shows it too.
    fn paused(&self) -> impl Future<Output = anyhow::Result<Option<Pause>>> {
        std::future::ready(Ok(None))
    }

    /// Calls made so far: one per list and per start, or what the platform really counts.
    fn requests(&self) -> u64;

    /// Whether the platform's server could be reached until now; a platform without one has nothing
    /// to reach.
    fn contacts(&self) -> Contacts {
        Contacts::default()
    }

    /// How many starts may be under way at once by now, at least one. They wait for a server, so a
    /// few do not burden it.
    fn starts_at_once(&self) -> usize {
        8
    }
}
