//! One cycle: the five steps. Agents, merge and health are three chains that do not wait for each other; the report
//! comes last and always.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use crate::render::progress::Progress;
use crate::sources::ROSTER;
use crate::steps::StepName;
use crate::steps::inventory::Plans;
use crate::steps::spawn::SpawnRun;
use crate::steps::{health, inventory, merge, report, spawn};
use coordinator_core::fleet::{Group, Inventory, Slot, Want};
use coordinator_core::platform::{CycleId, Platform};
use coordinator_core::report::{
    Contact, Contacts, HealthReport, InventoryReport, MergeReport, Report, Requests, SourceEffect,
    SpawnReport, Status, Step, StepOutcome,
};
use coordinator_core::source::{Effect, Source};
use coordinator_github::Github;
use coordinator_roster::Roster;

use clock::Clock;
use isolation::{isolated, usable};

pub use clock::{MERGE_RESERVE, inventory_limit};
pub use stop::Stop;

mod clock;
mod isolation;
mod stop;

/// All that one cycle needs. An edge that could not be set up fails its own step alone.
pub struct Cycle<'a, P, S> {
    pub roster: &'a Roster,
    pub id: CycleId,
    pub steps: Vec<StepName>,
    /// What wants sessions, in the order of service.
    pub sources: Vec<S>,
    pub dry_run: bool,
    pub platform: anyhow::Result<P>,
    pub github: anyhow::Result<Github>,
    pub probe: anyhow::Result<reqwest::Client>,
    pub clock: fn() -> SystemTime,
    pub progress: Progress,
}

pub async fn run<P: Platform, S: Source>(cycle: &Cycle<'_, P, S>, stop: &Stop) -> Report {
    let clock = Clock::start(cycle.roster.deadline, (cycle.clock)());
    let probes = Cell::new(0);
    let (verdict, production) = merge::ProductionWatch::new();
    let production = cycle.roster.merge.hold_when_down.then_some(production);
    let ((inventory, spawn), merge, health) = tokio::join!(
        async {
            let (inventory, observed) = take_inventory(cycle, &clock, stop).await;
            let spawn = spawn_deficit(cycle, observed, &clock, stop).await;
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
        contacts: contacts(cycle),
        interrupted: stop.interrupt(),
    };
    report::conclude(&mut report, &cycle.roster.roles);
    report
}

fn requests<P: Platform, S>(cycle: &Cycle<'_, P, S>, health: u64) -> Requests {
    Requests {
        github: cycle.github.as_ref().map_or(0, Github::requests),
        platform: cycle.platform.as_ref().map_or(0, P::requests),
        health,
    }
}

fn contacts<P: Platform, S>(cycle: &Cycle<'_, P, S>) -> Contacts {
    let github = cycle.github.as_ref().map_or(Contact::NotTried, Github::contact);
    let platform = cycle.platform.as_ref().map_or_else(|_| Contacts::default(), P::contacts);
    Contacts { github: github.or(platform.github), ..platform }
}

/// What the inventory found out, for the step after it.
struct Observed<C> {
    sessions: Inventory,
    plans: Plans<C>,
}

/// Lists the sessions, then reads the sources, also where the list failed or is left out.
async fn take_inventory<P: Platform, S: Source>(
    cycle: &Cycle<'_, P, S>,
    clock: &Clock,
    stop: &Stop,
) -> (Step<InventoryReport>, Observed<S::Change>) {
    let (mut step, sessions) = list_sessions(cycle, clock, stop).await;
    if !cycle.steps.iter().any(|step| matches!(step, StepName::Inventory | StepName::Spawn)) {
        return (step, Observed { sessions, plans: Vec::new() });
    }
    let started = Instant::now();
    let until = clock.sources_until();
    let read = inventory::read_sources(&cycle.sources, &sessions, (cycle.clock)(), until);
    let (sources, plans) = tokio::select! {
        () = stop.grace_over() => (Vec::new(), Vec::new()),
        read = read => read,
    };
    step.body.sources = sources;
    step.duration += started.elapsed();
    (step, Observed { sessions, plans })
}

async fn list_sessions<P: Platform, S: Source>(
    cycle: &Cycle<'_, P, S>,
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
        let is_claimed = |slot: &Slot| cycle.sources.iter().any(|source| source.claims(slot));
        let known = platform.list().await?;
        *body = inventory::count(&known, fleet, roles, is_claimed, clock.started_at);
        let _ = listing.set(known);
        Ok(())
    });
    let step = step.await;
    (step, listing.into_inner().map_or(Inventory::Unknown, Inventory::Known))
}

async fn spawn_deficit<P: Platform, S: Source>(
    cycle: &Cycle<'_, P, S>,
    observed: Observed<S::Change>,
    clock: &Clock,
    stop: &Stop,
) -> Step<SpawnReport> {
    if !cycle.steps.contains(&StepName::Spawn) {
        return Step::default();
    }
    let step = isolated(cycle, StepName::Spawn, clock.end, stop, async |run: &mut SpawnRun| {
        let Observed { sessions, plans } = observed;
        let platform = usable(&cycle.platform)?;
        let policy = policy(cycle, &plans);
        let read = ReadItems::of(&cycle.sources, &plans);
        let (wants, effects) = shares(plans);
        let orders = spawn::plan(&cycle.roster.fleet, wants, &sessions, &policy, (cycle.clock)());
        let context = spawn::SpawnContext {
            cycle: &cycle.id,
            clock: cycle.clock,
            until: clock.spawn_until(),
            stop: &stop.token,
            dry_run: cycle.dry_run,
        };
        let (with_start, at_once): (Vec<_>, Vec<_>) = effects.into_iter().map(split).unzip();
        write(cycle, run, at_once).await;
        let applied = spawn::apply(run, platform, orders, &context).await;
        let due = with_start.into_iter().map(|effects| due(effects, run)).collect();
        write(cycle, run, due).await;
        // What has no time any more is the next cycle's.
        if !cycle.dry_run && !context.is_over() {
            let sweep = platform.sweep(&read.present, &read.groups, (cycle.clock)());
            let _ = timeout_at(clock.spawn_until(), sweep).await;
        }
        applied
    })
    .await;
    step.map(SpawnRun::report)
}

/// The items of the sources that were read whole.
struct ReadItems {
    present: BTreeSet<Slot>,
    groups: BTreeSet<Group>,
}

impl ReadItems {
    fn of<S: Source>(sources: &[S], plans: &Plans<S::Change>) -> Self {
        let (mut present, mut groups) = (BTreeSet::new(), BTreeSet::new());
        for (source, plan) in sources.iter().zip(plans) {
            let Some(plan) = plan.as_ref().filter(|plan| plan.unread.is_none()) else { continue };
            if source.name() == ROSTER {
                continue;
            }
            groups.extend(Group::parse(source.name()));
            present.extend(plan.wants.iter().map(|want| want.slot.clone()));
            present.extend(plan.waiting.iter().map(|waiting| waiting.slot.clone()));
        }
        Self { present, groups }
    }
}

/// The limits of the roster, and those of each source.
fn policy<P, S: Source>(cycle: &Cycle<'_, P, S>, plans: &Plans<S::Change>) -> spawn::Policy {
    let settings = &cycle.roster.platform;
    let caps = cycle.sources.iter().zip(plans).filter_map(|(source, plan)| {
        let group = Group::parse(source.name()).ok()?;
        Some((group, plan.as_ref()?.max_concurrent?))
    });
    spawn::Policy {
        max_running: settings.max_running,
        max_spawns: settings.max_spawns,
        max_concurrent: caps.collect::<BTreeMap<_, _>>(),
        on_inventory_failure: settings.on_inventory_failure,
    }
}

/// The effects whose session started.
fn due<C>(effects: Vec<Effect<C>>, run: &SpawnRun) -> Vec<Effect<C>> {
    let started: BTreeSet<&Slot> = run.started().collect();
    let is_due = |effect: &Effect<C>| effect.needs.as_ref().is_some_and(|slot| started.contains(slot));
    effects.into_iter().filter(is_due).collect()
}

/// The wants of all sources in their order, and the effects of each.
fn shares<C>(plans: Plans<C>) -> (Vec<Want>, Vec<Vec<Effect<C>>>) {
    let (wants, effects): (Vec<_>, Vec<_>) = plans
        .into_iter()
        .map(|plan| plan.map_or_else(Default::default, |plan| (plan.wants, plan.effects)))
        .unzip();
    (wants.into_iter().flatten().collect(), effects)
}

/// The effects that need a start, and those that need none.
fn split<C>(effects: Vec<Effect<C>>) -> (Vec<Effect<C>>, Vec<Effect<C>>) {
    effects.into_iter().partition(|effect| effect.needs.is_some())
}

/// Has each source write its effects, all sources at once. A dry run writes nothing.
async fn write<P, S: Source>(
    cycle: &Cycle<'_, P, S>,
    run: &mut SpawnRun,
    effects: Vec<Vec<Effect<S::Change>>>,
) {
    if cycle.dry_run {
        return;
    }
    let writes = cycle.sources.iter().zip(effects).filter(|(_, effects)| !effects.is_empty());
    let writes = writes.map(async |(source, effects)| (source.name(), source.commit(effects).await));
    for (name, reports) in join_all(writes).await {
        let effects = reports.into_iter().map(|report| SourceEffect { source: name.to_owned(), report });
        run.effects.extend(effects);
    }
}

async fn merge_pulls<P, S>(
    cycle: &Cycle<'_, P, S>,
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

async fn check_health<P, S>(
    cycle: &Cycle<'_, P, S>,
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
