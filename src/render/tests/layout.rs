//! The layout of reports and tables on wide and narrow terminals.

use insta::assert_snapshot;

use super::text;
use crate::render::Screen;
use crate::render::sample::{at, converged, eventful, merged, reason, skip, target};
use crate::render::table::{Cell, Table, View};
use coordinator_core::fleet::{Hold, HoldReason};
use coordinator_core::merge::reason::Reason as PullReason;
use coordinator_core::report::{Report, SpawnFailure, Spawned, Status};
use coordinator_core::secrets::Secrets;

fn footer(report: &Report, width: Option<usize>) -> String {
    let text = text(report, width);
    let lines = text.lines().skip_while(|line| !line.starts_with("broken"));
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_cost_stands_two_blanks_after_the_verdict_or_below_it() {
    let mut report = eventful();
    report.reasons = vec![reason(Status::Broken, "production does not answer")];
    let line = "broken: production does not answer  2.4 s, 46 requests";
    assert_eq!(footer(&report, None), line);
    assert_eq!(footer(&report, Some(54)), line);
    let below = "broken: production does not answer\n2.4 s, 46 requests";
    assert_eq!(footer(&report, Some(53)), below);
    // Not on the last line of a verdict that has several.
    let wrapped = "broken: production does not\nanswer\n2.4 s, 46 requests";
    assert_eq!(footer(&report, Some(30)), wrapped);
}

/// Slots with long names that share a cause, among others.
fn folded() -> Report {
    let mut report = converged();
    let held = |role, reason, detail: &str| {
        (target(role, 0), Hold { reason, until: Some(at(264)), detail: detail.to_owned() })
    };
    let idle = |role| held(role, HoldReason::Idle, "found nothing to do");
    report.spawn.body.spawned = vec![Spawned { target: target("sentinel", 0), generation: 1 }];
    report.spawn.body.held = ["builder", "reviewer", "designer"].map(idle).to_vec();
    report.spawn.body.held.push(held("qa", HoldReason::Backoff, "failed 3 times, last exit 1"));
    report.spawn.body.failed =
        vec![SpawnFailure { target: target("writer", 0), error: "no `claude` on PATH".to_owned() }];
    report
}

fn step(report: &Report, name: &str, width: usize) -> String {
    let text = text(report, Some(width));
    let lines = text.lines().skip_while(|line| !line.trim_start().starts_with(name));
    let rows = lines.skip(1).take_while(|line| line.starts_with("    "));
    rows.map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_long_name_widens_no_column_and_failures_come_before_holds() {
    assert_snapshot!(step(&folded(), "spawn", 80), @"
    + sentinel   s0
    ! writer s0  no `claude` on PATH
    ~ builder s0, reviewer s0, designer s0
      idle until 04:24 UTC: found nothing to do
    ~ qa s0      backs off until 04:24 UTC: failed 3 times, last exit 1
    ");
    // A detail that is short enough stays beside.
    assert_snapshot!(step(&folded(), "spawn", 100), @"
    + sentinel   s0
    ! writer s0  no `claude` on PATH
    ~ builder s0, reviewer s0, designer s0  idle until 04:24 UTC: found nothing to do
    ~ qa s0      backs off until 04:24 UTC: failed 3 times, last exit 1
    ");
}

#[test]
fn titles_are_wrapped_or_cut_beside_their_numbers() {
    let mut report = converged();
    let long = "ログイン画面の認証トークンの更新処理を\
        修正して再試行の回数を設定可能にする";
    report.merge.body.merged = vec![merged(7, "Add login form")];
    report.merge.body.skipped = vec![
        skip(15, "Red build of the parser and its tests", PullReason::CiFailed, "`build` failed"),
        skip(8, long, PullReason::Conflict, "conflict with main"),
    ];
    assert_snapshot!(step(&report, "merge", 40), @"
    + #7   Add login form
    - #15  Red build of the
           parser and its tests
      ci_failed: `build` failed
    - #8   ログイン画面の認証ト
           ークンの更新処理を…
      conflict with main
    ");
}

fn roles(width: usize) -> String {
    let row = |key: &str, brief: &str| {
        let (department, mode) = (Cell::new("Engineering"), Cell::ours("task-driven"));
        vec![Cell::ours(key), department.optional(), mode.optional(), Cell::new(brief)]
    };
    let rows = vec![row("ui_builder", "briefs/ui.md"), row("documenter", "../shared/writer.md")];
    let table = Table { headings: &["role", "department", "mode", "brief"], rows };
    let screen = Screen { color: false, width: Some(width) };
    View { table, lines: Vec::new() }.text(screen, &Secrets::default())
}

#[test]
fn optional_columns_are_left_out_before_a_table_becomes_paragraphs() {
    assert_snapshot!(roles(60), @"
    ROLE        DEPARTMENT   MODE         BRIEF
    ui_builder  Engineering  task-driven  briefs/ui.md
    documenter  Engineering  task-driven  ../shared/writer.md
    ");
    assert_snapshot!(roles(50), @"
    ROLE        DEPARTMENT   BRIEF
    ui_builder  Engineering  briefs/ui.md
    documenter  Engineering  ../shared/writer.md
    ");
    assert_snapshot!(roles(40), @"
    ROLE        BRIEF
    ui_builder  briefs/ui.md
    documenter  ../shared/writer.md
    ");
    assert_snapshot!(roles(30), @"
    ui_builder
      department  Engineering
      mode        task-driven
      brief       briefs/ui.md
    documenter
      department  Engineering
      mode        task-driven
      brief       ../shared/writer.md
    ");
}
