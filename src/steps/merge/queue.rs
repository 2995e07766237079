//! Merges what may be merged, one pull request after the other, each at the head that was judged.

use std::iter;
use std::mem;
use std::time::Duration;

use tokio::time::Instant;

use coordinator_core::merge::reason::{Reason, Skip};
use coordinator_core::merge::title::commit_text;
use coordinator_core::merge::verdict::Missing;
use coordinator_core::pull::Pull;
use coordinator_github::{Error, MergeOutcome};

use super::decisions::Decision;
use super::{Judged, MergeRun, Queue};

/// A merge call goes by nothing that was read longer ago.
const FRESH: Duration = Duration::from_secs(5);

/// Before the one retry after "base branch was modified".
const BASE_SETTLES: Duration = Duration::from_secs(2);

impl MergeRun<'_> {
    /// Merges the queue, oldest first; then what GitHub had not worked out yet, as long as that
    /// leads to merge calls.
    pub(super) async fn merge_all(&mut self, judged: Judged) {
        let (mut queue, mut undecided) = (judged.queue, judged.mergeability_missing);
        let mut calls = None;
        loop {
            while let Some((number, (pull, read_at))) = queue.pop_first() {
                let is_stale = || !self.context.dry_run && read_at.elapsed() > FRESH;
                if let Some(skip) = self.hold(&pull).await {
                    self.leave(&pull, skip);
                } else if is_stale() {
                    queue.insert(number, (pull, read_at));
                    undecided.extend(self.refresh(Vec::new(), &mut queue).await);
                } else if let Some(skip) =
                    self.protected(&pull).await.or_else(|| self.stop_reason())
                {
                    // The list of its files took its time, too.
                    self.leave(&pull, skip);
                } else if is_stale() || self.merge(&pull).await {
                    queue.insert(number, (pull, read_at));
                }
            }
            if undecided.is_empty()
                || calls == Some(self.progress.calls)
                || self.stop_reason().is_some()
            {
                return;
            }
            // GitHub works mergeability out when it is asked, and anew after each merge: by now it
            // may know. What it does not know then is left to the next cycle.
            calls = Some(self.progress.calls);
            undecided.sort_by_key(|pull| pull.number);
            self.refresh(mem::take(&mut undecided), &mut queue).await;
        }
    }

    /// Reads these again, and of the queue all that may still be merged, as far as one request
    /// takes them. Those come back of which GitHub does not know yet whether they can be merged.
    async fn refresh(&mut self, mut pulls: Vec<Pull>, queue: &mut Queue) -> Vec<Pull> {
        let left = self.policy.max_merges.saturating_sub(self.progress.merges);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.github.reread_size());
        let head = iter::from_fn(|| queue.pop_first()).map(|(_, (pull, _))| pull);
        pulls.extend(head.take(count));
        let rereads = self.github.recheck(pulls, || self.context.is_stopped()).await;
        let mut judged = Judged::default();
        self.judge_again(rereads, Missing::Mergeability, &mut judged);
        queue.append(&mut judged.queue);
        judged.mergeability_missing
    }

    /// One whose base had moved is left for that, unless there is news of it.
    fn leave(&mut self, pull: &Pull, skip: Skip) {
        let moved =
            self.progress.tried.get(&pull.number).filter(|_| skip.reason == Reason::Deferred);
        let skip = moved.cloned().unwrap_or(skip);
        self.decisions.decide(pull, Decision::Left(skip));
    }

    /// One merge call. `true` where GitHub did nothing because the base moved, for the first time:
    /// then it is tried once more.
    async fn merge(&mut self, pull: &Pull) -> bool {
        let number = pull.number;
        if self.context.dry_run {
            self.progress.merges += 1;
            self.decisions.decide(pull, Decision::Merged(None));
            return false;
        }
        // Decided before the call: where it is cut off, the report says so.
        let detail =
            "it may be merged: the cycle ended before GitHub answered; the next cycle looks again";
        let skip = Skip::new(Reason::MergeOutcomeUnknown, detail);
        self.decisions.decide(pull, Decision::Left(skip));
        self.progress.calls += 1;
        let text = commit_text(self.policy.commit_message, &pull.title, number);
        let outcome = self.github.merge(number, &pull.head, &text).await;
        self.progress.not_before = Some(Instant::now() + self.policy.pause);
        let skip = match outcome {
            MergeOutcome::Merged(commit) => {
                tracing::info!(number, head = pull.head.0, "merged");
                self.progress.merges += 1;
                self.decisions.decide(pull, Decision::Merged(commit));
                return false;
            }
            MergeOutcome::NotMerged(skip) => skip,
            MergeOutcome::RateLimited(limit) => self.rate_limited(limit),
        };
        tracing::info!(number, reason = skip.reason.word(), "not merged");
        self.decisions.decide(pull, Decision::Left(skip.clone()));
        match skip.reason {
            Reason::MergeOutcomeUnknown => self.progress.merges += 1,
            Reason::SquashDisabled => {
                self.decisions.body().blocker = Some(skip.clone());
                self.progress.over = Some(skip);
            }
            Reason::BaseModified if self.progress.tried.insert(number, skip).is_none() => {
                self.progress.not_before = Some(Instant::now() + BASE_SETTLES);
                return true;
            }
            _ => {}
        }
        false
    }

    /// Why this one is for people, where the roster protects some paths.
    async fn protected(&mut self, pull: &Pull) -> Option<Skip> {
        let globs = self.policy.protected_paths.as_ref()?;
        let head = (pull.number, pull.head.clone());
        if self.progress.unprotected.as_ref() == Some(&head) {
            return None;
        }
        let detail = match self.github.changed_paths(pull.number).await {
            Ok(paths) => {
                let Some(path) = paths.iter().find(|path| globs.is_match(path)) else {
                    self.progress.unprotected = Some(head);
                    return None;
                };
                format!("it changes `{path}`, which only people merge")
            }
            Err(Error::RateLimited(limit)) => return Some(self.rate_limited(limit)),
            Err(Error::Overloaded(why) | Error::Failed(why)) => {
                format!("the files that it changes are unknown: {why}")
            }
        };
        Some(Skip::new(Reason::ProtectedPath, detail))
    }
}
