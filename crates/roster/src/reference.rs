//! The JSON schema of `roster.toml`, and the reference for people that is made of it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::{Map, Value};

use super::load::Document;

/// Begins the part of a description about an absent key.
const DEFAULT: &str = " Default: ";

/// The schema (draft 2020-12), for editors.
pub fn schema() -> Value {
    let mut schema = described().clone();
    strip_order(&mut schema);
    schema["title"] = "roster.toml".into();
    schema
}

/// The schema with the order of the keys, read from the sections.
pub(super) fn described() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let settings =
            SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<Document>();
        RecursiveTransform(simplify).transform(&mut schema);
        schema.to_value()
    });
    &SCHEMA
}

/// TOML has no null, a section has a fixed set of keys, and a doc comment is one paragraph.
fn simplify(schema: &mut Schema) {
    let Some(table) = schema.as_object_mut() else { return };
    if let Some(Value::Array(either)) = table.get("anyOf")
        && let Some(Value::Object(only)) = either.iter().find(|one| one["type"] != "null").cloned()
        && either.iter().any(|one| one["type"] == "null")
    {
        table.remove("anyOf");
        for (key, value) in only {
            table.entry(key).or_insert(value);
        }
    }
    if let Some(Value::Array(types)) = table.get("type") {
        let only = types.iter().find(|one| *one != "null").cloned().unwrap_or_default();
        table.insert("type".to_owned(), only);
    }
    if let Some(Value::Array(words)) = table.remove("oneOf") {
        let words = words.into_iter().map(|word| word["const"].clone());
        table.insert("enum".to_owned(), words.collect());
    }
    if let Some(Value::Array(words)) = table.get_mut("enum") {
        words.retain(|word| !word.is_null());
        table.insert("title".to_owned(), "word".into());
    }
    if let Some(Value::String(about)) = table.get_mut("description") {
        *about = about.replace('\n', " ");
    }
    let is_described =
        table.get("description").map(text).is_some_and(|about| about.contains(DEFAULT));
    table.retain(|key, value| key != "default" || !(value.is_null() || is_described));
    if table.contains_key("properties") {
        table.insert("additionalProperties".to_owned(), false.into());
    }
}

fn strip_order(schema: &mut Value) {
    match schema {
        Value::Object(table) => {
            table.remove("x-keys");
            table.values_mut().for_each(strip_order);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_order),
        _ => {}
    }
}

/// A table of the roster.
pub(super) struct Section<'s> {
    heading: String,
    pub(super) schema: &'s Value,
}

impl Section<'_> {
    /// As it is written: `[merge]`, `[[role]]`; `top` for the top of the file.
    pub(super) fn heading_or<'a>(&'a self, top: &'a str) -> &'a str {
        if self.heading.is_empty() { top } else { &self.heading }
    }
}

/// All tables, in the order of their declaration.
pub(super) fn sections() -> &'static [Section<'static>] {
    static SECTIONS: LazyLock<Vec<Section<'static>>> = LazyLock::new(|| {
        let mut found = Vec::new();
        collect(described(), "", String::new(), &mut found);
        found
    });
    &SECTIONS
}

fn collect<'s>(schema: &'s Value, path: &str, heading_here: String, found: &mut Vec<Section<'s>>) {
    found.push(Section { heading: heading_here, schema });
    for (key, property) in ordered(schema) {
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match (&property["properties"], &property["items"]["properties"]) {
            (Value::Object(_), _) => collect(property, &path, heading(&path, false), found),
            (_, Value::Object(_)) => {
                collect(&property["items"], &path, heading(&path, true), found);
            }
            _ => {}
        }
    }
}

/// As TOML writes it.
pub(super) fn heading(path: &str, is_list: bool) -> String {
    if is_list { format!("[[{path}]]") } else { format!("[{path}]") }
}

/// The section that a key opens, or that is in its list.
pub(super) fn table(property: &Value) -> Option<&Value> {
    let mut either = property["anyOf"].as_array().into_iter().flatten();
    let items = property.get("items").and_then(table);
    let own = (!property["properties"].is_null()).then_some(property);
    own.or(items).or_else(|| either.find_map(table))
}

/// A section's own keys with what they hold, in the order of their declaration.
fn ordered(section: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let names = section["x-keys"].as_array().into_iter().flatten().filter_map(Value::as_str);
    names
        .filter_map(|name| {
            let is_meant =
                |key: &str| key == name.trim_start_matches("r#") || key.replace('-', "_") == name;
            section["properties"].as_object()?.iter().find(|(key, _)| is_meant(key))
        })
        .map(|(key, property)| (key.as_str(), property))
}

/// All keys that may stand in a section, its own first.
pub(super) fn keys(section: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = ordered(section).map(|(key, _)| key).collect();
    let all = section["properties"].as_object().into_iter().flat_map(Map::keys);
    let others: Vec<_> = all.map(String::as_str).filter(|key| !keys.contains(key)).collect();
    keys.extend(others);
    keys
}

/// The words that a key may hold; empty if it holds something else.
pub(super) fn words(schema: &Value) -> Vec<&str> {
    schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A text, or "".
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Every section and key of the roster as Markdown tables.
pub fn markdown() -> String {
    let mut page = String::new();
    for section in sections() {
        let heading = match section.heading.as_str() {
            "" => "Top of the file".to_owned(),
            heading => format!("`{heading}`"),
        };
        let _ = writeln!(page, "## {heading}\n\n{}\n", text(&section.schema["description"]));
        let _ = writeln!(page, "| Key | Holds | Default | Meaning |\n|---|---|---|---|");
        for (key, property) in ordered(section.schema).filter(|(_, property)| is_row(property)) {
            let (meaning, default) = described_default(section.schema, key, property);
            let meaning = meaning.replace('|', "\\|");
            let _ = writeln!(page, "| `{key}` | {} | {default} | {meaning} |", holds(property));
        }
        page.push('\n');
    }
    page
}

fn is_row(property: &Value) -> bool {
    property["properties"].is_null() && property["items"]["properties"].is_null()
}

/// What a key means, and what it is when absent.
fn described_default<'s>(section: &Value, key: &str, property: &'s Value) -> (&'s str, String) {
    let about = text(&property["description"]);
    if let Some((meaning, default)) = about.split_once(DEFAULT) {
        return (meaning, default.trim_end_matches('.').to_owned());
    }
    let is_required =
        section["required"].as_array().is_some_and(|keys| keys.iter().any(|one| one == key));
    let default = if is_required {
        "required".to_owned()
    } else {
        format!("`{}`", toml(&property["default"]))
    };
    (about, default.replace('|', "\\|"))
}

/// A default as the roster would write it.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(table) if table.is_empty() => "{}".to_owned(),
        Value::Object(table) => {
            let entries: Vec<_> =
                table.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", "))
        }
        Value::String(text) if text.contains('\\') => format!("'{text}'"),
        other => other.to_string(),
    }
}

/// What to write, in a word or two.
fn holds(property: &Value) -> String {
    let title = text(&property["title"]);
    match text(&property["type"]) {
        "boolean" => "true or false".to_owned(),
        "array" if title.is_empty() => format!("list of {}s", text(&property["items"]["title"])),
        "object" if text(&property["additionalProperties"]["title"]) == "dollars" => {
            "table of dollars".to_owned()
        }
        "object" => "table of texts".to_owned(),
        _ => title.to_owned(),
    }
}
