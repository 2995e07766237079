//! `coordinator stop`: ends live sessions at a person's command. No cycle ends one.

use std::time::{Duration, SystemTime};

use anyhow::bail;
use tokio::time::{Instant, sleep, timeout_at};

use super::person::{confirmed, person};
use super::{Finished, Refused, clients, slots};
use crate::cli::{Global, Stop};
use crate::platforms::AnyPlatform;
use crate::render::table::View;
use crate::render::{Form, progress};
use coordinator_core::fleet::{Listing, Pause, Slot};
use coordinator_core::platform::{Platform, StopAnswer};
use coordinator_roster::Roster;

/// The grace of every platform is 30 s unless its own settings say more.
const MAX_WAIT: Duration = Duration::from_secs(45);

/// Between two looks whether the sessions have ended.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Ends the named sessions, or all, with the platform's grace, and waits for their ends. `--all`
/// pauses the fleet first, so that no cycle starts others meanwhile.
pub async fn run(
    options: &Stop,
    global: &Global,
    roster: &Roster,
    form: Form<'_>,
) -> anyhow::Result<Finished> {
    let mut named = Vec::new();
    for text in &options.slots {
        named.extend(slots::meant(roster, text)?.into_iter().take(1));
    }
    if options.all != named.is_empty() {
        let why = "name slots, or write --all for every session of the fleet";
        bail!(Refused::Usage(why.to_owned()));
    }
    let what = if options.all {
        format!("every session of {}, and pause it", roster.fleet)
    } else {
        named.iter().map(Slot::name).collect::<Vec<_>>().join(", ")
    };
    if !options.yes && !confirmed(&format!("stop {what}?"))? {
        return Ok(Finished { stdout: "nothing was stopped\n".to_owned(), code: 1 });
    }
    let platform = clients::platform_to_look(roster, global).await?;
    let mut run = StopRun { by: person(), lines: Vec::new(), stopping: Vec::new(), code: 0 };
    if options.all {
        named = run.pause_first(&platform, options.message.as_deref()).await?;
    }
    for slot in named {
        run.stop(&platform, slot).await;
    }
    progress::waiting(|| "waiting for the sessions to end".to_owned(), run.wait(&platform)).await;
    let view = View { lines: run.lines, ..View::default() };
    Ok(Finished { stdout: view.text(form.screen, form.secrets), code: run.code })
}

struct StopRun {
    by: String,
    lines: Vec<String>,
    /// The sessions that have been signalled, by slot and generation.
    stopping: Vec<(Slot, Option<u64>)>,
    code: u8,
}

impl StopRun {
    /// Pauses, unless the fleet is paused already, and returns the slots with a live session.
    async fn pause_first(
        &mut self,
        platform: &AnyPlatform,
        reason: Option<&str>,
    ) -> anyhow::Result<Vec<Slot>> {
        let listing = platform.list().await?;
        if listing.paused.is_none() {
            let (by, since) = (Some(self.by.clone()), Some(SystemTime::now()));
            platform.pause(&Pause { by, since, reason: reason.map(str::to_owned) }).await?;
            self.lines.push("the fleet is paused; `coordinator resume` ends that".to_owned());
        }
        // A cycle that had listed before the pause may have started some since.
        let listing = platform.list().await?;
        let live = listing.slots.into_iter().filter(|(_, record)| record.live.is_some());
        let live: Vec<Slot> = live.map(|(slot, _)| slot).collect();
        if live.is_empty() {
            self.lines.push("no session is live".to_owned());
        }
        Ok(live)
    }

    async fn stop(&mut self, platform: &AnyPlatform, slot: Slot) {
        let name = slot.name();
        match platform.stop(&slot, &self.by).await {
            Ok(StopAnswer::Asked { generation }) => self.stopping.push((slot, generation)),
            Ok(StopAnswer::NotLive) => self.lines.push(format!("{name}: not running")),
            Err(error) => {
                self.code = 1;
                self.lines.push(format!("{name}: {error:#}"));
            }
        }
    }

    /// Until all of them have ended, or the time is up.
    async fn wait(&mut self, platform: &AnyPlatform) {
        let until = Instant::now() + MAX_WAIT;
        while !self.stopping.is_empty() && Instant::now() < until {
            match timeout_at(until, platform.list()).await {
                Ok(Ok(listing)) => self.note_ends(&listing),
                Ok(Err(error)) => tracing::debug!("cannot list the sessions: {error:#}"),
                Err(_) => break,
            }
            if !self.stopping.is_empty() {
                sleep(BETWEEN_LOOKS).await;
            }
        }
        for (slot, _) in self.stopping.drain(..) {
            self.code = 1;
            let wait = humantime::format_duration(MAX_WAIT);
            self.lines.push(format!("{}: still running after {wait}", slot.name()));
        }
    }

    fn note_ends(&mut self, listing: &Listing) {
        let is_live = |(slot, generation): &(Slot, Option<u64>)| {
            let live = listing.slots.get(slot).and_then(|record| record.live.as_ref());
            live.is_some_and(|live| generation.is_none() || live.generation == *generation)
        };
        let (live, ended) = self.stopping.drain(..).partition(is_live);
        self.stopping = live;
        let ended: Vec<(Slot, Option<u64>)> = ended;
        let line = |(slot, _): &(Slot, Option<u64>)| {
            let name = slot.name();
            format!("{name}: stopped; it waits until `coordinator retry {name}` or `resume`")
        };
        self.lines.extend(ended.iter().map(line));
    }
}
