//! What a row of the test says.

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

/// Why a row is no pass.
#[derive(Debug)]
pub(super) enum Shortfall {
    /// The plugin breaks the protocol.
    Failed(String),
    /// It was not tried.
    Skipped(String),
}

/// What was seen, or why the row is no pass.
pub(super) type Tried = Result<String, Shortfall>;

impl From<Failure> for Shortfall {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.to_string())
    }
}

impl Row {
    /// The row of a trial.
    pub(super) fn new(name: &'static str, tried: Tried) -> Self {
        let (grade, detail) = match tried {
            Ok(detail) => (Grade::Pass, detail),
            Err(Shortfall::Failed(detail)) => (Grade::Fail, detail),
            Err(Shortfall::Skipped(detail)) => (Grade::Skipped, detail),
        };
        Self { name, grade, detail }
    }
}

/// Fails the row unless it holds.
pub(super) fn demand(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Shortfall> {
    if holds { Ok(()) } else { Err(Shortfall::Failed(otherwise())) }
}

/// Skips the row unless the plugin promises what it tries.
pub(super) fn promised(promises: bool, what: &str) -> Result<(), Shortfall> {
    if promises {
        Ok(())
    } else {
        Err(Shortfall::Skipped(format!("the plugin does not promise {what}")))
    }
}
