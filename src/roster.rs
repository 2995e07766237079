//! `roster.toml`: what should run, what may merge, what to watch. Read once, validated whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::{FleetName, Group, Role};
use crate::section;

/// A valid roster with its briefs read and its `${NAME}` values taken from the environment.
#[derive(Debug, Clone)]
pub struct Roster {
    /// The file, absolute: sessions record which roster started them.
    pub path: PathBuf,
    /// Prefix of all sessions.
    pub fleet: FleetName,
    /// For the whole run.
    pub deadline: Duration,
    /// Where sessions run.
    pub platform: PlatformSettings,
    /// In the order of the file, which is the order of service.
    pub roles: Vec<Role>,
    /// Absent: the merge step is not configured.
    pub repository: Option<Repository>,
    /// What may merge.
    pub merge: MergePolicy,
    /// What to watch.
    pub health: Vec<Endpoint>,
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
            let restraint = &role.spec.restraint;
            role.spec.time_limit.max(restraint.backoff_cap).max(restraint.min_interval)
        };
        self.roles.iter().map(of_role).max().unwrap_or_default()
    }

    /// The time limits of the roles' own slots.
    pub fn time_limits(&self) -> BTreeMap<Group, Duration> {
        self.roles.iter().map(|role| (Group::from(&role.key), role.spec.time_limit)).collect()
    }
}

/// `[platform]`.
#[derive(Debug, Clone)]
pub struct PlatformSettings {
    /// Which platform, and what it needs to know.
    pub kind: PlatformKind,
    /// Live sessions in the whole fleet; `None`: as many as are wanted.
    pub max_running: Option<u32>,
    /// Starts per cycle; 0 pauses.
    pub max_spawns: u32,
    /// Whether an unknown inventory may spawn (R1-013).
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
    /// Jobs on a cluster.
    Kubernetes(Box<KubernetesSettings>),
    /// Runs of a workflow.
    GithubActions(ActionsSettings),
    /// Whatever a plugin starts.
    Exec(ExecSettings),
}

/// `[repository]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Before the slash.
    pub owner: String,
    /// After the slash.
    pub name: String,
    /// Base of the REST API, without a trailing slash.
    pub api_url: String,
    /// The GraphQL endpoint.
    pub graphql_url: String,
}

impl Repository {
    /// The repository `owner/repo` at these addresses, or what is wrong with its name.
    pub fn named(full_name: &str, api_url: &str, graphql_url: &str) -> Result<Self, String> {
        let (owner, name) = section::repository(full_name)?;
        Ok(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            api_url: api_url.trim_end_matches('/').to_owned(),
            graphql_url: graphql_url.to_owned(),
        })
    }

    /// `owner/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

/// `[merge]`.
#[expect(clippy::struct_excessive_bools, reason = "these are switches of the roster")]
#[derive(Debug, Clone)]
pub struct MergePolicy {
    /// `false`: the step is not configured.
    pub enabled: bool,
    /// Empty: the default branch.
    pub bases: Vec<String>,
    /// At least 1.
    pub min_approvals: u32,
    /// What an approval of an older commit counts for.
    pub stale_approvals: StaleApprovals,
    /// Whose approval counts after a push.
    pub last_push_approval: LastPushApproval,
    /// When set, only these count: `alice`, `reviewer[bot]`.
    pub trusted_approvers: Vec<String>,
    /// Bots whose approval counts, without `[bot]`.
    pub allow_bot_approvers: Vec<String>,
    /// Which checks must pass.
    pub checks: CheckMode,
    /// These must exist and have succeeded.
    pub required_checks: Vec<RequiredCheck>,
    /// Names that do not count.
    pub ignored_checks: globset::GlobSet,
    /// Merge without a single successful check.
    pub allow_no_checks: bool,
    /// Merge from forks.
    pub allow_forks: bool,
    /// Any of these forbids it, and so does a label below one (`do-not-merge/hold`). Letter case
    /// aside, and a space is a hyphen.
    pub block_labels: Vec<String>,
    /// All of these must be there. Letter case aside, and a space is a hyphen.
    pub required_labels: Vec<String>,
    /// A title that matches forbids it; `None` when the roster says "".
    pub block_title: Option<regex::Regex>,
    /// How old the newest approval that counts must be.
    pub settle: Duration,
    /// Paths that only people may merge; `None` when the list is empty.
    pub protected_paths: Option<globset::GlobSet>,
    /// Between two merges, as GitHub asks.
    pub pause: Duration,
    /// Per cycle; 0 pauses.
    pub max_merges: u32,
    /// While production is down, reverts alone are merged.
    pub hold_when_down: bool,
    /// What the squash commit says.
    pub commit_message: CommitMessage,
}

/// `stale_approvals`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StaleApprovals {
    /// Only approvals of the head commit count.
    Block,
    /// Older ones count too, when GitHub's own decision is APPROVED.
    Github,
}

/// `last_push_approval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LastPushApproval {
    /// GitHub's own rules decide.
    Github,
    /// An approval by an account that made the head commit does not count.
    Require,
}

/// `checks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckMode {
    /// Every check that is not ignored.
    All,
    /// Those that GitHub or the roster requires.
    Required,
}

/// An entry of `required_checks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredCheck {
    /// The exact name of a check run, or the exact context of a commit status.
    pub name: String,
    /// Only a check run of this app counts (its slug).
    pub app: Option<String>,
}

/// `commit_message`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CommitMessage {
    /// `<title> (#n)`, sanitised, no body.
    Title,
    /// What the repository's settings make of it.
    Repository,
}

/// `[[health]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// For people.
    pub name: String,
    /// What to GET; http or https.
    pub url: String,
    /// Empty: any 2xx.
    pub expect: Vec<u16>,
    /// For the whole answer's head, redirects included.
    pub timeout: Duration,
    /// Which redirects are followed.
    pub redirects: Redirects,
}

/// `redirects`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Redirects {
    /// Those that stay on the endpoint's host.
    #[default]
    SameHost,
    /// All.
    Follow,
    /// None.
    None,
}

mod agents;
mod briefs;
mod file;
mod health;
mod load;
mod merge;
mod platform;
mod problem;
mod repository;
mod table;
mod variables;
pub mod reference;
pub(crate) mod shipped;

pub use crate::plan::OnInventoryFailure;
pub use crate::platform::actions::ActionsSettings;
pub use crate::platform::exec::ExecSettings;
pub use crate::platform::kubernetes::{JobTemplate, KubernetesSettings, Toleration, Workspace};
pub use crate::section::Problem;
pub use load::{complaint, complaints, load};
pub use problem::{Located, Problems};
pub use variables::Missing;
