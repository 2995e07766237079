//! One cycle: the five steps. Agents, merge and health are three chains that do not wait for each other; the report
//! comes last and always.

use std::cell::{Cell, OnceCell};
use std::time::SystemTime;

use crate::cli::StepName;
use crate::fleet::{Inventory, RoleKey, Want};
use crate::github::Github;
use crate::platform::{CycleId, Platform};
use crate::render::progress::Progress;
use crate::report::{
    HealthReport, InventoryReport, MergeReport, Report, Requests, SpawnReport, Status, Step, StepOutcome,
};
use crate::roster::Roster;
use crate::steps::{health, inventory, merge, report, spawn};

use clock::Clock;
use isolation::{isolated, usable};

pub use clock::{MERGE_RESERVE, inventory_limit};
pub use stop::Stop;

mod clock;
mod isolation;
mod stop;

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
    let clock = Clock::start(cycle.roster.deadline, (cycle.clock)());
    let probes = Cell::new(0);
    let (verdict, production) = merge::ProductionWatch::new();
    let production = cycle.roster.merge.hold_when_down.then_some(production);
    let ((inventory, spawn), merge, health) = tokio::join!(
        async {
            let (inventory, sessions) = take_inventory(cycle, &clock, stop).await;
            let spawn = spawn_deficit(cycle, sessions, &clock, stop).await;
            (inventory, spawn)
        },
        merge_pulls(cycle, &clock, stop, production),
        async {
            let health = check_health(cycle, &clock, stop, &probes).await;
            verdict.send_replace(Some(merge::Production::of(&health)));
            health
        },
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
        requests: requests(cycle, probes.get()),
        interrupted: stop.interrupt(),
    };
    report::conclude(&mut report, &cycle.roster.roles);
    report
}

fn requests<P: Platform>(cycle: &Cycle<'_, P>, health: u64) -> Requests {
    Requests {
        github: cycle.github.as_ref().map_or(0, Github::requests),
        platform: cycle.platform.as_ref().map_or(0, P::requests),
        health,
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
    let listing = OnceCell::new();
    let step = isolated(cycle, StepName::Inventory, clock.inventory_until(), stop, async |body| {
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
            until: clock.spawn_until(),
            stop: &stop.token,
            dry_run: cycle.dry_run,
        };
        spawn::apply(body, platform, orders, &pass).await
    })
    .await
}

async fn merge_pulls<P>(
    cycle: &Cycle<'_, P>,
    clock: &Clock,
    stop: &Stop,
    production: Option<merge::ProductionWatch>,
) -> Step<MergeReport> {
    if !cycle.steps.contains(&StepName::Merge) {
        return Step::default();
    }
    let policy = &cycle.roster.merge;
    if cycle.roster.repository.is_none() || !policy.enabled {
        return Step { outcome: StepOutcome::NotConfigured, ..Step::default() };
    }
    let context = merge::MergeContext {
        dry_run: cycle.dry_run,
        merge_until: clock.merge_until(),
        stop: stop.token.clone(),
        production,
    };
    isolated(cycle, StepName::Merge, clock.end, stop, async |body| {
        merge::run(body, usable(&cycle.github)?, policy, &context).await
    })
    .await
}

async fn check_health<P>(
    cycle: &Cycle<'_, P>,
    clock: &Clock,
    stop: &Stop,
    probes: &Cell<u64>,
) -> Step<HealthReport> {
    if !cycle.steps.contains(&StepName::Health) {
        return Step::default();
    }
    if cycle.roster.health.is_empty() {
        return Step { outcome: StepOutcome::NotConfigured, ..Step::default() };
    }
    let endpoints = clock.in_time(&cycle.roster.health);
    isolated(cycle, StepName::Health, clock.end, stop, async |body| {
        health::run(body, usable(&cycle.probe)?, &endpoints, probes).await;
        Ok(())
    })
    .await
}

impl<P> Cycle<'_, P> {
    /// The roster as a source: upper rows first.
    fn wants(&self) -> Vec<Want> {
        let served = |key: &RoleKey| self.only_roles.is_empty() || self.only_roles.contains(key);
        let roles = self.roster.roles.iter().filter(|role| served(&role.key));
        roles.flat_map(|role| role.wants().collect::<Vec<_>>()).collect()
    }
}
