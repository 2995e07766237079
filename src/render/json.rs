//! JSON documents for programs. Strings are masked when a document is written; the names of its
//! fields are not, nor are numbers and words such as `true`.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::words::{millis, rfc3339, sentence};
use super::{MAX_SENTENCE, exact, shown};
use coordinator_core::fleet::{FleetName, Pause, Slot, Target, Usd};
use coordinator_core::report::{
    HealthReport, Interrupt, InventoryReport, MergeReport, NotMerged, RateLimit, Report,
    SourceEffect, SourceReport, SpawnReport, Step,
};
use coordinator_core::secrets::Secrets;

/// A document whose objects keep the order of their fields, as [`Value`] does not. It can be
/// written in no other way than without secrets.
#[derive(Debug)]
pub enum Json {
    /// Shown on one line, without control characters, and cut.
    Text(String),
    /// Written as it is.
    Exact(String),
    List(Vec<Json>),
    Object(Vec<(Cow<'static, str>, Json)>),
    /// Null, a boolean or a number.
    Other(Value),
}

impl Json {
    /// One line, with a line break at its end.
    pub fn line(&self, secrets: &Secrets) -> serde_json::Result<String> {
        Ok(serde_json::to_string(&Masked(self, secrets))? + "\n")
    }

    /// For programs and people, with a line break at its end.
    pub fn pretty(&self, secrets: &Secrets) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(&Masked(self, secrets))? + "\n")
    }
}

struct Masked<'a>(&'a Json, &'a Secrets);

impl Serialize for Masked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(json, secrets) = self;
        match json {
            Json::Text(text) => serializer.serialize_str(&shown(text, MAX_SENTENCE, secrets)),
            Json::Exact(text) => serializer.serialize_str(&exact(text, secrets)),
            Json::List(items) => {
                serializer.collect_seq(items.iter().map(|item| Masked(item, secrets)))
            }
            Json::Object(fields) => serializer
                .collect_map(fields.iter().map(|(name, field)| (name, Masked(field, secrets)))),
            Json::Other(value) => value.serialize(serializer),
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Other(number.into())
    }
}

impl From<u32> for Json {
    fn from(number: u32) -> Self {
        Self::Other(number.into())
    }
}

impl From<bool> for Json {
    fn from(is: bool) -> Self {
        Self::Other(is.into())
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Other(Value::Null), Into::into)
    }
}

impl<T: Into<Json>> FromIterator<T> for Json {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

/// Strings are written as they are.
impl From<Value> for Json {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => Self::Exact(text),
            Value::Array(items) => items.into_iter().collect(),
            Value::Object(fields) => Self::Object(
                fields.into_iter().map(|(name, field)| (name.into(), field.into())).collect(),
            ),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => Self::Other(other),
        }
    }
}

type Fields = Vec<(&'static str, Json)>;

pub(crate) fn object(fields: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    Json::Object(fields.into_iter().map(|(name, field)| (name.into(), field)).collect())
}

/// The report as `coordinator.report/v1`, in one line. Fields are only ever added.
pub fn report(report: &Report, secrets: &Secrets) -> serde_json::Result<String> {
    let fleet = &report.fleet;
    let steps = object([
        ("inventory", step(&report.inventory, |body| inventory(body, fleet))),
        ("spawn", step(&report.spawn, |body| spawn(body, fleet))),
        ("merge", step(&report.merge, merge)),
        ("health", step(&report.health, health)),
    ]);
    let advice = report.advice.iter().map(|advice| {
        object([
            ("signal", sentence(&advice.signal).into()),
            ("action", sentence(&advice.action).into()),
        ])
    });
    let requests = object([
        ("github", report.requests.github.into()),
        ("platform", report.requests.platform.into()),
        ("health", report.requests.health.into()),
    ]);
    let document = object([
        ("schema", "coordinator.report/v1".into()),
        ("fleet", fleet.as_str().into()),
        ("started_at", rfc3339(report.started_at).into()),
        ("duration_ms", millis(report.duration).into()),
        ("dry_run", report.dry_run.into()),
        ("paused", report.paused.as_ref().map(pause).into()),
        ("status", report.status.word().into()),
        ("reasons", report.reasons.iter().map(|reason| sentence(&reason.text)).collect()),
        ("steps", steps),
        ("advice", advice.collect()),
        ("requests", requests),
        ("interrupted", report.interrupted.map(Interrupt::word).into()),
    ]);
    document.line(secrets)
}

/// A pause, as every document has it.
pub(crate) fn pause(pause: &Pause) -> Json {
    object([
        ("by", pause.by.as_deref().map(sentence).into()),
        ("since", pause.since.map(rfc3339).into()),
        ("reason", pause.reason.as_deref().map(sentence).into()),
    ])
}

pub(crate) fn dollars(usd: Usd) -> Json {
    Json::Other(usd.dollars().into())
}

/// What every step has, and then its own fields.
fn step<T>(step: &Step<T>, body: impl FnOnce(&T) -> Fields) -> Json {
    let end = [
        ("outcome", step.outcome.word().into()),
        ("duration_ms", millis(step.duration).into()),
        ("error", step.outcome.error().map(sentence).into()),
    ];
    object(end.into_iter().chain(body(&step.body)))
}

fn inventory(inventory: &InventoryReport, fleet: &FleetName) -> Fields {
    let roles = inventory.roles.iter().map(|count| {
        object([
            ("role", count.role.as_str().into()),
            ("desired", count.desired.into()),
            ("running", count.running.into()),
            ("backing_off", count.backing_off.into()),
            ("surplus", count.surplus.into()),
            ("idle", count.idle.into()),
        ])
    });
    let unmanaged = inventory.unmanaged.iter().map(|one| {
        object([("slot", one.session.as_str().into()), ("reason", sentence(&one.reason).into())])
    });
    let out_of_range = inventory.out_of_range.iter().map(|slot| slot.session_name(fleet));
    let failing = inventory.failing.iter().map(|slot| slot.session_name(fleet));
    let leftovers = inventory.leftovers.iter().map(|leftover| {
        let path = leftover.path.display().to_string();
        object([("path", sentence(&path).into()), ("bytes", leftover.bytes.into())])
    });
    let stuck = inventory.stuck.iter().map(|stuck| {
        object(slot(fleet, &stuck.slot, stuck.slot.group.as_str()).into_iter().chain([
            ("reason", stuck.reason.word().into()),
            ("since", stuck.since.map(rfc3339).into()),
            ("detail", sentence(&stuck.detail).into()),
        ]))
    });
    vec![
        ("desired", inventory.desired.into()),
        ("running", inventory.running.into()),
        ("roles", roles.collect()),
        ("unmanaged", unmanaged.collect()),
        ("out_of_range", out_of_range.collect()),
        ("sources", inventory.sources.iter().map(source).collect()),
        ("stuck", stuck.collect()),
        ("failing", failing.collect()),
        ("leftovers", leftovers.collect()),
    ]
}

fn source(report: &SourceReport) -> Json {
    object([
        ("source", report.source.as_str().into()),
        ("kind", report.kind.into()),
        ("outcome", report.outcome.word().into()),
        ("error", report.outcome.error().map(sentence).into()),
        ("items", report.items.into()),
        ("running", report.running.into()),
        (
            "waiting",
            object(report.waiting.iter().map(|(reason, count)| (*reason, (*count).into()))),
        ),
        ("needs_human", report.needs_human.into()),
    ])
}

fn spawn(spawn: &SpawnReport, fleet: &FleetName) -> Fields {
    let spawned = spawn.spawned.iter().map(|spawned| {
        object(
            target(fleet, &spawned.target)
                .into_iter()
                .chain([("generation", spawned.generation.into())]),
        )
    });
    let held = spawn.held.iter().map(|(held, hold)| {
        object(target(fleet, held).into_iter().chain([
            ("reason", hold.reason.word().into()),
            ("until", hold.until.map(rfc3339).into()),
            ("detail", sentence(&hold.detail).into()),
        ]))
    });
    let failed = spawn.failed.iter().map(|failure| {
        let error = ("error", sentence(&failure.error).into());
        object(target(fleet, &failure.target).into_iter().chain([error]))
    });
    vec![
        ("spawned", spawned.collect()),
        (
            "already_running",
            spawn.already_running.iter().map(|live| object(target(fleet, live))).collect(),
        ),
        ("held", held.collect()),
        ("failed", failed.collect()),
        ("effects", spawn.effects.iter().map(effect).collect()),
        (
            "budget_overshoot_usd",
            spawn.budget.as_ref().map(|budget| dollars(budget.overshoot)).into(),
        ),
        ("rate_limit", spawn.rate_limit.as_ref().map(rate_limit).into()),
    ]
}

fn effect(written: &SourceEffect) -> Json {
    let SourceEffect { source, report } = written;
    object([
        ("source", source.as_str().into()),
        ("item", report.item.as_str().into()),
        ("effect", report.effect.into()),
        ("outcome", report.outcome.word().into()),
        ("detail", sentence(&report.detail).into()),
    ])
}

fn slot(fleet: &FleetName, slot: &Slot, role: &str) -> Fields {
    vec![("slot", slot.session_name(fleet).into()), ("role", role.into())]
}

/// Item and attempt are beside the slot where there is an item.
fn target(fleet: &FleetName, target: &Target) -> Fields {
    let mut fields = slot(fleet, &target.slot, target.role.as_str());
    if let Some(item) = &target.item {
        fields.extend([("item", item.id.as_str().into()), ("attempt", item.counts.attempt.into())]);
    }
    fields
}

fn merge(merge: &MergeReport) -> Fields {
    let merged = merge.merged.iter().map(|merged| {
        object([
            ("number", merged.number.into()),
            ("title", merged.title.as_str().into()),
            ("head", merged.head.as_str().into()),
            ("commit", merged.commit.as_deref().into()),
        ])
    });
    vec![
        ("open", merge.open.into()),
        ("merged", merged.collect()),
        ("skipped", merge.skipped.iter().map(not_merged).collect()),
        ("failed", merge.failed.iter().map(not_merged).collect()),
        ("review_queue", merge.review_queue.into()),
        ("conflicts", merge.conflicts.into()),
        ("rate_limit", merge.rate_limit.as_ref().map(rate_limit).into()),
    ]
}

fn not_merged(pull: &NotMerged) -> Json {
    object([
        ("number", pull.number.into()),
        ("title", pull.title.as_str().into()),
        ("reason", pull.reason.word().into()),
        ("detail", sentence(&pull.detail).into()),
    ])
}

fn rate_limit(limit: &RateLimit) -> Json {
    object([("resets_at", limit.resets_at.map(rfc3339).into())])
}

/// The answers of production, as every document has them.
pub(crate) fn endpoints(health: &HealthReport) -> Json {
    let endpoints = health.endpoints.iter().map(|endpoint| {
        object([
            ("name", endpoint.name.as_str().into()),
            ("url", endpoint.url.as_str().into()),
            ("status", endpoint.status.map(u32::from).into()),
            ("verdict", endpoint.verdict.word().into()),
            ("latency_ms", millis(endpoint.latency).into()),
            ("error", endpoint.error.as_deref().map(sentence).into()),
        ])
    });
    endpoints.collect()
}

fn health(health: &HealthReport) -> Fields {
    let recent = health.recent_merges.iter().map(|recent| {
        object([
            ("number", recent.number.into()),
            ("title", recent.title.as_str().into()),
            ("merged_at", rfc3339(recent.merged_at).into()),
        ])
    });
    vec![("endpoints", endpoints(health)), ("recent_merges", recent.collect())]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_keeps_its_form_whatever_the_secret_is() {
        let secrets = Secrets::new(["true", "null", "spawn", "s3\"cret"].map(str::to_owned));
        let document = Json::from(json!({
            "dry_run": true, "spawn": {"error": "it is true: s3\"cret, \\"}, "code": null,
        }));
        let expected = r#"{"code":null,"dry_run":true,"spawn":{"error":"it is ***: ***, \\"}}"#;
        assert_eq!(document.line(&secrets).expect("it is written"), format!("{expected}\n"));
    }

    #[test]
    fn a_secret_at_the_cut_or_with_something_invisible_inside_is_masked() {
        let secrets = Secrets::new(["ghp_0123456789".to_owned()]);
        let long = format!("{}ghp_0123456789", "x".repeat(MAX_SENTENCE - 8));
        let document = object([
            ("text", long.as_str().into()),
            ("exact", Json::Exact("a\n\u{1b}ghp_\u{200b}0123456789".to_owned())),
            ("untouched", Json::Exact("a\n\u{1b}[31mb".to_owned())),
        ]);
        let line = document.line(&secrets).expect("it is written");
        assert!(!line.contains("ghp"), "{line}");
        assert!(line.contains(r#""exact":"a ***","untouched":"a\n\u001b[31mb""#), "{line}");
    }
}
