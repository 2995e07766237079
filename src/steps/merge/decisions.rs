//! What was decided about each pull request. The report is made from it once, also where the step
//! is cancelled.

use std::collections::BTreeMap;
use std::mem;
use std::time::{Duration, SystemTime};

use coordinator_core::merge::reason::{Reason, Skip};
use coordinator_core::merge::verdict;
use coordinator_core::pull::{Gap, GapCause, Permission, Pull, RepositoryFacts, Unreadable};
use coordinator_core::report::{MergeReport, Merged, NotMerged, RecentMerge, Unjudged};
use coordinator_github::ListHead;

/// A merge this recent may have broken production.
const RECENT: Duration = Duration::from_secs(30 * 60);

/// What is reported of a pull request unless a later decision replaces it.
#[derive(Debug, Clone)]
pub(super) enum Decision {
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
    /// Pull requests whose number is unknown.
    unnamed: Vec<Gap>,
    /// In the order of the merges.
    merged: Vec<u64>,
    /// The whole list was read; a part of it is not reported.
    is_listed: bool,
}

impl<'a> Decisions<'a> {
    pub(super) fn into(body: &'a mut MergeReport) -> Self {
        Self {
            body,
            entries: BTreeMap::new(),
            unnamed: Vec::new(),
            merged: Vec::new(),
            is_listed: false,
        }
    }

    /// The rest of the report.
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

    /// Skips it by its verdict. A verdict that follows from data that GitHub did not show counts as
    /// unjudged.
    pub(super) fn skip(&mut self, pull: &Pull, skip: Skip) {
        let decision = match unshown(pull, &skip) {
            None => Decision::Left(skip),
            Some(gap) if skip.detail.contains(&gap.sentence) => Decision::Unjudged(skip, gap),
            Some(gap) => {
                let detail = format!("{}: GitHub answered: {}", skip.detail, gap.sentence);
                Decision::Unjudged(Skip { detail, ..skip }, gap)
            }
        };
        self.decide(pull, decision);
    }

    /// A pull request of which too little could be read.
    pub(super) fn unreadable(&mut self, pull: Unreadable) {
        let detail = format!("it could not be read: {}", pull.gap.sentence);
        let decision = Decision::Unjudged(Skip::new(Reason::MergeabilityUnknown, detail), pull.gap);
        self.entries
            .insert(pull.number, Entry { title: pull.title, head: String::new(), decision });
    }

    /// A pull request whose number could not be read.
    pub(super) fn unnamed(&mut self, gap: Gap) {
        self.unnamed.push(gap);
    }

    /// All open pull requests have been read.
    pub(super) fn listed(&mut self, head: &ListHead) {
        self.is_listed = true;
        self.body.token_expires_at = head.token_expires_at;
        self.body.token_is_administrator = head.repository.permission == Permission::Admin;
        self.body.blocker = verdict::blocker(&head.repository);
        self.body.recent = recent(&head.repository, head.clock.now());
    }
}

impl Drop for Decisions<'_> {
    fn drop(&mut self) {
        if !self.is_listed {
            return;
        }
        let body = &mut *self.body;
        body.open = u32::try_from(self.entries.len() + self.unnamed.len()).unwrap_or(u32::MAX);
        for (number, Entry { title, head, decision }) in mem::take(&mut self.entries) {
            let skip = match decision {
                Decision::Merged(commit) => {
                    body.merged.push(Merged { number, title, head, commit });
                    continue;
                }
                Decision::Left(skip) => skip,
                Decision::Unjudged(skip, gap) => {
                    body.unjudged.push(unjudged(Some(number), &gap));
                    skip
                }
            };
            let Skip { reason, detail } = skip;
            body.review_queue += u32::from(reason.waits_for_review());
            body.conflicts += u32::from(reason == Reason::Conflict);
            let entries = if reason.is_failure() { &mut body.failed } else { &mut body.skipped };
            entries.push(NotMerged { number, title, reason, detail });
        }
        let turn = |merged: &Merged| self.merged.iter().position(|number| *number == merged.number);
        body.merged.sort_by_key(turn);
        body.unjudged.extend(self.unnamed.iter().map(|gap| unjudged(None, gap)));
    }
}

/// The data that GitHub did not show and that this verdict follows from.
fn unshown(pull: &Pull, skip: &Skip) -> Option<Gap> {
    let fields: &[&str] = match skip.reason {
        Reason::CiUnreadable => &["statusCheckRollup"],
        Reason::ReviewsTruncated => &["latestOpinionatedReviews"],
        Reason::ReviewRequired => &["reviewDecision"],
        Reason::BlockedLabel => &["labels"],
        Reason::MergeabilityUnknown => {
            &["mergeable", "mergeStateStatus", "isMergeQueueEnabled", "isInMergeQueue"]
        }
        _ => &[],
    };
    let gap = fields.iter().find_map(|field| pull.gaps.get(*field)).cloned();
    gap.or_else(|| {
        let sentence = skip.detail.clone();
        (skip.reason == Reason::CiUnreadable).then_some(Gap { cause: GapCause::Other, sentence })
    })
}

fn unjudged(number: Option<u64>, gap: &Gap) -> Unjudged {
    Unjudged { number, cause: gap.cause, sentence: gap.sentence.clone() }
}

fn recent(repository: &RepositoryFacts, now: SystemTime) -> Vec<RecentMerge> {
    let mut recent: Vec<RecentMerge> = Vec::new();
    for commit in repository.branches.iter().flat_map(|branch| &branch.commits.items) {
        let (Some(number), Some(merged_at)) = (commit.pull_number(), commit.committed_at) else {
            continue;
        };
        let fresh = now.duration_since(merged_at).unwrap_or_default() <= RECENT;
        if fresh && !recent.iter().any(|known| known.number == number) {
            recent.push(RecentMerge { number, title: commit.title.clone(), merged_at });
        }
    }
    recent.sort_by_key(|merge| std::cmp::Reverse(merge.merged_at));
    recent
}
