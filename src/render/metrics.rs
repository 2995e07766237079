//! The report as Prometheus text, for the textfile collector of a node exporter.
//!
//! One cycle cannot keep a counter, so everything is a gauge about the last cycle. What is unknown
//! has no sample; it is never 0.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;

use super::{MAX_SENTENCE, shown};
use crate::steps::report::alerts::{self, AlertKind};
use coordinator_core::fleet::{HoldReason, StuckReason};
use coordinator_core::report::{
    HealthVerdict, Report, RoleCount, SourceOutcome, SourceReport, Status, Step, StepOutcome,
};
use coordinator_core::secrets::Secrets;

/// The report in the text exposition format, version 0.0.4.
pub fn report(report: &Report, secrets: &Secrets) -> String {
    let mut metrics = Metrics { fleet: report.fleet.as_str(), secrets, text: String::new() };
    cycle(report, &mut metrics);
    steps(report, &mut metrics);
    inventory(report, &mut metrics);
    sources(report, &mut metrics);
    spawn(report, &mut metrics);
    merge(report, &mut metrics);
    health(report, &mut metrics);
    alerts(report, &mut metrics);
    metrics.text
}

/// Replaces the file at once, so that no collector reads half of it; readable by all.
///
/// Fails when the file's directory is missing or cannot be written.
pub fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let name = path.file_name().with_context(|| format!("no file name in {}", path.display()))?;
    let draft = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), process::id()));
    let written = fill(&draft, text).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // The first error is the cause.
        let _ = fs::remove_file(&draft);
    }
    written.with_context(|| format!("cannot write metrics to {}", path.display()))
}

fn fill(draft: &Path, text: &str) -> std::io::Result<()> {
    // A draft is left only by a run that was killed; never write through a link that someone put
    // there.
    let _ = fs::remove_file(draft);
    let mut file = File::create_new(draft)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())
}

fn cycle(report: &Report, metrics: &mut Metrics) {
    let status = |status: Status| {
        (vec![("status", status.word().to_owned())], flag(report.status == status))
    };
    metrics.add(
        "status",
        "Verdict on the last cycle: 1 for the current one, 0 for the others.",
        [Status::Healthy, Status::Degraded, Status::Broken].map(status),
    );
    let one = |value| [(Vec::new(), value)];
    metrics.add(
        "last_cycle_timestamp_seconds",
        "When the last cycle started.",
        one(seconds_since_epoch(report.started_at)),
    );
    metrics.add(
        "last_cycle_duration_seconds",
        "How long the last cycle took.",
        one(report.duration.as_secs_f64()),
    );
    metrics.add(
        "last_cycle_dry_run",
        "1 when the last cycle was a dry run.",
        one(flag(report.dry_run)),
    );
    let requests = [
        ("github", report.requests.github),
        ("platform", report.requests.platform),
        ("health", report.requests.health),
    ];
    let requests = requests.map(|(to, n)| (vec![("to", to.to_owned())], number(n)));
    metrics.add("last_cycle_requests", "Requests sent in the last cycle.", requests);
}

fn steps(report: &Report, metrics: &mut Metrics) {
    let ends = [
        end("inventory", &report.inventory),
        end("spawn", &report.spawn),
        end("merge", &report.merge),
        end("health", &report.health),
    ];
    let ran = || {
        ends.iter()
            .flatten()
            .map(|(name, ok, time)| (vec![("step", (*name).to_owned())], *ok, *time))
    };
    metrics.add(
        "step_success",
        "1 when the step ran to its end; steps that were left out are missing.",
        ran().map(|(labels, ok, _)| (labels, flag(ok))),
    );
    metrics.add(
        "step_duration_seconds",
        "How long the step took.",
        ran().map(|(labels, _, time)| (labels, time.as_secs_f64())),
    );
}

fn end<T>(name: &'static str, step: &Step<T>) -> Option<(&'static str, bool, Duration)> {
    match step.outcome {
        StepOutcome::Ok => Some((name, true, step.duration)),
        StepOutcome::Failed(_) => Some((name, false, step.duration)),
        StepOutcome::Skipped | StepOutcome::NotConfigured => None,
    }
}

fn inventory(report: &Report, metrics: &mut Metrics) {
    let roles = &report.inventory.body.roles;
    let labels = |role: &RoleCount| vec![("role", role.role.to_string())];
    let of = |value: fn(&RoleCount) -> Option<u32>| {
        roles.iter().filter_map(move |role| Some((labels(role), f64::from(value(role)?))))
    };
    metrics.add(
        "agents_desired",
        "Sessions that the roster declares.",
        of(|role| Some(role.desired)),
    );
    metrics.add(
        "agents_running",
        "Live sessions when the last cycle started.",
        of(|role| role.running),
    );
    metrics.add(
        "agents_backing_off",
        "Slots that wait because their sessions fail.",
        of(|role| role.running.map(|_| role.backing_off)),
    );
    metrics.add(
        "agents_idle",
        "Slots that wait because their last session found nothing to do.",
        of(|role| role.running.map(|_| role.idle)),
    );
    if report.inventory.outcome == StepOutcome::Ok {
        let unmanaged = report.inventory.body.unmanaged.len();
        let sample = [(Vec::new(), number(unmanaged as u64))];
        metrics.add("agents_unmanaged", "Live sessions that are not in the roster.", sample);
        let stuck = StuckReason::ALL.map(|reason| stuck(report, reason));
        let failing = [(Vec::new(), number(report.inventory.body.failing.len() as u64))];
        metrics.add("agents_failing", "Slots whose last three sessions failed.", failing);
        metrics.add("agents_stuck", "Live sessions that are stuck, by reason.", stuck);
    }
}

/// Counts of the items of the sources beside the roster.
fn sources(report: &Report, metrics: &mut Metrics) {
    let sources = &report.inventory.body.sources;
    let label = |source: &SourceReport| ("source", source.source.clone());
    let read = sources.iter().map(|source| {
        (vec![label(source)], flag(!matches!(source.outcome, SourceOutcome::Failed(_))))
    });
    metrics.add("source_readable", "1 when the source could be read.", read);
    let running = sources.iter().filter_map(|it| Some((vec![label(it)], f64::from(it.running?))));
    metrics.add("items_running", "Live sessions of the source's items.", running);
    let waiting = sources.iter().flat_map(|source| {
        let samples = source.waiting.iter();
        samples.map(|(reason, count)| {
            (vec![label(source), ("reason", (*reason).to_owned())], f64::from(*count))
        })
    });
    metrics.add("items_waiting", "Items that are not wanted now, by reason.", waiting);
    let people = sources.iter().map(|source| (vec![label(source)], f64::from(source.needs_human)));
    metrics.add("items_need_human", "Items on which a person must act.", people);
}

/// A reason that has gone has a sample of 0: an alert on it ends.
fn stuck(report: &Report, reason: StuckReason) -> (Labels, f64) {
    let count = report.inventory.body.stuck.iter().filter(|stuck| stuck.reason == reason).count();
    (vec![("reason", reason.word().to_owned())], number(count as u64))
}

fn spawn(report: &Report, metrics: &mut Metrics) {
    if end("spawn", &report.spawn).is_none() {
        return;
    }
    let spawn = &report.spawn.body;
    let results = [
        ("spawned", spawn.spawned.len()),
        ("already_running", spawn.already_running.len()),
        ("held", spawn.held.len()),
        ("failed", spawn.failed.len()),
    ];
    let results =
        results.map(|(result, n)| (vec![("result", result.to_owned())], number(n as u64)));
    metrics.add("last_cycle_spawns", "Slots served in the last cycle, by result.", results);
    let held = tally(spawn.held.iter().map(|(_, hold)| hold.reason.word()));
    metrics.add("last_cycle_held", "Slots held back in the last cycle, by reason.", held);
    let Some(budget) = &spawn.budget else { return };
    if budget.unknown.is_none() {
        let costs = budget.cost_by_role.iter();
        let costs = costs.map(|(role, usd)| (vec![("role", role.clone())], usd.dollars()));
        metrics.add("cost_usd", "US dollars that count in 24 h, live sessions included.", costs);
    }
    let held = spawn.held.iter().filter(|(_, hold)| hold.reason == HoldReason::Budget).count();
    metrics.add(
        "budget_held",
        "Sessions that the budget held back in the last cycle.",
        [(Vec::new(), number(held as u64))],
    );
}

fn merge(report: &Report, metrics: &mut Metrics) {
    if end("merge", &report.merge).is_none() {
        return;
    }
    let merge = &report.merge.body;
    let results = [
        ("merged", merge.merged.len()),
        ("skipped", merge.skipped.len()),
        ("failed", merge.failed.len()),
    ];
    let results =
        results.map(|(result, n)| (vec![("result", result.to_owned())], number(n as u64)));
    metrics.add(
        "last_cycle_pull_requests",
        "Pull requests seen in the last cycle, by result.",
        results,
    );
    let skipped = tally(merge.skipped.iter().map(|pull| pull.reason.word()));
    metrics.add(
        "last_cycle_not_merged",
        "Pull requests skipped in the last cycle, by reason.",
        skipped,
    );
    if report.merge.outcome == StepOutcome::Ok {
        let one = |value| [(Vec::new(), f64::from(value))];
        metrics.add("pull_requests_open", "Open pull requests.", one(merge.open));
        let unjudged = [(Vec::new(), number(merge.unjudged.len() as u64))];
        metrics.add(
            "pull_requests_unjudged",
            "Open pull requests that could not be judged: GitHub did not show enough of them.",
            unjudged,
        );
        metrics.add(
            "review_queue",
            "Open pull requests that wait for a review.",
            one(merge.review_queue),
        );
        metrics.add(
            "conflicts",
            "Open pull requests that conflict with their base.",
            one(merge.conflicts),
        );
    }
    let limited = [(Vec::new(), flag(report.is_rate_limited()))];
    metrics.add(
        "rate_limited",
        "1 when a rate limit ended the spawn or the merge step early.",
        limited,
    );
}

fn health(report: &Report, metrics: &mut Metrics) {
    // Two endpoints with one name would be one series twice, which makes the whole file unreadable.
    let mut endpoints = BTreeMap::new();
    for endpoint in &report.health.body.endpoints {
        let up = endpoint.verdict == HealthVerdict::Up;
        let (all_up, latency) =
            endpoints.entry(metrics.shown(&endpoint.name)).or_insert((true, Duration::ZERO));
        *all_up &= up;
        *latency = endpoint.latency.max(*latency);
    }
    let of = |value: fn(&(bool, Duration)) -> f64| {
        endpoints
            .iter()
            .map(move |(name, health)| (vec![("endpoint", name.clone())], value(health)))
    };
    metrics.add(
        "endpoint_up",
        "1 when the endpoint answered as expected.",
        of(|(up, _)| flag(*up)),
    );
    metrics.add(
        "endpoint_latency_seconds",
        "Time to the endpoint's answer, or to the failure.",
        of(|(_, latency)| latency.as_secs_f64()),
    );
}

/// 0 for a cause that has gone, so that a rule on it resolves.
fn alerts(report: &Report, metrics: &mut Metrics) {
    let found = alerts::alerts(report);
    let sample = |kind: AlertKind| {
        let is_active = found.iter().any(|alert| alert.cause.kind == kind);
        let labels = vec![("cause", kind.word().to_owned())];
        (is_active || alerts::is_seen(report, kind)).then(|| (labels, flag(is_active)))
    };
    metrics.add(
        "alert",
        "1 when the cause held in the last cycle; a cause that could not be seen is missing.",
        AlertKind::ALL.into_iter().filter_map(sample),
    );
}

type Labels = Vec<(&'static str, String)>;

struct Metrics<'a> {
    fleet: &'a str,
    secrets: &'a Secrets,
    text: String,
}

impl Metrics<'_> {
    /// One gauge with all its samples; without samples it is left out.
    fn add(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels, f64)>) {
        let lines: Vec<_> =
            samples.into_iter().map(|(labels, value)| self.sample(name, labels, value)).collect();
        if !lines.is_empty() {
            let head =
                format!("# HELP coordinator_{name} {help}\n# TYPE coordinator_{name} gauge\n");
            self.text.extend([head].into_iter().chain(lines));
        }
    }

    fn shown(&self, text: &str) -> String {
        shown(text, MAX_SENTENCE, self.secrets)
    }

    fn sample(&self, name: &str, labels: Labels, value: f64) -> String {
        let fleet = [("fleet", self.fleet.to_owned())];
        let labels = fleet.into_iter().chain(labels);
        let labels: Vec<_> = labels
            .map(|(key, text)| format!("{key}=\"{}\"", escaped(&self.shown(&text))))
            .collect();
        format!("coordinator_{name}{{{}}} {value}\n", labels.join(","))
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn tally<'a>(reasons: impl Iterator<Item = &'a str>) -> Vec<(Labels, f64)> {
    let mut counts = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_insert(0) += 1;
    }
    let labels = |reason: &str| vec![("reason", reason.to_owned())];
    counts.into_iter().map(|(reason, count)| (labels(reason), f64::from(count))).collect()
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// A count as a sample; f64 holds each of these exactly.
fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn seconds_since_epoch(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
