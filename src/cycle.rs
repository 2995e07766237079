//! One cycle: the five steps. Agents, merge and health are three chains that do not wait for each other; the report
//! comes last and always.

use std::cell::{Cell, OnceCell};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cli::StepName;
use crate::fleet::{Inventory, RoleKey, Want};
use crate::github::Github;
use crate::platform::{CycleId, Platform};
use crate::render::progress::Progress;
use crate::report::{
    HealthReport, Interrupt, InventoryReport, MergeReport, Report, Requests, SpawnReport, Status, Step,
    StepOutcome,
};
use crate::roster::{Endpoint, Roster};
use crate::steps::merge::Pass;
use crate::steps::{health, inventory, merge, report, spawn};
use crate::untrusted;

/// What is left of the deadline for the report.
const REPORT_RESERVE: Duration = Duration::from_millis(500);
/// No inventory takes longer, however long the deadline is.
const INVENTORY_LIMIT: Duration = Duration::from_secs(30);
/// No session starts in the last part of the deadline, nor in the last quarter of a short one.
const SPAWN_RESERVE: Duration = Duration::from_secs(10);
/// No merge starts in the last part of the deadline, so that its answer is still heard.
pub const MERGE_RESERVE: Duration = Duration::from_secs(20);
/// What is left of the deadline when the last endpoint's time is up.
const HEALTH_RESERVE: Duration = Duration::from_millis(100);
/// What an operation under way gets to end when a signal ends the cycle.
const GRACE: Duration = Duration::from_millis(700);

/// All that one cycle needs. An edge that could not be set up fails its own step alone.
pub struct Cycle<'a, P> {
    /// What should be.
    pub roster: &'a Roster,
    /// Which cycle this is.
    pub id: CycleId,
    /// Which steps run.
    pub steps: Vec<StepName>,
    /// The roles to serve; empty: all.
    pub only_roles: &'a [RoleKey],
    /// Reads and plans, changes nothing.
    pub dry_run: bool,
    /// Where sessions run.
    pub platform: anyhow::Result<P>,
    /// Where pull requests are.
    pub github: anyhow::Result<Github>,
    /// What asks production.
    pub probe: anyhow::Result<reqwest::Client>,
    /// Reads the wall clock.
    pub clock: fn() -> SystemTime,
    /// Shows on a terminal what goes on.
    pub progress: Progress,
}

/// Runs the five steps.
pub async fn run<P: Platform>(cycle: &Cycle<'_, P>, stop: &Stop) -> Report {
    let clock = Clock::start(cycle);
    let ((inventory, spawn), merge, health) = tokio::join!(
        async {
            let (inventory, sessions) = take_inventory(cycle, &clock, stop).await;
            let spawn = spawn_deficit(cycle, sessions, &clock, stop).await;
            (inventory, spawn)
        },
        merge_pulls(cycle, &clock, stop),
        check_health(cycle, &clock, stop),
    );
    let mut report = Report {
        fleet: cycle.roster.fleet.clone(),
        started_at: clock.started_at,
        duration: clock.started.elapsed(),
        dry_run: cycle.dry_run,
        status: Status::Healthy,
        reasons: Vec::new(),
        inventory,
        spawn,
        merge,
        health,
        advice: Vec::new(),
        requests: requests(cycle, &clock),
        interrupted: stop.interrupt.get(),
    };
    report::conclude(&mut report, &cycle.roster.roles);
    report
}

fn requests<P: Platform>(cycle: &Cycle<'_, P>, clock: &Clock) -> Requests {
    Requests {
        github: cycle.github.as_ref().map_or(0, Github::requests),
        platform: cycle.platform.as_ref().map_or(0, P::requests),
        health: clock.health_requests.get(),
    }
}

async fn take_inventory<P: Platform>(
    cycle: &Cycle<'_, P>,
    clock: &Clock,
    stop: &Stop,
) -> (Step<InventoryReport>, Inventory) {
    if !cycle.steps.contains(&StepName::Inventory) {
        return (Step::default(), Inventory::Unknown);
    }
    let Roster { fleet, roles, .. } = cycle.roster;
    let limit = clock.within(INVENTORY_LIMIT.min(cycle.roster.deadline / 4));
    let listing = OnceCell::new();
    let step = isolated(cycle, StepName::Inventory, limit, stop, async |body| {
        *body = inventory::unknown(roles);
        let platform = usable(&cycle.platform)?;
        let known = inventory::run(body, platform, fleet, roles, clock.started_at).await?;
        let _ = listing.set(known);
        Ok(())
    });
    let step = step.await;
    (step, listing.into_inner().map_or(Inventory::Unknown, Inventory::Known))
}

async fn spawn_deficit<P: Platform>(
    cycle: &Cycle<'_, P>,
    sessions: Inventory,
    clock: &Clock,
    stop: &Stop,
) -> Step<SpawnReport> {
    if !cycle.steps.contains(&StepName::Spawn) {
        return Step::default();
    }
    let settings = &cycle.roster.platform;
    let policy = spawn::Policy {
        max_running: settings.max_running,
        max_spawns: settings.max_spawns,
        on_inventory_failure: settings.on_inventory_failure,
    };
    isolated(cycle, StepName::Spawn, clock.end, stop, async |body| {
        let platform = usable(&cycle.platform)?;
        let orders = spawn::plan(&cycle.roster.fleet, cycle.wants(), &sessions, &policy, (cycle.clock)());
        let pass = spawn::Pass {
            cycle: &cycle.id,
            clock: cycle.clock,
            until: clock.end - SPAWN_RESERVE.min(cycle.roster.deadline / 4),
            stop: &stop.token,
            dry_run: cycle.dry_run,
        };
        spawn::apply(body, platform, orders, &pass).await
    })
    .await
}

async fn merge_pulls<P>(cycle: &Cycle<'_, P>, clock: &Clock, stop: &Stop) -> Step<MergeReport> {
    if !cycle.steps.contains(&StepName::Merge) {
        return Step::default();
    }
    let policy = &cycle.roster.merge;
    if cycle.roster.repository.is_none() || !policy.enabled {
        return Step { outcome: StepOutcome::NotConfigured, ..Step::default() };
    }
    let pass = Pass {
        dry_run: cycle.dry_run,
        merge_until: clock.started + cycle.roster.deadline.saturating_sub(MERGE_RESERVE),
        stop: stop.token.clone(),
    };
    isolated(cycle, StepName::Merge, clock.end, stop, async |body| {
        merge::run(body, usable(&cycle.github)?, policy, &pass).await
    })
    .await
}

async fn check_health<P>(cycle: &Cycle<'_, P>, clock: &Clock, stop: &Stop) -> Step<HealthReport> {
    if !cycle.steps.contains(&StepName::Health) {
        return Step::default();
    }
    if cycle.roster.health.is_empty() {
        return Step { outcome: StepOutcome::NotConfigured, ..Step::default() };
    }
    let endpoints = clock.in_time(&cycle.roster.health);
    isolated(cycle, StepName::Health, clock.end, stop, async |body| {
        health::run(body, usable(&cycle.probe)?, &endpoints, &clock.health_requests).await;
        Ok(())
    })
    .await
}

/// Runs one step so that nothing it does reaches another: its deadline, its error, its panic and a signal all end
/// here, and what it had done until then stays in its report.
async fn isolated<P, T: Default>(
    cycle: &Cycle<'_, P>,
    name: StepName,
    limit: Instant,
    stop: &Stop,
    work: impl AsyncFnOnce(&mut T) -> anyhow::Result<()>,
) -> Step<T> {
    let started = Instant::now();
    cycle.progress.step_started(word(name));
    let mut body = T::default();
    let guarded = AssertUnwindSafe(work(&mut body)).catch_unwind();
    let ended = tokio::select! {
        ended = tokio::time::timeout_at(limit, guarded) => Some(ended),
        () = stop.grace_over() => None,
    };
    let outcome = match ended {
        Some(Ok(Ok(Ok(())))) => StepOutcome::Ok,
        Some(Ok(Ok(Err(error)))) => failed(&format!("{error:#}")),
        Some(Ok(Err(panic))) => failed(&format!("panicked: {}", panic_message(&*panic))),
        Some(Err(_)) => failed(&format!("did not end within {:.1} s", started.elapsed().as_secs_f64())),
        None => failed("interrupted"),
    };
    if let StepOutcome::Failed(error) = &outcome {
        tracing::error!(step = word(name), "{error}");
    }
    cycle.progress.step_ended(word(name), &outcome);
    Step { outcome, duration: started.elapsed(), body }
}

fn word(name: StepName) -> &'static str {
    match name {
        StepName::Inventory => "inventory",
        StepName::Spawn => "spawn",
        StepName::Merge => "merge",
        StepName::Health => "health",
    }
}

fn failed(error: &str) -> StepOutcome {
    // Cutting is for the renderer, after secrets are masked: half a secret would not be recognised.
    StepOutcome::Failed(untrusted::one_line(error, usize::MAX))
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// An edge whose set-up failed says so in the step that needs it.
fn usable<T>(edge: &anyhow::Result<T>) -> anyhow::Result<&T> {
    edge.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))
}

impl<P> Cycle<'_, P> {
    /// The roster as a source: upper rows first.
    fn wants(&self) -> Vec<Want> {
        let served = |key: &RoleKey| self.only_roles.is_empty() || self.only_roles.contains(key);
        let roles = self.roster.roles.iter().filter(|role| served(&role.key));
        roles.flat_map(|role| role.wants().collect::<Vec<_>>()).collect()
    }
}

/// When the cycle started and must have ended.
struct Clock {
    started_at: SystemTime,
    started: Instant,
    end: Instant,
    health_requests: Cell<u64>,
}

impl Clock {
    fn start<P>(cycle: &Cycle<'_, P>) -> Self {
        let started = Instant::now();
        let end = started + cycle.roster.deadline.saturating_sub(REPORT_RESERVE);
        Self { started_at: (cycle.clock)(), started, end, health_requests: Cell::new(0) }
    }

    /// An endpoint that is slower than the whole run is an outage, too, and not a step that did not end.
    fn in_time(&self, endpoints: &[Endpoint]) -> Vec<Endpoint> {
        let left = (self.end - HEALTH_RESERVE).saturating_duration_since(Instant::now());
        let sooner =
            |endpoint: &Endpoint| Endpoint { timeout: endpoint.timeout.min(left), ..endpoint.clone() };
        endpoints.iter().map(sooner).collect()
    }

    fn within(&self, limit: Duration) -> Instant {
        (self.started + limit).min(self.end)
    }
}

/// Ends a cycle early: nothing new begins, and what is under way gets a short grace.
#[derive(Debug, Default)]
pub struct Stop {
    token: CancellationToken,
    interrupt: Cell<Option<Interrupt>>,
}

impl Stop {
    /// The first signal counts.
    pub fn now(&self, interrupt: Interrupt) {
        if self.interrupt.get().is_none() {
            self.interrupt.set(Some(interrupt));
        }
        self.token.cancel();
    }

    fn grace_over(&self) -> impl Future<Output = ()> + '_ {
        self.token.cancelled().then(|()| tokio::time::sleep(GRACE))
    }
}
