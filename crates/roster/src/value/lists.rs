//! Values with entries: lists and tables of texts.

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobSetBuilder};
use toml::Spanned;
use toml::de::DeValue;

use crate::problem::Problem;
use crate::reference::{Form, Kind};
use crate::text;
use coordinator_core::merge::RequiredCheck;

use super::{Reading, Value, Variable};

/// A list longer than this is no list that a person wrote.
const MOST_ENTRIES: usize = 10_000;

impl Reading<'_> {
    pub(super) fn lines(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
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

    pub(super) fn list_of(&mut self, form: &Form, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
        self.entries(value, &format!("a list of {}s in quotes", form.word), |this, item| {
            let given = this.expect(item, "text in quotes", DeValue::as_str)?;
            match form.check(given) {
                Ok(()) => Some(given.to_owned()),
                Err(fault) => {
                    let message = format!("bad entry in `{}`: {}", this.key, text::quoted(given));
                    this.fault(message, item.span(), fault);
                    None
                }
            }
        })
    }

    pub(super) fn table_of(
        &mut self,
        names: &Form,
        values: &Form,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<BTreeMap<String, String>> {
        let table = self.expect(value, "a table of texts", DeValue::as_table)?;
        let what = format!("a {} in quotes", values.word);
        let mut read = BTreeMap::new();
        for (name, value) in table {
            if let Err(fault) = names.check(name.get_ref()) {
                let message =
                    format!("bad {} in `{}`: {}", names.word, self.key, text::quoted(name.get_ref()));
                self.fault(message, name.span(), fault);
                continue;
            }
            let Some(given) = self.expect(value, &what, DeValue::as_str) else { continue };
            match values.check(given) {
                Ok(()) => drop(read.insert(name.get_ref().to_string(), given.to_owned())),
                Err(fault) => {
                    let message = format!("bad {} in `{}`: {}", values.word, self.key, text::quoted(given));
                    self.fault(message, value.span(), fault);
                }
            }
        }
        Some(read)
    }

    pub(super) fn command(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Value> {
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

    pub(super) fn globs(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Value> {
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

    pub(super) fn check(&mut self, item: &Spanned<DeValue<'_>>) -> Option<RequiredCheck> {
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

    pub(super) fn variables(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Value> {
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

    pub(super) fn entries<T>(
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
}
