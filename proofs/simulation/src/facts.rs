//! What a coordinator can read from an answer, and so must act on.

use std::collections::BTreeSet;

/// A pull request as one answer showed it.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) number: u64,
    /// The commit.
    pub(crate) head: String,
    pub(crate) title: String,
    /// Since when it may be merged.
    pub(crate) eligible_since: Option<i64>,
}

/// The facts in one answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) pulls: Vec<Shown>,
    /// The pull requests whose commits the base shows; of the first page of a list alone.
    pub(crate) on_base: Option<BTreeSet<u64>>,
    /// The pull request whose files it lists, and whether some are protected.
    pub(crate) files: Option<(u64, bool)>,
    pub(crate) rate_limited: bool,
    /// The merge call did nothing because the base moved.
    pub(crate) base_moved: bool,
    /// This one is merged.
    pub(crate) merged: Option<u64>,
    /// A page of the list of Jobs.
    pub(crate) jobs: Option<JobPage>,
    /// Whether the fleet is paused, where one request asked for that alone.
    pub(crate) paused: Option<bool>,
}

/// A page of the fleet's Jobs.
#[derive(Debug, Clone, Default)]
pub(crate) struct JobPage {
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
    /// How many of its sessions are not over.
    pub(crate) live: u32,
    /// When the server made it, in seconds of the world.
    pub(crate) at: i64,
    /// Whether it shows that the fleet is paused.
    pub(crate) paused: bool,
    /// Its sessions that a person stopped, and whose slots nobody has let go on.
    pub(crate) stopped: BTreeSet<String>,
}
