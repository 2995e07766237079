//! From a TOML value to what a key holds, or to problems that say what was expected.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use globset::GlobSet;
use regex::Regex;
use toml::Spanned;
use toml::de::DeValue;

use super::problem::Problem;
use super::reference::Kind;
use super::section::Values;
use super::text;
use coordinator_core::merge::RequiredCheck;

mod lists;

/// Longer waits overflow the clock before they end.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What a key holds, checked.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Number(u32),
    Flag(bool),
    Duration(Duration),
    Bytes(u64),
    Pattern(Option<Regex>),
    Texts(Vec<String>),
    Globs(GlobSet),
    Statuses(Vec<u16>),
    Checks(Vec<RequiredCheck>),
    Variables(BTreeMap<String, Variable>),
    Table(BTreeMap<String, String>),
    Section(Box<Values>),
    Sections(Vec<Values>),
}

/// The value of an environment variable, `${NAME}` not yet replaced.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) value: String,
    pub(super) span: Range<usize>,
}

/// A key's name, its value's place, and where to put problems.
pub(super) struct Reading<'a> {
    pub(super) key: &'a str,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Reading<'_> {
    /// The value, or `None` after at least one problem was put down.
    pub(super) fn read(&mut self, kind: &Kind, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        match kind {
            Kind::Section(section) => {
                let table = self.expect(value, "a table", DeValue::as_table)?;
                Some(Value::Section(Box::new(Values::read(
                    section,
                    Some(table),
                    value.span(),
                    self.problems,
                ))))
            }
            Kind::Sections(section) => {
                let hint = format!("`{}` above each one", section.heading);
                let array = self.expect(value, &hint, DeValue::as_array)?;
                let tables: Vec<_> = array.iter().map(|item| (item, item.get_ref().as_table())).collect();
                let sections = tables.into_iter().filter_map(|(item, table)| {
                    let table = table.or_else(|| self.expect(item, &hint, DeValue::as_table))?;
                    Some(Values::read(section, Some(table), item.span(), self.problems))
                });
                Some(Value::Sections(sections.collect()))
            }
            Kind::Number { min, max } => self.number(value, *min, *max).map(Value::Number),
            Kind::Flag => self.expect(value, "true or false", DeValue::as_bool).map(Value::Flag),
            Kind::Duration { min_ms } => self.duration(value, *min_ms),
            Kind::Size => self.size(value),
            Kind::Pattern => self.pattern(value),
            Kind::Lines => self.lines(value).map(Value::Texts),
            Kind::ListOf(form) => self.list_of(form, value).map(Value::Texts),
            Kind::TableOf(keys, values) => self.table_of(keys, values, value).map(Value::Table),
            Kind::Command => self.command(value),
            Kind::Globs => self.globs(value),
            Kind::Statuses => {
                let codes =
                    self.entries(value, "a list of status codes such as [200, 204]", |this, item| {
                        this.number(item, 100, 599)
                    })?;
                Some(Value::Statuses(codes.into_iter().filter_map(|code| u16::try_from(code).ok()).collect()))
            }
            Kind::Checks => {
                let what = "a list of names, or of { name = \"...\", app = \"...\" }";
                self.entries(value, what, Reading::check).map(Value::Checks)
            }
            Kind::Variables => self.variables(value),
            Kind::Line
            | Kind::FleetName
            | Kind::RoleKey
            | Kind::RepositoryName
            | Kind::Url
            | Kind::ApiUrl
            | Kind::Path
            | Kind::Formed(_)
            | Kind::Word(_) => self.text(kind, value),
        }
    }

    fn text(&mut self, kind: &Kind, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let given = self.expect(value, "text in quotes", DeValue::as_str)?;
        match text::check(kind, given) {
            Ok(()) => Some(Value::Text(given.to_owned())),
            // The line would show the credentials.
            Err(fault) if matches!(kind, Kind::Url | Kind::ApiUrl) && given.contains('@') => {
                self.problems
                    .push(Problem::new(format!("bad `{}`", self.key), Some(value.span())).hint(fault));
                None
            }
            Err(fault) => {
                self.fault(format!("bad `{}`: {}", self.key, text::quoted(given)), value.span(), fault);
                None
            }
        }
    }

    fn number(&mut self, value: &Spanned<DeValue<'_>>, min: u32, max: u32) -> Option<u32> {
        let number = self.expect(value, "a whole number", DeValue::as_integer)?;
        let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
        let within = parsed.and_then(|n| u32::try_from(n).ok()).filter(|n| (min..=max).contains(n));
        if within.is_none() {
            let message = match parsed {
                Some(..0) => format!("`{}` is negative: {number}", self.key),
                _ => format!("`{}` is out of bounds: {number}", self.key),
            };
            self.fault(message, value.span(), format!("{min} to {max}"));
        }
        within
    }

    fn duration(&mut self, value: &Spanned<DeValue<'_>>, min_ms: u64) -> Option<Value> {
        let what = r#"a duration in quotes, such as "90s" or "2h""#;
        let given = self.expect(value, what, DeValue::as_str)?;
        let Ok(duration) = humantime::parse_duration(given) else {
            let message = format!("bad duration in `{}`: {}", self.key, text::quoted(given));
            self.fault(message, value.span(), format!("write {what}"));
            return None;
        };
        let least = Duration::from_millis(min_ms);
        if (least..=LONGEST).contains(&duration) {
            return Some(Value::Duration(duration));
        }
        let message = format!("`{}` is out of bounds: {}", self.key, text::quoted(given));
        self.fault(message, value.span(), format!("{} to 365days", humantime::format_duration(least)));
        None
    }

    fn size(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let what = r#"a size in quotes, such as "1GiB", "500MB" or "0""#;
        let given = self.expect(value, what, DeValue::as_str)?;
        let bytes = text::bytes(given);
        if bytes.is_none() {
            let message = format!("bad size in `{}`: {}", self.key, text::quoted(given));
            self.fault(message, value.span(), format!("write {what}"));
        }
        bytes.map(Value::Bytes)
    }

    fn pattern(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let given = self.expect(value, "a regular expression in quotes", DeValue::as_str)?;
        if given.is_empty() {
            return Some(Value::Pattern(None));
        }
        match Regex::new(given) {
            Ok(pattern) => Some(Value::Pattern(Some(pattern))),
            Err(error) => {
                // The crate's text draws a picture; its last line says what is wrong.
                let error = error.to_string();
                let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                let message = format!("bad regular expression in `{}`", self.key);
                self.fault(message, value.span(), why.to_owned());
                None
            }
        }
    }

    /// The value as `form` sees it, or a problem that says what was expected.
    fn expect<'v, 'i, T: 'v>(
        &mut self,
        value: &'v Spanned<DeValue<'i>>,
        what: &str,
        form: impl FnOnce(&'v DeValue<'i>) -> Option<T>,
    ) -> Option<T> {
        let seen = form(value.get_ref());
        if seen.is_none() {
            let message = format!("`{}` holds {}", self.key, article(value.get_ref().type_str()));
            self.fault(message, value.span(), format!("write {what}"));
        }
        seen
    }

    fn fault(&mut self, message: String, span: Range<usize>, label: String) {
        self.problems.push(Problem::new(message, Some(span)).label(label));
    }
}

fn article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}
