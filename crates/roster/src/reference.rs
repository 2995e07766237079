//! Every key of `roster.toml`, declared once: what it holds, what it is when absent, what it means.
//!
//! From this one table come the validation, the suggestions for unknown keys, the JSON schema and the reference
//! for people; they cannot disagree.

mod forms;
mod keys;
mod markdown;
mod schema;

pub use forms::Form;
pub(super) use keys::MOST;
pub use keys::ROSTER;
pub use markdown::markdown;
pub use schema::schema;

/// A table of the roster.
#[derive(Debug)]
pub struct Section {
    /// As it is written: `[merge]`, `[[role]]`; empty for the top of the file.
    pub heading: &'static str,
    /// What it is about.
    pub doc: &'static str,
    /// Keys of its own.
    pub keys: &'static [Key],
    /// Keys that it takes from another section when it does not set them itself.
    pub inherits: &'static [Key],
}

impl Section {
    /// All keys that may stand in it.
    pub fn all_keys(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().chain(self.inherits)
    }
}

/// A key of a section.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it is when absent.
    pub default: Fallback,
    /// What it means, in a sentence.
    pub doc: &'static str,
}

/// What a key is when the roster does not say.
#[derive(Debug)]
pub enum Fallback {
    /// This value, written in TOML.
    Toml(&'static str),
    /// It must be there.
    Required,
    /// It follows from something else, as the sentence says.
    Derived(&'static str),
}

/// What a key holds.
#[derive(Debug)]
pub enum Kind {
    /// One line of text.
    Line,
    /// See [`coordinator_core::fleet::FleetName`].
    FleetName,
    /// See [`coordinator_core::fleet::RoleKey`].
    RoleKey,
    /// `owner/repo`.
    RepositoryName,
    /// http or https.
    Url,
    /// https, or http to this machine: a token travels with each request.
    ApiUrl,
    /// A file or folder.
    Path,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number within these bounds, both included.
    Number {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// true or false.
    Flag,
    /// Text such as "90s"; at least so many milliseconds.
    Duration {
        /// The least, in milliseconds.
        min_ms: u64,
    },
    /// Text such as "1GiB".
    Size,
    /// A regular expression; "" is none.
    Pattern,
    /// A list of lines.
    Lines,
    /// A list of globs, in which `*` crosses `/`.
    Globs,
    /// A list of HTTP status codes.
    Statuses,
    /// A list of names, or of `{ name, app }`.
    Checks,
    /// Program and arguments.
    Command,
    /// Names and values of environment variables.
    Variables,
    /// Text of this form.
    Formed(&'static Form),
    /// A list of texts of this form.
    ListOf(&'static Form),
    /// A table whose keys and values have these forms.
    TableOf(&'static Form, &'static Form),
    /// A table.
    Section(&'static Section),
    /// A list of tables.
    Sections(&'static Section),
}

impl Key {
    /// The section that it opens, when it opens one.
    pub fn section(&self) -> Option<&'static Section> {
        match self.kind {
            Kind::Section(section) | Kind::Sections(section) => Some(section),
            _ => None,
        }
    }
}

impl Kind {
    /// What to write, for people: `text`, `duration`, ...
    pub fn word(&self) -> &'static str {
        match self {
            Self::Line | Self::FleetName | Self::RoleKey | Self::RepositoryName => "text",
            Self::Url | Self::ApiUrl => "URL",
            Self::Path => "path",
            Self::Word(_) => "word",
            Self::Number { .. } => "number",
            Self::Flag => "true or false",
            Self::Duration { .. } => "duration",
            Self::Size => "size",
            Self::Pattern => "regular expression",
            Self::Lines | Self::Command | Self::ListOf(_) => "list of texts",
            Self::Globs => "list of globs",
            Self::Statuses => "list of status codes",
            Self::Checks => "list of checks",
            Self::Variables | Self::TableOf(..) => "table of texts",
            Self::Formed(form) => form.word,
            Self::Section(_) => "table",
            Self::Sections(_) => "list of tables",
        }
    }
}
