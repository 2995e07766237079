//! What each step adds to its outcome, duration and error.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::render::words::{millis, rfc3339, safe, sentence};
use coordinator_core::fleet::{FleetName, Slot, Target};
use coordinator_core::report::{
    HealthReport, InventoryReport, MergeReport, NotMerged, RateLimit, RecentMerge, SourceEffect,
    SourceReport, SpawnReport,
};

#[derive(Serialize)]
pub(super) struct InventoryView<'a> {
    desired: u32,
    running: Option<u32>,
    roles: Vec<RoleView<'a>>,
    unmanaged: Vec<UnmanagedView>,
    out_of_range: Vec<String>,
    sources: Vec<SourceView<'a>>,
    stuck: Vec<SlotView<'a, StuckView>>,
}

#[derive(Serialize)]
struct RoleView<'a> {
    role: &'a str,
    desired: u32,
    running: Option<u32>,
    backing_off: u32,
    surplus: u32,
}

#[derive(Serialize)]
struct SourceView<'a> {
    source: &'a str,
    kind: &'static str,
    outcome: &'static str,
    error: Option<String>,
    items: u32,
    running: Option<u32>,
    waiting: &'a BTreeMap<&'static str, u32>,
    needs_human: u32,
}

#[derive(Serialize)]
struct UnmanagedView {
    slot: String,
    reason: String,
}

#[derive(Serialize)]
struct StuckView {
    reason: &'static str,
    since: Option<String>,
    detail: String,
}

#[derive(Serialize)]
pub(super) struct SpawnView<'a> {
    spawned: Vec<SlotView<'a, Generation>>,
    already_running: Vec<SlotView<'a, ()>>,
    held: Vec<SlotView<'a, HoldView>>,
    failed: Vec<SlotView<'a, SpawnErrorView>>,
    effects: Vec<EffectView<'a>>,
    rate_limit: Option<RateLimitView>,
}

#[derive(Serialize)]
struct EffectView<'a> {
    source: &'a str,
    item: String,
    effect: &'static str,
    outcome: &'static str,
    detail: String,
}

#[derive(Serialize)]
struct SlotView<'a, B> {
    slot: String,
    role: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(flatten)]
    body: B,
}

#[derive(Serialize)]
struct Generation {
    generation: u64,
}

#[derive(Serialize)]
struct HoldView {
    reason: &'static str,
    until: Option<String>,
    detail: String,
}

#[derive(Serialize)]
struct SpawnErrorView {
    error: String,
}

#[derive(Serialize)]
pub(super) struct MergeView<'a> {
    open: u32,
    merged: Vec<MergedView<'a>>,
    skipped: Vec<NotMergedView>,
    failed: Vec<NotMergedView>,
    review_queue: u32,
    conflicts: u32,
    rate_limit: Option<RateLimitView>,
}

#[derive(Serialize)]
struct MergedView<'a> {
    number: u64,
    title: String,
    head: &'a str,
    commit: Option<&'a str>,
}

#[derive(Serialize)]
struct NotMergedView {
    number: u64,
    title: String,
    reason: &'static str,
    detail: String,
}

#[derive(Serialize)]
struct RateLimitView {
    resets_at: Option<String>,
}

#[derive(Serialize)]
pub(super) struct HealthView {
    endpoints: Vec<EndpointView>,
    recent_merges: Vec<RecentMergeView>,
}

#[derive(Serialize)]
struct EndpointView {
    name: String,
    url: String,
    status: Option<u16>,
    verdict: &'static str,
    latency_ms: u64,
    error: Option<String>,
}

#[derive(Serialize)]
struct RecentMergeView {
    number: u64,
    title: String,
    merged_at: String,
}

impl<'a> InventoryView<'a> {
    pub(super) fn of(inventory: &'a InventoryReport, fleet: &FleetName) -> Self {
        let roles = inventory.roles.iter().map(|count| RoleView {
            role: count.role.as_str(),
            desired: count.desired,
            running: count.running,
            backing_off: count.backing_off,
            surplus: count.surplus,
        });
        let unmanaged = inventory.unmanaged.iter();
        let unmanaged =
            unmanaged.map(|one| UnmanagedView { slot: safe(&one.session), reason: sentence(&one.reason) });
        let out_of_range = inventory.out_of_range.iter().map(|slot| slot.session_name(fleet));
        let stuck = inventory.stuck.iter().map(|stuck| {
            let (since, detail) = (stuck.since.map(rfc3339), sentence(&stuck.detail));
            slot(fleet, &stuck.slot, StuckView { reason: stuck.reason.word(), since, detail })
        });
        Self {
            desired: inventory.desired,
            running: inventory.running,
            roles: roles.collect(),
            unmanaged: unmanaged.collect(),
            out_of_range: out_of_range.collect(),
            sources: inventory.sources.iter().map(SourceView::of).collect(),
            stuck: stuck.collect(),
        }
    }
}

impl<'a> SourceView<'a> {
    fn of(report: &'a SourceReport) -> Self {
        Self {
            source: &report.source,
            kind: report.kind,
            outcome: report.outcome.word(),
            error: report.outcome.error().map(sentence),
            items: report.items,
            running: report.running,
            waiting: &report.waiting,
            needs_human: report.needs_human,
        }
    }
}

impl<'a> EffectView<'a> {
    fn of(written: &'a SourceEffect) -> Self {
        let SourceEffect { source, report } = written;
        Self {
            source,
            item: safe(&report.item),
            effect: report.effect,
            outcome: report.outcome.word(),
            detail: sentence(&report.detail),
        }
    }
}

impl<'a> SpawnView<'a> {
    pub(super) fn of(spawn: &'a SpawnReport, fleet: &FleetName) -> Self {
        let spawned =
            spawn.spawned.iter().map(|s| target(fleet, &s.target, Generation { generation: s.generation }));
        let held = spawn.held.iter().map(|(held, hold)| {
            let until = hold.until.map(rfc3339);
            target(
                fleet,
                held,
                HoldView { reason: hold.reason.word(), until, detail: sentence(&hold.detail) },
            )
        });
        let failed = spawn.failed.iter().map(|failure| {
            target(fleet, &failure.target, SpawnErrorView { error: sentence(&failure.error) })
        });
        Self {
            spawned: spawned.collect(),
            already_running: spawn.already_running.iter().map(|live| target(fleet, live, ())).collect(),
            held: held.collect(),
            failed: failed.collect(),
            effects: spawn.effects.iter().map(EffectView::of).collect(),
            rate_limit: spawn.rate_limit.as_ref().map(RateLimitView::of),
        }
    }
}

fn slot<'a, B>(fleet: &FleetName, slot: &'a Slot, body: B) -> SlotView<'a, B> {
    SlotView { slot: slot.session_name(fleet), role: slot.group.as_str(), item: None, attempt: None, body }
}

fn target<'a, B>(fleet: &FleetName, target: &'a Target, body: B) -> SlotView<'a, B> {
    let item = target.item.as_ref();
    SlotView {
        slot: target.slot.session_name(fleet),
        role: target.role.as_str(),
        item: item.map(|item| safe(&item.id)),
        attempt: item.map(|item| item.counts.attempt),
        body,
    }
}

impl<'a> MergeView<'a> {
    pub(super) fn of(merge: &'a MergeReport) -> Self {
        let merged = merge.merged.iter().map(|merged| MergedView {
            number: merged.number,
            title: safe(&merged.title),
            head: &merged.head,
            commit: merged.commit.as_deref(),
        });
        Self {
            open: merge.open,
            merged: merged.collect(),
            skipped: merge.skipped.iter().map(NotMergedView::of).collect(),
            failed: merge.failed.iter().map(NotMergedView::of).collect(),
            review_queue: merge.review_queue,
            conflicts: merge.conflicts,
            rate_limit: merge.rate_limit.as_ref().map(RateLimitView::of),
        }
    }
}

impl RateLimitView {
    fn of(limit: &RateLimit) -> Self {
        Self { resets_at: limit.resets_at.map(rfc3339) }
    }
}

impl NotMergedView {
    fn of(pull: &NotMerged) -> Self {
        let (title, detail) = (safe(&pull.title), sentence(&pull.detail));
        Self { number: pull.number, title, reason: pull.reason.word(), detail }
    }
}

impl HealthView {
    pub(super) fn of(health: &HealthReport) -> Self {
        let endpoints = health.endpoints.iter().map(|endpoint| EndpointView {
            name: safe(&endpoint.name),
            url: safe(&endpoint.url),
            status: endpoint.status,
            verdict: endpoint.verdict.word(),
            latency_ms: millis(endpoint.latency),
            error: endpoint.error.as_deref().map(sentence),
        });
        let recent = health.recent_merges.iter();
        let recent = recent.map(|RecentMerge { number, title, merged_at }| RecentMergeView {
            number: *number,
            title: safe(title),
            merged_at: rfc3339(*merged_at),
        });
        Self { endpoints: endpoints.collect(), recent_merges: recent.collect() }
    }
}
