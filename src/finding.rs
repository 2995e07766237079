//! What a look at the surroundings brought to light, and what to do about it.

/// How a finding stands; the order is from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Ok,
    /// It works, but somebody should know.
    Warn,
    /// The coordinator cannot do a part of its work like this.
    Fail,
}

impl Grade {
    /// The word in the report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it stands.
    pub grade: Grade,
    /// What was found, in one line; may quote untrusted text.
    pub what: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub fn ok(what: impl Into<String>) -> Self {
        Self { grade: Grade::Ok, what: what.into(), remedy: None }
    }

    /// It works, but somebody should know.
    pub fn warn(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Warn, what: what.into(), remedy: Some(remedy.into()) }
    }

    /// It stands in the way.
    pub fn fail(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Fail, what: what.into(), remedy: Some(remedy.into()) }
    }
}
