//! One cycle: the five steps. Agents, merge and health are three chains that do not wait for each
//! other; the report comes last and always.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::render::progress::Progress;
use crate::sources::ROSTER;
use crate::steps::inventory::Plans;
use crate::steps::spawn::SpawnRun;
use crate::steps::{StepName, panic_message};
use crate::steps::{health, inventory, merge, report, spawn};
use coordinator_core::budget::{self, Purse, Spending};
use coordinator_core::fleet::{FleetPause, Group, Inventory, Slot};
use coordinator_core::platform::{CycleId, Platform};
use coordinator_core::report::{
    Access, Contact, Contacts, HealthReport, InventoryReport, MergeReport, Report, Requests,
    SourceEffect, SpawnReport, Status, Step, StepOutcome,
};
use coordinator_core::source::{Effect, Source};
use coordinator_github::Github;
use coordinator_http::Client;
use coordinator_roster::Roster;

use bounds::{Deadlines, isolated};

pub(crate) use bounds::usable;
pub use bounds::{MERGE_RESERVE, Stop, inventory_limit};

mod bounds;

/// All that one cycle needs. A client that could not be set up fails its own step alone.
pub struct Cycle<'a, P, S> {
    pub roster: &'a Roster,
    pub id: CycleId,
    pub steps: Vec<StepName>,
    /// In the order of service.
    pub sources: Vec<S>,
    pub dry_run: bool,
    pub platform: anyhow::Result<P>,
    pub github: anyhow::Result<Github>,
    /// Sends the health requests.
    pub probe: anyhow::Result<Client>,
    pub clock: fn() -> SystemTime,
    pub progress: Progress,
}

pub async fn run<P: Platform, S: Source>(cycle: &Cycle<'_, P, S>, stop: &Stop) -> Report {
    let times = Deadlines::start(cycle.roster.deadline, (cycle.clock)());
    let probes = Cell::new(0);
    let (verdict, production) = merge::ProductionWatch::new();
    let production = cycle.roster.merge.hold_when_down.then_some(production);
    let (found, pause) = merge::PauseWatch::new();
    let ((inventory, spawn, paused), merge, health) = tokio::join!(
        // Boxed, so that the future of a cycle is small enough for a stack.
        Box::pin(async {
            let (inventory, sessions) = list_sessions(cycle, &times, stop).await;
            let pause = pause_of(cycle, &sessions, &times, stop).await;
            found.send_replace(Some(pause.clone()));
            let ((inventory, plans), purse) = tokio::join!(
                read_sources(cycle, inventory, &sessions, &times, stop),
                purse_of(cycle, &sessions, &times, stop)
            );
            let paused = pause.known().cloned();
            let given = (&sessions, pause, purse);
            let spawn = spawn_deficit(cycle, given, plans, &times, stop).await;
            (inventory, spawn, paused)
        }),
        merge_pulls(cycle, &times, stop, production, pause),
        async {
            let health = check_health(cycle, &times, stop, &probes).await;
            verdict.send_replace(Some(merge::Production::of(&health)));
            health
        },
    );
    let mut report = Report {
        fleet: cycle.roster.fleet.clone(),
        started_at: times.started_at,
        duration: times.started.elapsed(),
        dry_run: cycle.dry_run,
        paused,
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

/// The list of all sessions, counted.
async fn list_sessions<P: Platform, S: Source>(
    cycle: &Cycle<'_, P, S>,
    times: &Deadlines,
    stop: &Stop,
) -> (Step<InventoryReport>, Inventory) {
    if !cycle.steps.contains(&StepName::Inventory) {
        return (Step::default(), Inventory::Unknown);
    }
    let mut sessions = Inventory::Unknown;
    let Roster { fleet, roles, .. } = cycle.roster;
    let is_claimed = |slot: &Slot| cycle.sources.iter().any(|source| source.claims(slot));
    let list = async |body: &mut InventoryReport| {
        *body = inventory::unknown(roles);
        let listing = usable(&cycle.platform)?.list().await?;
        *body = inventory::count(&listing, fleet, roles, is_claimed, times.started_at);
        sessions = Inventory::Known(listing);
        Ok(())
    };
    let step = isolated(cycle, StepName::Inventory, times.inventory_until(), stop, list).await;
    (step, sessions)
}

/// Whether the fleet is paused: the list shows it, and without one the platform is read once more.
async fn pause_of<P: Platform, S>(
    cycle: &Cycle<'_, P, S>,
    sessions: &Inventory,
    times: &Deadlines,
    stop: &Stop,
) -> FleetPause {
    if let Inventory::Known(listing) = sessions {
        return listing.paused.clone().into();
    }
    let changes = [StepName::Spawn, StepName::Merge];
    if !changes.iter().any(|step| cycle.steps.contains(step)) {
        return FleetPause::Off;
    }
    match contacts(cycle).platform {
        Access::Granted => {}
        Access::Refused => return FleetPause::Unknown("the platform refuses us".to_owned()),
        Access::NoAnswer => return FleetPause::Unknown("the platform does not answer".to_owned()),
    }
    let read = async { usable(&cycle.platform)?.paused().await };
    match look(read, times, stop).await {
        Ok(pause) => pause.into(),
        Err(why) => FleetPause::Unknown(why),
    }
}

/// What the sessions may still cost; `None` where nothing bounds them, or none is to start.
async fn purse_of<P: Platform, S>(
    cycle: &Cycle<'_, P, S>,
    sessions: &Inventory,
    times: &Deadlines,
    stop: &Stop,
) -> Option<Purse> {
    let budget = &cycle.roster.budget;
    if !budget.is_set() || !cycle.steps.contains(&StepName::Spawn) {
        return None;
    }
    let clock = (cycle.clock)();
    let Inventory::Known(listing) = sessions else {
        let unknown = Spending::Unknown("the inventory failed".to_owned());
        return Some(Purse::new(budget, &unknown, clock));
    };
    let since = budget::since(listing, clock);
    let read = async { usable(&cycle.platform)?.ended(since).await };
    Some(Purse::read(budget, listing, look(read, times, stop).await, clock))
}

/// Reads something of the platform beside its list; else why it is not known.
async fn look<T>(
    read: impl Future<Output = anyhow::Result<T>>,
    times: &Deadlines,
    stop: &Stop,
) -> Result<T, String> {
    let read = AssertUnwindSafe(read).catch_unwind();
    let until = times.sources_until().min(times.end);
    // Poll the read last: after SIGSTOP and SIGCONT beyond the deadline it must send nothing.
    tokio::select! {
        biased;
        () = stop.grace_over() => Err("the run was interrupted".to_owned()),
        () = sleep_until(until) => Err("the platform did not answer in time".to_owned()),
        read = read => match read {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(format!("{error:#}")),
            Err(panic) => Err(format!("panicked: {}", panic_message(&*panic))),
        },
    }
}

/// Reads the sources, also where the list failed or is left out.
async fn read_sources<P: Platform, S: Source>(
    cycle: &Cycle<'_, P, S>,
    mut step: Step<InventoryReport>,
    sessions: &Inventory,
    times: &Deadlines,
    stop: &Stop,
) -> (Step<InventoryReport>, Plans<S::Change>) {
    let needs_sources = [StepName::Inventory, StepName::Spawn];
    if !needs_sources.iter().any(|step| cycle.steps.contains(step)) {
        return (step, Vec::new());
    }
    let (started, until) = (Instant::now(), times.sources_until());
    let plans = tokio::select! {
        () = stop.grace_over() => Vec::new(),
        read = inventory::read_sources(&cycle.sources, sessions, (cycle.clock)(), until) => {
            step.body.sources = read.0;
            read.1
        }
    };
    step.duration += started.elapsed();
    (step, plans)
}

/// Plans, writes the effects that need no start, starts, then writes the others.
async fn spawn_deficit<P: Platform, S: Source>(
    cycle: &Cycle<'_, P, S>,
    (sessions, pause, purse): (&Inventory, FleetPause, Option<Purse>),
    plans: Plans<S::Change>,
    times: &Deadlines,
    stop: &Stop,
) -> Step<SpawnReport> {
    if !cycle.steps.contains(&StepName::Spawn) {
        return Step::default();
    }
    let spawn = async |run: &mut SpawnRun| {
        let platform = usable(&cycle.platform)?;
        let policy = policy(cycle, &plans, pause, purse);
        let (present, groups) = items_read_whole(&cycle.sources, &plans);
        let (mut wants, mut at_once) = (Vec::new(), Vec::new());
        let mut after_start: Vec<Vec<_>> = Vec::new();
        for plan in plans {
            let plan = plan.unwrap_or_default();
            let effects = plan.effects.into_iter();
            let (with_start, without) = effects.partition(|effect| effect.needs.is_some());
            wants.extend(plan.wants);
            at_once.push(without);
            after_start.push(with_start);
        }
        let orders = spawn::plan(&cycle.roster.fleet, wants, sessions, &policy, (cycle.clock)());
        run.budget = policy.budget.map(|purse| purse.after(&orders));
        let context = spawn::SpawnContext {
            cycle: &cycle.id,
            clock: cycle.clock,
            until: times.spawn_until(),
            stop: &stop.token,
            dry_run: cycle.dry_run,
        };
        write(cycle, run, at_once).await;
        let applied = spawn::apply(run, platform, orders, &context).await;
        let started: BTreeSet<Slot> = run.started().cloned().collect();
        let has_started = |effect: &Effect<S::Change>| {
            effect.needs.as_ref().is_some_and(|slot| started.contains(slot))
        };
        for effects in &mut after_start {
            effects.retain(has_started);
        }
        write(cycle, run, after_start).await;
        // After the deadline the sweep is left to the next cycle.
        if !cycle.dry_run && !context.is_over() {
            let sweep = platform.sweep(&present, &groups, (cycle.clock)());
            let _ = timeout_at(times.spawn_until(), sweep).await;
        }
        applied
    };
    isolated(cycle, StepName::Spawn, times.end, stop, spawn).await.map(SpawnRun::report)
}

/// The slots of all items of the sources that were read whole, and the groups of these sources.
fn items_read_whole<S: Source>(
    sources: &[S],
    plans: &Plans<S::Change>,
) -> (BTreeSet<Slot>, BTreeSet<Group>) {
    let (mut present, mut groups) = (BTreeSet::new(), BTreeSet::new());
    for (source, plan) in sources.iter().zip(plans).filter(|(source, _)| source.name() != ROSTER) {
        let Some(plan) = plan.as_ref().filter(|plan| plan.unread.is_none()) else { continue };
        groups.extend(Group::parse(source.name()));
        present.extend(plan.wants.iter().map(|want| want.slot.clone()));
        present.extend(plan.waiting.iter().map(|waiting| waiting.slot.clone()));
    }
    (present, groups)
}

/// The limits of the roster, and those of each source.
fn policy<P: Platform, S: Source>(
    cycle: &Cycle<'_, P, S>,
    plans: &Plans<S::Change>,
    pause: FleetPause,
    budget: Option<Purse>,
) -> spawn::Policy {
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
        pause,
        budget,
        platform: contacts(cycle).platform,
    }
}

/// Commits the effects of each source, all sources at once. A dry run writes nothing.
async fn write<P, S: Source>(
    cycle: &Cycle<'_, P, S>,
    run: &mut SpawnRun,
    effects: Vec<Vec<Effect<S::Change>>>,
) {
    if cycle.dry_run {
        return;
    }
    let writes = cycle.sources.iter().zip(effects).filter(|(_, effects)| !effects.is_empty());
    let writes =
        writes.map(async |(source, effects)| (source.name(), source.commit(effects).await));
    for (name, reports) in join_all(writes).await {
        let effects =
            reports.into_iter().map(|report| SourceEffect { source: name.to_owned(), report });
        run.effects.extend(effects);
    }
}

async fn merge_pulls<P, S>(
    cycle: &Cycle<'_, P, S>,
    times: &Deadlines,
    stop: &Stop,
    production: Option<merge::ProductionWatch>,
    pause: merge::PauseWatch,
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
        merge_until: times.merge_until(),
        stop: stop.token.clone(),
        production,
        pause: Some(pause),
    };
    isolated(cycle, StepName::Merge, times.end, stop, async |body| {
        merge::run(body, usable(&cycle.github)?, policy, &context).await
    })
    .await
}

async fn check_health<P, S>(
    cycle: &Cycle<'_, P, S>,
    times: &Deadlines,
    stop: &Stop,
    probes: &Cell<u64>,
) -> Step<HealthReport> {
    if !cycle.steps.contains(&StepName::Health) {
        return Step::default();
    }
    if cycle.roster.health.is_empty() {
        return Step { outcome: StepOutcome::NotConfigured, ..Step::default() };
    }
    let endpoints = times.in_time(&cycle.roster.health);
    isolated(cycle, StepName::Health, times.end, stop, async |body| {
        health::run(body, usable(&cycle.probe)?, &endpoints, probes).await;
        Ok(())
    })
    .await
}
