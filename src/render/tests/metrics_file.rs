use std::collections::BTreeSet;

use insta::assert_snapshot;
use proptest::prelude::*;

use crate::render::metrics;
use crate::render::sample::{converged, eventful, stuck};
use coordinator_core::fleet::StuckReason;
use coordinator_core::report::StepOutcome;
use coordinator_core::secrets::Secrets;

/// A strict reader of the text exposition format: every sample has HELP and TYPE above it, no
/// series comes twice.
pub(super) fn check_exposition(text: &str) -> Result<(), TestCaseError> {
    let label = r#"[a-z_]+="(?:[^"\\\n]|\\["\\n])*""#;
    let sample = format!(r"^(coordinator_[a-z_]+)(\{{{label}(?:,{label})*\}}) [0-9.]+$");
    let sample = regex::Regex::new(&sample).expect("it is valid");
    let (mut name, mut series, mut names) = (String::new(), BTreeSet::new(), Vec::new());
    let mut lines = text.split_terminator('\n');
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            name = help.split(' ').next().unwrap_or_default().to_owned();
            prop_assert!(!names.contains(&name), "{name} comes twice");
            names.push(name.clone());
            prop_assert_eq!(lines.next().map(str::to_owned), Some(format!("# TYPE {name} gauge")));
            continue;
        }
        let found = sample.captures(line);
        prop_assert!(found.is_some(), "not a sample: {line:?}");
        let found = found.expect("checked above");
        prop_assert_eq!(&found[1], &name);
        prop_assert!(series.insert(format!("{}{}", &found[1], &found[2])), "twice: {line}");
    }
    prop_assert!(text.ends_with('\n') && names.len() > 10);
    Ok(())
}

#[test]
fn metrics_speak_of_the_last_cycle() {
    check_exposition(&metrics::report(&converged(), &Secrets::default())).expect("well-formed");
    let metrics = metrics::report(&eventful(), &Secrets::default());
    let samples: Vec<_> = metrics.lines().filter(|line| !line.starts_with('#')).collect();
    assert_snapshot!(samples.join("\n"), @r#"
    coordinator_status{fleet="demo",status="healthy"} 0
    coordinator_status{fleet="demo",status="degraded"} 0
    coordinator_status{fleet="demo",status="broken"} 1
    coordinator_last_cycle_timestamp_seconds{fleet="demo"} 1767225600
    coordinator_last_cycle_duration_seconds{fleet="demo"} 2.4
    coordinator_last_cycle_dry_run{fleet="demo"} 0
    coordinator_last_cycle_requests{fleet="demo",to="github"} 3
    coordinator_last_cycle_requests{fleet="demo",to="platform"} 42
    coordinator_last_cycle_requests{fleet="demo",to="health"} 1
    coordinator_step_success{fleet="demo",step="inventory"} 1
    coordinator_step_success{fleet="demo",step="spawn"} 1
    coordinator_step_success{fleet="demo",step="merge"} 1
    coordinator_step_success{fleet="demo",step="health"} 1
    coordinator_step_duration_seconds{fleet="demo",step="inventory"} 0.003
    coordinator_step_duration_seconds{fleet="demo",step="spawn"} 0
    coordinator_step_duration_seconds{fleet="demo",step="merge"} 0.7
    coordinator_step_duration_seconds{fleet="demo",step="health"} 0.045
    coordinator_agents_desired{fleet="demo",role="ui_builder"} 38
    coordinator_agents_running{fleet="demo",role="ui_builder"} 0
    coordinator_agents_backing_off{fleet="demo",role="ui_builder"} 0
    coordinator_agents_idle{fleet="demo",role="ui_builder"} 0
    coordinator_agents_unmanaged{fleet="demo"} 0
    coordinator_agents_failing{fleet="demo"} 0
    coordinator_agents_stuck{fleet="demo",reason="pending"} 0
    coordinator_agents_stuck{fleet="demo",reason="terminating"} 0
    coordinator_agents_stuck{fleet="demo",reason="over_deadline"} 0
    coordinator_agents_stuck{fleet="demo",reason="suspended"} 0
    coordinator_last_cycle_spawns{fleet="demo",result="spawned"} 8
    coordinator_last_cycle_spawns{fleet="demo",result="already_running"} 1
    coordinator_last_cycle_spawns{fleet="demo",result="held"} 1
    coordinator_last_cycle_spawns{fleet="demo",result="failed"} 1
    coordinator_last_cycle_held{fleet="demo",reason="backoff"} 1
    coordinator_last_cycle_pull_requests{fleet="demo",result="merged"} 2
    coordinator_last_cycle_pull_requests{fleet="demo",result="skipped"} 3
    coordinator_last_cycle_pull_requests{fleet="demo",result="failed"} 0
    coordinator_last_cycle_not_merged{fleet="demo",reason="ci_pending"} 1
    coordinator_last_cycle_not_merged{fleet="demo",reason="conflict"} 1
    coordinator_last_cycle_not_merged{fleet="demo",reason="not_approved"} 1
    coordinator_pull_requests_open{fleet="demo"} 5
    coordinator_pull_requests_unjudged{fleet="demo"} 0
    coordinator_review_queue{fleet="demo"} 0
    coordinator_conflicts{fleet="demo"} 0
    coordinator_rate_limited{fleet="demo"} 0
    coordinator_endpoint_up{fleet="demo",endpoint="production"} 0
    coordinator_endpoint_latency_seconds{fleet="demo",endpoint="production"} 1.2
    coordinator_alert{fleet="demo",cause="offline"} 0
    coordinator_alert{fleet="demo",cause="production_down"} 1
    coordinator_alert{fleet="demo",cause="pulls_unreadable"} 0
    coordinator_alert{fleet="demo",cause="sessions_unreadable"} 0
    coordinator_alert{fleet="demo",cause="source_unreadable"} 0
    coordinator_alert{fleet="demo",cause="keeps_failing"} 0
    coordinator_alert{fleet="demo",cause="merge_forbidden"} 0
    coordinator_alert{fleet="demo",cause="budget_holds"} 0
    "#);
}

#[test]
fn stuck_sessions_are_counted_by_reason() {
    let mut report = converged();
    report.inventory.body.stuck = vec![
        stuck("ui_builder", 0, StuckReason::Pending, None, "a"),
        stuck("ui_builder", 1, StuckReason::Pending, None, "b"),
        stuck("qa", 0, StuckReason::OverDeadline, None, "c"),
    ];
    let metrics = metrics::report(&report, &Secrets::default());
    for sample in
        ["reason=\"pending\"} 2", "reason=\"over_deadline\"} 1", "reason=\"suspended\"} 0"]
    {
        assert!(
            metrics.contains(&format!("coordinator_agents_stuck{{fleet=\"demo\",{sample}\n")),
            "{metrics}"
        );
    }
}

#[test]
fn what_is_unknown_has_no_sample() {
    let mut report = converged();
    report.inventory.body.running = None;
    report.inventory.body.roles[0].running = None;
    report.inventory.outcome = StepOutcome::Failed("unreadable".to_owned());
    report.merge.outcome = StepOutcome::Skipped;
    let metrics = metrics::report(&report, &Secrets::default());
    assert!(metrics.contains("coordinator_agents_desired{"), "{metrics}");
    for absent in
        ["agents_running", "agents_unmanaged", "agents_stuck", "pull_requests_open", "review_queue"]
    {
        assert!(!metrics.contains(absent), "{absent} in {metrics}");
    }
}

#[test]
fn metrics_replace_the_file_and_leave_nothing_beside_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("coordinator.prom");
    metrics::write(&path, "old\n").expect("written");
    metrics::write(&path, "new\n").expect("written again");
    assert_eq!(std::fs::read_to_string(&path).expect("readable"), "new\n");
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1);
    let mode = std::os::unix::fs::MetadataExt::mode(&path.metadata().expect("it is there"));
    assert_eq!(mode & 0o777, 0o644);
    let error =
        metrics::write(&dir.path().join("absent/x.prom"), "").expect_err("no such directory");
    assert!(format!("{error:#}").starts_with("cannot write metrics to "), "{error:#}");
}
