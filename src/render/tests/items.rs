//! Reports of a fleet with a source of work items.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::text;
use crate::render::sample::{converged, role};
use crate::render::{json as program, metrics};
use coordinator_core::fleet::{Counts, Group, Hold, HoldReason, Slot, Target, WorkItem};
use coordinator_core::report::{Report, SourceOutcome, SourceReport, Spawned};
use coordinator_core::secrets::Secrets;

/// A source with items that run, start, wait and are superseded.
fn with_items() -> Report {
    let item = |id: &str, attempt| WorkItem {
        id: id.to_owned(),
        counts: Counts { attempt, ..Counts::default() },
    };
    let target = |id: &str, attempt| Target {
        slot: Slot::of_item(&Group::parse("issues").expect("a valid name"), id),
        role: role("builder"),
        item: Some(item(id, attempt)),
    };
    let mut report = converged();
    report.inventory.body.sources = vec![
        SourceReport {
            source: "issues".to_owned(),
            kind: "github-issues",
            outcome: SourceOutcome::Ok,
            items: 6,
            running: Some(1),
            waiting: BTreeMap::from([("blocked", 2), ("needs_human", 1)]),
            needs_human: 1,
        },
        SourceReport {
            source: "beads".to_owned(),
            kind: "beads",
            outcome: SourceOutcome::Failed("the database is locked\u{1b}[31m".to_owned()),
            items: 0,
            running: None,
            waiting: BTreeMap::new(),
            needs_human: 0,
        },
    ];
    report.spawn.body.spawned = vec![Spawned { target: target("123", 2), generation: 4 }];
    let hold = Hold {
        reason: HoldReason::Superseded,
        until: None,
        detail: "another session ran".to_owned(),
    };
    report.spawn.body.held = vec![(target("bd-4jz", 1), hold)];
    report
}

#[test]
fn sources_and_their_items_are_shown_by_name_and_id() {
    assert_snapshot!(text(&with_items(), None), @r#"
    coordinator  demo  2026-01-01 00:05 UTC

      inventory  38 of 38 agents running
                 issues: 1 running of 6 open, 3 wait (2 blocked, 1 needs_human)
                 beads: could not be read: the database is locked[31m
      spawn      1 started, 1 held
                 + issues         123
                 ~ issues bd-4jz  superseded: another session ran
      merge      none merged, 12 open: 7 need review, 3 wait for checks, 2 conflict
      health     production 200 in 45 ms

    healthy  0.8 s, 3 requests
    "#);
}

#[test]
fn item_and_attempt_stand_beside_the_slot_for_programs() {
    let json: Value = serde_json::from_str(
        &program::report(&with_items(), &Secrets::default()).expect("it is written"),
    )
    .expect("JSON");
    let spawned = &json["steps"]["spawn"]["spawned"][0];
    assert_eq!(
        (&spawned["slot"], &spawned["role"], &spawned["item"], &spawned["attempt"]),
        (&json!("demo-issues-i123"), &json!("builder"), &json!("123"), &json!(2))
    );
    let issues = &json["steps"]["inventory"]["sources"][0];
    assert_eq!(issues["waiting"], json!({ "blocked": 2, "needs_human": 1 }));
    assert_eq!(json["steps"]["inventory"]["sources"][1]["error"], "the database is locked[31m");
}

#[test]
fn metrics_have_sources_and_no_sample_for_what_is_unknown() {
    let text = metrics::report(&with_items(), &Secrets::default());
    for line in [
        "coordinator_source_readable{fleet=\"demo\",source=\"issues\"} 1",
        "coordinator_source_readable{fleet=\"demo\",source=\"beads\"} 0",
        "coordinator_items_running{fleet=\"demo\",source=\"issues\"} 1",
        "coordinator_items_waiting{fleet=\"demo\",source=\"issues\",reason=\"blocked\"} 2",
        "coordinator_items_need_human{fleet=\"demo\",source=\"issues\"} 1",
    ] {
        assert!(text.lines().any(|it| it == line), "no {line} in {text}");
    }
    assert!(!text.contains("coordinator_items_running{fleet=\"demo\",source=\"beads\"}"), "{text}");
}
