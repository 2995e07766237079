//! Texts with rules of their own, and lists and tables of them.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::ops::Deref;

use globset::GlobBuilder;
use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::Placed;

/// Longer names break tables.
const MAX_LINE: usize = 200;

/// A value that the roster writes as a text.
///
/// An error is what to write; or what is wrong, a new line, and what to write.
pub trait FromText: Sized {
    /// The JSON Schema of its values, without the type.
    fn schema() -> Value;

    /// The value, or what is wrong with the text.
    fn from_text(text: &str) -> Result<Self, String>;
}

/// Reads a text; its errors carry the place of the text, in lists too.
pub fn deserialize_text<'de, D: Deserializer<'de>, T: FromText>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct Reader<T>(PhantomData<T>);
    impl<T: FromText> Visitor<'_> for Reader<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text in quotes")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            T::from_text(text).map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Reader(PhantomData))
}

/// The schema of `T`.
pub fn text_schema<T: FromText>() -> Schema {
    let mut schema = json_schema!({"type": "string"});
    if let (Value::Object(rules), Some(schema)) = (T::schema(), schema.as_object_mut()) {
        schema.extend(rules);
    }
    schema
}

/// Implements serde and schemars for a [`FromText`] that can be displayed.
#[macro_export]
macro_rules! text_value {
    ([$($generics:tt)*] $type:ty) => {
        impl<'de, $($generics)*> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::section::deserialize_text(deserializer)
            }
        }

        impl<$($generics)*> serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<$($generics)*> schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::section::text_schema::<Self>()
            }
        }
    };
}

/// Declares texts that stay texts once they are checked.
macro_rules! texts {
    ($($(#[$about:meta])* $name:ident: $schema:expr, $check:expr;)*) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(String);

        impl FromText for $name {
            fn schema() -> Value {
                $schema
            }

            fn from_text(text: &str) -> Result<Self, String> {
                let check: fn(&str) -> Result<(), String> = $check;
                check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        /// A default, which is not checked.
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        crate::text_value!([] $name);
    )*};
}

pub(super) use texts;

texts! {
    /// One line, which may be empty.
    Line: json!({"title": "text"}), line;
    /// One line that is not empty.
    Text: json!({"title": "text", "minLength": 1}), |text| {
        if text.is_empty() { Err("empty".to_owned()) } else { line(text) }
    };
    /// A file or folder.
    FilePath: json!({"title": "path"}), path;
    /// `owner/repo`.
    RepositoryName: {
        json!({"title": "text", "pattern": "^[A-Za-z0-9_-]{1,39}/[A-Za-z0-9._-]{1,100}$"})
    }, |text| repository(text).map(drop);
    /// http or https.
    Url: json!({"title": "URL", "format": "uri", "pattern": "^https?://"}), |text| {
        url(text).map(drop)
    };
    /// https, or http to this machine: a token travels with each request.
    ApiUrl: json!({"title": "URL", "format": "uri", "pattern": "^https?://"}), api_url;
    /// The name of an environment variable that a section may set.
    VariableName: {
        json!({"title": "variable name", "pattern": "^(?!COORDINATOR_)[A-Za-z_][A-Za-z0-9_]*$"})
    }, variable_name;
    /// The value of an environment variable, `${NAME}` not yet replaced. It may hold a secret: no
    /// problem shows it.
    VariableValue: json!({"title": "text", "writeOnly": true}), |text| {
        no_nul(text, "write text without a NUL character")
    };
    /// An argument of a command.
    Argument: json!({"title": "text"}), |text| no_nul(text, "no argument can hold a NUL");
}

fn line(text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        return Err("one line, without control characters".to_owned());
    }
    if text.chars().count() > MAX_LINE {
        return Err(format!("at most {MAX_LINE} characters"));
    }
    Ok(())
}

fn path(text: &str) -> Result<(), String> {
    let is_path = !text.is_empty() && !text.contains(char::is_control);
    if is_path { Ok(()) } else { Err("write a path".to_owned()) }
}

fn no_nul(text: &str, rule: &str) -> Result<(), String> {
    if text.contains('\0') { Err(rule.to_owned()) } else { Ok(()) }
}

/// Owner and name of `owner/repo`, by GitHub's alphabet.
pub fn repository(text: &str) -> Result<(&str, &str), String> {
    let owner_char = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name_char = |c: char| owner_char(c) || c == '.';
    let parts = text.split_once('/').filter(|(owner, name)| {
        let sizes = (1..=39).contains(&owner.len()) && (1..=100).contains(&name.len());
        sizes
            && owner.chars().all(owner_char)
            && name.chars().all(name_char)
            && *name != "."
            && *name != ".."
    });
    parts.ok_or_else(|| "write `owner/repo`, as in the repository's address".to_owned())
}

fn url(text: &str) -> Result<url::Url, String> {
    let url = url::Url::parse(text)
        .map_err(|error| format!("write an address such as https://host/path: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("write http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address is shown in reports: it must not hold credentials".to_owned());
    }
    Ok(url)
}

fn api_url(text: &str) -> Result<(), String> {
    let url = url(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("write it without `?` and `#`".to_owned());
    }
    if url.scheme() == "https" || url.host_str().is_some_and(is_loopback) {
        return Ok(());
    }
    Err("write https://: the token travels with each request".to_owned())
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

fn variable_name(name: &str) -> Result<(), String> {
    if !is_variable_name(name) {
        return Err("letters, digits and `_`, not starting with a digit".to_owned());
    }
    if name.starts_with("COORDINATOR_") {
        return Err(
            "`COORDINATOR_` is reserved: each session gets these from the coordinator".to_owned()
        );
    }
    Ok(())
}

/// Whether `name` can stand in `${...}`.
pub fn is_variable_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(allowed)
}

/// A regular expression; "" is none.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    /// `None` for "".
    pub regex: Option<Regex>,
}

impl Pattern {
    /// A default; "" where it is not an expression.
    pub fn of(text: &str) -> Self {
        let none = Self { text: String::new(), regex: None };
        Self::from_text(text).unwrap_or(none)
    }
}

impl FromText for Pattern {
    fn schema() -> Value {
        json!({"title": "regular expression"})
    }

    fn from_text(text: &str) -> Result<Self, String> {
        // The crate's text draws a picture; its last line has the error.
        let bad = |error: regex::Error| {
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("bad regular expression\n{why}")
        };
        let regex = if text.is_empty() { None } else { Some(Regex::new(text).map_err(bad)?) };
        Ok(Self { text: text.to_owned(), regex })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

crate::text_value!([] Pattern);

/// A glob in which `*` crosses `/`.
#[derive(Debug, Clone)]
pub struct Glob(pub globset::Glob);

impl FromText for Glob {
    fn schema() -> Value {
        json!({"title": "glob", "minLength": 1, "examples": [".github/*"]})
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(text).literal_separator(false).build();
        glob.map(Self).map_err(|error| format!("bad glob\n{}", error.kind()))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.glob())
    }
}

crate::text_value!([] Glob);

/// A table whose keys are not the roster's.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Table<K: Ord, V>(
    #[serde(bound(deserialize = "K: Deserialize<'de>, V: Deserialize<'de>"))] pub BTreeMap<K, V>,
);

/// Names and values of environment variables.
pub type Variables = Table<VariableName, Placed<VariableValue>>;

impl<K: Ord, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Deref<Target = str>, V: Deref<Target = str>> Table<K, V> {
    /// As texts.
    pub fn texts(&self) -> BTreeMap<String, String> {
        self.0
            .iter()
            .map(|(key, value)| (key.deref().to_owned(), value.deref().to_owned()))
            .collect()
    }
}

impl<K: Ord + JsonSchema, V: JsonSchema> JsonSchema for Table<K, V> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Table_{}_{}", K::schema_name(), V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let names = K::json_schema(generator);
        let values = generator.subschema_for::<V>();
        json_schema!({"type": "object", "propertyNames": names, "additionalProperties": values})
    }
}
