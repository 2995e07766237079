//! `coordinator status`: the fleet at a glance. It is a cycle that plans and changes nothing: one
//! list of sessions, one query for pull requests, no preview of starts.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Global, Status};
use crate::command::{Finished, Refused, clients};
use crate::cycle::{self, Cycle, Stop};
use crate::platforms::AnyPlatform;
use crate::render::progress::{self, Progress};
use crate::render::{Form, Output};
use crate::sources;
use crate::steps::StepName;
use coordinator_core::fleet::{Listing, Pause, Want};
use coordinator_core::platform::{CycleId, Ended, Platform, Start};
use coordinator_core::report::{Contacts, Report, StepOutcome};
use coordinator_http::Client;
use coordinator_platform_local::exec::Purpose;
use coordinator_roster::Roster;

mod document;
mod slots;
mod view;

/// Between two looks of `--watch`.
const REDRAWN: Duration = Duration::from_secs(2);

/// The alternate screen of a terminal: what was on it comes back at the end.
const ENTER_SCREEN: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE_SCREEN: &str = "\x1b[?25h\x1b[?1049l";
/// Write over what is there, then remove what is left of it: nothing flickers.
const TO_START: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_REST: &str = "\x1b[J";

/// What one look saw.
pub(super) struct Seen {
    pub(super) report: Report,
    /// `None`: the sessions could not be listed.
    listing: Option<Listing>,
    last_cycle_at: Option<SystemTime>,
}

/// Looks once, or again and again. Exits with 1 where nothing could be read.
pub async fn run(
    options: &Status,
    global: &Global,
    roster: &Roster,
    form: Form<'_>,
) -> anyhow::Result<Finished> {
    if options.watch {
        if !io::stdout().is_terminal() || form.output != Output::Text {
            let why = "--watch redraws a terminal; leave it out, or run `status` repeatedly";
            bail!(Refused::Usage(why.to_owned()));
        }
        return watch(options, global, roster, form).await;
    }
    let seen = look(steps(options), global, roster).await?;
    Ok(Finished { stdout: shown(&seen, roster, form)?, code: code(&seen) })
}

/// 1 where neither sessions nor pull requests could be read.
fn code(seen: &Seen) -> u8 {
    let reads_pulls = seen.report.merge.outcome == StepOutcome::Ok;
    u8::from(seen.listing.is_none() && !reads_pulls)
}

fn shown(seen: &Seen, roster: &Roster, form: Form<'_>) -> anyhow::Result<String> {
    let groups = slots::groups(seen, roster);
    let text = form.show(
        || view::view(seen, &groups, form),
        |secrets| document::document(seen, &groups).pretty(secrets),
    )?;
    Ok(match form.output {
        Output::Text => view::heading(seen, form) + &text,
        Output::Json | Output::Markdown => text,
    })
}

/// Redraws until Ctrl-C, and leaves the terminal as it was.
async fn watch(
    options: &Status,
    global: &Global,
    roster: &Roster,
    form: Form<'_>,
) -> anyhow::Result<Finished> {
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut ended = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    progress::off();
    draw(ENTER_SCREEN)?;
    let redraw = async {
        loop {
            let seen = look(steps(options), global, roster).await?;
            let text = shown(&seen, roster, form)?;
            let text = text.lines().map(|line| format!("{line}{CLEAR_LINE}\r\n"));
            draw(&format!("{TO_START}{}{CLEAR_REST}", text.collect::<String>()))?;
            tokio::time::sleep(REDRAWN).await;
        }
    };
    let end: anyhow::Result<u8> = tokio::select! {
        _ = interrupted.recv() => Ok(130),
        _ = ended.recv() => Ok(143),
        error = redraw => error,
    };
    draw(LEAVE_SCREEN)?;
    Ok(Finished { stdout: String::new(), code: end? })
}

fn draw(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("write to the terminal")
}

fn steps(options: &Status) -> Vec<StepName> {
    let mut steps = vec![StepName::Inventory, StepName::Spawn, StepName::Merge];
    steps.extend(options.probe.then_some(StepName::Health));
    steps
}

/// One cycle that plans and changes nothing.
pub(super) async fn look(
    steps: Vec<StepName>,
    global: &Global,
    roster: &Roster,
) -> anyhow::Result<Seen> {
    let client = Client::new();
    let platform =
        clients::platform(roster, Purpose::Look, global.context.as_deref(), &client).await?;
    let cycle = Cycle {
        roster,
        id: CycleId(String::new()),
        steps,
        sources: sources::configured(roster, &[], &[]),
        dry_run: true,
        platform: platform.map(|platform| Planned { platform, listing: RefCell::default() }),
        github: clients::github(roster, &client)?,
        probe: client,
        clock: SystemTime::now,
        progress: Progress::default(),
    };
    let stop = Stop::default();
    let report = Box::pin(cycle::run(&cycle, &stop)).await;
    let Ok(Planned { platform, listing }) = cycle.platform else {
        return Ok(Seen { report, listing: None, last_cycle_at: None });
    };
    let shown_by_platform = platform.last_cycle_at().await.unwrap_or_else(|error| {
        tracing::debug!("when a cycle last ran is unknown: {error:#}");
        None
    });
    let listing = listing.into_inner();
    let last_cycle_at = shown_by_platform.or_else(|| newest_start(listing.as_ref()?));
    Ok(Seen { report, listing, last_cycle_at })
}

/// The cycle that started the newest session.
fn newest_start(listing: &Listing) -> Option<SystemTime> {
    let records = listing.slots.values();
    let starts = records.flat_map(|record| {
        let live = record.live.as_ref().and_then(|live| live.started_at);
        live.into_iter().chain(record.history.last().map(|run| run.started_at))
    });
    starts.max()
}

/// A platform on which every planned start counts as possible: no request for each of them.
struct Planned {
    platform: AnyPlatform,
    listing: RefCell<Option<Listing>>,
}

impl Platform for Planned {
    async fn list(&self) -> anyhow::Result<Listing> {
        let listing = self.platform.list().await?;
        *self.listing.borrow_mut() = Some(listing.clone());
        Ok(listing)
    }

    async fn start(&self, want: &Want, _: &CycleId, now: SystemTime) -> anyhow::Result<Start> {
        self.preview(want, now).await
    }

    async fn preview(&self, _: &Want, _: SystemTime) -> anyhow::Result<Start> {
        Ok(Start::Started { generation: 0 })
    }

    async fn ended(&self, since: SystemTime) -> anyhow::Result<Ended> {
        self.platform.ended(since).await
    }

    async fn paused(&self) -> anyhow::Result<Option<Pause>> {
        self.platform.paused().await
    }

    fn requests(&self) -> u64 {
        self.platform.requests()
    }

    fn contacts(&self) -> Contacts {
        self.platform.contacts()
    }
}
