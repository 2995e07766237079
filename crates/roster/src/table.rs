//! From a TOML table to the struct of its section, with a problem for each mistake.
//!
//! serde stops at the first mistake. It becomes a problem and is taken out of the table, and the
//! table is read again, until nothing is wrong with the rest. What may stand where, and what to
//! write instead, comes from the JSON schema.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue, Deserializer};

use coordinator_core::sanitize::one_line;
use coordinator_core::section::{Problem, nearest, quoted};

use super::agents::Agent;
use super::load::Document;
use super::reference::{self, heading, text, words};

/// After so many mistakes in values the rest is not looked for.
const MAX_MISTAKES: usize = 50;

/// A longer list was not written by a person.
const MAX_ENTRIES: usize = 10_000;

/// Where `agents::Section` looks for what it shares with `[defaults]`.
const INHERITED: &str = "[defaults]";

/// What the document holds beside its mistakes; `None` if there were too many to look further.
/// `wrong` gets the keys whose values were taken out.
pub(super) fn document(
    document: &mut DeTable<'_>,
    wrong: &mut BTreeSet<String>,
    problems: &mut Vec<Problem>,
) -> Option<Document> {
    let schema = reference::described();
    check_keys(document, schema, "", &(0..0), problems);
    // Before the roles inherit them, so that a mistake in one is named once.
    let mut defaults = DeTable::new();
    if let Some(DeValue::Table(table)) = document.get_mut("defaults").map(Spanned::get_mut) {
        read::<Agent>(table, &schema["properties"]["defaults"], wrong, problems)?;
        defaults.clone_from(table);
    }
    if let Some(DeValue::Array(roles)) = document.get_mut("role").map(Spanned::get_mut) {
        tables(roles).for_each(|role| inherit(role, &defaults));
    }
    read(document, schema, wrong, problems)
}

/// Merges what the role and `[defaults]` may both set, under a key of its own; the role wins.
fn inherit<'i>(role: &mut DeTable<'i>, defaults: &DeTable<'i>) {
    let mut defaults = defaults.clone();
    let shared = &reference::described()["properties"]["defaults"];
    for key in reference::keys(shared) {
        let Some((name, mut value)) = role.remove_entry(key) else { continue };
        if let (Some(shared), DeValue::Table(own)) = (defaults.remove(key), value.get_mut())
            && let ("env", DeValue::Table(shared)) = (key, shared.into_inner())
        {
            for (name, value) in shared {
                own.entry(name).or_insert(value);
            }
        }
        defaults.insert(name, value);
    }
    role.insert(Spanned::new(0..0, INHERITED.into()), Spanned::new(0..0, DeValue::Table(defaults)));
}

fn read<T: DeserializeOwned>(
    table: &mut DeTable<'_>,
    schema: &Value,
    wrong: &mut BTreeSet<String>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    for _ in 0..MAX_MISTAKES {
        let whole = Spanned::new(0..0, table.clone());
        let error = match T::deserialize(Deserializer::from(whole)) {
            Ok(section) => return Some(section),
            Err(error) => error,
        };
        let Some(mistake) = error.span().and_then(|span| take(table, "", schema, &span)) else {
            problems.push(Problem::new(error.message(), error.span()));
            return None;
        };
        wrong.insert(mistake.key.clone());
        problems.push(mistake.problem(error.message()));
    }
    None
}

/// Removes unknown keys and overlong lists, and names required keys that are missing. `place`
/// is the section's heading.
fn check_keys(
    table: &mut DeTable<'_>,
    schema: &Value,
    place: &str,
    span: &Range<usize>,
    problems: &mut Vec<Problem>,
) {
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !table.contains_key(key) {
            let place = if place.is_empty() { "the roster" } else { place };
            let problem = Problem::new(format!("{place} has no `{key}`"), Some(span.clone()));
            let about = text(&schema["properties"][key]["description"]);
            problems.push(problem.hint(format!("add `{key} = \"...\"`. {about}")));
        }
    }
    let mut wrong = Vec::new();
    for (key, value) in table.iter_mut() {
        let found = match schema["properties"].get(key.get_ref().as_ref()) {
            Some(property) => check_below(key, value, property, place, problems),
            None => Some(unknown(schema, key.get_ref(), key.span())),
        };
        if let Some(problem) = found {
            problems.push(problem);
            wrong.push(key.clone());
        }
    }
    for key in wrong {
        table.remove(&key);
    }
}

/// The keys of tables in a value; what is wrong with the value itself comes back.
fn check_below(
    key: &Spanned<DeString<'_>>,
    value: &mut Spanned<DeValue<'_>>,
    property: &Value,
    place: &str,
    problems: &mut Vec<Problem>,
) -> Option<Problem> {
    let path = match place.trim_matches(['[', ']']) {
        "" => key.get_ref().to_string(),
        above => format!("{above}.{}", key.get_ref()),
    };
    let (span, below) = (value.span(), reference::table(property));
    match (value.get_mut(), below) {
        (DeValue::Array(items), _) if items.len() > MAX_ENTRIES => {
            let message = format!("`{}` has {} entries", key.get_ref(), items.len());
            return Some(Problem::new(message, Some(span)).label(format!("at most {MAX_ENTRIES}")));
        }
        (DeValue::Array(items), Some(below)) => {
            for item in items.iter_mut() {
                let span = item.span();
                let DeValue::Table(table) = item.get_mut() else { continue };
                check_keys(table, below, &heading(&path, true), &span, problems);
            }
        }
        (DeValue::Table(table), Some(below)) => {
            check_keys(table, below, &heading(&path, false), &span, problems);
        }
        _ => {}
    }
    None
}

fn unknown(schema: &Value, key: &str, span: Range<usize>) -> Problem {
    let problem = Problem::new(format!("unknown key `{}`", one_line(key, 60)), Some(span));
    let keys = reference::keys(schema);
    if let Some(near) = nearest(keys.iter().copied(), key) {
        return problem.label(format!("did you mean `{near}`?"));
    }
    let headings = reference::sections()
        .iter()
        .filter(|section| section.schema["properties"].get(key).is_some());
    let headings: Vec<_> =
        headings.map(|section| section.heading_or("the top of the file")).collect();
    if headings.is_empty() {
        return problem.label(format!("not one of {}", keys.join(", ")));
    }
    problem.label(format!("belongs in {}", headings.join(" or ")))
}

/// A key, a value or an entry of a list that was taken out because it is wrong.
struct Mistake<'i, 's> {
    key: String,
    /// As people call the place: `count`, or `cpu` in `limits`.
    name: String,
    kind: Kind,
    value: DeValue<'i>,
    span: Range<usize>,
    schema: &'s Value,
}

/// What is wrong, with the key whose value holds it.
enum Kind {
    Value,
    /// Of a list.
    Entry,
    /// The key of a table whose keys are not the roster's, or a value in one.
    Free(String),
}

/// The mistake at `span` in the table called `name`.
fn take<'i, 's>(
    table: &mut DeTable<'i>,
    name: &str,
    schema: &'s Value,
    span: &Range<usize>,
) -> Option<Mistake<'i, 's>> {
    for (key, value) in table.iter_mut() {
        let property = property(schema, key.get_ref());
        let below = reference::table(property).unwrap_or(property);
        let found = match value.get_mut() {
            DeValue::Table(table) => take(table, key.get_ref(), below, span),
            DeValue::Array(items) => {
                tables(items).find_map(|table| take(table, key.get_ref(), below, span))
            }
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    let covers = |place: Range<usize>| place.start <= span.start && span.end <= place.end;
    let is_meant =
        |key: &Spanned<_>, value: &Spanned<_>| covers(key.span()) || covers(value.span());
    let key = table.iter().find(|(key, value)| is_meant(key, value)).map(|(key, _)| key.clone())?;
    let property = property(schema, key.get_ref());
    let is_free = schema["properties"].is_null();
    let mistake = |kind, value: DeValue<'i>, span, schema| {
        let name = if is_free {
            format!("`{}` in `{name}`", key.get_ref())
        } else {
            format!("`{}`", key.get_ref())
        };
        Mistake { key: key.get_ref().to_string(), name, kind, value, span, schema }
    };
    let value = table.get_mut(&key)?;
    if let DeValue::Array(items) = value.get_mut()
        && let Some(item) = items.iter().find(|item| covers(item.span())).cloned()
    {
        *items = items.iter().filter(|one| one.span() != item.span()).cloned().collect();
        return Some(mistake(Kind::Entry, item.get_ref().clone(), item.span(), &property["items"]));
    }
    let value = table.remove(&key)?;
    let free = || Kind::Free(name.to_owned());
    if covers(key.span()) && is_free {
        let text = DeValue::String(key.get_ref().clone());
        return Some(mistake(free(), text, key.span(), &schema["propertyNames"]));
    }
    let kind = if is_free { free() } else { Kind::Value };
    Some(mistake(kind, value.get_ref().clone(), value.span(), property))
}

fn tables<'a, 'i>(items: &'a mut DeArray<'i>) -> impl Iterator<Item = &'a mut DeTable<'i>> {
    items.iter_mut().filter_map(|item| match item.get_mut() {
        DeValue::Table(table) => Some(table),
        _ => None,
    })
}

/// The schema of a key. Keys that a role shares with `[defaults]` are one level deeper in
/// the table than in the schema.
fn property<'s>(schema: &'s Value, key: &str) -> &'s Value {
    let known = schema["properties"].get(key);
    known
        .or_else(|| schema.get("additionalProperties").filter(|values| values.is_object()))
        .unwrap_or(schema)
}

impl Mistake<'_, '_> {
    /// With the message of the value's type.
    fn problem(self, error: &str) -> Problem {
        let problem = |message: String| Problem::new(message, Some(self.span.clone()));
        let shown = self.shown();
        let (message, label) = match self.value_type() {
            Some(found) => (
                format!("{} holds {found}", self.name),
                format!("write {}", expected(&self.key, self.schema)),
            ),
            None => self.rule(error, shown.as_deref().unwrap_or_default()),
        };
        match shown {
            Some(_) => problem(message).label(label),
            // The source line would show it.
            None => problem(message).hint(label),
        }
    }

    /// What is wrong with a value of the right type.
    fn rule(&self, error: &str, shown: &str) -> (String, String) {
        let words = words(self.schema);
        if let (Some(text), false) = (self.value.as_str(), words.is_empty()) {
            let near =
                nearest(words.iter().copied(), text).map(|near| format!("did you mean `{near}`?"));
            let label = near.unwrap_or_else(|| format!("one of {}", words.join(", ")));
            return (format!("bad {}{shown}", self.name), label);
        }
        if let DeValue::Integer(number) = &self.value {
            let what = if number.as_str().starts_with('-') { "negative" } else { "out of bounds" };
            let label = format!("{} to {}", self.schema["minimum"], self.schema["maximum"]);
            return (format!("{} is {what}{shown}", self.name), label);
        }
        match (error.split_once('\n'), &self.kind) {
            (_, Kind::Free(table)) => {
                let what = format!("bad {} in `{table}`{shown}", text(&self.schema["title"]));
                (what, error.lines().last().unwrap_or_default().to_owned())
            }
            (Some((what, rule)), _) if what.starts_with("bad ") => {
                (format!("{what} in {}{shown}", self.name), rule.to_owned())
            }
            (Some((what, rule)), _) => (format!("{} {what}{shown}", self.name), rule.to_owned()),
            (None, Kind::Entry) => (format!("bad entry in {}{shown}", self.name), error.to_owned()),
            (None, Kind::Value) => (format!("bad {}{shown}", self.name), error.to_owned()),
        }
    }

    /// The value behind a colon, where it is one that can be shown in a line; `None` where it may
    /// hold a secret.
    fn shown(&self) -> Option<String> {
        match &self.value {
            _ if self.schema["writeOnly"] == true => None,
            DeValue::String(text) if self.schema["format"] == "uri" && text.contains('@') => None,
            DeValue::String(text) => Some(format!(": {}", quoted(text))),
            DeValue::Integer(number) => Some(format!(": {number}")),
            _ => Some(String::new()),
        }
    }

    /// `a string`, where the schema has another type.
    fn value_type(&self) -> Option<String> {
        let found = self.value.type_str();
        let matches = |schema: &Value| match text(&schema["type"]) {
            "object" => found == "table",
            "number" => found == "integer" || found == "float",
            "" => !schema["enum"].is_null() && found == "string",
            expected => found == expected,
        };
        let either = self.schema["anyOf"].as_array();
        if matches(self.schema) || either.is_some_and(|schemas| schemas.iter().any(matches)) {
            return None;
        }
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        Some(format!("{article} {found}"))
    }
}

/// What to write, for people.
fn expected(key: &str, schema: &Value) -> String {
    let title = text(&schema["title"]);
    match text(&schema["type"]) {
        "integer" => "a whole number".to_owned(),
        "number" => format!("a number of {title}"),
        "boolean" => "true or false".to_owned(),
        "object" => "a table".to_owned(),
        "array" if !schema["items"]["properties"].is_null() => {
            format!("`[[{key}]]` above each one")
        }
        "array" => format!("a list of {}", plural(&schema["items"])),
        _ if !schema["anyOf"].is_null() => title.to_owned(),
        _ => {
            let examples = schema["examples"].as_array().into_iter().flatten();
            let examples: Vec<_> = examples.map(Value::to_string).collect();
            let such = if examples.is_empty() {
                String::new()
            } else {
                format!(", such as {}", examples.join(" or "))
            };
            match title {
                "text" | "" => format!("text in quotes{such}"),
                title if title.starts_with(['i', 'u']) => format!("an {title} in quotes{such}"),
                title => format!("a {title} in quotes{such}"),
            }
        }
    }
}

fn plural(items: &Value) -> String {
    let title = text(&items["title"]);
    match text(&items["type"]) {
        "string" => format!("{title}s in quotes"),
        "integer" => format!("whole {title}s"),
        _ => title.to_owned(),
    }
}
