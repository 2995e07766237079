//! `template`: a Job in YAML that goes under the generated one.

use std::path::PathBuf;

use serde_json::{Map, Value};

use coordinator_core::section::Problem;

use super::{JobTemplate, KubernetesSettings, RoleFacts, Section, credentials};

mod changes;

/// With more than this and the generated parts, the API server takes no Job.
pub const MAX_TEMPLATE: u64 = 256 * 1024;

/// A handful of anchors is a convenience; thousands are a trap.
const MAX_REPEATED: usize = 10_000;

/// A fault of a template, and the remedy.
pub(super) struct Mistake {
    pub(super) what: String,
    pub(super) hint: String,
}

/// The template in `text`, if it leaves all that is generated as it is. `kubernetes` are the
/// settings without it.
pub(super) fn read(
    section: &Section,
    kubernetes: &KubernetesSettings,
    text: &str,
    roles: &[RoleFacts<'_>],
    problems: &mut Vec<Problem>,
) -> Option<JobTemplate> {
    let template = section.template.as_ref()?;
    let checked = job(text).and_then(|job| {
        let mut found = credentials::mistakes(&job);
        if let Some(generated) = changes::sample(kubernetes, section, roles) {
            found.extend(changes::mistakes(&generated, &job));
        }
        if found.is_empty() { Ok(job) } else { Err(found) }
    });
    match checked {
        Ok(job) => Some(JobTemplate { path: PathBuf::from(&***template), job }),
        Err(mistakes) => {
            problems.extend(mistakes.into_iter().map(|Mistake { what, hint }| {
                let message = format!("the template {} {what}", template.value);
                Problem::new(message, template.span.clone()).hint(hint)
            }));
            None
        }
    }
}

/// The Job in the file, without what is null: Kubernetes takes that for absent.
fn job(text: &str) -> Result<Value, Vec<Mistake>> {
    let mistake = |what: String, hint: &str| vec![Mistake { what, hint: hint.to_owned() }];
    let mut job = parse(text).map_err(|why| mistake(why, "write one Job in YAML"))?;
    drop_nulls(&mut job);
    let is = |field: &str, text: &str| job[field] == text;
    if is("kind", "Job") && is("apiVersion", "batch/v1") {
        return Ok(job);
    }
    let said = |field: &str| {
        let text = job[field].as_str();
        text.map_or_else(|| format!("no `{field}`"), |text| format!("`{field}: {text}`"))
    };
    Err(mistake(
        format!("is not a Job: it has {} and {}", said("apiVersion"), said("kind")),
        "write `apiVersion: batch/v1` and `kind: Job`, and below them what the Jobs should have",
    ))
}

/// One document, read as Kubernetes reads it: a mode such as 0400 is octal.
fn parse(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPEATED },
    };
    let documents = serde_saphyr::from_multiple_with_options::<Value>(text, options);
    let mut documents = documents.map_err(|error| {
        format!(
            "is not valid YAML: {}",
            error.render_with_formatter(&serde_saphyr::UserMessageFormatter)
        )
    })?;
    match (documents.pop(), documents.is_empty()) {
        (None, _) => Err("is empty".to_owned()),
        (Some(_), false) => Err("holds several documents".to_owned()),
        (Some(job), true) if job.is_object() => Ok(job),
        (Some(_), true) => Err("is not a mapping".to_owned()),
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(table) => {
            table.retain(|_, value| !value.is_null());
            table.values_mut().for_each(drop_nulls);
        }
        Value::Array(entries) => entries.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Calls `see` with the path of each table, and with each of its keys and values.
pub(super) fn walk(path: &str, value: &Value, see: &mut impl FnMut(&str, &str, &Value)) {
    for (key, value) in value.as_object().into_iter().flat_map(Map::iter) {
        see(path, key, value);
        walk(&join(path, key), value, see);
    }
    for (index, entry) in value.as_array().into_iter().flatten().enumerate() {
        let index = entry["name"].as_str().map_or_else(|| index.to_string(), str::to_owned);
        walk(&format!("{path}[{index}]"), entry, see);
    }
}

/// A name with `.`, `/` or `-` stands in brackets.
fn join(path: &str, key: &str) -> String {
    match key {
        _ if !key.chars().all(char::is_alphanumeric) => format!("{path}[{key}]"),
        _ if path.is_empty() => key.to_owned(),
        _ => format!("{path}.{key}"),
    }
}
