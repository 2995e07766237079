//! GitHub Actions, as far as sessions need it: workflows, their runs and jobs, concurrency groups
//! and logs.
//!
//! Concurrency groups act by themselves, as GitHub documents them. Runners, agents and people act
//! when a test calls for it ([`life`]). A [`witness`] checks every change: dropping the fake fails
//! the test when two sessions were ever past their admission in one slot, or when anything but a
//! person ended one.

use std::collections::BTreeMap;

pub mod dispatch;
pub mod group;
pub mod life;
pub mod logs;
pub mod past;
pub mod rest;
pub mod run;
pub mod show;
pub mod witness;
pub mod workflow;

pub use group::Groups;
pub use logs::LogStore;
pub use past::Past;
pub use run::{Job, Run};
pub use workflow::{SESSIONS, Workflow};

/// The state of Actions in one repository.
#[derive(Debug, Clone, Default)]
pub struct Actions {
    /// By file name.
    pub workflows: BTreeMap<String, Workflow>,
    /// By id; ids grow with time.
    pub runs: BTreeMap<u64, Run>,
    /// How the list of runs is served.
    pub index: Index,
    /// How a server treats `return_run_details`.
    pub run_details: RunDetails,
    /// Whether concurrency groups do their work.
    pub groups: Groups,
    /// Where the logs are fetched from; without it no log is to be had.
    pub logs: Option<logs::Shelf>,
    /// Violations so far.
    pub breaches: Vec<String>,
    /// The newest id, which is not given out again when its run is deleted.
    last_id: u64,
}

/// How the list of runs is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Index {
    /// New runs are not listed yet; each is listed once its `indexed` is true.
    pub lags: bool,
    /// At most this many runs can be listed, whatever the total count.
    pub cap: Option<usize>,
}

/// How a server treats `return_run_details`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunDetails {
    /// 200 with the run when it is true, else 204.
    #[default]
    Known,
    /// Always 204.
    Ignored,
    /// Refused with this status: a server of before 2026.
    Refused(u16),
}

impl Actions {
    /// A repository with the workflow of sessions on `main`.
    pub fn with_sessions() -> Self {
        let workflow = Workflow::of_sessions();
        Self { workflows: BTreeMap::from([(workflow.file.clone(), workflow)]), ..Self::default() }
    }

    /// A run that exists; panics otherwise.
    pub fn run(&mut self, id: u64) -> &mut Run {
        self.runs.get_mut(&id).unwrap_or_else(|| panic!("run {id} does not exist"))
    }

    /// The session workflow.
    pub fn sessions(&mut self) -> &mut Workflow {
        self.workflows.get_mut(SESSIONS).expect("the repository has the workflow of sessions")
    }

    /// Runs of a slot, written as in the inputs, oldest first.
    pub fn of_slot(&self, slot: &str) -> Vec<&Run> {
        self.runs.values().filter(|run| run.slot().is_some_and(|(_, of)| of == slot)).collect()
    }

    /// The next id of a run or a job: beyond 32 bits, as on GitHub.
    fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.max(17_000_000_000) + 1;
        self.last_id
    }
}
