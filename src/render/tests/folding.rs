//! Reports of large fleets are short: slots with one cause share a line.

use insta::assert_snapshot;

use super::text;
use crate::render::sample::{at, converged, slot, stuck, target};
use crate::render::{Form, Output, text as people};
use coordinator_core::fleet::{Hold, HoldReason, StuckReason, Unmanaged};
use coordinator_core::report::{Report, SpawnFailure, Status, StepOutcome};
use coordinator_core::secrets::Secrets;

fn hold(reason: HoldReason, minute: Option<u64>, detail: &str) -> Hold {
    Hold { reason, until: minute.map(at), detail: detail.to_owned() }
}

fn capped() -> Report {
    let mut report = converged();
    let cap = || hold(HoldReason::Cap, None, "max_running = 5 is reached");
    let held = |role, count| (0..count).map(move |index| (target(role, index), cap()));
    report.spawn.body.held = held("ui_builder", 30).chain(held("qa", 3)).collect();
    report
}

fn spawn_lines(report: &Report) -> Vec<String> {
    let text = text(report, Some(80));
    let lines = text.lines().skip_while(|line| !line.starts_with("  spawn"));
    lines.take_while(|line| !line.starts_with("  merge")).map(str::to_owned).collect()
}

#[test]
fn slots_at_a_limit_are_one_line() {
    assert_snapshot!(spawn_lines(&capped()).join("\n"), @"
    spawn      nothing started, 33 held
               ~ 33 held  cap: max_running = 5 is reached
    ");
}

#[test]
fn verbose_lists_each_slot() {
    let secrets = Secrets::default();
    let form = Form { verbose: true, ..Form::plain(Output::Text, &secrets) };
    let text = people::report(&capped(), form);
    let rows = text.lines().filter(|line| line.contains("cap: max_running = 5 is reached"));
    assert_eq!(rows.count(), 33, "{text}");
    assert!(text.contains("~ ui_builder s29  cap:"), "{text}");
}

#[test]
fn slots_that_back_off_share_a_line_by_role_and_the_first_to_start_speaks() {
    let mut report = converged();
    let failed = |minute, code| {
        hold(HoldReason::Backoff, Some(minute), &format!("failed 3 times, last exit {code}"))
    };
    report.spawn.body.held = (0..6)
        .map(|index| (target("qa", index), failed(20 + u64::from(index), index)))
        .chain([(target("writer", 0), failed(9, 7))])
        .collect();
    assert_snapshot!(spawn_lines(&report).join("\n"), @"
    spawn      nothing started, 7 held
               ~ qa s0-s5   back off, the first until 00:20 UTC: failed 3 times,
                            last exit 0
               ~ writer s0  backs off until 00:09 UTC: failed 3 times, last exit 7
    ");
}

#[test]
fn a_thousand_failures_stuck_and_unmanaged_sessions_are_a_few_lines() {
    let mut report = converged();
    let slots = (0..1_000).map(|number| (["qa", "ui_builder"][number as usize % 2], number));
    let failed = |(role, index)| SpawnFailure {
        target: target(role, index),
        error: format!("pods \"{}\" is forbidden\ngrant it", slot(role, index).name()),
    };
    report.spawn.body.failed = slots.clone().map(failed).collect();
    let image = "no image `agents:lates`";
    let is_stuck = |(role, index)| stuck(role, index, StuckReason::Pending, Some(1), image);
    report.inventory.body.stuck = slots.clone().map(is_stuck).collect();
    let unmanaged = |(role, index)| Unmanaged {
        session: format!("old-{role}-s{index}"),
        reason: "no fleet `old`".to_owned(),
    };
    report.inventory.body.unmanaged = slots.map(unmanaged).collect();
    assert_snapshot!(text(&report, Some(80)), @r#"
    coordinator  demo  2026-01-01 00:05 UTC

      inventory  38 of 38 agents running, 1000 stuck, 1000 unmanaged
                 ? 1000 stuck      pending since 00:01 UTC: no image `agents:lates`
                                   qa s0 s2 s4 s6 s8 s10 s12 s14 and 492 more,
                                   ui_builder s1 s3 s5 s7 s9 s11 s13 s15 and 492
                                   more
                 - 1000 unmanaged  no fleet `old`
                                   old-qa-s0 old-ui_builder-s1 old-qa-s2 and 997
                                   more
      spawn      1000 failed
                 ! 1000 failed  pods "qa-s0" is forbidden
                                grant it
                                qa s0 s2 s4 s6 s8 s10 s12 s14 and 492 more,
                                ui_builder s1 s3 s5 s7 s9 s11 s13 s15 and 492 more
      merge      none merged, 12 open: 7 need review, 3 wait for checks, 2 conflict
      health     production 200 in 45 ms

    healthy  0.8 s, 3 requests
    "#);
}

#[test]
fn causes_that_are_too_many_are_counted() {
    let mut report = converged();
    let failed =
        |index| SpawnFailure { target: target("qa", index), error: format!("exit {index}") };
    report.spawn.body.failed = (0..50).map(failed).collect();
    let lines = spawn_lines(&report);
    assert_eq!(lines.len(), 11, "{lines:#?}");
    assert_eq!(lines[10].trim(), "! 41 more  `-v` lists each");
}

#[test]
fn an_error_stands_in_the_line_of_its_step_alone() {
    let mut report = converged();
    let error = "cannot list the open pull requests: connection refused";
    report.merge.outcome = StepOutcome::Failed(error.to_owned());
    report.status = Status::Broken;
    report.reasons =
        vec![crate::render::sample::reason(Status::Broken, &format!("merge failed: {error}"))];
    let text = text(&report, None);
    assert_eq!(text.matches("connection refused").count(), 1, "{text}");
    assert!(text.contains("\nbroken: merge failed  "), "{text}");
}
