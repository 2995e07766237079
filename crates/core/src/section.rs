//! What a section of the roster is made of: values that check themselves, and problems with their
//! places. No TOML and no I/O.
//!
//! A section is a struct, declared with [`section!`](crate::section!): a key is a doc comment and a
//! field with its default. Its doc comments become the JSON schema and the reference page. What
//! follows "Default: " at the end of one describes a default that no value can say.

use std::ops::{Deref, Range};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, Serializer};
use serde_spanned::Spanned;

use crate::sanitize;

mod form;
mod number;
mod path;
mod text;

pub use form::{
    Branch, DnsLabel, DnsName, Image, LabelKey, LabelValue, Quantity, Resource, Workflow,
};
pub use number::{Count, Dollars, MAX_COUNT, Size, Time, bytes};
pub use path::{LoadContext, state_dir};
pub use text::{
    ApiUrl, Argument, FilePath, FromText, Glob, Line, Pattern, RepositoryName, Table, Text, Url,
    VariableName, VariableValue, Variables, deserialize_text, is_variable_name, repository,
    text_schema,
};

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// What is wrong, with the offending text.
    pub message: String,
    /// Where in the file, in bytes; `None` when the whole file is meant.
    pub span: Option<Range<usize>>,
    /// Stands under the marked text: what was expected. With it the source line is shown.
    pub label: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl Problem {
    /// A mistake at `span`.
    pub fn new(message: impl Into<String>, span: Option<Range<usize>>) -> Self {
        Self { message: message.into(), span, label: None, hint: None }
    }

    /// Shows the source line with `label` under the marked text.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A value, and where the roster sets it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Spanned<T>", bound(deserialize = "T: Deserialize<'de>"))]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// In bytes of the file; `None` for a default.
    pub span: Option<Range<usize>>,
}

impl<T> From<Spanned<T>> for Placed<T> {
    fn from(spanned: Spanned<T>) -> Self {
        Self { span: Some(spanned.span()), value: spanned.into_inner() }
    }
}

/// A default.
impl<T> From<T> for Placed<T> {
    fn from(value: T) -> Self {
        Self { value, span: None }
    }
}

impl<T> Deref for Placed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Serialize> Serialize for Placed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Declares a section: a struct whose keys each have their default behind `=`.
///
/// `x-keys` keeps their order for the reference page.
#[macro_export]
macro_rules! section {
    (
        $(#[$about:meta])*
        $visibility:vis struct $section:ident {
            $($(#[$doc:meta])* $key:ident: $value:ty = $default:expr,)*
        }
    ) => {
        #[allow(missing_docs, reason = "a key that opens a section has the section's")]
        #[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
        $(#[$about])*
        #[serde(default)]
        #[schemars(extend("x-keys" = [$(stringify!($key)),*]))]
        $visibility struct $section {
            $($(#[$doc])* pub $key: $value,)*
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }
    };
}

/// The candidate that a person most likely meant.
pub fn nearest<'a>(candidates: impl Iterator<Item = &'a str>, text: &str) -> Option<&'a str> {
    let text: String = text.chars().take(60).collect();
    let max_distance = (text.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (strsim::osa_distance(candidate, &text), candidate))
        .filter(|(distance, _)| *distance <= max_distance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The text in quotes, on one line and not too long, as it can be shown.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", sanitize::one_line(text, 60))
}
