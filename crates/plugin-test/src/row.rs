//! A row of the test.

use coordinator_platform_local::exec::Failure;

/// How a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// The plugin keeps it.
    Pass,
    /// It does not.
    Fail,
    /// The plugin does not promise it, or what it needs failed before.
    Skipped,
}

impl Grade {
    /// The word on the screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Skipped => "skipped",
        }
    }
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Unique, for programs too.
    pub name: &'static str,
    /// How it ended.
    pub grade: Grade,
    /// What was seen; may quote the plugin.
    pub detail: String,
}

/// Why a row did not pass.
#[derive(Debug)]
pub(super) enum NotPassed {
    /// The plugin breaks the protocol.
    Failed(String),
    /// It was not tried.
    Skipped(String),
}

/// What was seen, or why the row did not pass.
pub(super) type CheckResult = Result<String, NotPassed>;

impl From<Failure> for NotPassed {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.to_string())
    }
}

impl Row {
    /// The row of a trial.
    pub(super) fn new(name: &'static str, tried: CheckResult) -> Self {
        let (grade, detail) = match tried {
            Ok(detail) => (Grade::Pass, detail),
            Err(NotPassed::Failed(detail)) => (Grade::Fail, detail),
            Err(NotPassed::Skipped(detail)) => (Grade::Skipped, detail),
        };
        Self { name, grade, detail }
    }
}

/// Fails the row unless it holds.
pub(super) fn demand(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), NotPassed> {
    if holds { Ok(()) } else { Err(NotPassed::Failed(otherwise())) }
}

/// Skips the row unless the plugin promises what it tries.
pub(super) fn promised(promises: bool, what: &str) -> Result<(), NotPassed> {
    if promises {
        Ok(())
    } else {
        Err(NotPassed::Skipped(format!("the plugin does not offer {what}")))
    }
}
