//! What may merge, and why not: every open pull request gets a verdict with a reason.

pub mod approval;
pub mod checks;
mod policy;
pub mod reason;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
pub mod title;
pub mod verdict;

pub use policy::{CheckMode, CommitMessage, LastPushApproval, MergePolicy, RequiredCheck, StaleApprovals};
