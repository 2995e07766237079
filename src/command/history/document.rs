//! `coordinator.history/v1`. Fields are only ever added.

use super::totals::Total;
use super::{Past, PastMerge, PastSession};
use crate::command::sessions;
use crate::render::json::{Json, dollars, object};
use crate::render::words::{rfc3339, sentence};

pub(super) fn document(past: &Past) -> Json {
    let by_role = past.totals.by_role.iter();
    let by_role = by_role.map(|(role, total)| (role.clone().into(), object(total_json(total))));
    let totals = total_json(&past.totals.all)
        .into_iter()
        .chain([("by_role", Json::Object(by_role.collect()))]);
    object([
        ("schema", "coordinator.history/v1".into()),
        ("fleet", past.fleet.as_str().into()),
        ("since", rfc3339(past.since).into()),
        ("sessions", past.sessions.iter().map(session).collect()),
        (
            "merges",
            past.merges.as_ref().map(|merges| merges.iter().map(merge).collect::<Json>()).into(),
        ),
        ("decisions", Json::List(Vec::new())),
        ("totals", object(totals)),
        ("unreadable", past.unreadable.iter().map(|what| sentence(what)).collect()),
    ])
}

fn total_json(total: &Total) -> Vec<(&'static str, Json)> {
    vec![
        ("sessions", total.sessions.into()),
        ("cost_usd", dollars(total.cost_usd)),
        ("unknown_cost", total.unknown_cost.into()),
    ]
}

fn session(session: &PastSession) -> Json {
    let run = &session.run;
    let item = run.item.as_ref().map(|of| &of.item);
    let usage = run.result.as_ref().and_then(sessions::usage_json).unwrap_or_default();
    object([
        ("slot", session.name.as_str().into()),
        ("role", session.role.as_str().into()),
        ("source", session.source.as_str().into()),
        ("item", item.map(|item| sentence(&item.id)).into()),
        ("attempt", item.map(|item| item.counts.attempt).into()),
        ("generation", run.generation.into()),
        ("outcome", session.outcome.word().into()),
        ("reason", session.reason().map(sentence).into()),
        ("exit_code", run.exit_code.map(|code| Json::Other(code.into())).into()),
        ("started_at", rfc3339(run.started_at).into()),
        ("finished_at", rfc3339(run.finished_at).into()),
        ("usage", usage.into()),
    ])
}

fn merge(merge: &PastMerge) -> Json {
    let PastMerge { pull, role } = merge;
    object([
        ("number", pull.number.into()),
        ("title", Json::Exact(pull.title.clone())),
        ("role", role.as_deref().into()),
        ("commit", pull.commit.as_deref().into()),
        ("merged_at", rfc3339(pull.merged_at).into()),
    ])
}
