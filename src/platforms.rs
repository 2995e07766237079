//! Which platform a roster chooses: the one match over them.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::{self, LocalBoxStream, StreamExt};

use coordinator_core::finding::Finding;
use coordinator_core::fleet::{Group, Listing, Pause, Slot, SlotSessions, Want};
use coordinator_core::platform::{Attach, CycleId, Ended, Platform, Start, StopAnswer};
use coordinator_core::report::Contacts;
use coordinator_platform_actions::{Actions, LogText};
#[cfg(feature = "kubernetes")]
use coordinator_platform_kubernetes::Kubernetes;
use coordinator_platform_local::exec::Exec;
use coordinator_platform_local::process::Process;
use coordinator_roster::Roster;

pub enum AnyPlatform {
    Process(Process),
    #[cfg(feature = "kubernetes")]
    Kubernetes(Box<Kubernetes>),
    Actions(Box<Actions>),
    Exec(Box<Exec>),
}

/// The same call on whichever platform it is.
macro_rules! on_each {
    ($any:expr, $platform:ident => $call:expr) => {
        match $any {
            AnyPlatform::Process($platform) => $call,
            #[cfg(feature = "kubernetes")]
            AnyPlatform::Kubernetes($platform) => $call,
            AnyPlatform::Actions($platform) => $call,
            AnyPlatform::Exec($platform) => $call,
        }
    };
}

impl Platform for AnyPlatform {
    async fn list(&self) -> anyhow::Result<Listing> {
        on_each!(self, platform => platform.list().await)
    }

    fn expect<'a>(&self, wants: impl Iterator<Item = &'a Want>) {
        on_each!(self, platform => platform.expect(wants));
    }

    async fn start(&self, want: &Want, cycle: &CycleId, now: SystemTime) -> anyhow::Result<Start> {
        on_each!(self, platform => platform.start(want, cycle, now).await)
    }

    async fn preview(&self, want: &Want, now: SystemTime) -> anyhow::Result<Start> {
        on_each!(self, platform => platform.preview(want, now).await)
    }

    async fn sweep(&self, present: &BTreeSet<Slot>, groups: &BTreeSet<Group>, now: SystemTime) {
        on_each!(self, platform => platform.sweep(present, groups, now).await);
    }

    async fn ended(&self, since: SystemTime) -> anyhow::Result<Ended> {
        on_each!(self, platform => platform.ended(since).await)
    }

    async fn paused(&self) -> anyhow::Result<Option<Pause>> {
        on_each!(self, platform => platform.paused().await)
    }

    fn requests(&self) -> u64 {
        on_each!(self, platform => platform.requests())
    }

    fn contacts(&self) -> Contacts {
        on_each!(self, platform => platform.contacts())
    }

    fn starts_at_once(&self) -> usize {
        on_each!(self, platform => platform.starts_at_once())
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
    /// A line for people to print before the log; may be empty.
    pub note: String,
    /// Its bytes, as they come.
    pub bytes: LocalBoxStream<'a, anyhow::Result<Bytes>>,
}

impl AnyPlatform {
    /// All that is remembered; on this machine further back than a list goes.
    pub async fn sessions(&self) -> anyhow::Result<Remembered> {
        if let Self::Process(platform) = self {
            let (slots, unreadable) = platform.sessions()?;
            return Ok(Remembered { slots, unreadable, as_of: None });
        }
        let listing = self.list().await?;
        let as_of = listing.as_of;
        Ok(Remembered { slots: SlotSessions::of(listing), unreadable: Vec::new(), as_of })
    }

    /// The log of the newest session, or of this generation; with `follow` until the session ends.
    /// `slots` are the possible readings of the argument, likeliest first: the first one that the
    /// platform may have is used.
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
                Log { note: String::new(), bytes: log.boxed_local() }
            }
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(platform) => {
                let log = platform.logs(slot, generation, follow).await?;
                Log { note: String::new(), bytes: log.boxed_local() }
            }
            Self::Actions(platform) => {
                let log = platform.logs(slot, generation).await?;
                of_run(platform, slot.clone(), log, follow)
            }
            Self::Exec(platform) if follow => {
                let log = platform.follow(slot, generation).await?;
                Log { note: String::new(), bytes: log.boxed_local() }
            }
            Self::Exec(platform) => {
                let log = platform.logs(slot, generation).await?;
                Log { note: String::new(), bytes: stream::iter([Ok(log.into())]).boxed_local() }
            }
        })
    }

    /// Whether sessions can be kept there: `doctor`. `context` is the kubeconfig's.
    #[cfg_attr(
        not(feature = "kubernetes"),
        expect(unused_variables, reason = "clusters alone have one")
    )]
    pub async fn check(
        &self,
        roster: &Roster,
        context: Option<&str>,
        now: SystemTime,
    ) -> Vec<Finding> {
        match self {
            Self::Process(platform) => platform.check(&roster.roles),
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(platform) => platform.check(&roster.roles, context, now).await,
            Self::Actions(platform) => platform.check().await,
            Self::Exec(platform) => platform.check(now).await,
        }
    }

    /// Pauses the fleet for every cycle to come. A second pause replaces the first one's reason.
    pub async fn pause(&self, pause: &Pause) -> anyhow::Result<()> {
        on_each!(self, platform => platform.pause(pause).await)
    }

    /// Ends the pause; without one it does nothing.
    pub async fn resume(&self) -> anyhow::Result<()> {
        on_each!(self, platform => platform.resume().await)
    }

    /// Lets a slot go on whose last session a person stopped; whether it was held.
    pub async fn release(&self, slot: &Slot) -> anyhow::Result<bool> {
        on_each!(self, platform => platform.release(slot).await)
    }

    /// The sessions that ended since then.
    pub async fn history(&self, since: SystemTime) -> anyhow::Result<Ended> {
        on_each!(self, platform => platform.history(since).await)
    }

    /// When a cycle last ran, where the platform itself shows it.
    pub async fn last_cycle_at(&self) -> anyhow::Result<Option<SystemTime>> {
        on_each!(self, platform => platform.last_cycle_at().await)
    }

    /// The command that takes a person to the agent of the slot.
    pub async fn attach(&self, slot: &Slot) -> anyhow::Result<Attach> {
        on_each!(self, platform => platform.attach(slot).await)
    }

    /// Ends the slot's live session on behalf of the person `by`. A cycle never calls this.
    pub async fn stop(&self, slot: &Slot, by: &str) -> anyhow::Result<StopAnswer> {
        match self {
            Self::Process(platform) => platform.stop(slot, by),
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(platform) => platform.stop(slot, by).await,
            Self::Actions(platform) => platform.stop(slot).await,
            Self::Exec(platform) => platform.stop(slot, by).await,
        }
    }
}

/// Between two looks at a job whose log is waited for: the first, doubled until the last.
const JOB_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(16));

/// GitHub gives no log of a job that still runs: one that is followed is printed when it has ended.
fn of_run(
    platform: &Actions,
    slot: Slot,
    log: coordinator_platform_actions::Log,
    follow: bool,
) -> Log<'_> {
    let what = match log.text {
        LogText::Whole(_) => "the whole log",
        LogText::Tail(_) => "the end of the log; all of it is on the run's page",
        LogText::NotYet if follow => {
            "it still runs; GitHub has the log after the job ends, and it is printed then"
        }
        LogText::NotYet => {
            "it still runs; GitHub has the log after the job ends, and its page shows it live"
        }
        LogText::NoAgent => NO_AGENT,
        LogText::Gone => GONE,
    };
    let note = format!("generation {}, {}: {what}", log.generation, log.url);
    let bytes = match log.text {
        LogText::Whole(bytes) | LogText::Tail(bytes) => stream::iter([Ok(bytes)]).boxed_local(),
        LogText::NotYet if follow => {
            stream::once(at_its_end(platform, slot, log.generation)).boxed_local()
        }
        LogText::NotYet | LogText::NoAgent | LogText::Gone => stream::empty().boxed_local(),
    };
    Log { note, bytes }
}

const NO_AGENT: &str = "no agent ran in it; its page shows why";
const GONE: &str = "GitHub has deleted its log";

/// The log of a session's job when the job has ended.
async fn at_its_end(platform: &Actions, slot: Slot, generation: u64) -> anyhow::Result<Bytes> {
    let (mut pause, longest) = JOB_PAUSES;
    loop {
        tokio::time::sleep(pause).await;
        pause = longest.min(pause * 2);
        let log = platform.logs(&slot, Some(generation)).await?;
        match log.text {
            LogText::Whole(bytes) | LogText::Tail(bytes) => return Ok(bytes),
            LogText::NotYet => {}
            LogText::NoAgent => anyhow::bail!("{}: {NO_AGENT}", log.url),
            LogText::Gone => anyhow::bail!("{}: {GONE}", log.url),
        }
    }
}
