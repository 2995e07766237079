//! The repository around the pull requests.

use std::time::SystemTime;

use super::Page;

/// `[repository]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Before the slash.
    pub owner: String,
    /// After the slash.
    pub name: String,
    /// Base of the REST API, without a trailing slash.
    pub api_url: String,
    pub graphql_url: String,
}

impl Repository {
    /// The repository `owner/repo` at these addresses, or what is wrong with its name.
    pub fn named(full_name: &str, api_url: &str, graphql_url: &str) -> Result<Self, String> {
        let (owner, name) = crate::section::repository(full_name)?;
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

/// The repository, as far as merging depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryFacts {
    pub archived: bool,
    /// Its settings allow squash merges.
    pub squash_allowed: bool,
    /// The token's permission.
    pub permission: Permission,
    /// `None` in an empty repository.
    pub default_branch: Option<String>,
    /// The latest commits of the default branch and of each configured base.
    pub branches: Vec<BranchHistory>,
}

impl RepositoryFacts {
    /// The latest commits of a branch, newest first; `None` when GitHub shows no such branch.
    pub fn history(&self, branch: &str) -> Option<&Page<BaseCommit>> {
        let found = self.branches.iter().find(|history| history.branch == branch)?;
        Some(&found.commits)
    }
}

/// `Repository.viewerPermission`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Everything, branch protection included.
    Admin,
    /// Enough to merge.
    Write,
    /// Not enough to merge.
    ReadOnly,
    /// Null, as GitHub Apps and the token of GitHub Actions always see it: neither a yes nor a no.
    Unknown,
}

/// The latest commits of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchHistory {
    pub branch: String,
    /// Newest first.
    pub commits: Page<BaseCommit>,
}

/// A commit on a base branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseCommit {
    /// First line of its message: untrusted text.
    pub title: String,
    pub committed_at: Option<SystemTime>,
}

impl BaseCommit {
    /// The pull request that it came from, by the `(#n)` at the end of its title.
    pub fn pull_number(&self) -> Option<u64> {
        let (_, tail) = self.title.trim_end().rsplit_once("(#")?;
        tail.strip_suffix(')')?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_an_owner_and_a_name() {
        let named = |name| {
            Repository::named(name, "https://api.example.com/v3/", "https://example.com/graphql")
        };
        let repository = named("acme/app").expect("a valid name");
        assert_eq!((repository.owner.as_str(), repository.name.as_str()), ("acme", "app"));
        assert_eq!(repository.full_name(), "acme/app");
        assert_eq!(repository.api_url, "https://api.example.com/v3");
        assert!(named("acme").is_err());
    }
}
