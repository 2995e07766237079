//! `coordinator.status/v1`. Fields are only ever added.

use std::collections::BTreeMap;

use super::Seen;
use super::slots::{GroupStatus, SlotState, SlotStatus};
use crate::command::pulls;
use crate::render::json::{self, Json, object};
use crate::render::words::{rfc3339, sentence};
use coordinator_core::fleet::{FleetName, Outcome};
use coordinator_core::report::StepOutcome;

pub(super) fn document(seen: &Seen, groups: &[GroupStatus]) -> Json {
    let report = &seen.report;
    object([
        ("schema", "coordinator.status/v1".into()),
        ("fleet", report.fleet.as_str().into()),
        ("status", report.status.word().into()),
        ("reasons", report.reasons.iter().map(|reason| sentence(&reason.text)).collect()),
        ("paused", report.paused.as_ref().map(json::pause).into()),
        ("last_cycle_at", seen.last_cycle_at.map(rfc3339).into()),
        ("groups", groups.iter().map(|group| group_json(group, &report.fleet)).collect()),
        ("pulls", verdicts(seen).map(counts).into()),
        (
            "endpoints",
            (report.health.outcome != StepOutcome::Skipped)
                .then(|| json::endpoints(&report.health.body))
                .into(),
        ),
    ])
}

/// Open pull requests by verdict; `None` where they are not read or could not be.
pub(super) fn verdicts(seen: &Seen) -> Option<BTreeMap<&'static str, u32>> {
    let merge = &seen.report.merge;
    let mut counts = BTreeMap::new();
    for row in pulls::rows(&merge.body) {
        *counts.entry(row.verdict).or_default() += 1;
    }
    (merge.outcome == StepOutcome::Ok).then_some(counts)
}

fn counts(verdicts: BTreeMap<&'static str, u32>) -> Json {
    object(verdicts.into_iter().map(|(verdict, count)| (verdict, count.into())))
}

fn group_json(group: &GroupStatus, fleet: &FleetName) -> Json {
    object([
        ("group", group.group.as_str().into()),
        ("kind", group.kind.into()),
        ("desired", group.desired.into()),
        ("running", group.running.into()),
        ("slots", group.slots.iter().map(|slot| slot_json(slot, fleet)).collect()),
    ])
}

fn slot_json(status: &SlotStatus, fleet: &FleetName) -> Json {
    let item = status.item.as_ref().map(|of| &of.item);
    let (until, since) = match &status.now {
        SlotState::Live { since, .. } => (None, *since),
        SlotState::Held(hold) => (hold.until, None),
        SlotState::Next | SlotState::Unknown => (None, None),
    };
    let last = status.last.as_ref();
    let since = since.or_else(|| last.map(|run| run.finished_at));
    object([
        ("slot", status.slot.session_name(fleet).into()),
        ("item", item.map(|item| sentence(&item.id)).into()),
        ("role", status.role.as_str().into()),
        ("attempt", item.map(|item| item.counts.attempt).into()),
        ("state", status.now.word().into()),
        ("reason", status.now.reason().into()),
        ("detail", detail(status).into()),
        ("until", until.map(rfc3339).into()),
        ("since", since.map(rfc3339).into()),
        ("outcome", status.outcome.map(Outcome::word).into()),
        ("exit_code", last.and_then(|run| run.exit_code).map(exit_code).into()),
        ("last_line", status.last_line().map(sentence).into()),
    ])
}

fn exit_code(code: i32) -> Json {
    Json::Other(code.into())
}

fn detail(status: &SlotStatus) -> Option<String> {
    match &status.now {
        SlotState::Live { stuck, .. } => stuck.as_ref().map(|stuck| sentence(&stuck.detail)),
        SlotState::Held(hold) => Some(sentence(&hold.detail)),
        SlotState::Next | SlotState::Unknown => None,
    }
}
