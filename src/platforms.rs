//! Which platform a roster chooses: the one match over them.

use std::collections::BTreeSet;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};

use coordinator_core::finding::Finding;
use coordinator_core::fleet::{Group, Listing, Slot, SlotSessions, Want};
use coordinator_core::platform::{CycleId, Platform, Start, StopAnswer};
use coordinator_core::report::Contacts;
use coordinator_platform_actions::{Actions, LogText};
use coordinator_platform_kubernetes::Kubernetes;
use coordinator_platform_local::exec::Exec;
use coordinator_platform_local::process::Process;
use coordinator_roster::Roster;

pub enum AnyPlatform {
    Process(Process),
    Kubernetes(Box<Kubernetes>),
    Actions(Box<Actions>),
    Exec(Box<Exec>),
}

impl Platform for AnyPlatform {
    async fn list(&self) -> anyhow::Result<Listing> {
        match self {
            Self::Process(platform) => platform.list().await,
            Self::Kubernetes(platform) => platform.list().await,
            Self::Actions(platform) => platform.list().await,
            Self::Exec(platform) => platform.list().await,
        }
    }

    fn expect<'a>(&self, wants: impl Iterator<Item = &'a Want>) {
        match self {
            Self::Process(platform) => platform.expect(wants),
            Self::Kubernetes(platform) => platform.expect(wants),
            Self::Actions(platform) => platform.expect(wants),
            Self::Exec(platform) => platform.expect(wants),
        }
    }

    async fn start(&self, want: &Want, cycle: &CycleId, now: SystemTime) -> anyhow::Result<Start> {
        match self {
            Self::Process(platform) => platform.start(want, cycle, now).await,
            Self::Kubernetes(platform) => platform.start(want, cycle, now).await,
            Self::Actions(platform) => platform.start(want, cycle, now).await,
            Self::Exec(platform) => platform.start(want, cycle, now).await,
        }
    }

    async fn preview(&self, want: &Want, now: SystemTime) -> anyhow::Result<Start> {
        match self {
            Self::Process(platform) => platform.preview(want, now).await,
            Self::Kubernetes(platform) => platform.preview(want, now).await,
            Self::Actions(platform) => platform.preview(want, now).await,
            Self::Exec(platform) => platform.preview(want, now).await,
        }
    }

    async fn sweep(&self, present: &BTreeSet<Slot>, groups: &BTreeSet<Group>, now: SystemTime) {
        match self {
            Self::Process(platform) => platform.sweep(present, groups, now).await,
            Self::Kubernetes(platform) => platform.sweep(present, groups, now).await,
            Self::Actions(platform) => platform.sweep(present, groups, now).await,
            Self::Exec(platform) => platform.sweep(present, groups, now).await,
        }
    }

    fn requests(&self) -> u64 {
        match self {
            Self::Process(platform) => platform.requests(),
            Self::Kubernetes(platform) => platform.requests(),
            Self::Actions(platform) => platform.requests(),
            Self::Exec(platform) => platform.requests(),
        }
    }

    fn contacts(&self) -> Contacts {
        match self {
            Self::Process(platform) => platform.contacts(),
            Self::Kubernetes(platform) => platform.contacts(),
            Self::Actions(platform) => platform.contacts(),
            Self::Exec(platform) => platform.contacts(),
        }
    }

    fn starts_at_once(&self) -> usize {
        match self {
            Self::Process(platform) => platform.starts_at_once(),
            Self::Kubernetes(platform) => platform.starts_at_once(),
            Self::Actions(platform) => platform.starts_at_once(),
            Self::Exec(platform) => platform.starts_at_once(),
        }
    }
}

/// Every slot that the platform remembers.
#[derive(Debug, Default)]
pub struct Remembered {
    /// The slots that could be read.
    pub slots: Vec<SlotSessions>,
    /// Why the others could not.
    pub unreadable: Vec<anyhow::Error>,
    /// When, by the clock that wrote the times; `None`: this machine's.
    pub as_of: Option<SystemTime>,
}

pub struct Log<'a> {
    /// What to know of it before it is read, for a person; empty where there is nothing to say.
    pub note: String,
    /// Its bytes, as they come.
    pub bytes: BoxStream<'a, anyhow::Result<Bytes>>,
}

impl AnyPlatform {
    /// All that is remembered; on this machine further back than a list goes.
    pub async fn sessions(&self) -> anyhow::Result<Remembered> {
        let listing = match self {
            Self::Process(platform) => {
                let (slots, unreadable) = platform.sessions()?;
                return Ok(Remembered { slots, unreadable, as_of: None });
            }
            Self::Kubernetes(platform) => platform.list().await?,
            Self::Actions(platform) => platform.list().await?,
            Self::Exec(platform) => platform.list().await?,
        };
        let as_of = listing.as_of;
        Ok(Remembered { slots: SlotSessions::of(listing), unreadable: Vec::new(), as_of })
    }

    /// Whether a log can be read as it grows.
    pub fn can_follow(&self) -> bool {
        match self {
            Self::Process(_) | Self::Kubernetes(_) | Self::Actions(_) => true,
            Self::Exec(_) => false,
        }
    }

    /// The log of the newest session, or of this generation; with `follow` until the session ends.
    /// `slots` are what was asked for, the likeliest reading first: the first that the platform may
    /// know counts.
    pub async fn logs(
        &self,
        slots: &[Slot],
        generation: Option<u64>,
        follow: bool,
    ) -> anyhow::Result<Log<'_>> {
        let [slot, ..] = slots else { anyhow::bail!("name a slot; see `coordinator sessions`") };
        Ok(match self {
            Self::Process(platform) => {
                let log = platform.logs(slots, generation, follow)?;
                Log { note: String::new(), bytes: log.boxed() }
            }
            Self::Kubernetes(platform) => {
                let log = platform.logs(slot, generation, follow).await?;
                Log { note: String::new(), bytes: log.boxed() }
            }
            Self::Actions(platform) => of_run(platform.logs(slot, generation).await?, follow),
            Self::Exec(platform) => {
                let log = platform.logs(slot, generation).await?;
                Log { note: String::new(), bytes: stream::iter([Ok(log.into())]).boxed() }
            }
        })
    }

    /// Whether sessions can be kept there: `doctor`. `context` is the kubeconfig's.
    pub async fn check(&self, roster: &Roster, context: Option<&str>, now: SystemTime) -> Vec<Finding> {
        match self {
            Self::Process(platform) => platform.check(&roster.roles),
            Self::Kubernetes(platform) => platform.check(&roster.roles, context, now).await,
            Self::Actions(platform) => platform.check().await,
            Self::Exec(platform) => platform.check(now).await,
        }
    }

    /// Ends the slot's live session because the person `by` says so. A cycle has no value through
    /// which it could.
    pub async fn stop(&self, slot: &Slot, by: &str) -> anyhow::Result<StopAnswer> {
        match self {
            Self::Process(platform) => platform.stop(slot, by),
            Self::Kubernetes(platform) => platform.stop(slot, by).await,
            Self::Actions(platform) => platform.stop(slot).await,
            Self::Exec(platform) => platform.stop(slot, by).await,
        }
    }
}

/// GitHub gives no log of a job that still runs, so there is nothing to follow.
fn of_run(log: coordinator_platform_actions::Log, follow: bool) -> Log<'static> {
    let still_runs = log.text == LogText::NotYet;
    let (what, bytes) = match log.text {
        LogText::Whole(bytes) => ("the whole log", Some(bytes)),
        LogText::Tail(bytes) => ("the end of the log; all of it is on the run's page", Some(bytes)),
        LogText::NotYet => {
            ("it still runs, and GitHub gives a log when the job is over; its page shows it live", None)
        }
        LogText::NoAgent => ("no agent ran in it; its page says why", None),
        LogText::Gone => ("GitHub has no log of it any more", None),
    };
    let nothing = if follow && !still_runs { "; GitHub gives no live log to follow" } else { "" };
    let note = format!("generation {}, {}: {what}{nothing}", log.generation, log.url);
    Log { note, bytes: stream::iter(bytes.map(Ok)).boxed() }
}
