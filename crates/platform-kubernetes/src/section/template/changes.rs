//! A template adds to a generated Job and changes nothing in it: this finds what it would change.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use coordinator_core::environment::OWN_PREFIX;
use coordinator_core::fleet::{Container, FleetName, Follows, SessionSpec, Slot, Want};
use coordinator_core::platform::CycleId;

use super::super::{Amounts, KubernetesSettings, RoleFacts, Section};
use super::{Mistake, join, walk};
use crate::Settings;
use crate::generated::{AGENT, NewSession, generated};
use crate::merge::{is_replaced, key_of, merge_key, over};

/// Fields that a key of the roster sets, and the key.
const KEYS: [(&str, &str); 18] = [
    ("metadata.namespace", "namespace"),
    ("metadata.labels[kueue.x-k8s.io/queue-name]", "queue_name"),
    ("spec.activeDeadlineSeconds", "time_limit"),
    ("spec.ttlSecondsAfterFinished", "ttl"),
    ("spec.template.spec.activeDeadlineSeconds", "time_limit"),
    ("spec.template.spec.serviceAccount", "service_account"),
    ("spec.template.spec.priorityClassName", "priority_class"),
    ("spec.template.spec.runtimeClassName", "runtime_class"),
    ("spec.template.spec.nodeSelector", "node_selector"),
    ("spec.template.spec.tolerations", "tolerations"),
    ("spec.template.spec.imagePullSecrets", "image_pull_secrets"),
    ("spec.template.spec.volumes[workspace]", "workspace"),
    ("spec.template.spec.containers[agent].image", "image"),
    ("spec.template.spec.containers[agent].command", "command"),
    ("spec.template.spec.containers[agent].args", "command"),
    ("spec.template.spec.containers[agent].resources", "resources"),
    ("spec.template.spec.containers[agent].volumeMounts[/workspace]", "workspace"),
    ("spec.template.spec.containers[agent].env", "env"),
];

/// Whether a template must not add `field` to this table of a generated Job.
fn is_reserved(table: &str, field: &str) -> bool {
    let marks = ["coordinator.dev/", "batch.kubernetes.io/", "job-name", "controller-uid"];
    match table {
        "" | "metadata" | "spec" | "spec.template" | "spec.template.metadata" => {
            !["labels", "annotations"].contains(&field)
        }
        "metadata.labels"
        | "metadata.annotations"
        | "spec.template.metadata.labels"
        | "spec.template.metadata.annotations" => marks.iter().any(|mark| field.starts_with(mark)),
        "spec.template.spec.containers[agent]" => {
            ["args", "restartPolicyRules", "terminationMessagePath"].contains(&field)
        }
        "spec.template.spec.containers[agent].env" => field.starts_with(OWN_PREFIX),
        _ => false,
    }
}

/// A Job as the roster has it generated, with every variable and every resource of its roles.
/// `None` without roles.
pub(super) fn sample(
    kubernetes: &KubernetesSettings,
    section: &Section,
    roles: &[RoleFacts<'_>],
) -> Option<Value> {
    let (mut requests, mut limits) =
        (section.resources.requests.texts(), section.resources.limits.texts());
    for own in roles.iter().map(|role| &role.own.resources) {
        requests.extend(own.requests.iter().flat_map(Amounts::texts));
        limits.extend(own.limits.iter().flat_map(Amounts::texts));
    }
    let container = Container { image: String::new(), env_from: Vec::new(), requests, limits };
    let variables = roles.iter().flat_map(|role| &role.variables);
    let env = variables.map(|name| ((*name).to_owned(), String::new())).collect();
    let role = &roles.first()?.key.value;
    let want = Want {
        slot: Slot::of_role(role, 0),
        role: role.clone(),
        spec: SessionSpec { env, ..SessionSpec::default() }.into(),
        item: None,
        follows: Follows::Anything,
        by_hand: false,
    };
    let settings = Settings {
        fleet: FleetName::parse("sample").ok()?,
        repository: Some(String::new()),
        kubernetes: kubernetes.clone(),
        has_items: false,
        deadline: kubernetes.ttl,
    };
    let cycle = CycleId(String::new());
    let new =
        NewSession { cycle: &cycle, generation: 1, replaces: Some(""), history: String::new() };
    Some(generated(&settings, &want, &container, &new))
}

/// What `template` changes of this Job, or adds where it must not.
pub(super) fn mistakes(generated: &Value, template: &Value) -> Vec<Mistake> {
    let mut found = shapes(template);
    compare("", generated, &over(generated.clone(), template.clone()), &mut found);
    found.extend(doubles(generated, template));
    found
}

/// Fields that would set a generated field again, under another name.
fn doubles(generated: &Value, template: &Value) -> Vec<Mistake> {
    let (ours, theirs) =
        (&generated["spec"]["template"]["spec"], &template["spec"]["template"]["spec"]);
    let inits = theirs["initContainers"].as_array().into_iter().flatten();
    let has_agent = inits.into_iter().any(|container| container["name"] == AGENT);
    let is_alias = ours["serviceAccountName"].is_string() && theirs["serviceAccount"].is_string();
    let doubles = [
        (has_agent, "spec.template.spec.initContainers[agent]"),
        (is_alias, "spec.template.spec.serviceAccount"),
    ];
    doubles.into_iter().filter(|(is_there, _)| *is_there).map(|(_, path)| sets(path)).collect()
}

fn compare(path: &str, ours: &Value, laid: &Value, found: &mut Vec<Mistake>) {
    let field = path.rsplit('.').next().unwrap_or_default();
    match (ours, laid, merge_key(field)) {
        (Value::Object(ours), Value::Object(laid), _) => {
            for (key, laid) in laid {
                let below = join(path, key);
                match ours.get(key) {
                    Some(ours) => compare(&below, ours, laid, found),
                    None if is_reserved(path, key) && !is_empty(laid) => found.push(sets(&below)),
                    None if key == "annotations" => {
                        compare(&below, &Value::Object(Map::new()), laid, found);
                    }
                    None => {}
                }
            }
        }
        (Value::Array(ours), Value::Array(laid), Some(by)) => {
            for (name, laid) in laid.iter().filter_map(|entry| Some((key_of(entry, by)?, entry))) {
                let below = format!("{path}[{name}]");
                match ours.iter().find(|entry| key_of(entry, by) == Some(name)) {
                    Some(ours) if is_replaced(field) && ours != laid => found.push(sets(&below)),
                    Some(ours) => compare(&below, ours, laid, found),
                    None if is_reserved(path, name) => found.push(sets(&below)),
                    None => {}
                }
            }
        }
        (Value::Object(_), _, _) => found.push(Mistake {
            what: format!("has no mapping at {path}"),
            hint: "write `name: value` lines below it".to_owned(),
        }),
        (Value::Array(_), laid, Some(by)) if !laid.is_array() => found.push(no_list(path, by)),
        // Its entries are added to ours.
        (Value::Array(_), Value::Array(_), None) if field == "envFrom" => {}
        _ if ours == laid => {}
        _ => found.push(sets(path)),
    }
}

/// Lists that are merged by name have names, and labels and annotations are texts.
fn shapes(template: &Value) -> Vec<Mistake> {
    let mut found = Vec::new();
    walk("", template, &mut |table, key, value| {
        let path = join(table, key);
        if let (Some(by), Value::Array(entries)) = (merge_key(key), value) {
            found.extend(odd_entry(&path, by, entries));
        }
        let marks = value.as_object().filter(|_| ["labels", "annotations"].contains(&key));
        for (name, _) in marks.into_iter().flat_map(Map::iter).filter(|(_, mark)| !mark.is_string())
        {
            let what = format!("has no text at {}", join(&path, name));
            found.push(Mistake { what, hint: "write its value in quotes".to_owned() });
        }
    });
    found
}

fn odd_entry(path: &str, by: &str, entries: &[Value]) -> Option<Mistake> {
    let mut seen = BTreeSet::new();
    let what = entries.iter().find_map(|entry| match key_of(entry, by) {
        None => Some(format!("has an entry without a `{by}` in {path}")),
        Some(name) if seen.insert(name) => None,
        Some(name) => Some(format!("has `{name}` twice in {path}")),
    })?;
    Some(Mistake { what, ..no_list(path, by) })
}

fn no_list(path: &str, by: &str) -> Mistake {
    Mistake {
        what: format!("has no list at {path}"),
        hint: format!("write a list whose entries each have a `{by}` of their own"),
    }
}

fn sets(path: &str) -> Mistake {
    let is_own = path.contains(&format!("env[{OWN_PREFIX}"));
    let key = KEYS.iter().find(|(field, _)| path.starts_with(field) && !is_own);
    let hint = match key {
        Some((_, key)) => format!("take it out: `{key}` in the roster sets it"),
        None => "take it out: the coordinator alone sets it".to_owned(),
    };
    Mistake { what: format!("sets {path}"), hint }
}

/// `kubectl create --dry-run` writes `status: {}` and `resources: {}`.
fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Calls `see` with a template for each field of `value`, which changes it and nothing else.
    fn each_change(value: &Value, wrap: &dyn Fn(Value) -> Value, see: &mut dyn FnMut(&Value)) {
        let by = |entry: &Value| ["mountPath", "name"].into_iter().find(|by| entry[by].is_string());
        match value {
            Value::Object(table) if !table.is_empty() => {
                for (key, below) in table {
                    each_change(below, &|change| wrap(json!({ key: change })), see);
                }
            }
            Value::Array(entries) if entries.iter().any(|entry| by(entry).is_some()) => {
                for (by, entry) in entries.iter().filter_map(|entry| Some((by(entry)?, entry))) {
                    let mut others = entry.clone();
                    others.as_object_mut().expect("a table").remove(by);
                    let named = |mut change: Value| {
                        change[by] = entry[by].clone();
                        wrap(json!([change]))
                    };
                    each_change(&others, &named, see);
                }
            }
            _ => see(&wrap(json!("changed"))),
        }
    }

    #[test]
    fn a_change_of_any_field_is_found() {
        let generated = json!({
            "metadata": { "name": "a", "labels": { "coordinator.dev/slot": "a" } },
            "spec": { "parallelism": 1, "template": { "spec": {
                "tolerations": [{ "operator": "Exists" }],
                "volumes": [{ "name": "tmp", "emptyDir": {} }],
                "containers": [{
                    "name": "agent",
                    "command": ["a"],
                    "resources": { "limits": { "cpu": "1" } },
                    "env": [{ "name": "A", "value": "1" }],
                    "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
                }],
            } } },
        });
        assert_eq!(mistakes(&generated, &generated).len(), 0);
        let mut count = 0;
        each_change(&generated, &|change| change, &mut |template| {
            count += 1;
            assert_eq!(mistakes(&generated, template).len(), 1, "{template}");
        });
        assert_eq!(count, 9);
    }
}
