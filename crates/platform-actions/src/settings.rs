//! `[platform.github-actions]`.

use std::time::Duration;

/// `[platform.github-actions]`.
#[derive(Debug, Clone)]
pub struct ActionsSettings {
    /// File name of the session workflow.
    pub workflow: String,
    /// The branch whose workflow file and code the sessions run.
    pub git_ref: String,
    /// How long a dispatched run may wait for its turn.
    pub ticket: Duration,
    /// A run that waits longer for a runner is reported.
    pub start_timeout: Duration,
    /// Requests per cycle.
    pub max_requests: u32,
}
