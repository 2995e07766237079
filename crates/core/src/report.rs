//! What one cycle saw and did: plain data that every renderer reads.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::budget::BudgetReport;
use crate::fleet::{FleetName, Hold, Leftover, Pause, RoleKey, Slot, Stuck, Target, Unmanaged};
use crate::merge::reason::{Reason as PullReason, Skip};
use crate::pull::GapCause;
use crate::source::EffectReport;

mod cause;

pub use cause::{Access, Cause, CertificateFault, Contact, Contacts};

/// The result of one run.
#[derive(Debug)]
pub struct Report {
    /// Whose cycle it was.
    pub fleet: FleetName,
    /// When it started.
    pub started_at: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// Nothing was changed: `spawned` and `merged` list what would be done.
    pub dry_run: bool,
    /// Set while the fleet is paused.
    pub paused: Option<Pause>,
    /// The verdict on this cycle.
    pub status: Status,
    /// Why it is not healthy, the worst first.
    pub reasons: Vec<Reason>,
    /// Step 1.
    pub inventory: Step<InventoryReport>,
    /// Step 2.
    pub spawn: Step<SpawnReport>,
    /// Step 3.
    pub merge: Step<MergeReport>,
    /// Step 4.
    pub health: Step<HealthReport>,
    /// What may help; the coordinator never does it itself.
    pub advice: Vec<Advice>,
    /// What the cycle cost.
    pub requests: Requests,
    /// Which servers it reached.
    pub contacts: Contacts,
    /// The signal that ended the cycle early.
    pub interrupted: Option<Interrupt>,
}

/// A signal that ends a cycle early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// Ctrl-C: exit code 130.
    Sigint,
    /// SIGTERM: exit code 143.
    Sigterm,
}

impl Interrupt {
    /// The signal's name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sigint => "SIGINT",
            Self::Sigterm => "SIGTERM",
        }
    }
}

impl Report {
    /// Whether a rate limit left something to do.
    pub fn is_rate_limited(&self) -> bool {
        self.merge.body.rate_limit.is_some() || self.spawn.body.rate_limit.is_some()
    }
}

/// The verdict on one cycle; the order is from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Nothing needs a person.
    Healthy,
    /// Something should be looked at.
    Degraded,
    /// Production, the fleet or GitHub does not work.
    Broken,
}

impl Status {
    /// The word in the report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Broken => "broken",
        }
    }
}

/// Why a cycle is not healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What it makes of the cycle by itself.
    pub status: Status,
    /// A phrase; may quote untrusted text.
    pub text: String,
}

/// One step's result.
#[derive(Debug, Default)]
pub struct Step<T> {
    /// How it ended.
    pub outcome: StepOutcome,
    /// How long it took.
    pub duration: Duration,
    /// What was done, also when the step failed half-way.
    pub body: T,
}

impl<T> Step<T> {
    /// The same end with another body.
    pub fn map<U>(self, body: impl FnOnce(T) -> U) -> Step<U> {
        Step { outcome: self.outcome, duration: self.duration, body: body(self.body) }
    }
}

/// How a step ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StepOutcome {
    /// It ran to its end; single items in it may have failed.
    Ok,
    /// It could not be carried out, or not to its end: why.
    Failed(String),
    /// Left out by `--only` or `--skip`.
    #[default]
    Skipped,
    /// The roster has no section for it, or turns it off.
    NotConfigured,
}

impl StepOutcome {
    /// The word in the report.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed(_) => "failed",
            Self::Skipped => "skipped",
            Self::NotConfigured => "not_configured",
        }
    }

    /// Why the step failed.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Ok | Self::Skipped | Self::NotConfigured => None,
        }
    }
}

/// Step 1: what runs.
#[derive(Debug, Default)]
pub struct InventoryReport {
    /// The sum of all counts.
    pub desired: u32,
    /// Live sessions of the roster's roles; `None` when the inventory is unknown.
    pub running: Option<u32>,
    /// One entry per role, in roster order.
    pub roles: Vec<RoleCount>,
    /// Live sessions that this roster does not manage.
    pub unmanaged: Vec<Unmanaged>,
    /// Live sessions in slots beyond their role's count: they end by themselves.
    pub out_of_range: Vec<Slot>,
    /// Live sessions that are stuck; nothing touches them.
    pub stuck: Vec<Stuck>,
    /// Slots of roles whose last three sessions failed, also while the next one starts.
    pub failing: Vec<Slot>,
    /// What old sessions left and the platform cannot remove.
    pub leftovers: Vec<Leftover>,
    /// The sources beside the roster, in the order of service.
    pub sources: Vec<SourceReport>,
}

/// One source's items, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// Its name.
    pub source: String,
    /// What sort of source it is.
    pub kind: &'static str,
    /// How its reading ended.
    pub outcome: SourceOutcome,
    /// Items that are not done.
    pub items: u32,
    /// Its live sessions; `None` when the inventory is unknown.
    pub running: Option<u32>,
    /// Items that are not wanted now, by reason word.
    pub waiting: BTreeMap<&'static str, u32>,
    /// Items on which a person must act.
    pub needs_human: u32,
}

/// How the reading of a source ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceOutcome {
    /// All of it was read.
    Ok,
    /// A part could not be read: which, and why.
    Partial(String),
    /// It could not be read: why. None of its sessions start.
    Failed(String),
}

impl SourceOutcome {
    /// The word in the report.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial(_) => "partial",
            Self::Failed(_) => "failed",
        }
    }

    /// What could not be read, and why.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Ok => None,
            Self::Partial(error) | Self::Failed(error) => Some(error),
        }
    }
}

/// One role's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleCount {
    /// The role.
    pub role: RoleKey,
    /// Its count.
    pub desired: u32,
    /// Its live sessions; `None` when the inventory is unknown.
    pub running: Option<u32>,
    /// Free slots of the role that wait because their last sessions failed.
    pub backing_off: u32,
    /// Free slots of the role that wait because their last session found nothing to do.
    pub idle: u32,
    /// Live sessions over the count, which end by themselves.
    pub surplus: u32,
}

/// Step 2: what was started.
#[derive(Debug, Default)]
pub struct SpawnReport {
    /// Started, or in a dry run: to be started.
    pub spawned: Vec<Spawned>,
    /// Found live when they were to be started: an overlapping cycle was first, or the inventory
    /// was unknown.
    pub already_running: Vec<Target>,
    /// Not started, and why.
    pub held: Vec<(Target, Hold)>,
    /// Tried and failed.
    pub failed: Vec<SpawnFailure>,
    /// The rate limit of the platform that ended the step early.
    pub rate_limit: Option<RateLimit>,
    /// What the sources wrote down.
    pub effects: Vec<SourceEffect>,
    /// The budget when the starts were planned; `None` without one.
    pub budget: Option<BudgetReport>,
}

/// What became of a source's write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEffect {
    /// Whose write.
    pub source: String,
    /// What, and what became of it.
    pub report: EffectReport,
}

/// A session that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spawned {
    /// Where, and on what.
    pub target: Target,
    /// 1 + the predecessor's.
    pub generation: u64,
}

/// A session that could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpawnFailure {
    /// Where, and on what.
    pub target: Target,
    /// What happened, why, and what to do.
    pub error: String,
}

/// Step 3: what was merged.
#[derive(Debug, Default)]
pub struct MergeReport {
    /// Open pull requests that were seen.
    pub open: u32,
    /// Merged, oldest first; in a dry run: to be merged.
    pub merged: Vec<Merged>,
    /// Not merged, and why; the step itself worked.
    pub skipped: Vec<NotMerged>,
    /// A merge call that failed, or whose outcome is unknown.
    pub failed: Vec<NotMerged>,
    /// Open pull requests that wait for a review, drafts and blocked ones left out.
    pub review_queue: u32,
    /// Open pull requests that conflict with their base.
    pub conflicts: u32,
    /// Open pull requests that could not be judged, because GitHub did not show enough of them.
    pub unjudged: Vec<Unjudged>,
    /// Why no pull request of the repository can be merged, also where none is open.
    pub blocker: Option<Skip>,
    /// The repository's new name, where it is not the roster's any more.
    pub renamed_to: Option<String>,
    /// What this GitHub does not provide, one sentence each.
    pub unavailable: Vec<String>,
    /// Set when a rate limit ended the step early.
    pub rate_limit: Option<RateLimit>,
    /// What the base took in the last 30 minutes, newest first, before this cycle.
    pub recent: Vec<RecentMerge>,
    /// When the token expires, where GitHub shows it.
    pub token_expires_at: Option<SystemTime>,
    /// The token acts as an administrator, who could bypass branch protection.
    pub token_is_administrator: bool,
}

/// A rate limit of GitHub, or of the platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// When requests are welcome again, where that is known.
    pub resets_at: Option<SystemTime>,
    /// The server's own words; may be empty.
    pub said: String,
}

/// A pull request that was merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Its number.
    pub number: u64,
    /// Its title, as GitHub has it: untrusted text.
    pub title: String,
    /// The commit that was judged, and merged.
    pub head: String,
    /// The commit on the base; `None` in a dry run.
    pub commit: Option<String>,
}

/// A pull request that was not merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotMerged {
    /// Its number.
    pub number: u64,
    /// Its title, as GitHub has it: untrusted text.
    pub title: String,
    /// Why.
    pub reason: PullReason,
    /// The reason in a sentence; may quote untrusted text.
    pub detail: String,
}

/// An open pull request that could not be judged. It is in `skipped`, too, where its number is
/// known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unjudged {
    /// `None` where GitHub does not even show that.
    pub number: Option<u64>,
    /// What kind of remedy may help.
    pub cause: GapCause,
    /// GitHub's own words.
    pub sentence: String,
}

/// A pull request that the base took a short time ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentMerge {
    /// Its number.
    pub number: u64,
    /// First line of the commit: untrusted text.
    pub title: String,
    /// When it was committed.
    pub merged_at: SystemTime,
}

/// Step 4: what production answered.
#[derive(Debug, Default)]
pub struct HealthReport {
    /// In roster order.
    pub endpoints: Vec<EndpointHealth>,
    /// What may have broken it, newest first; filled when an endpoint is not up.
    pub recent_merges: Vec<RecentMerge>,
}

/// One endpoint's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointHealth {
    /// Its name in the roster.
    pub name: String,
    /// Where the request went.
    pub url: String,
    /// The HTTP status, if one came.
    pub status: Option<u16>,
    /// What it means.
    pub verdict: HealthVerdict,
    /// From the first byte sent to the answer's head, or to the failure.
    pub latency: Duration,
    /// Why no status came, or not the expected one; of an endpoint that is up, what came before the
    /// answer.
    pub error: Option<String>,
    /// The same for verdict and advice.
    pub cause: Option<Cause>,
    /// A server was there, be it one that redirects elsewhere.
    pub reached: bool,
}

/// What the answer of a production endpoint means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthVerdict {
    /// An expected status.
    Up,
    /// 5xx.
    Down,
    /// Any other answer.
    Unexpected,
    /// Timeout, or no connection.
    PotentialOutage,
}

impl HealthVerdict {
    /// The word in the report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Unexpected => "unexpected",
            Self::PotentialOutage => "potential_outage",
        }
    }
}

/// A sign, and what a person may do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What was seen: `review queue is 14`.
    pub signal: String,
    /// What may help: `raise the count of code_reviewer`.
    pub action: String,
}

/// Requests sent, per interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// To GitHub, REST and GraphQL.
    pub github: u64,
    /// To the platform.
    pub platform: u64,
    /// To production.
    pub health: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limit_of_either_step_leaves_something_to_do() {
        let is_limited = |of_merge: Option<RateLimit>, of_spawn: Option<RateLimit>| {
            let merge = MergeReport { rate_limit: of_merge, ..MergeReport::default() };
            let spawn = SpawnReport { rate_limit: of_spawn, ..SpawnReport::default() };
            let report = Report {
                fleet: FleetName::parse("demo").expect("a valid name"),
                started_at: SystemTime::UNIX_EPOCH,
                duration: Duration::ZERO,
                dry_run: false,
                paused: None,
                status: Status::Healthy,
                reasons: Vec::new(),
                inventory: Step::default(),
                spawn: Step { body: spawn, ..Step::default() },
                merge: Step { body: merge, ..Step::default() },
                health: Step::default(),
                advice: Vec::new(),
                requests: Requests::default(),
                contacts: Contacts::default(),
                interrupted: None,
            };
            report.is_rate_limited()
        };
        let limit = || Some(RateLimit::default());
        assert!(is_limited(limit(), None) && is_limited(None, limit()));
        assert!(!is_limited(None, None));
    }
}
