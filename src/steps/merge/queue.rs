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

/// Older data is read again before a merge call.
const FRESH: Duration = Duration::from_secs(5);

/// The pause before the one retry after "base branch was modified".
const BASE_SETTLES: Duration = Duration::from_secs(2);

impl MergeRun<'_> {
    /// Merges the queue, oldest first; then the pull requests whose mergeability was missing, as
    /// long as that leads to merge calls.
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
            // GitHub computes mergeability on request and again after each merge, so it may be
            // there by now. What is still missing is left to the next cycle.
            calls = Some(self.progress.calls);
            undecided.sort_by_key(|pull| pull.number);
            self.refresh(mem::take(&mut undecided), &mut queue).await;
        }
    }

    /// Reads these again, and of the queue all that may still be merged, as far as one request
    /// takes them. Returns those whose mergeability is still missing.
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

    /// Where its base had moved, that is the reason to keep, unless a new one is known.
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
        // Decided before the call, so that it is in the report where the call is cancelled.
        let detail = "unknown whether it was merged: the cycle ended first; the next cycle checks";
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

    /// Why only a person may merge this one, where the roster protects paths.
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
                format!("it changes `{path}`, which is in `protected_paths`; merge it by hand")
            }
            Err(Error::RateLimited(limit)) => return Some(self.rate_limited(limit)),
            Err(Error::Overloaded(why) | Error::Failed(why)) => {
                format!("its list of changed files could not be read: {why}")
            }
        };
        Some(Skip::new(Reason::ProtectedPath, detail))
    }
}
