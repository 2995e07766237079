//! Walks a TOML table along its declaration: unknown keys, missing keys, defaults.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use super::reference::{Fallback, Key, ROSTER, Section};
use super::value::{Reading, Value, Variable};

/// A section with its defaults filled in. What is required and missing, or wrong, has a problem and is absent.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    found: BTreeMap<&'static str, Entry>,
    /// Keys whose values have a problem.
    wrong: Vec<&'static str>,
}

#[derive(Debug, Clone)]
struct Entry {
    value: Value,
    /// `None`: the default.
    span: Option<Range<usize>>,
}

impl Values {
    /// The section in `table`, or its defaults when the roster does not have it.
    pub(super) fn read(
        section: &'static Section,
        table: Option<&DeTable<'_>>,
        span: Range<usize>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut found = BTreeMap::new();
        let mut wrong = Vec::new();
        for (name, value) in table.into_iter().flatten() {
            let Some(key) = section.all_keys().find(|key| key.name == name.get_ref()) else {
                problems.push(unknown(section, name.get_ref(), name.span()));
                continue;
            };
            match (Reading { key: key.name, problems }).read(&key.kind, value) {
                Some(value_read) => {
                    found.insert(key.name, Entry { value: value_read, span: Some(value.span()) });
                }
                None => wrong.push(key.name),
            }
        }
        let absent =
            section.keys.iter().filter(|key| !found.contains_key(key.name) && !wrong.contains(&key.name));
        let filled: Vec<_> =
            absent.filter_map(|key| Some((key.name, default(section, key, &span, problems)?))).collect();
        found.extend(filled);
        Self { found, wrong }
    }

    /// Takes from `other` what this section does not set itself.
    pub(super) fn inherit(&mut self, other: &Self) {
        for (name, entry) in &other.found {
            self.found.entry(name).or_insert_with(|| Entry { value: entry.value.clone(), span: None });
        }
    }

    /// Where the roster sets `key`, when it does.
    pub(super) fn span(&self, key: &str) -> Option<Range<usize>> {
        self.found.get(key).and_then(|entry| entry.span.clone())
    }

    /// Whether the roster sets `key`, be it to something wrong.
    pub(super) fn says(&self, key: &str) -> bool {
        self.span(key).is_some() || self.wrong.contains(&key)
    }

    /// A text that is there.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether `key` holds this word.
    pub(super) fn is(&self, key: &str, word: &str) -> bool {
        self.text(key) == Some(word)
    }

    pub(super) fn number(&self, key: &str) -> u32 {
        match self.value(key) {
            Some(Value::Number(number)) => *number,
            _ => 0,
        }
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        matches!(self.value(key), Some(Value::Flag(true)))
    }

    pub(super) fn duration(&self, key: &str) -> Duration {
        match self.value(key) {
            Some(Value::Duration(duration)) => *duration,
            _ => Duration::ZERO,
        }
    }

    pub(super) fn texts(&self, key: &str) -> &[String] {
        match self.value(key) {
            Some(Value::Texts(texts)) => texts,
            _ => &[],
        }
    }

    /// A table of texts that is there.
    pub(super) fn table(&self, key: &str) -> Option<&BTreeMap<String, String>> {
        match self.value(key)? {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(super) fn variables(&self, key: &str) -> impl Iterator<Item = (&String, &Variable)> {
        match self.value(key) {
            Some(Value::Variables(variables)) => Some(variables),
            _ => None,
        }
        .into_iter()
        .flatten()
    }

    pub(super) fn section(&self, key: &str) -> Option<&Values> {
        match self.value(key)? {
            Value::Section(section) => Some(section),
            _ => None,
        }
    }

    pub(super) fn sections(&self, key: &str) -> &[Values] {
        match self.value(key) {
            Some(Value::Sections(sections)) => sections,
            _ => &[],
        }
    }

    /// What the key holds, for kinds that one place alone reads.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.found.get(key).map(|entry| &entry.value)
    }
}

/// The candidate that a person most likely meant.
pub(super) fn nearest<'a>(candidates: impl Iterator<Item = &'a str>, text: &str) -> Option<&'a str> {
    let text: String = text.chars().take(60).collect();
    let furthest = (text.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (strsim::osa_distance(candidate, &text), candidate))
        .filter(|(distance, _)| *distance <= furthest)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn default(
    section: &Section,
    key: &'static Key,
    span: &Range<usize>,
    problems: &mut Vec<Problem>,
) -> Option<Entry> {
    match key.default {
        Fallback::Derived(_) => None,
        Fallback::Toml(literal) => {
            let value = DeValue::parse(literal).ok()?;
            let value = (Reading { key: key.name, problems }).read(&key.kind, &value)?;
            Some(Entry { value, span: None })
        }
        Fallback::Required => {
            let place = if section.heading.is_empty() { "the roster" } else { section.heading };
            let problem = Problem::new(format!("{place} has no `{}`", key.name), Some(span.clone()));
            problems.push(problem.hint(format!("add `{} = \"...\"`. {}", key.name, key.doc)));
            None
        }
    }
}

fn unknown(section: &'static Section, name: &str, span: Range<usize>) -> Problem {
    let names: Vec<_> = section.all_keys().map(|key| key.name).collect();
    let problem =
        Problem::new(format!("unknown key `{}`", coordinator_core::sanitize::one_line(name, 60)), Some(span));
    if let Some(near) = nearest(names.iter().copied(), name) {
        return problem.label(format!("did you mean `{near}`?"));
    }
    match headings_with(&ROSTER, name).as_slice() {
        [] => problem.label(format!("not one of {}", names.join(", "))),
        headings => problem.label(format!("belongs in {}", headings.join(" or "))),
    }
}

/// The headings of all sections that know `name`.
fn headings_with(section: &'static Section, name: &str) -> Vec<&'static str> {
    let own = section.all_keys().any(|key| key.name == name);
    let heading = if section.heading.is_empty() { "the top of the file" } else { section.heading };
    let below = section.keys.iter().filter_map(Key::section).flat_map(|section| headings_with(section, name));
    own.then_some(heading).into_iter().chain(below).collect()
}

/// Empty spans mark the top of the file.
pub(super) fn top() -> Range<usize> {
    0..0
}

/// The whole document.
pub(super) fn document(table: &Spanned<DeTable<'_>>, problems: &mut Vec<Problem>) -> Values {
    Values::read(&ROSTER, Some(table.get_ref()), top(), problems)
}
