//! What the world is: repositories, their branches, and the account that looks at them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use super::actions::Actions;
use super::fault::{Faults, Route};
use super::issues::Issue;
use super::journal::Entry;
use super::limits::Limits;
use super::pull::{Pull, commit_id, from_now};

/// Everything, behind one lock.
#[derive(Debug)]
pub struct State {
    /// By `owner/name`.
    pub repositories: BTreeMap<String, Repository>,
    /// Valid tokens.
    pub tokens: Vec<String>,
    /// Further accounts, by their token.
    pub accounts: BTreeMap<String, Account>,
    /// The account of the current request's token, if it is one of these.
    pub viewer: Option<Account>,
    /// When the token expires, in GitHub's form: `2030-01-01 00:00:00 UTC`.
    pub token_expiration: Option<String>,
    /// Seconds by which GitHub's clock differs from this machine's.
    pub clock_offset: i64,
    /// Requests left in this hour.
    pub rate_limit_remaining: u64,
    /// The installation of a GitHub App, if there is one.
    pub installation: Option<u64>,
    /// The next faults.
    pub faults: Faults,
    /// The next changes.
    pub changes: Changes,
    /// Which queries are too expensive.
    pub limits: Limits,
    /// The first repository's name before it was renamed.
    pub old_name: Option<String>,
    /// Fields that this server lacks, as an older one does.
    pub lacking: Vec<String>,
    /// All requests so far.
    pub journal: Vec<Entry>,
}

/// An account beside the coordinator's.
#[derive(Debug, Clone)]
pub struct Account {
    pub login: String,
    /// `viewerPermission` of every repository.
    pub permission: Option<String>,
}

/// A change of the world.
pub type Change = Box<dyn FnOnce(&mut State) + Send>;

/// A change just before the next request of a route is answered.
#[derive(Default)]
pub struct Changes(pub Vec<(Route, Change)>);

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(route, _)| route)).finish()
    }
}

impl State {
    /// One repository, one token, nothing broken.
    pub fn new(repository: Repository) -> Self {
        Self {
            repositories: BTreeMap::from([(repository.name.clone(), repository)]),
            tokens: vec![super::TOKEN.to_owned()],
            accounts: BTreeMap::new(),
            viewer: None,
            token_expiration: None,
            clock_offset: 0,
            rate_limit_remaining: 5_000,
            installation: None,
            faults: Faults::default(),
            changes: Changes::default(),
            limits: Limits::default(),
            old_name: None,
            lacking: Vec::new(),
            journal: Vec::new(),
        }
    }

    /// The first repository: most worlds have one.
    pub fn repository(&mut self) -> &mut Repository {
        self.repositories.values_mut().next().expect("a world has a repository")
    }

    /// The repository of this name, or one that had it before.
    pub fn named(&self, name: &str) -> Option<&Repository> {
        let renamed =
            || self.repositories.values().next().filter(|_| self.old_name.as_deref() == Some(name));
        self.repositories.get(name).or_else(renamed)
    }

    /// Gives the first repository another name.
    pub fn rename(&mut self, name: &str) {
        let (old, mut repository) =
            self.repositories.pop_first().expect("a world has a repository");
        name.clone_into(&mut repository.name);
        self.repositories.insert(name.to_owned(), repository);
        self.old_name = Some(old);
    }

    /// The time by GitHub's clock.
    pub fn now(&self) -> SystemTime {
        from_now(self.clock_offset)
    }
}

/// A repository.
#[expect(clippy::struct_excessive_bools, reason = "these are GitHub's own switches")]
#[derive(Debug, Clone)]
pub struct Repository {
    /// `owner/name`.
    pub name: String,
    pub archived: bool,
    pub squash_allowed: bool,
    pub delete_branch_on_merge: bool,
    /// Null for GitHub Apps and the built-in token of Actions.
    pub viewer_permission: Option<String>,
    pub default_branch: String,
    /// The base takes merges from a merge queue alone.
    pub merge_queue: bool,
    /// The base demands an up-to-date head: a merge leaves the other pull requests behind.
    pub strict: bool,
    /// A ruleset demands an approval by another account than the last pusher's.
    pub last_push_rule: bool,
    /// The same of the branch's classic protection, where it has one that the token may see.
    pub last_push_protection: Option<bool>,
    pub branches: BTreeMap<String, Vec<Commit>>,
    pub actions: Actions,
    pub pulls: BTreeMap<u64, Pull>,
    pub issues: BTreeMap<u64, Issue>,
    pub has_issues: bool,
    /// The token may not read issues.
    pub hides_issues: bool,
}

/// A commit on a base branch.
#[derive(Debug, Clone)]
pub struct Commit {
    pub oid: String,
    pub message: String,
    pub committed_at: SystemTime,
}

impl Repository {
    /// `demo/app` with one commit on `main`, and these pull requests.
    pub fn with(pulls: impl IntoIterator<Item = Pull>) -> Self {
        let root = Commit {
            oid: commit_id("root"),
            message: "Start".to_owned(),
            committed_at: from_now(-86_400),
        };
        Self {
            name: "demo/app".to_owned(),
            archived: false,
            squash_allowed: true,
            delete_branch_on_merge: true,
            viewer_permission: Some("WRITE".to_owned()),
            default_branch: "main".to_owned(),
            merge_queue: false,
            strict: false,
            last_push_rule: false,
            last_push_protection: None,
            actions: Actions::with_sessions(),
            branches: BTreeMap::from([("main".to_owned(), vec![root])]),
            pulls: pulls.into_iter().map(|pull| (pull.number, pull)).collect(),
            issues: BTreeMap::new(),
            has_issues: true,
            hides_issues: false,
        }
    }

    /// The number of the next issue or pull request.
    pub fn next_number(&self) -> u64 {
        self.issues.keys().chain(self.pulls.keys()).max().map_or(1, |number| number + 1)
    }

    /// Adds a commit to a base branch, `seconds` from now.
    pub fn commit(&mut self, base: &str, message: &str, seconds: i64) -> String {
        let commits = self.branches.entry(base.to_owned()).or_default();
        let oid = commit_id(&format!("{base}/{}/{message}", commits.len()));
        let committed_at = from_now(seconds);
        commits.push(Commit { oid: oid.clone(), message: message.to_owned(), committed_at });
        oid
    }

    /// First lines of the commits on a base, oldest first.
    pub fn headlines(&self, base: &str) -> Vec<&str> {
        let commits = self.branches.get(base).into_iter().flatten();
        commits.map(|commit| commit.message.lines().next().unwrap_or_default()).collect()
    }

    /// Merges: the pull request is MERGED, the base has the commit, others conflict or fall behind.
    pub fn squash_merge(&mut self, number: u64, message: &str) -> String {
        let pull = self.pulls.get_mut(&number).expect("the caller found it");
        "MERGED".clone_into(&mut pull.state);
        let (base, conflicts) = (pull.base.clone(), pull.conflicts_with.clone());
        for other in
            self.pulls.values_mut().filter(|other| other.state == "OPEN" && other.base == base)
        {
            if conflicts.contains(&other.number) {
                "CONFLICTING".clone_into(&mut other.mergeable);
                "DIRTY".clone_into(&mut other.merge_state_status);
            } else if self.strict {
                "BEHIND".clone_into(&mut other.merge_state_status);
            }
        }
        let oid = self.commit(&base, message, 0);
        let commit = self.branches.get(&base).and_then(|commits| commits.last()).cloned();
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.merged = commit;
        }
        oid
    }
}
