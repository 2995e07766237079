//! The JSON schema (draft 2020-12), for editors.

use serde_json::{Map, Value, json};
use toml::de::DeValue;

use super::{Fallback, Form, Key, Kind, ROSTER, Section};

/// The schema of `roster.toml`.
pub fn schema() -> Value {
    let mut schema = table(&ROSTER);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "roster.toml".into();
    schema["description"] = ROSTER.doc.into();
    schema
}

fn table(section: &Section) -> Value {
    let properties: Map<_, _> = section.all_keys().map(|key| (key.name.to_owned(), property(key))).collect();
    let required =
        section.keys.iter().filter(|key| matches!(key.default, Fallback::Required)).map(|key| key.name);
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "required": required.collect::<Vec<_>>(),
    })
}

fn property(key: &Key) -> Value {
    let mut schema = kind(&key.kind);
    schema["description"] = match key.default {
        Fallback::Derived(rule) => format!("{} Default: {rule}.", key.doc).into(),
        Fallback::Toml(_) | Fallback::Required => key.doc.into(),
    };
    if let (Fallback::Toml(literal), None) = (&key.default, key.section()) {
        schema["default"] = DeValue::parse(literal).map_or(Value::Null, |value| to_json(value.get_ref()));
    }
    schema
}

fn kind(kind: &Kind) -> Value {
    let text = || json!({"type": "string"});
    let list = |items: Value| json!({"type": "array", "items": items});
    match kind {
        Kind::Line | Kind::Pattern | Kind::Path => text(),
        Kind::FleetName => json!({"type": "string", "pattern": "^[a-z0-9]{1,16}$"}),
        Kind::RoleKey => json!({"type": "string", "pattern": "^[a-z]([a-z0-9_]{0,26}[a-z0-9])?$"}),
        Kind::RepositoryName => {
            json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,39}/[A-Za-z0-9._-]{1,100}$"})
        }
        Kind::Url | Kind::ApiUrl => json!({"type": "string", "pattern": "^https?://"}),
        Kind::Word(words) => json!({"enum": words}),
        Kind::Number { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Duration { .. } => json!({"type": "string", "pattern": "^[0-9]", "examples": ["90s", "2h"]}),
        Kind::Size => {
            json!({"type": "string", "pattern": "^[0-9]+ ?([kKMGT]i?)?B$|^0$", "examples": ["1GiB", "0"]})
        }
        Kind::Lines | Kind::Globs => list(json!({"type": "string", "minLength": 1})),
        Kind::Statuses => list(json!({"type": "integer", "minimum": 100, "maximum": 599})),
        Kind::Checks => list(check()),
        Kind::Command => json!({"type": "array", "items": text(), "minItems": 1}),
        Kind::Variables => json!({
            "type": "object",
            "propertyNames": {"pattern": "^(?!COORDINATOR_)[A-Za-z_][A-Za-z0-9_]*$"},
            "additionalProperties": text(),
        }),
        Kind::Formed(form) => formed(form),
        Kind::ListOf(form) => list(formed(form)),
        Kind::TableOf(keys, values) => json!({
            "type": "object",
            "propertyNames": {"pattern": keys.pattern.text, "maxLength": keys.longest},
            "additionalProperties": formed(values),
        }),
        Kind::Section(section) => table(section),
        Kind::Sections(section) => list(table(section)),
    }
}

fn formed(form: &Form) -> Value {
    json!({"type": "string", "pattern": form.pattern.text, "maxLength": form.longest})
}

fn check() -> Value {
    let name = json!({"type": "string", "minLength": 1});
    let pinned = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {"name": name, "app": name},
        "required": ["name"],
    });
    json!({"anyOf": [name, pinned]})
}

fn to_json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => number.as_str().parse::<i64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Array(items) => items.iter().map(|item| to_json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref()))).collect()
        }
        // No default is one of these.
        DeValue::Float(_) | DeValue::Datetime(_) => Value::Null,
    }
}
