//! One YAML document over another.
//!
//! `k8s_openapi::DeepMerge` merges a volume or a variable field by field, so that an `ephemeral`
//! volume over our `emptyDir` has two sources, and replaces `envFrom`, which loses the secrets of
//! the template or of the roster. It also needs typed Jobs, which drop fields that they do not know
//! before the API server can refuse them.

use serde_json::{Map, Value};

/// `top` over `base`: tables are merged, lists of named things are merged by name, all else is
/// replaced.
pub(crate) fn over(base: Value, top: Value) -> Value {
    merge("", base, top)
}

fn merge(field: &str, base: Value, top: Value) -> Value {
    match (base, top) {
        (Value::Object(base), Value::Object(top)) => Value::Object(tables(base, top)),
        (Value::Array(base), Value::Array(top)) => Value::Array(lists(field, base, top)),
        (_, top) => top,
    }
}

fn tables(mut base: Map<String, Value>, top: Map<String, Value>) -> Map<String, Value> {
    for (key, value) in top {
        let merged = match base.remove(&key) {
            Some(below) => merge(&key, below, value),
            None => value,
        };
        base.insert(key, merged);
    }
    base
}

fn lists(field: &str, mut base: Vec<Value>, top: Vec<Value>) -> Vec<Value> {
    let Some(by) = merge_key(field) else {
        if field == "envFrom" {
            base.extend(top);
            return base;
        }
        return top;
    };
    for item in top {
        let name = key_of(&item, by);
        match base.iter_mut().find(|below| name.is_some() && key_of(below, by) == name) {
            Some(below) if is_replaced(field) => *below = item,
            Some(below) => *below = merge("", below.take(), item),
            None => base.push(item),
        }
    }
    base
}

/// The field that identifies an entry of a list: `patchMergeKey` of the Kubernetes API, for the
/// lists that a Job's author adds to.
pub(crate) fn merge_key(field: &str) -> Option<&'static str> {
    match field {
        "containers" | "initContainers" | "volumes" | "env" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        _ => None,
    }
}

/// The name of an entry; `/tmp/` is mounted where `/tmp` is.
pub(crate) fn key_of<'a>(entry: &'a Value, by: &str) -> Option<&'a str> {
    entry.get(by)?.as_str().map(|name| name.trim_end_matches('/'))
}

/// Two sources for one volume, mount or variable would be refused: the upper entry stands alone.
pub(crate) fn is_replaced(field: &str) -> bool {
    matches!(field, "volumes" | "volumeMounts" | "env")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_upper_document_wins_and_the_lower_one_adds() {
        let base = json!({ "a": 1, "b": { "c": 2, "d": [1, 2] } });
        let top = json!({ "b": { "c": 3, "d": [4] }, "e": null });
        assert_eq!(over(base, top), json!({ "a": 1, "b": { "c": 3, "d": [4] }, "e": null }));
    }

    #[test]
    fn containers_meet_by_name_mounts_by_path_and_volumes_replace_each_other() {
        let base = json!({
            "containers": [{ "name": "agent", "tty": true,
                "volumeMounts": [{ "mountPath": "/a", "name": "x" }] }],
            "volumes": [{ "name": "tmp", "emptyDir": {} }],
        });
        let top = json!({
            "containers": [
                { "name": "proxy" },
                { "name": "agent", "image": "i",
                    "volumeMounts": [{ "mountPath": "/b", "name": "y" }] },
            ],
            "volumes": [{ "name": "tmp", "ephemeral": {} }],
        });
        let mounts =
            json!([{ "mountPath": "/a", "name": "x" }, { "mountPath": "/b", "name": "y" }]);
        let expected = json!({
            "containers": [
                { "name": "agent", "tty": true, "image": "i", "volumeMounts": mounts },
                { "name": "proxy" },
            ],
            "volumes": [{ "name": "tmp", "ephemeral": {} }],
        });
        assert_eq!(over(base, top), expected);
    }

    #[test]
    fn secrets_for_the_environment_add_up() {
        let merged = over(json!({ "envFrom": [1] }), json!({ "envFrom": [2] }));
        assert_eq!(merged, json!({ "envFrom": [1, 2] }));
    }
}
