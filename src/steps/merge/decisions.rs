//! What was decided about each pull request. The report is made from it once, also where the step
//! is cut off.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use coordinator_core::pull::{Gap, Permission, Pull, RepositoryFacts, Unreadable};
use coordinator_core::report::{MergeReport, Merged, NotMerged, RecentMerge, Unjudged};
use coordinator_github::ListHead;

use coordinator_core::merge::reason::{Reason, Skip};
use coordinator_core::merge::verdict::Missing;

/// A merge that is this fresh may explain why production broke.
const RECENT: Duration = Duration::from_secs(30 * 60);

/// What was decided about a pull request, so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// It may be merged; its turn has not come.
    Waits,
    /// What is missing is read again.
    Recheck(Missing),
    /// A merge call is under way.
    Called,
    /// It is merged, as this commit where GitHub named it; in a dry run it would be.
    Merged(Option<String>),
    /// It is left, and why.
    Left(Skip),
    /// It could not be judged: GitHub did not show enough.
    Unjudged(Skip, Gap),
}

/// A pull request with what was decided.
#[derive(Debug)]
struct Entry {
    title: String,
    head: String,
    decision: Decision,
}

/// The decisions of a run. Dropping it writes the report.
#[derive(Debug)]
pub(super) struct Decisions<'a> {
    body: &'a mut MergeReport,
    entries: BTreeMap<u64, Entry>,
    /// Pull requests of which not even the number is known.
    unnamed: Vec<Gap>,
    /// In the order of the merges.
    merged: Vec<u64>,
    /// The whole list was read: a part of it is none.
    is_listed: bool,
}

impl<'a> Decisions<'a> {
    pub(super) fn into(body: &'a mut MergeReport) -> Self {
        Self { body, entries: BTreeMap::new(), unnamed: Vec::new(), merged: Vec::new(), is_listed: false }
    }

    /// What the report says beside the pull requests.
    pub(super) fn body(&mut self) -> &mut MergeReport {
        self.body
    }

    pub(super) fn knows(&self, number: u64) -> bool {
        self.entries.contains_key(&number)
    }

    /// Replaces what was decided about it before.
    pub(super) fn decide(&mut self, pull: &Pull, decision: Decision) {
        if matches!(decision, Decision::Merged(_)) {
            self.merged.push(pull.number);
        }
        let (title, head) = (pull.title.clone(), pull.head.0.clone());
        self.entries.insert(pull.number, Entry { title, head, decision });
    }

    /// The same for one that is left.
    pub(super) fn leave(&mut self, pull: &Pull, skip: &Skip) {
        self.decide(pull, Decision::Left(skip.clone()));
    }

    /// A pull request of which too little could be read.
    pub(super) fn unreadable(&mut self, pull: Unreadable) {
        let detail = format!("it could not be read: {}", pull.gap.sentence);
        let decision = Decision::Unjudged(Skip::new(Reason::MergeabilityUnknown, detail), pull.gap);
        self.entries.insert(pull.number, Entry { title: pull.title, head: String::new(), decision });
    }

    /// A pull request of which not even the number could be read.
    pub(super) fn unnamed(&mut self, gap: Gap) {
        self.unnamed.push(gap);
    }

    /// All open pull requests have been read.
    pub(super) fn listed(&mut self, head: &ListHead) {
        self.is_listed = true;
        self.body.token_expires_at = head.token_expires_at;
        self.body.token_is_administrator = head.repository.permission == Permission::Admin;
        self.body.recent = recent(&head.repository, head.clock.now());
    }

    fn conclude(&mut self) {
        let body = &mut *self.body;
        body.open = u32::try_from(self.entries.len() + self.unnamed.len()).unwrap_or(u32::MAX);
        for number in &self.merged {
            let Some(Entry { title, head, decision: Decision::Merged(commit) }) = self.entries.get(number)
            else {
                continue;
            };
            let (title, head, commit) = (title.clone(), head.clone(), commit.clone());
            body.merged.push(Merged { number: *number, title, head, commit });
        }
        for (number, Entry { title, decision, .. }) in &self.entries {
            let Some(skip) = left(decision) else { continue };
            if let Decision::Unjudged(_, gap) = decision {
                body.unjudged.push(unjudged(Some(*number), gap));
            }
            body.review_queue += u32::from(skip.reason.waits_for_review());
            body.conflicts += u32::from(skip.reason == Reason::Conflict);
            let (title, reason, detail) = (title.clone(), skip.reason, skip.detail);
            let entries = if reason.is_failure() { &mut body.failed } else { &mut body.skipped };
            entries.push(NotMerged { number: *number, title, reason, detail });
        }
        body.unjudged.extend(self.unnamed.iter().map(|gap| unjudged(None, gap)));
    }
}

impl Drop for Decisions<'_> {
    /// A merge call that is under way stands in the report as one whose outcome is unknown.
    fn drop(&mut self) {
        if self.is_listed {
            self.conclude();
        }
    }
}

/// Why it is not merged, if nothing more comes.
fn left(decision: &Decision) -> Option<Skip> {
    let (reason, detail) = match decision {
        Decision::Merged(_) => return None,
        Decision::Left(skip) | Decision::Unjudged(skip, _) => return Some(skip.clone()),
        Decision::Waits => (Reason::Deferred, "the cycle ended before its turn"),
        Decision::Recheck(Missing::CheckRows) => {
            (Reason::CiUnreadable, "the cycle ended before all of its checks were read")
        }
        Decision::Recheck(Missing::Mergeability) => {
            (Reason::MergeabilityUnknown, "GitHub has not said yet whether it can be merged")
        }
        Decision::Called => (
            Reason::MergeOutcomeUnknown,
            "it may be merged: the cycle ended before GitHub answered; the next cycle looks again",
        ),
    };
    Some(Skip::new(reason, detail))
}

fn unjudged(number: Option<u64>, gap: &Gap) -> Unjudged {
    Unjudged { number, cause: gap.cause, sentence: gap.sentence.clone() }
}

fn recent(repository: &RepositoryFacts, now: SystemTime) -> Vec<RecentMerge> {
    let mut recent: Vec<RecentMerge> = Vec::new();
    for commit in repository.branches.iter().flat_map(|branch| &branch.commits.items) {
        let (Some(number), Some(merged_at)) = (commit.pull_number(), commit.committed_at) else { continue };
        let fresh = now.duration_since(merged_at).unwrap_or_default() <= RECENT;
        if fresh && !recent.iter().any(|known| known.number == number) {
            recent.push(RecentMerge { number, title: commit.title.clone(), merged_at });
        }
    }
    recent.sort_by_key(|merge| std::cmp::Reverse(merge.merged_at));
    recent
}
