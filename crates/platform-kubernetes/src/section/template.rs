//! `template`: a Job in YAML that goes under the generated one.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use coordinator_core::section::Problem;

use super::ownership;
use super::{JobTemplate, Section};

mod credentials;
mod shape;

/// With more than this and the generated parts, the API server takes no Job.
pub const MAX_TEMPLATE: u64 = 256 * 1024;

/// A handful of anchors is a convenience; thousands are a trap.
const MAX_REPEATED: usize = 10_000;

/// What is wrong with a template, and what to do.
struct Mistake {
    message: String,
    hint: String,
}

/// The template in `text`, if all of it is the template's to say. `variables` are those that some
/// role sets, `wrong` the keys of the section that are set to something wrong.
pub(super) fn read(
    section: &Section,
    text: &str,
    variables: &BTreeSet<&str>,
    wrong: &BTreeSet<String>,
    problems: &mut Vec<Problem>,
) -> Option<JobTemplate> {
    let template = section.template.as_ref()?;
    let named: &str = template;
    let is_set = |key: &str| wrong.contains(key) || is_set(section, key);
    let job = job(named, text).and_then(|job| {
        let mut found = shape::mistakes(named, &job);
        found.extend(trespasses(named, &job, is_set, |name| variables.contains(name)));
        found.extend(credentials::mistakes(named, &job));
        if found.is_empty() { Ok(job) } else { Err(found) }
    });
    match job {
        Ok(job) => Some(JobTemplate { path: PathBuf::from(named), job }),
        Err(mistakes) => {
            let place = &template.span;
            let problem = |mistake: Mistake| Problem::new(mistake.message, place.clone()).hint(mistake.hint);
            problems.extend(mistakes.into_iter().map(problem));
            None
        }
    }
}

fn is_set(section: &Section, key: &str) -> bool {
    match key {
        "service_account" => section.service_account.is_some(),
        "priority_class" => section.priority_class.is_some(),
        "runtime_class" => section.runtime_class.is_some(),
        "queue_name" => section.queue_name.is_some(),
        "node_selector" => section.node_selector.span.is_some(),
        "tolerations" => section.tolerations.span.is_some(),
        "image_pull_secrets" => section.image_pull_secrets.span.is_some(),
        _ => false,
    }
}

fn trespasses(
    named: &str,
    job: &Value,
    is_set: impl Fn(&str) -> bool,
    is_variable: impl Fn(&str) -> bool,
) -> Vec<Mistake> {
    let found = ownership::trespasses(job, is_set, is_variable).into_iter();
    let mistake = |found: ownership::Trespass| Mistake {
        message: format!("the template {named} sets {}", found.path),
        hint: found.remedy,
    };
    found.map(mistake).collect()
}

/// The Job in the file, without what is null: Kubernetes takes that for absent.
fn job(named: &str, text: &str) -> Result<Value, Vec<Mistake>> {
    let mistake = |message: String, hint: &str| vec![Mistake { message, hint: hint.to_owned() }];
    let mut job =
        parse(text).map_err(|why| mistake(format!("the template {named} {why}"), "write one Job in YAML"))?;
    drop_nulls(&mut job);
    let is = |field: &str, text: &str| job[field] == text;
    if is("kind", "Job") && is("apiVersion", "batch/v1") {
        return Ok(job);
    }
    let said = |field: &str| {
        job[field].as_str().map_or_else(|| format!("no `{field}`"), |text| format!("`{field}: {text}`"))
    };
    let message =
        format!("the template {named} is not a Job: it says {} and {}", said("apiVersion"), said("kind"));
    Err(mistake(
        message,
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
        format!("is not valid YAML: {}", error.render_with_formatter(&serde_saphyr::UserMessageFormatter))
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
