//! Where wanted sessions come from. A source reads its store, decides what should run and what to
//! write down, and carries those writes out. The spawn step starts the sessions.

use std::time::SystemTime;

use crate::fleet::{Inventory, Slot, Want};

/// The name of the roster as a source, and the word of its kind.
pub const ROSTER: &str = "roster";

/// What defines the desired sessions: the roster, a queue, a pipeline, a job.
pub trait Source {
    /// What one look at the store showed.
    type State;
    /// A write to the store, with the version of what it was decided on.
    type Change;

    /// As the roster calls it; unique in a fleet.
    fn name(&self) -> &str;

    /// What sort of source it is, in the report's word.
    fn kind(&self) -> &'static str;

    /// Whether the slot is one of this source's. A live session that no source claims is unmanaged.
    fn claims(&self, slot: &Slot) -> bool;

    /// Reads the store and decides nothing.
    fn observe(&self, now: SystemTime) -> impl Future<Output = anyhow::Result<Self::State>>;

    /// Pure: what should run, what waits and why, and what to write down about sessions that ended.
    fn plan(
        &self,
        state: &Self::State,
        sessions: &Inventory,
        now: SystemTime,
    ) -> SourcePlan<Self::Change>;

    /// Carries the writes out. Each compares before it writes, and answers for itself.
    fn commit(&self, effects: Vec<Effect<Self::Change>>)
    -> impl Future<Output = Vec<EffectReport>>;
}

/// What a source needs now.
#[derive(Debug, Clone)]
pub struct SourcePlan<C> {
    /// Sessions that should exist, live ones included, most important first.
    pub wants: Vec<Want>,
    /// Items that are not wanted now. Every item of the source is in one of the two lists, unless
    /// it is done.
    pub waiting: Vec<Waiting>,
    /// What to write down.
    pub effects: Vec<Effect<C>>,
    /// Live sessions of the source; `None`: as many as are wanted.
    pub max_concurrent: Option<u32>,
    /// What part of the store could not be read, where it is not all of it.
    pub unread: Option<String>,
}

impl<C> Default for SourcePlan<C> {
    fn default() -> Self {
        Self {
            wants: Vec::new(),
            waiting: Vec::new(),
            effects: Vec::new(),
            max_concurrent: None,
            unread: None,
        }
    }
}

/// An item that is not wanted now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its slot.
    pub slot: Slot,
    /// As its store spells it.
    pub id: String,
    /// The reason word.
    pub reason: WaitReason,
    /// The reason in a sentence; may quote untrusted text.
    pub detail: String,
    /// When it may be wanted again, where that is known.
    pub until: Option<SystemTime>,
}

/// A write to a source's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect<C> {
    /// The item that it is about, as its store spells it.
    pub item: String,
    /// What it does, in one word: `escalate`, `reopen`, ...
    pub effect: &'static str,
    /// It is written only after a session started in this slot in this cycle; `None`: before any
    /// start.
    pub needs: Option<Slot>,
    /// The write.
    pub change: C,
}

/// What became of an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectReport {
    /// The item that it was about.
    pub item: String,
    /// The effect's word.
    pub effect: &'static str,
    /// What became of it.
    pub outcome: EffectOutcome,
    /// Why, in a sentence; empty where there is nothing to add.
    pub detail: String,
}

/// What became of an effect, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectOutcome {
    /// It is in the store now.
    Written,
    /// It was in the store already.
    Already,
    /// What it was decided on had changed.
    Dropped,
    /// The store refused it or did not answer.
    Failed,
}

impl EffectOutcome {
    /// The word in the report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Already => "already",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }
}

/// Why an item needs no session now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitReason {
    /// An open item must be done first.
    Blocked,
    /// It depends on an item that the store does not have.
    UnknownBlocker,
    /// It depends on itself, over others.
    DependencyCycle,
    /// Another worker has it.
    Claimed,
    /// The source starts no sessions for items of its type.
    Type,
    /// Its store marks it as work for people.
    Manual,
    /// Its last session ended a moment ago.
    Settling,
    /// A person must look at it.
    NeedsHuman,
    /// Its pull request is open.
    AwaitsMerge,
    /// A person must decide.
    AwaitsGate,
    /// It was tried as often as the roster allows.
    AttemptsExhausted,
    /// Its verify command could not run.
    VerifyUnavailable,
    /// What it cannot start with is wrong in its own text.
    Malformed,
    /// The platform cannot run work items.
    Unsupported,
    /// A person stopped it.
    Stopped,
}

impl WaitReason {
    /// The word in the report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::UnknownBlocker => "unknown_blocker",
            Self::DependencyCycle => "dependency_cycle",
            Self::Claimed => "claimed",
            Self::Type => "type",
            Self::Manual => "manual",
            Self::Settling => "settling",
            Self::NeedsHuman => "needs_human",
            Self::AwaitsMerge => "awaits_merge",
            Self::AwaitsGate => "awaits_gate",
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::VerifyUnavailable => "verify_unavailable",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::Stopped => "stopped",
        }
    }

    /// A person must act before another session starts.
    pub fn needs_human(self) -> bool {
        matches!(self, Self::NeedsHuman | Self::AttemptsExhausted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_needs_a_person_when_no_cycle_moves_it_on() {
        for reason in [WaitReason::NeedsHuman, WaitReason::AttemptsExhausted] {
            assert!(reason.needs_human(), "{reason:?}");
        }
        for reason in [WaitReason::Blocked, WaitReason::Settling, WaitReason::AwaitsMerge] {
            assert!(!reason.needs_human(), "{reason:?}");
        }
    }
}
