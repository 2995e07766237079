//! From a TOML value to what a key holds, or to problems that say what was expected.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use regex::Regex;
use toml::Spanned;
use toml::de::DeValue;

use super::RequiredCheck;
use super::problem::Problem;
use super::reference::Kind;
use super::section::Values;
use super::text;

/// Longer waits overflow the clock before they end.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A list longer than this is no list that a person wrote.
const MOST_ENTRIES: usize = 10_000;

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
                let hint = format!("a list of tables: write `{}`", section.heading);
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
            | Kind::Word(_) => self.text(kind, value),
        }
    }

    fn text(&mut self, kind: &Kind, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let given = self.expect(value, "text in quotes", DeValue::as_str)?;
        match text::check(kind, given) {
            Ok(()) => Some(Value::Text(given.to_owned())),
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

    fn lines(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
        self.entries(value, "a list of texts", |this, item| {
            let given = this.expect(item, "text in quotes", DeValue::as_str)?;
            match text::check(&Kind::Line, given) {
                Ok(()) if !given.is_empty() => Some(given.to_owned()),
                fault => {
                    let message = format!("bad entry in `{}`: {}", this.key, text::quoted(given));
                    this.fault(message, item.span(), fault.err().unwrap_or_else(|| "empty".to_owned()));
                    None
                }
            }
        })
    }

    fn command(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let what = r#"a list of texts, such as ["claude", "-p", "{prompt}"]"#;
        let argv = self.entries(value, what, |this, item| {
            let given = this.expect(item, "text in quotes", DeValue::as_str)?;
            if given.contains('\0') {
                this.fault(
                    format!("bad entry in `{}`", this.key),
                    item.span(),
                    "no argument can hold a NUL".to_owned(),
                );
                return None;
            }
            Some(given.to_owned())
        })?;
        if argv.first().is_none_or(|program| program.trim().is_empty()) {
            self.fault(format!("`{}` names no program", self.key), value.span(), format!("write {what}"));
            return None;
        }
        Some(Value::Texts(argv))
    }

    fn globs(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let globs = self.entries(value, r#"a list of globs, such as [".github/*"]"#, |this, item| {
            let given = this.expect(item, "text in quotes", DeValue::as_str)?;
            match GlobBuilder::new(given).literal_separator(false).build() {
                Ok(glob) => Some(glob),
                Err(error) => {
                    let message = format!("bad glob in `{}`: {}", this.key, text::quoted(given));
                    this.fault(message, item.span(), error.kind().to_string());
                    None
                }
            }
        })?;
        let set = globs.into_iter().fold(GlobSetBuilder::new(), |mut set, glob| {
            set.add(glob);
            set
        });
        match set.build() {
            Ok(set) => Some(Value::Globs(set)),
            Err(error) => {
                self.fault(format!("bad globs in `{}`", self.key), value.span(), error.to_string());
                None
            }
        }
    }

    fn check(&mut self, item: &Spanned<DeValue<'_>>) -> Option<RequiredCheck> {
        let what = r#""name" or { name = "...", app = "..." }"#;
        if let Some(name) = item.get_ref().as_str().filter(|name| !name.is_empty()) {
            return Some(RequiredCheck { name: name.to_owned(), app: None });
        }
        let table = self.expect(item, what, DeValue::as_table)?;
        let mut check = RequiredCheck { name: String::new(), app: None };
        for (key, value) in table {
            match (key.get_ref().as_ref(), value.get_ref().as_str().filter(|text| !text.is_empty())) {
                ("name", Some(text)) => text.clone_into(&mut check.name),
                ("app", Some(text)) => check.app = Some(text.to_owned()),
                (_, Some(_)) => {
                    self.fault(
                        format!("unknown key `{}`", key.get_ref()),
                        key.span(),
                        "`name` or `app`".to_owned(),
                    );
                    return None;
                }
                (_, None) => return self.expect(value, "text in quotes, not empty", |_| None),
            }
        }
        if check.name.is_empty() {
            return self.expect(item, what, |_| None);
        }
        Some(check)
    }

    fn variables(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let table = self.expect(value, r#"a table, such as { NAME = "value" }"#, DeValue::as_table)?;
        let mut variables = BTreeMap::new();
        for (name, value) in table {
            if let Err(why) = text::variable_name(name.get_ref()) {
                self.fault(format!("bad variable name {}", text::quoted(name.get_ref())), name.span(), why);
                continue;
            }
            // The line may hold a secret: none of it is shown.
            match value.get_ref().as_str().filter(|text| !text.contains('\0')) {
                Some(text) => {
                    let variable = Variable { value: text.to_owned(), span: value.span() };
                    variables.insert(name.get_ref().to_string(), variable);
                }
                None => self.problems.push(
                    Problem::new(
                        format!("the value of `{}` in `env` is no text", name.get_ref()),
                        Some(value.span()),
                    )
                    .hint("write text in quotes, without a NUL character"),
                ),
            }
        }
        Some(Value::Variables(variables))
    }

    fn entries<T>(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        what: &str,
        mut read: impl FnMut(&mut Self, &Spanned<DeValue<'_>>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let array = self.expect(value, what, DeValue::as_array)?;
        if array.len() > MOST_ENTRIES {
            let message = format!("`{}` has {} entries", self.key, array.len());
            self.fault(message, value.span(), format!("at most {MOST_ENTRIES}"));
            return None;
        }
        let entries: Vec<_> = array.iter().map(|item| read(self, item)).collect();
        entries.into_iter().collect()
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
            let message = format!("bad `{}`: {}", self.key, article(value.get_ref().type_str()));
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
