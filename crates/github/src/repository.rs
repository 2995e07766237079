//! The repository around its pull requests, as every page of their list shows it.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use coordinator_core::pull::{BaseCommit, BranchHistory, Page, Permission, RepositoryFacts};
use coordinator_core::timestamp;

use super::pull::{Connection, page};

/// The repository, by the first page.
#[derive(Debug, Clone)]
pub struct ListHead {
    pub repository: RepositoryFacts,
    pub clock: ServerClock,
    /// When the token expires, where GitHub shows it.
    pub token_expires_at: Option<SystemTime>,
}

/// The server's clock: approvals are dated by it, and ours may be wrong.
#[derive(Debug, Clone, Copy)]
pub struct ServerClock {
    pub time: SystemTime,
    pub read: Instant,
}

impl ServerClock {
    pub fn now(&self) -> SystemTime {
        self.time + self.read.elapsed()
    }
}

#[derive(Debug, Deserialize)]
struct BranchNode {
    target: Option<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    history: Option<Connection<CommitNode>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitNode {
    message: String,
    committed_date: Option<String>,
}

/// The latest commits of a branch; `None` where the branch does not exist. A branch that points at
/// no commit has none.
fn history(branch: &str, node: &Value) -> Option<BranchHistory> {
    if node.is_null() {
        return None;
    }
    let commit = |node: CommitNode| {
        Some(BaseCommit {
            title: node.message.lines().next().unwrap_or_default().to_owned(),
            committed_at: node.committed_date.and_then(|text| timestamp::parse(&text)),
        })
    };
    let commits = match BranchNode::deserialize(node) {
        Ok(BranchNode { target: Some(Target { history: Some(history) }) }) => {
            page(Some(history), commit)
        }
        Ok(BranchNode { target: Some(Target { history: None }) | None }) => {
            Page { items: Vec::new(), complete: true }
        }
        Err(_) => Page { items: Vec::new(), complete: false },
    };
    Some(BranchHistory { branch: branch.to_owned(), commits })
}

/// `viewerPermission`; null for GitHub Apps and the token of GitHub Actions.
pub(super) fn permission(word: &Value) -> Permission {
    match word.as_str() {
        None => Permission::Unknown,
        Some("ADMIN") => Permission::Admin,
        Some("WRITE" | "MAINTAIN") => Permission::Write,
        Some(_) => Permission::ReadOnly,
    }
}

/// The facts of a repository, read with these bases.
pub(super) fn facts(node: &Value, bases: &[String]) -> RepositoryFacts {
    let default_node = &node["defaultBranchRef"];
    let default_branch = default_node["name"].as_str().map(str::to_owned);
    let default = default_branch.as_deref().and_then(|branch| history(branch, default_node));
    let listed = bases.iter().enumerate();
    let listed =
        listed.filter_map(|(index, branch)| history(branch, &node[format!("base_{index}")]));
    RepositoryFacts {
        archived: node["isArchived"] != Value::Bool(false),
        squash_allowed: node["squashMergeAllowed"] == Value::Bool(true),
        permission: permission(&node["viewerPermission"]),
        branches: default.into_iter().chain(listed).collect(),
        default_branch,
    }
}
