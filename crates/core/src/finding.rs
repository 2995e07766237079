//! One result of `doctor`: what was found, and what to do about it.

use std::time::{Duration, SystemTime};

/// A smaller difference may be the time that the answer took. GitHub refuses an App's token
/// that was issued in its future (GitHub Docs, "Generating a JSON Web Token").
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// How bad a finding is; the order is from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Ok,
    /// It was not checked.
    Note,
    /// It works, with a risk or a cost.
    Warn,
    /// A part of the coordinator's work fails.
    Fail,
}

impl Grade {
    /// The word in the report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub grade: Grade,
    /// What was found, in one line; may quote untrusted text.
    pub what: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(what: impl Into<String>) -> Self {
        Self { grade: Grade::Ok, what: what.into(), remedy: None }
    }

    /// It was not checked; `remedy` is how to check it.
    pub fn note(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Note, what: what.into(), remedy: Some(remedy.into()) }
    }

    /// It works, with a risk or a cost.
    pub fn warn(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Warn, what: what.into(), remedy: Some(remedy.into()) }
    }

    /// A part of the coordinator's work fails until it is repaired.
    pub fn fail(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Fail, what: what.into(), remedy: Some(remedy.into()) }
    }
}

/// Whether this machine's clock agrees with that of `whose` server, whose answer was dated
/// `theirs`.
pub fn clock(whose: &str, theirs: SystemTime, ours: SystemTime, remedy: &str) -> Finding {
    let (difference, word) = match ours.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(error) => (error.duration(), "behind"),
    };
    if difference <= CLOCK_TOLERANCE {
        return Finding::ok(format!("the clock agrees with {whose}"));
    }
    let difference = humantime::format_duration(Duration::from_secs(difference.as_secs()));
    Finding::warn(format!("the clock is {difference} {word} {whose}"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_by_more_than_a_minute_is_reported_with_its_direction() {
        let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let seconds = Duration::from_secs;
        for (ours, expected) in [
            (theirs, "the clock agrees with GitHub"),
            (theirs + seconds(60), "the clock agrees with GitHub"),
            (theirs - seconds(60), "the clock agrees with GitHub"),
            (theirs + seconds(61), "the clock is 1m 1s ahead of GitHub"),
            (theirs - seconds(61), "the clock is 1m 1s behind GitHub"),
        ] {
            let finding = clock("GitHub", theirs, ours, "set it");
            assert_eq!(finding.what, expected);
            assert_eq!(finding.grade == Grade::Ok, expected.contains("agrees"));
        }
    }
}
