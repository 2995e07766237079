//! `coordinator reconcile`: sets up the edges, runs one cycle, renders its report.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Global, Reconcile, StepName};
use crate::client::client_for;
use crate::command::{Outcome, Refused, edges, workflow_run};
use crate::cycle::{self, Cycle, Stop};
use crate::fleet::RoleKey;
use crate::platform::exec::Purpose;
use crate::platform::kubernetes::Kubernetes;
use crate::platform::{CycleId, Platform, process};
use crate::render::progress::Progress;
use crate::render::{self, Screen, metrics};
use crate::report::{Interrupt, Report};
use crate::roster::{Missing, PlatformKind, Problem, Roster};
use crate::secrets::Secrets;
use crate::steps::report;

/// Runs the cycle and renders it. An error is a mistake of configuration or usage: nothing was touched.
pub async fn run(
    roster: &Roster,
    options: &Reconcile,
    global: &Global,
    secrets: &Secrets,
) -> anyhow::Result<Outcome> {
    let steps = selection(options);
    let urls = roster.repository.iter().map(|repository| &repository.api_url);
    let urls = urls.chain(roster.health.iter().map(|endpoint| &endpoint.url));
    let client = client_for(urls.map(String::as_str));
    refuse_unknown_roles(roster, &options.role)?;
    refuse_lost_metrics(options.metrics_file.as_deref())?;
    let agents = steps.contains(&StepName::Inventory) || steps.contains(&StepName::Spawn);
    let mut report = match &roster.platform.kind {
        PlatformKind::Process { state_dir } => {
            if agents && let Some(refusal) = process::refusal(state_dir) {
                anyhow::bail!(Refused(refusal));
            }
            cycle(roster, options, client, edges::process(roster, state_dir)).await?
        }
        PlatformKind::Kubernetes(settings) if agents => {
            let platform = edges::kubernetes(roster, settings, global).await;
            cycle(roster, options, client, platform).await?
        }
        PlatformKind::GithubActions(settings) => {
            let platform = edges::actions(roster, settings, &client)?;
            cycle(roster, options, client, platform).await?
        }
        PlatformKind::Exec(settings) => {
            let purpose = if options.dry_run { Purpose::Look } else { Purpose::Start };
            cycle(roster, options, client, Ok(edges::exec(roster, settings, purpose))).await?
        }
        // A cluster that no step needs is left alone.
        PlatformKind::Kubernetes(_) => {
            let unused: anyhow::Result<Kubernetes> = Err(anyhow::anyhow!("no step needs the cluster"));
            cycle(roster, options, client, unused).await?
        }
    };
    report.mask(secrets);
    if let Some(path) = &options.metrics_file
        && let Err(error) = metrics::write(path, &metrics::report(&report))
    {
        tracing::error!("{error:#}");
    }
    workflow_run::tell(&report, secrets);
    let code = report::exit_code(&report, options.strict, options.detailed_exitcode);
    let stdout = render::report(&report, global.output, Screen::stdout(global.color))?;
    Ok(Outcome { stdout, code })
}

/// The variables that are missing for a step that runs: spawn fills the environment of the sessions
/// that it may start, and inventory and spawn both start the plugin.
pub fn missing(roster: &Roster, options: &Reconcile) -> Vec<Problem> {
    let steps = selection(options);
    let spawns = steps.contains(&StepName::Spawn);
    let starts_plugin = spawns || steps.contains(&StepName::Inventory);
    let is_served = |key: &RoleKey| options.role.is_empty() || options.role.contains(key);
    let starts = |missing: &Missing| {
        roster
            .roles
            .iter()
            .any(|role| role.count > 0 && is_served(&role.key) && missing.roles.contains(&role.key))
    };
    let needed =
        roster.missing.iter().filter(|missing| spawns && starts(missing) || starts_plugin && missing.plugin);
    needed.map(|missing| missing.problem.clone()).collect()
}

/// One cycle on this platform, or without one when it could not be set up.
async fn cycle<P: Platform>(
    roster: &Roster,
    options: &Reconcile,
    client: anyhow::Result<reqwest::Client>,
    platform: anyhow::Result<P>,
) -> anyhow::Result<Report> {
    let cycle = Cycle {
        roster,
        id: new_cycle_id(SystemTime::now()),
        steps: selection(options),
        only_roles: &options.role,
        dry_run: options.dry_run,
        platform,
        github: edges::github(roster, &client)?,
        probe: client,
        clock: SystemTime::now,
        progress: Progress::stderr(),
    };
    let stop = Stop::default();
    tokio::select! {
        report = cycle::run(&cycle, &stop) => Ok(report),
        never = interrupt_on_signal(&stop) => match never? {},
    }
}

/// `--only` and `--skip` as the steps that run; spawn needs an inventory.
fn selection(options: &Reconcile) -> Vec<StepName> {
    let all = [StepName::Inventory, StepName::Spawn, StepName::Merge, StepName::Health];
    let chosen = |step: &StepName| {
        let only = options.only.is_empty() || options.only.contains(step);
        let implied = *step == StepName::Inventory && options.only.contains(&StepName::Spawn);
        (only || implied) && !options.skip.contains(step)
    };
    all.into_iter().filter(chosen).collect()
}

/// Only a folder that is missing can be known beforehand.
fn refuse_lost_metrics(path: Option<&Path>) -> anyhow::Result<()> {
    let folder = path.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => {
            anyhow::bail!(Refused(format!("no folder {} for --metrics-file", folder.display())))
        }
        Some(_) | None => Ok(()),
    }
}

fn refuse_unknown_roles(roster: &Roster, wanted: &[RoleKey]) -> anyhow::Result<()> {
    for key in wanted {
        if !roster.roles.iter().any(|role| role.key == *key) {
            let roster = roster.path.display();
            anyhow::bail!(Refused(format!(
                "no role `{key}` in {roster}; `coordinator check` lists the roles"
            )));
        }
    }
    Ok(())
}

/// Unique among overlapping runs on one machine and, by the time, among machines.
fn new_cycle_id(now: SystemTime) -> CycleId {
    let nanos = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    CycleId(format!("{nanos:x}-{:x}", std::process::id()))
}

async fn interrupt_on_signal(stop: &Stop) -> anyhow::Result<std::convert::Infallible> {
    let mut sigint = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut sigterm = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    loop {
        let interrupt = tokio::select! {
            _ = sigint.recv() => Interrupt::Sigint,
            _ = sigterm.recv() => Interrupt::Sigterm,
        };
        stop.now(interrupt);
    }
}
