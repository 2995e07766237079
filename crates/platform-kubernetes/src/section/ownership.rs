//! What a template may not say: what the coordinator writes itself, and what keys of the roster say.

use serde_json::{Map, Value};

use Owner::{Coordinator, Key, KeyIfSet};

/// Who says a field instead of the template.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner {
    /// The coordinator, for this reason.
    Coordinator(&'static str),
    /// A key of the roster.
    Key(&'static str),
    /// A key of the roster where it is set, else the template.
    KeyIfSet(&'static str),
}

const ONCE: Owner = Coordinator("a session is started once; the next cycle starts the next one");
const LOCK: Owner = Coordinator("a Job has the name of its slot, which keeps a second session out");
const LAST_WORDS: Owner = Coordinator("an agent's last words are taken from the end of its log");
const MARKS: Owner = Coordinator("the coordinator finds its sessions by it");
const ITS_OWN: Owner = Coordinator("the coordinator makes it; choose another name");

/// Fields with an owner. `[x]` is the entry of a list whose `name` is x; of a mount, whose `mountPath` is x.
const FIELDS: [(&str, Owner); 35] = [
    ("metadata.name", LOCK),
    ("metadata.generateName", LOCK),
    ("metadata.namespace", Key("namespace")),
    ("spec.parallelism", ONCE),
    ("spec.completions", ONCE),
    ("spec.completionMode", ONCE),
    ("spec.backoffLimit", ONCE),
    ("spec.backoffLimitPerIndex", ONCE),
    ("spec.podFailurePolicy", ONCE),
    ("spec.podReplacementPolicy", ONCE),
    ("spec.activeDeadlineSeconds", Key("time_limit")),
    ("spec.ttlSecondsAfterFinished", Key("ttl")),
    ("spec.template.spec.activeDeadlineSeconds", Key("time_limit")),
    ("spec.template.spec.restartPolicy", ONCE),
    ("spec.template.spec.serviceAccountName", KeyIfSet("service_account")),
    ("spec.template.spec.serviceAccount", KeyIfSet("service_account")),
    ("spec.template.spec.priorityClassName", KeyIfSet("priority_class")),
    ("spec.template.spec.runtimeClassName", KeyIfSet("runtime_class")),
    ("spec.template.spec.nodeSelector", KeyIfSet("node_selector")),
    ("spec.template.spec.tolerations", KeyIfSet("tolerations")),
    ("spec.template.spec.imagePullSecrets", KeyIfSet("image_pull_secrets")),
    ("spec.template.spec.volumes[workspace]", Key("workspace")),
    ("spec.template.spec.volumes[tmp]", ITS_OWN),
    ("spec.template.spec.initContainers[agent]", ITS_OWN),
    ("spec.template.spec.containers[agent].image", Key("image")),
    ("spec.template.spec.containers[agent].command", Key("command")),
    ("spec.template.spec.containers[agent].args", Key("command")),
    ("spec.template.spec.containers[agent].resources", Key("resources")),
    ("spec.template.spec.containers[agent].workingDir", Coordinator("sessions start in /workspace")),
    ("spec.template.spec.containers[agent].restartPolicy", ONCE),
    ("spec.template.spec.containers[agent].restartPolicyRules", ONCE),
    ("spec.template.spec.containers[agent].terminationMessagePath", LAST_WORDS),
    ("spec.template.spec.containers[agent].terminationMessagePolicy", LAST_WORDS),
    ("spec.template.spec.containers[agent].volumeMounts[/workspace]", Key("workspace")),
    ("spec.template.spec.containers[agent].volumeMounts[/tmp]", ITS_OWN),
];

/// Of these tables a template may say these fields alone.
const ONLY: [(&str, &[&str]); 5] = [
    ("", &["apiVersion", "kind", "metadata", "spec"]),
    ("metadata", &["labels", "annotations"]),
    ("spec", &["template"]),
    ("spec.template", &["metadata", "spec"]),
    ("spec.template.metadata", &["labels", "annotations"]),
];

/// Labels and annotations with an owner; one that ends with `/` is a prefix.
const MARKED: [(&str, Owner); 10] = [
    ("coordinator.dev/", MARKS),
    ("app.kubernetes.io/name", MARKS),
    ("app.kubernetes.io/instance", MARKS),
    ("app.kubernetes.io/component", MARKS),
    ("app.kubernetes.io/managed-by", MARKS),
    ("app.kubernetes.io/version", MARKS),
    ("batch.kubernetes.io/", Coordinator("the Job controller finds its pods by it")),
    ("job-name", Coordinator("the Job controller finds its pods by it")),
    ("controller-uid", Coordinator("the Job controller finds its pods by it")),
    ("kueue.x-k8s.io/queue-name", KeyIfSet("queue_name")),
];

/// A field that the template sets and should not.
#[derive(Debug)]
pub(super) struct Trespass {
    /// Where in the Job.
    pub(super) path: String,
    /// What to do.
    pub(super) remedy: String,
}

/// All fields of `job` that are not the template's, given the keys and the variables that the roster sets.
pub(super) fn trespasses(
    job: &Value,
    is_set: impl Fn(&str) -> bool,
    is_variable: impl Fn(&str) -> bool,
) -> Vec<Trespass> {
    let mut found = Vec::new();
    let mut add = |path: String, owner: Owner| {
        let remedy = match owner {
            Coordinator(reason) => format!("take it out: {reason}"),
            Key(key) => format!("take it out, and say it with `{key}` in the roster"),
            KeyIfSet(key) if is_set(key) => format!("take it out, or take `{key}` out of the roster"),
            KeyIfSet(_) => return,
        };
        found.push(Trespass { path, remedy });
    };
    for (path, owner) in FIELDS {
        if at(job, path).is_some_and(says_something) {
            add(path.to_owned(), owner);
        }
    }
    for (path, key) in marks(job) {
        let owner =
            MARKED.iter().find(|(mark, _)| key == *mark || (mark.ends_with('/') && key.starts_with(mark)));
        if let Some((_, owner)) = owner {
            add(format!("{path}[{key}]"), *owner);
        }
    }
    let variables = at(job, "spec.template.spec.containers[agent].env").and_then(Value::as_array);
    for name in variables.into_iter().flatten().filter_map(|variable| variable["name"].as_str()) {
        let path = || format!("spec.template.spec.containers[agent].env[{name}]");
        if name.starts_with("COORDINATOR_") {
            add(path(), Coordinator("each session gets these from the coordinator"));
        } else if is_variable(name) {
            add(path(), Key("env"));
        }
    }
    found.extend(strangers(job));
    found
}

/// Labels and annotations, with where they are.
fn marks(job: &Value) -> impl Iterator<Item = (&'static str, &str)> {
    let tables = [
        "metadata.labels",
        "metadata.annotations",
        "spec.template.metadata.labels",
        "spec.template.metadata.annotations",
    ];
    tables.into_iter().flat_map(move |path| {
        let table = at(job, path).and_then(Value::as_object);
        table.into_iter().flat_map(Map::keys).map(move |key| (path, key.as_str()))
    })
}

/// Fields that nobody knows, or that a template has no business with.
fn strangers(job: &Value) -> Vec<Trespass> {
    let mut found = Vec::new();
    for (path, known) in ONLY {
        let table = at(job, path).and_then(Value::as_object).into_iter().flat_map(Map::iter);
        for (key, _) in table.filter(|(_, value)| says_something(value)) {
            if known.contains(&key.as_str()) {
                continue;
            }
            let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            if FIELDS.iter().all(|(owned, _)| *owned != full) {
                let remedy = format!("take it out: only {} can stand there", known.join(", "));
                found.push(Trespass { path: full, remedy });
            }
        }
    }
    found
}

/// `kubectl create --dry-run` writes `status: {}` and `resources: {}`.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Object(table) => !table.is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        _ => true,
    }
}

/// The value at `path`, as [`FIELDS`] writes it.
pub(super) fn at<'a>(job: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|segment| !segment.is_empty()).try_fold(job, |value, segment| {
        let Some((field, name)) = segment.trim_end_matches(']').split_once('[') else {
            return value.get(segment);
        };
        let by = if field == "volumeMounts" { "mountPath" } else { "name" };
        let is_meant = |entry: &&Value| {
            entry[by].as_str().is_some_and(|text| text == name || text.trim_end_matches('/') == name)
        };
        value.get(field)?.as_array()?.iter().find(is_meant)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::tests::{made, settings, want};

    /// What is generated below the template, so that the template can replace it, add to it, or must
    /// say it too.
    const TEMPLATES: [&str; 7] = [
        "apiVersion",
        "kind",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "terminationGracePeriodSeconds",
        "securityContext",
        "envFrom",
    ];

    /// Calls `see` with a template for each leaf of `value`, which says it and nothing else.
    fn each_leaf(value: &Value, wrap: &dyn Fn(Value) -> Value, see: &mut dyn FnMut(Value)) {
        let by = |entry: &Value| ["mountPath", "name"].into_iter().find(|by| entry[by].is_string());
        match value {
            Value::Object(table) if !table.is_empty() => {
                for (key, below) in table {
                    each_leaf(below, &|leaf| wrap(json!({ key: leaf })), see);
                }
            }
            Value::Array(entries) if entries.iter().all(|entry| by(entry).is_some()) => {
                for (by, entry) in entries.iter().filter_map(|entry| Some((by(entry)?, entry))) {
                    let named = |mut leaf: Value| {
                        leaf[by] = entry[by].clone();
                        wrap(json!([leaf]))
                    };
                    let mut others = entry.clone();
                    others.as_object_mut().expect("a table").remove(by);
                    each_leaf(&others, &named, see);
                }
            }
            leaf => see(wrap(leaf.clone())),
        }
    }

    #[test]
    fn a_template_says_no_field_that_is_generated() {
        let mut settings = settings();
        settings.kubernetes.node_selector.insert("disktype".to_owned(), "ssd".to_owned());
        settings.kubernetes.image_pull_secrets.push("registry".to_owned());
        settings.kubernetes.priority_class = Some("low".to_owned());
        settings.kubernetes.runtime_class = Some("kata".to_owned());
        settings.kubernetes.queue_name = Some("agents".to_owned());
        let made = made(&settings, &want(&["claude"], &[("PLAIN", "1")]), None);
        let mut count = 0;
        each_leaf(&made, &|leaf| leaf, &mut |template| {
            let text = template.to_string();
            if TEMPLATES.iter().any(|field| text.contains(&format!("\"{field}\""))) {
                return;
            }
            count += 1;
            let found = trespasses(&template, |_| true, |_| true);
            assert!(!found.is_empty(), "has no owner: {text}");
        });
        assert!(count > 40, "{count}");
    }
}
