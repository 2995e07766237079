//! The five steps of a cycle. None imports another; each decides in a pure function and acts below
//! it.

use clap::ValueEnum;

pub mod inventory;
pub mod spawn;
pub mod merge;
pub mod health;
pub mod report;

/// A step that can be chosen; the report is always made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StepName {
    Inventory,
    Spawn,
    Merge,
    Health,
}

impl StepName {
    /// The word on the command line and in the report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Spawn => "spawn",
            Self::Merge => "merge",
            Self::Health => "health",
        }
    }
}

/// The message of a panic.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
