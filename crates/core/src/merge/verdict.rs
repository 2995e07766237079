//! May a pull request be merged? A snapshot, the policy and the time give a verdict with its
//! reason.
//!
//! The first rule that applies decides. Data that GitHub did not show never allows a merge.

use std::time::{Duration, SystemTime};

use regex::Regex;

use crate::merge::MergePolicy;
use crate::pull::{
    BaseCommit, MergeQueue, MergeState, Mergeable, Permission, Pull, PullState, RepositoryFacts,
};
use crate::sanitize;

use super::approval;
use super::checks::{self, CheckVerdict};
use super::reason::{Reason, Skip};

/// What to do with a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Merge the head that was judged.
    Merge,
    /// Read it again: the missing data can change the verdict.
    Recheck(Missing),
    /// Leave it, with the reason.
    Skip(Skip),
}

/// What a verdict lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The single check rows.
    CheckRows,
    /// Whether GitHub can merge it.
    Mergeability,
}

impl Verdict {
    /// `merge`, or the reason word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Recheck(Missing::CheckRows) => Reason::CiUnreadable.word(),
            Self::Recheck(Missing::Mergeability) => Reason::MergeabilityUnknown.word(),
            Self::Skip(skip) => skip.reason.word(),
        }
    }
}

/// The verdict on one pull request.
pub fn verdict(
    pull: &Pull,
    repository: &RepositoryFacts,
    policy: &MergePolicy,
    now: SystemTime,
) -> Verdict {
    let skip = blocker(repository)
        .or_else(|| lifecycle(pull))
        .or_else(|| place(pull, repository, policy))
        .or_else(|| labels(pull, policy))
        .or_else(|| merge_queue(pull))
        .or_else(|| on_base(pull, repository))
        .or_else(|| conflict(pull))
        .or_else(|| approval::judge(pull, policy, now));
    if let Some(skip) = skip {
        return Verdict::Skip(skip);
    }
    match checks::judge(pull, policy) {
        CheckVerdict::Skip(skip) => Verdict::Skip(skip),
        CheckVerdict::NeedsRows => Verdict::Recheck(Missing::CheckRows),
        CheckVerdict::Green => mergeability(pull, repository),
    }
}

/// Why no pull request of the repository can be merged, until a person changes its settings or the
/// token.
pub fn blocker(repository: &RepositoryFacts) -> Option<Skip> {
    if repository.archived {
        let detail =
            "the repository is archived; unarchive it, or set `enabled = false` in [merge]";
        return Some(Skip::new(Reason::RepoArchived, detail));
    }
    if !repository.squash_allowed {
        return Some(squash_disabled());
    }
    match repository.permission {
        Permission::ReadOnly => {
            let detail = "the token has no write access; \
                give it write access to contents and pull requests";
            Some(Skip::new(Reason::NoWritePermission, detail))
        }
        Permission::Admin | Permission::Write | Permission::Unknown => None,
    }
}

/// As the settings show it, or as a merge call was refused.
pub fn squash_disabled() -> Skip {
    let detail = "the repository does not allow squash merges; allow them in its settings";
    Skip::new(Reason::SquashDisabled, detail)
}

fn lifecycle(pull: &Pull) -> Option<Skip> {
    match pull.state {
        PullState::Open => {}
        PullState::Closed => return Some(Skip::new(Reason::NotOpen, "it is closed")),
        PullState::Merged => return Some(Skip::new(Reason::NotOpen, "it is merged")),
        PullState::Unknown => {
            return Some(Skip::new(Reason::NotOpen, "GitHub does not show whether it is open"));
        }
    }
    let draft = pull.draft || pull.merge_state == MergeState::Draft;
    draft.then(|| Skip::new(Reason::Draft, "it is a draft"))
}

fn place(pull: &Pull, repository: &RepositoryFacts, policy: &MergePolicy) -> Option<Skip> {
    let allowed = match (&policy.bases[..], &repository.default_branch) {
        ([], Some(branch)) => pull.base == *branch,
        ([], None) => false,
        (bases, _) => bases.contains(&pull.base),
    };
    if !allowed {
        let base = &pull.base;
        let detail = if policy.bases.is_empty() {
            format!("its base `{base}` is not the default branch; add it to `bases` to merge there")
        } else {
            format!("its base `{base}` is not in `bases` of [merge]")
        };
        return Some(Skip::new(Reason::BaseNotAllowed, detail));
    }
    (pull.fork && !policy.allow_forks)
        .then(|| Skip::new(Reason::Fork, "it comes from a fork; `allow_forks` is false"))
}

fn labels(pull: &Pull, policy: &MergePolicy) -> Option<Skip> {
    let names: Vec<String> = pull.labels.items.iter().map(|label| label_name(label)).collect();
    let blocks =
        |name: &String| policy.block_labels.iter().any(|wanted| is_label_or_below(name, wanted));
    if let Some(at) = names.iter().position(blocks) {
        let label = &pull.labels.items[at];
        return Some(Skip::new(Reason::BlockedLabel, format!("it has the label `{label}`")));
    }
    if !pull.labels.complete && !policy.block_labels.is_empty() {
        return Some(Skip::new(Reason::BlockedLabel, "not all of its labels could be read"));
    }
    if let Some(label) =
        policy.required_labels.iter().find(|label| !names.contains(&label_name(label)))
    {
        return Some(Skip::new(Reason::MissingLabel, format!("it lacks the label `{label}`")));
    }
    let visible = sanitize::visible(&pull.title);
    let says_so = |pattern: &Regex| pattern.is_match(&pull.title) || pattern.is_match(&visible);
    let blocked = policy.block_title.as_ref().is_some_and(says_so);
    blocked.then(|| {
        Skip::new(Reason::BlockedTitle, "its title matches `block_title`: it is work in progress")
    })
}

/// `Do not merge` and `do-not-merge` are one label.
fn label_name(label: &str) -> String {
    label.to_lowercase().split_whitespace().collect::<Vec<_>>().join("-")
}

/// prow's labels carry a reason after a slash: `do-not-merge/invalid-owners-file`.
fn is_label_or_below(name: &str, wanted: &str) -> bool {
    let wanted = label_name(wanted);
    let wanted = wanted.strip_suffix("/*").unwrap_or(&wanted);
    name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn merge_queue(pull: &Pull) -> Option<Skip> {
    match pull.merge_queue {
        MergeQueue::None => None,
        MergeQueue::Queued => Some(Skip::new(Reason::InMergeQueue, "it is in the merge queue")),
        MergeQueue::Required => {
            let detail = format!("`{}` accepts merges only from its merge queue", pull.base);
            Some(Skip::new(Reason::MergeQueueRequired, detail))
        }
        MergeQueue::Unknown => {
            let detail = "GitHub does not show whether its base has a merge queue";
            Some(Skip::new(Reason::MergeabilityUnknown, detail))
        }
    }
}

/// A merge call that was answered with 5xx may have put the commit on the base and left the pull
/// request open; a second call would put it there twice. A commit older than the pull request came
/// from another repository, so its number means another pull request.
fn on_base(pull: &Pull, repository: &RepositoryFacts) -> Option<Skip> {
    // A branch that does not exist has no commits; one that could not be read fails the list.
    let commits = repository.history(&pull.base)?;
    let is_older = |commit: &BaseCommit| {
        commit
            .committed_at
            .zip(pull.created_at)
            .is_some_and(|(committed, opened)| committed < opened)
    };
    let is_its_merge =
        |commit: &BaseCommit| commit.pull_number() == Some(pull.number) && !is_older(commit);
    if commits.items.iter().any(is_its_merge) {
        let detail = format!(
            "a recent commit of `{}` has its number, so an earlier merge succeeded in part; \
             close it by hand",
            pull.base
        );
        return Some(Skip::new(Reason::AlreadyOnBase, detail));
    }
    (!commits.complete).then(|| {
        let detail = format!("not all of the latest commits of `{}` could be read", pull.base);
        Skip::new(Reason::MergeabilityUnknown, detail)
    })
}

fn conflict(pull: &Pull) -> Option<Skip> {
    let conflicts =
        pull.mergeable == Mergeable::Conflicting || pull.merge_state == MergeState::Dirty;
    conflicts.then(|| Skip::new(Reason::Conflict, format!("it conflicts with `{}`", pull.base)))
}

fn mergeability(pull: &Pull, repository: &RepositoryFacts) -> Verdict {
    if pull.mergeable != Mergeable::Yes {
        return Verdict::Recheck(Missing::Mergeability);
    }
    match pull.merge_state {
        MergeState::Clean | MergeState::HasHooks | MergeState::Unstable => Verdict::Merge,
        MergeState::Hidden if repository.permission != Permission::Admin => Verdict::Merge,
        MergeState::Hidden => Verdict::Skip(Skip::new(
            Reason::MergeabilityUnknown,
            "this GitHub server does not show branch protection, which an administrator's token \
             bypasses; use a token with write access only",
        )),
        MergeState::Blocked => Verdict::Skip(Skip::new(
            Reason::BlockedByProtection,
            "branch protection or a ruleset blocks it",
        )),
        MergeState::Behind => {
            let detail = format!("it is behind `{}`, which a rule forbids; update it", pull.base);
            Verdict::Skip(Skip::new(Reason::BehindBase, detail))
        }
        MergeState::Dirty | MergeState::Draft | MergeState::Unknown => {
            Verdict::Recheck(Missing::Mergeability)
        }
    }
}

/// "12 s", for details.
pub(super) fn seconds(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

#[cfg(test)]
mod tests;
