//! Writes the step's report, entry by entry, so that it is true whenever it is read.

use std::time::{Duration, SystemTime};

use crate::github::Snapshot;
use crate::pull::{Permission, Pull, RepositoryFacts, Unreadable};
use crate::report::{MergeReport, Merged, NotMerged, RecentMerge};

use super::reason::{Reason, Skip};

/// A merge that is this fresh may explain why production broke.
const RECENT: Duration = Duration::from_secs(30 * 60);

/// What the list alone says.
pub(super) fn survey(body: &mut MergeReport, snapshot: &Snapshot) {
    let listing = &snapshot.listing;
    let open = listing.pulls.len() + listing.unreadable.len();
    body.open = u32::try_from(open).unwrap_or(u32::MAX);
    body.token_expires_at = snapshot.token_expires_at;
    body.token_is_administrator = listing.repository.permission == Permission::Admin;
    body.recent = recent(&listing.repository, snapshot.clock.now());
    for pull in &listing.unreadable {
        unreadable(body, pull);
    }
}

/// A pull request that cannot be judged.
pub(super) fn unreadable(body: &mut MergeReport, pull: &Unreadable) {
    let skip = Skip::new(Reason::MergeabilityUnknown, pull.detail.clone());
    enter(body, pull.number, &pull.title, &skip);
}

/// A pull request that is not merged; replaces what stood there of it.
pub(super) fn skip(body: &mut MergeReport, pull: &Pull, skip: &Skip) {
    enter(body, pull.number, &pull.title, skip);
}

/// A pull request that is merged, or would be; replaces what stood there of it.
pub(super) fn merged(body: &mut MergeReport, pull: &Pull, commit: Option<String>) {
    remove(body, pull.number);
    let (title, head) = (pull.title.clone(), pull.head.0.clone());
    body.merged.push(Merged { number: pull.number, title, head, commit });
}

fn enter(body: &mut MergeReport, number: u64, title: &str, skip: &Skip) {
    remove(body, number);
    body.review_queue += u32::from(skip.reason.waits_for_review());
    body.conflicts += u32::from(skip.reason == Reason::Conflict);
    let entries = if skip.reason.is_failure() { &mut body.failed } else { &mut body.skipped };
    let place = entries.partition_point(|entry| entry.number <= number);
    let (title, reason, detail) = (title.to_owned(), skip.reason.word(), skip.detail.clone());
    entries.insert(place, NotMerged { number, title, reason, detail });
}

/// Pull requests without a number are each their own.
fn remove(body: &mut MergeReport, number: u64) {
    if number == 0 {
        return;
    }
    body.failed.retain(|entry| entry.number != number);
    if let Some(place) = body.skipped.iter().position(|entry| entry.number == number) {
        let word = body.skipped.remove(place).reason;
        let waits = Reason::WAITS_FOR_REVIEW.iter().any(|reason| reason.word() == word);
        body.review_queue -= u32::from(waits);
        body.conflicts -= u32::from(word == Reason::Conflict.word());
    }
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
