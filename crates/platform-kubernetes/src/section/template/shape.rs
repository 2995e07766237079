//! The parts of a template that are merged entry by entry must have entries.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::ownership::at;
use super::Mistake;

const TABLES: [&str; 5] =
    ["metadata", "spec", "spec.template", "spec.template.metadata", "spec.template.spec"];

/// Tables of texts.
const MARKS: [&str; 4] = [
    "metadata.labels",
    "metadata.annotations",
    "spec.template.metadata.labels",
    "spec.template.metadata.annotations",
];

/// Lists, and what tells their entries apart.
const LISTS: [(&str, &str); 5] = [
    ("spec.template.spec.containers", "name"),
    ("spec.template.spec.initContainers", "name"),
    ("spec.template.spec.volumes", "name"),
    ("spec.template.spec.containers[agent].env", "name"),
    ("spec.template.spec.containers[agent].volumeMounts", "mountPath"),
];

/// What of `job` is not what Kubernetes has there.
pub(super) fn mistakes(named: &str, job: &Value) -> Vec<Mistake> {
    let mut found = Vec::new();
    let mut add = |path: &str, what: &str, hint: String| {
        found.push(Mistake { message: format!("{path} of the template {named} {what}"), hint });
    };
    for path in TABLES.into_iter().chain(MARKS) {
        if at(job, path).is_some_and(|value| !value.is_object()) {
            add(path, "is not a mapping", "write `name: value` lines below it".to_owned());
        }
    }
    for path in MARKS {
        let marks = at(job, path).and_then(Value::as_object).into_iter().flat_map(Map::iter);
        for (name, _) in marks.filter(|(_, value)| !value.is_string()) {
            add(&format!("{path}[{name}]"), "is not a text", "write its value in quotes".to_owned());
        }
    }
    for (path, by) in LISTS {
        if let Some(what) = at(job, path).and_then(|list| fault(list, by)) {
            add(path, &what, format!("write a list whose entries each have a `{by}` of their own"));
        }
    }
    found
}

fn fault(list: &Value, by: &str) -> Option<String> {
    let Some(entries) = list.as_array() else { return Some("is not a list".to_owned()) };
    let mut seen = BTreeSet::new();
    entries.iter().find_map(|entry| match entry[by].as_str() {
        None => Some(format!("has an entry without a `{by}`")),
        Some(name) if seen.insert(name.trim_end_matches('/')) => None,
        Some(name) => Some(format!("has `{name}` twice")),
    })
}
