//! Reads, decides, and merges one pull request after the other.

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use coordinator_core::merge::MergePolicy;
use coordinator_core::pull::{Pull, Sha};
use coordinator_core::report::RateLimit;
use coordinator_github::{Error, Github, ListHead, MAX_PULLS, MergeCall, Rereads};

use super::MergeContext;
use super::answer::{Outcome, classify};
use super::decisions::{Decision, Decisions};
use super::judge::{Candidate, Judged};
use super::production::is_revert;
use coordinator_core::merge::reason::{Reason, Skip};
use coordinator_core::merge::title::commit_text;
use coordinator_core::merge::verdict::Missing;

/// A merge call goes by nothing that was read longer ago.
const FRESH: Duration = Duration::from_secs(5);

/// Before the one retry after "base branch was modified".
const BASE_SETTLES: Duration = Duration::from_secs(2);

/// One run of the step.
#[derive(Debug)]
pub(super) struct MergeRun<'a> {
    pub(super) github: &'a Github,
    pub(super) policy: &'a MergePolicy,
    pub(super) context: &'a MergeContext,
    pub(super) decisions: Decisions<'a>,
    /// What the first page said of the repository.
    pub(super) head: Option<ListHead>,
    pub(super) progress: Progress,
}

#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Merge calls that merged, or may have.
    merges: u32,
    /// Merge calls in all.
    calls: u32,
    /// No merge call starts earlier.
    not_before: Option<Instant>,
    /// Set once nothing more may be merged, whatever the pull request.
    over: Option<Skip>,
    /// Those whose base had moved: they get one more call.
    tried: BTreeSet<u64>,
    /// The head whose files were looked through last, and none of which is protected.
    unprotected: Option<(u64, Sha)>,
}

impl MergeRun<'_> {
    /// Fails when the list fails; then nothing is merged.
    pub(super) async fn run(&mut self) -> Result<(), Error> {
        let judged = self.read().await.inspect_err(|error| {
            self.decisions.body().rate_limit = error.rate_limit().cloned();
        })?;
        let mut undecided = judged.mergeability_missing;
        undecided.extend(self.merge_all(judged.candidates).await);
        // GitHub works mergeability out when it is asked, and anew after each merge: by now it may
        // know.
        while !undecided.is_empty() && self.stop_reason().is_none() {
            let calls = self.progress.calls;
            undecided.sort_by_key(|pull| pull.number);
            let again = self.reread(undecided, Missing::Mergeability).await;
            undecided = self.merge_all(again.candidates).await;
            if self.progress.calls == calls {
                break;
            }
        }
        Ok(())
    }

    /// Reads all open pull requests. The checks of those that need it are asked for in full at the
    /// same time as the next page, as many at a time as one question takes.
    async fn read(&mut self) -> Result<Judged, Error> {
        let (github, context) = (self.github, self.context);
        let is_refused = Cell::new(false);
        let look = |pulls| github.recheck(pulls, || context.is_stopped() || is_refused.get());
        let mut pages = github.pages(&self.policy.bases);
        let mut judged = Judged::default();
        let mut rows = FuturesUnordered::new();
        let mut looked_at = Vec::new();
        loop {
            let page = {
                let mut next = std::pin::pin!(pages.next());
                loop {
                    tokio::select! {
                        biased;
                        Some(rereads) = rows.next() => looked_at.push(rereads),
                        page = &mut next => break page?,
                    }
                }
            };
            self.head = self.head.take().or_else(|| pages.head().cloned());
            let Some(page) = page else { break };
            if let Some(limit) = looked_at.iter().find_map(Rereads::rate_limit) {
                // No further page is welcome either.
                return Err(Error::RateLimited(limit.clone()));
            }
            for pull in page.pulls {
                self.judge(pull, page.read_at, &mut judged);
            }
            page.unreadable.into_iter().for_each(|pull| self.decisions.unreadable(pull));
            page.unnamed.into_iter().for_each(|gap| self.decisions.unnamed(gap));
            while judged.rows_missing.len() >= MAX_PULLS {
                rows.push(look(judged.rows_missing.drain(..MAX_PULLS).collect()));
            }
        }
        if !judged.rows_missing.is_empty() {
            rows.push(look(std::mem::take(&mut judged.rows_missing)));
        }
        if let Some(head) = &self.head {
            self.decisions.listed(head);
        }
        while let Some(rereads) = rows.next().await {
            is_refused.set(is_refused.get() || rereads.rate_limit().is_some());
            looked_at.push(rereads);
        }
        if let Some(limit) = looked_at.iter().find_map(Rereads::rate_limit) {
            self.rate_limited(limit.clone());
        }
        for rereads in looked_at {
            let again = self.judge_again(rereads, Missing::CheckRows);
            judged.add(again);
        }
        Ok(judged)
    }

    /// Reads pull requests again and judges them anew.
    async fn reread(&mut self, pulls: Vec<Pull>, missing: Missing) -> Judged {
        let rereads = self.github.recheck(pulls, || self.context.is_stopped()).await;
        self.judge_again(rereads, missing)
    }

    /// Oldest first: GitHub numbers pull requests as they are opened. Those come back of which
    /// GitHub has not said yet whether they can be merged.
    async fn merge_all(&mut self, mut candidates: Vec<Candidate>) -> Vec<Pull> {
        candidates.sort_by_key(|candidate| candidate.pull.number);
        let mut queue = VecDeque::from(candidates);
        let mut undecided = Vec::new();
        while let Some(candidate) = queue.pop_front() {
            if let Some(skip) = self.hindrance(&candidate.pull).await {
                self.leave(&candidate.pull, &skip);
            } else if self.context.dry_run {
                self.would_merge(&candidate.pull).await;
            } else if candidate.read_at.elapsed() > FRESH {
                queue.push_front(candidate);
                undecided.extend(self.refresh(&mut queue).await);
            } else if let Some(skip) = self.protected(&candidate.pull).await.or_else(|| self.halted()) {
                // The list of its files took its time, too.
                self.leave(&candidate.pull, &skip);
            } else if candidate.read_at.elapsed() > FRESH || self.merge(&candidate).await {
                queue.push_front(candidate);
            }
        }
        undecided
    }

    /// Why this one is not merged now, whatever it looks like; waits for its turn.
    async fn hindrance(&mut self, pull: &Pull) -> Option<Skip> {
        if let Some(skip) = self.stop_reason() {
            return Some(skip);
        }
        if let Some(skip) = self.held_by_production(pull).await {
            return Some(skip);
        }
        if !self.context.dry_run {
            self.pause().await;
        }
        self.stop_reason()
    }

    /// One whose base had moved is left for that, unless there is news of it.
    fn leave(&mut self, pull: &Pull, skip: &Skip) {
        if skip.reason == Reason::Deferred && self.progress.tried.contains(&pull.number) {
            self.decisions.leave(pull, &base_modified());
        } else {
            self.decisions.leave(pull, skip);
        }
    }

    async fn would_merge(&mut self, pull: &Pull) {
        if let Some(skip) = self.protected(pull).await {
            return self.decisions.leave(pull, &skip);
        }
        self.progress.merges += 1;
        self.decisions.decide(pull, Decision::Merged(None));
    }

    /// Reads the head of the queue again: all that may still be merged, as far as one question
    /// takes them.
    async fn refresh(&mut self, queue: &mut VecDeque<Candidate>) -> Vec<Pull> {
        let left = usize::try_from(self.policy.max_merges.saturating_sub(self.progress.merges))
            .unwrap_or(usize::MAX);
        let count = queue.len().min(left).min(self.github.reread_size());
        let stale = queue.drain(..count).map(|candidate| candidate.pull).collect();
        let mut judged = self.reread(stale, Missing::Mergeability).await;
        judged.candidates.sort_by_key(|candidate| candidate.pull.number);
        for candidate in judged.candidates.into_iter().rev() {
            queue.push_front(candidate);
        }
        judged.mergeability_missing
    }

    /// One merge call. `true` where GitHub said that it did nothing because the base moved, for the
    /// first time: then it is tried once more.
    async fn merge(&mut self, candidate: &Candidate) -> bool {
        let pull = &candidate.pull;
        let text = commit_text(self.policy.commit_message, &pull.title, pull.number);
        let (title, message) = (text.title, text.message);
        let call = MergeCall { number: pull.number, head: pull.head.clone(), title, message };
        // Decided before the call: where it is cut off, the report says so.
        self.decisions.decide(pull, Decision::Called);
        self.progress.calls += 1;
        let outcome = classify(&self.github.merge(&call).await);
        let is_first = !self.progress.tried.contains(&pull.number);
        let pause =
            if outcome == Outcome::BaseModified && is_first { BASE_SETTLES } else { self.policy.pause };
        self.progress.not_before = Some(Instant::now() + pause);
        if outcome == Outcome::BaseModified {
            self.decisions.leave(pull, &base_modified());
            return self.progress.tried.insert(pull.number);
        }
        self.conclude(pull, outcome);
        false
    }

    fn conclude(&mut self, pull: &Pull, outcome: Outcome) {
        let number = pull.number;
        let skip = match outcome {
            Outcome::Merged(commit) => {
                tracing::info!(number, head = %pull.head, "merged");
                self.progress.merges += 1;
                return self.decisions.decide(pull, Decision::Merged(commit));
            }
            Outcome::BaseModified => return,
            Outcome::NotMerged(skip) => skip,
            Outcome::SquashDisabled(skip) => {
                self.progress.over = Some(skip.clone());
                skip
            }
            Outcome::RateLimited(limit) => self.rate_limited(limit),
        };
        self.progress.merges += u32::from(skip.reason == Reason::MergeOutcomeUnknown);
        tracing::info!(number, reason = skip.reason.word(), "not merged");
        self.decisions.leave(pull, &skip);
    }

    /// Why this one is for people, where the roster protects some paths.
    async fn protected(&mut self, pull: &Pull) -> Option<Skip> {
        let globs = self.policy.protected_paths.as_ref()?;
        let head = (pull.number, pull.head.clone());
        if self.progress.unprotected.as_ref() == Some(&head) {
            return None;
        }
        match self.github.changed_paths(pull.number).await {
            Ok(paths) => {
                let Some(path) = paths.iter().find(|path| globs.is_match(path)) else {
                    self.progress.unprotected = Some(head);
                    return None;
                };
                let detail = format!("it changes `{path}`, which only people merge");
                Some(Skip::new(Reason::ProtectedPath, detail))
            }
            Err(Error::RateLimited(limit)) => Some(self.rate_limited(limit)),
            Err(Error::Overloaded(why) | Error::Failed(why)) => Some(Skip::new(
                Reason::ProtectedPath,
                format!("the files that it changes are unknown: {why}"),
            )),
        }
    }

    /// Why production keeps this one from being merged, where the roster says so.
    async fn held_by_production(&mut self, pull: &Pull) -> Option<Skip> {
        let production = self.context.production.as_ref()?;
        if is_revert(pull) {
            return None;
        }
        tokio::select! {
            verdict = production.verdict() => verdict.hold(),
            () = tokio::time::sleep_until(self.context.merge_until) => self.halted(),
            () = self.context.stop.cancelled() => self.halted(),
        }
    }

    pub(super) fn rate_limited(&mut self, limit: RateLimit) -> Skip {
        let error = Error::RateLimited(limit.clone());
        let skip = Skip::new(Reason::RateLimited, error.to_string());
        self.decisions.body().rate_limit = Some(limit);
        self.progress.over = Some(skip.clone());
        skip
    }

    /// GitHub asks for a second between writes.
    async fn pause(&self) {
        let Some(time) = self.progress.not_before else { return };
        tokio::select! {
            () = tokio::time::sleep_until(time.min(self.context.merge_until)) => {}
            () = self.context.stop.cancelled() => {}
        }
    }

    /// Why no further merge starts.
    fn stop_reason(&self) -> Option<Skip> {
        let most = self.policy.max_merges;
        self.halted().or_else(|| match most {
            0 => Some(Skip::new(Reason::Deferred, "`max_merges` is 0: merging is paused")),
            _ if self.progress.merges >= most => {
                Some(Skip::new(Reason::Deferred, format!("`max_merges` is {most} a cycle")))
            }
            _ => None,
        })
    }

    /// Why no further request is sent.
    pub(super) fn halted(&self) -> Option<Skip> {
        let over = self.progress.over.clone();
        over.or_else(|| {
            let detail = if self.context.stop.is_cancelled() {
                "the run was interrupted"
            } else if Instant::now() >= self.context.merge_until {
                "no merge starts in the last 20 s of the run's deadline"
            } else {
                return None;
            };
            Some(Skip::new(Reason::Deferred, detail))
        })
    }
}

fn base_modified() -> Skip {
    Skip::new(Reason::BaseModified, "the base moved at that moment; the next cycle tries again")
}
