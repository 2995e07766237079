//! `roster.toml`: what should run, what may merge, what to watch. Validated as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use coordinator_core::budget::Budget;
use coordinator_core::endpoint::Endpoint;
use coordinator_core::fleet::{FleetName, Group, Role};
use coordinator_core::merge::MergePolicy;
use coordinator_core::plan::OnInventoryFailure;
use coordinator_core::pull::Repository;
use coordinator_platform_actions::ActionsSettings;
use coordinator_platform_kubernetes::KubernetesSettings;
use coordinator_platform_local::exec::ExecSettings;

/// A valid roster with its briefs read and its `${NAME}` values taken from the environment.
#[derive(Debug, Clone)]
pub struct Roster {
    /// The file, absolute: sessions record which roster started them.
    pub path: PathBuf,
    /// The file as the caller named it, for messages.
    pub named: PathBuf,
    /// Prefix of all sessions.
    pub fleet: FleetName,
    pub deadline: Duration,
    pub platform: PlatformSettings,
    /// In the order of the file, which is the order of service.
    pub roles: Vec<Role>,
    /// Absent: the merge step is not configured.
    pub repository: Option<Repository>,
    pub merge: MergePolicy,
    pub health: Vec<Endpoint>,
    pub alerts: AlertSettings,
    pub budget: Budget,
    /// Variables that some `${...}` names, everyday ones aside: secrets, kept from every session
    /// that does not name them.
    pub secret_names: BTreeSet<String>,
    /// Variables that some `${...}` names and the environment does not have, by name.
    pub missing: Vec<Missing>,
}

impl Roster {
    /// How long a session of any role may run, or hold its slot back afterwards.
    pub fn longest_memory(&self) -> Duration {
        let of_role = |role: &Role| {
            let backoff = &role.spec.backoff;
            role.spec.time_limit.max(backoff.backoff_cap).max(backoff.min_interval)
        };
        self.roles.iter().map(of_role).max().unwrap_or_default()
    }

    /// The time limits of the roles' own slots.
    pub fn time_limits(&self) -> BTreeMap<Group, Duration> {
        self.roles.iter().map(|role| (Group::from(&role.key), role.spec.time_limit)).collect()
    }
}

/// Where a cycle that is not healthy is reported, beside its report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertSettings {
    /// One issue in the repository per cause.
    pub github_issue: bool,
    /// Program and arguments; empty: none. The program is absolute, or a name to look up in PATH.
    pub command: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct PlatformSettings {
    /// Which platform, with its settings.
    pub kind: PlatformKind,
    /// Live sessions in the whole fleet; `None`: no cap.
    pub max_running: Option<u32>,
    /// Starts per cycle; 0 pauses.
    pub max_spawns: u32,
    /// Whether sessions may start while the live ones cannot be listed.
    pub on_inventory_failure: OnInventoryFailure,
}

/// The platforms of this version, with the settings of each.
#[derive(Debug, Clone)]
pub enum PlatformKind {
    /// Local processes that outlive the run.
    Process {
        /// Where their records are: one folder per fleet below it. Absolute, `~` replaced.
        state_dir: PathBuf,
    },
    Kubernetes(Box<KubernetesSettings>),
    GithubActions(ActionsSettings),
    Exec(ExecSettings),
}

mod agents;
mod alerts;
mod budget;
mod leftovers;
mod load;
mod platform;
mod problem;
mod steps;
mod table;
mod texts;
mod variables;
pub mod reference;
pub mod shipped;

pub use coordinator_core::section::Problem;
pub use leftovers::{Leftover, leftover_placeholders};
pub use load::{complaint, complaints, find, load};
pub use problem::{Located, Problems};
pub use variables::Missing;
