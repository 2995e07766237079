//! `coordinator reconcile`: connects the clients, runs one cycle, renders its report.

use std::convert::Infallible;
use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::alerts::{self, AlertContext};
use crate::cli::{Global, Reconcile};
use crate::command::{Finished, Refused, clients, slots};
use crate::cycle::{self, Cycle, Stop};
use crate::render::progress::{self, Progress};
use crate::render::{Form, markdown, metrics, workflow};
use crate::sources;
use crate::steps::{StepName, report};
use crate::workflow_commands::Escape;
use coordinator_core::fleet::RoleKey;
use coordinator_core::platform::CycleId;
use coordinator_core::report::{Interrupt, Report, SourceEffect, Status};
use coordinator_core::secrets::Secrets;
use coordinator_core::source::{EffectOutcome, Source};
use coordinator_http::Client;
use coordinator_platform_local::exec::Purpose;
use coordinator_roster::{Missing, Problem, Roster};

/// Runs the cycle and renders it. An error is a mistake of configuration or usage: nothing was
/// touched.
pub async fn run(
    roster: &Roster,
    options: &Reconcile,
    global: &Global,
    form: Form<'_>,
) -> anyhow::Result<Finished> {
    let steps = steps(options);
    let roles = served_roles(roster, options)?;
    refuse_missing_variables(roster, options, &roles, &steps)?;
    refuse_unknown_source(roster, options)?;
    refuse_lost_metrics(options.metrics_file.as_deref())?;
    let client = Client::new();
    let reads_pause = steps.contains(&StepName::Merge);
    let platform = if needs_platform(&steps) || reads_pause {
        let starts = needs_platform(&steps) && !options.dry_run;
        let purpose = if starts { Purpose::Start } else { Purpose::Look };
        match clients::platform(roster, purpose, global.context.as_deref(), &client).await {
            Ok(platform) => platform,
            Err(refused) if needs_platform(&steps) => bail!(refused),
            // Merges alone do not need it: whether the fleet is paused is then unknown.
            Err(refused) => Err(refused.into()),
        }
    } else {
        Err(anyhow!("no step needs the platform"))
    };
    let cycle = Cycle {
        roster,
        id: new_cycle_id(SystemTime::now()),
        steps,
        sources: sources::configured(roster, &roles, &options.source),
        dry_run: options.dry_run,
        platform,
        github: clients::github(roster, &client)?.map(|github| {
            if roster.alerts.github_issue && !options.dry_run {
                github.with_alerts()
            } else {
                github
            }
        }),
        probe: client,
        clock: SystemTime::now,
        progress: Progress::default(),
    };
    if options.quiet {
        progress::off();
    }
    let stop = Stop::default();
    let names = source_names(roster);
    let run = async {
        let report = cycle::run(&cycle, &stop).await;
        with_alerts(report, &cycle, &stop, &names, form.secrets).await
    };
    let run = progress::waiting(|| cycle.progress.text(), run);
    let report = tokio::select! {
        report = run => report,
        never = interrupt_on_signal(&stop) => match never? {},
    };
    if let Some(path) = &options.metrics_file
        && let Err(error) = metrics::write(path, &metrics::report(&report, form.secrets))
    {
        tracing::error!("{error:#}");
    }
    publish(&report, form);
    let code = report::exit_code(&report, options.strict, options.detailed_exitcode);
    let is_silent = options.quiet && code == 0 && is_uneventful(&report);
    let stdout = if is_silent { String::new() } else { form.report(&report)? };
    Ok(Finished { stdout, code })
}

/// Raises the alerts of a cycle; a signal ends that early.
async fn with_alerts<P, S>(
    mut report: Report,
    cycle: &Cycle<'_, P, S>,
    stop: &Stop,
    sources: &[String],
    secrets: &Secrets,
) -> Report {
    let roster = cycle.roster;
    let context = AlertContext {
        settings: &roster.alerts,
        github: &cycle.github,
        sources,
        folder: roster.path.parent().unwrap_or(Path::new("/")),
        secret_names: &roster.secret_names,
        secrets,
    };
    tokio::select! {
        () = alerts::raise(&mut report, &context) => {}
        () = stop.grace_over() => {}
    }
    report.interrupted = report.interrupted.or_else(|| stop.interrupt());
    report
}

/// Whether the cycle was healthy and changed nothing, so that `--quiet` prints nothing.
fn is_uneventful(report: &Report) -> bool {
    let written = |effect: &SourceEffect| effect.report.outcome != EffectOutcome::Already;
    report.status == Status::Healthy
        && report.spawn.body.spawned.is_empty()
        && report.spawn.body.failed.is_empty()
        && !report.spawn.body.effects.iter().any(written)
        && report.merge.body.merged.is_empty()
}

/// Appends the report to the summary of the step and annotates the run, where this process is part
/// of a workflow run. What cannot be written is an error in the log alone.
fn publish(report: &Report, form: Form<'_>) {
    let summary =
        env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = summary
        && let Err(error) = append(&path, &markdown::report(report, form.zone, form.secrets))
    {
        tracing::error!("{error:#}");
    }
    match Escape::from_environment() {
        // Commands on purpose. stdout carries the report alone; the runner reads both.
        Escape::WorkflowCommands => {
            let commands = workflow::annotations(report, form.zone, form.secrets);
            // Without stderr this error cannot be reported anywhere.
            let _ = progress::beside(|| io::stderr().write_all(commands.as_bytes()));
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

/// `--only` and `--skip` as the steps that run; spawn needs an inventory.
fn steps(options: &Reconcile) -> Vec<StepName> {
    let all = [StepName::Inventory, StepName::Spawn, StepName::Merge, StepName::Health];
    let chosen = |step: &StepName| {
        let only = options.only.is_empty() || options.only.contains(step);
        let implied = *step == StepName::Inventory && options.only.contains(&StepName::Spawn);
        (only || implied) && !options.skip.contains(step)
    };
    all.into_iter().filter(chosen).collect()
}

fn needs_platform(steps: &[StepName]) -> bool {
    steps.iter().any(|step| matches!(step, StepName::Inventory | StepName::Spawn))
}

/// A missing variable stops only a cycle that would start sessions, or a plugin, without it. A dry
/// run warns.
fn refuse_missing_variables(
    roster: &Roster,
    options: &Reconcile,
    roles: &[RoleKey],
    steps: &[StepName],
) -> anyhow::Result<()> {
    let is_served = |key: &RoleKey| roles.is_empty() || roles.contains(key);
    let starts = |missing: &Missing| {
        let mut started = roster.roles.iter().filter(|role| role.count > 0 && is_served(&role.key));
        started.any(|role| missing.roles.contains(&role.key))
    };
    let is_needed = |missing: &&Missing| {
        steps.contains(&StepName::Spawn) && starts(missing)
            || needs_platform(steps) && missing.plugin
    };
    let missing: Vec<Problem> =
        roster.missing.iter().filter(is_needed).map(|missing| missing.problem.clone()).collect();
    if options.dry_run {
        for Problem { message, hint, .. } in &missing {
            tracing::warn!("{message}; {}", hint.as_deref().unwrap_or_default());
        }
    } else if !missing.is_empty() {
        bail!(Refused::Roster(coordinator_roster::complaints(&roster.named, missing)));
    }
    Ok(())
}

/// The keys that `--role` names; empty: all.
fn served_roles(roster: &Roster, options: &Reconcile) -> anyhow::Result<Vec<RoleKey>> {
    options.role.iter().map(|text| Ok(slots::role(roster, text)?.key.clone())).collect()
}

fn refuse_unknown_source(roster: &Roster, options: &Reconcile) -> anyhow::Result<()> {
    let names = source_names(roster);
    if let Some(name) = options.source.iter().find(|name| !names.contains(name)) {
        bail!(Refused::Usage(format!(
            "no source named `{name}`; this roster has {}",
            names.join(", ")
        )));
    }
    Ok(())
}

fn source_names(roster: &Roster) -> Vec<String> {
    let sources = sources::configured(roster, &[], &[]);
    sources.iter().map(|source| source.name().to_owned()).collect()
}

/// A missing folder is the only failure that shows before the cycle.
fn refuse_lost_metrics(path: Option<&Path>) -> anyhow::Result<()> {
    let folder = path.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => {
            bail!(Refused::Usage(format!(
                "folder {} of --metrics-file not found",
                folder.display()
            )))
        }
        Some(_) | None => Ok(()),
    }
}

/// Unique among overlapping runs on one machine and, by the time, among machines.
pub(super) fn new_cycle_id(now: SystemTime) -> CycleId {
    let nanos = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    CycleId(format!("{nanos:x}-{:x}", std::process::id()))
}

async fn interrupt_on_signal(stop: &Stop) -> anyhow::Result<Infallible> {
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
