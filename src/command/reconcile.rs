//! `coordinator reconcile`: sets up the edges, runs one cycle, renders its report.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Global, Reconcile};
use crate::command::edges::{self, Use};
use crate::command::{Outcome, Refused};
use crate::cycle::{self, Cycle, Stop};
use crate::render::progress::Progress;
use crate::render::{Form, markdown, metrics, workflow};
use crate::sources;
use crate::steps::{StepName, report};
use crate::workflow_commands::Escape;
use coordinator_core::fleet::RoleKey;
use coordinator_core::platform::CycleId;
use coordinator_core::report::{Interrupt, Report};
use coordinator_core::secrets::Secrets;
use coordinator_core::source::Source;
use coordinator_http::client_for;
use coordinator_platform_local::exec::Purpose;
use coordinator_roster::{Missing, Problem, Roster};

/// Runs the cycle and renders it. An error is a mistake of configuration or usage: nothing was touched.
pub async fn run(
    roster: &Roster,
    options: &Reconcile,
    global: &Global,
    form: Form<'_>,
) -> anyhow::Result<Outcome> {
    let urls = roster.repository.iter().map(|repository| &repository.api_url);
    let urls = urls.chain(roster.health.iter().map(|endpoint| &endpoint.url));
    let client = client_for(urls.map(String::as_str));
    refuse_unknown_roles(roster, &options.role)?;
    refuse_unknown_sources(roster, &options.source)?;
    refuse_lost_metrics(options.metrics_file.as_deref())?;
    let report = cycle(roster, options, global, client).await?;
    if let Some(path) = &options.metrics_file
        && let Err(error) = metrics::write(path, &metrics::report(&report, form.secrets))
    {
        tracing::error!("{error:#}");
    }
    publish(&report, form.secrets);
    let code = report::exit_code(&report, options.strict, options.detailed_exitcode);
    Ok(Outcome { stdout: form.report(&report)?, code })
}

/// Appends the report to the summary of the step and annotates the run, where this process is part
/// of a workflow run. What cannot be written is an error in the log alone.
fn publish(report: &Report, secrets: &Secrets) {
    let summary = env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = summary
        && let Err(error) = append(&path, &markdown::report(report, secrets))
    {
        tracing::error!("{error:#}");
    }
    match Escape::from_environment() {
        // Commands on purpose. stdout carries the report alone; the runner reads both.
        Escape::WorkflowCommands => {
            let commands = workflow::annotations(report, secrets);
            // Without stderr there is no other place to report this.
            let _ = io::stderr().write_all(commands.as_bytes());
        }
        Escape::None => {}
    }
}

fn append(path: &Path, markdown: &str) -> anyhow::Result<()> {
    let write = || {
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        let used = file.metadata()?.len();
        file.write_all(workflow::summary_after(used, markdown).as_bytes())
    };
    write().with_context(|| format!("cannot add the report to the summary {}", path.display()))
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

/// One cycle, on the platform where a step needs one.
async fn cycle(
    roster: &Roster,
    options: &Reconcile,
    global: &Global,
    client: anyhow::Result<reqwest::Client>,
) -> anyhow::Result<Report> {
    let steps = selection(options);
    let needs_platform = steps.contains(&StepName::Inventory) || steps.contains(&StepName::Spawn);
    let purpose = if options.dry_run { Purpose::Look } else { Purpose::Start };
    let how = Use { purpose, context: global.context.as_deref() };
    let platform = if needs_platform {
        edges::platform(roster, how, &client).await?
    } else {
        Err(anyhow::anyhow!("no step needs the platform"))
    };
    let cycle = Cycle {
        roster,
        id: new_cycle_id(SystemTime::now()),
        steps,
        sources: sources::configured(roster, &options.role, &options.source),
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

fn refuse_unknown_sources(roster: &Roster, wanted: &[String]) -> anyhow::Result<()> {
    let sources = sources::configured(roster, &[], &[]);
    let names: Vec<&str> = sources.iter().map(Source::name).collect();
    match wanted.iter().find(|name| !names.contains(&name.as_str())) {
        Some(name) => {
            anyhow::bail!(Refused(format!("no source `{name}`; this roster has {}", names.join(", "))))
        }
        None => Ok(()),
    }
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
