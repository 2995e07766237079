//! Carries the verdicts out: reads again what is undecided, then merges one pull request after the other.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::github::{Error, Github, MOST_PULLS, MergeCall, ServerClock};
use crate::pull::{Pull, RepositoryFacts};
use crate::report::MergeReport;
use crate::roster::MergePolicy;

use super::answer::{Outcome, classify};
use super::reason::{Reason, Skip};
use super::title::commit_text;
use super::verdict::{Missing, Verdict, verdict};
use super::{Pass, record};

/// What was seen longer ago is read again before it is merged.
const FRESH: Duration = Duration::from_secs(30);

/// Before the one retry after "base branch was modified".
const BASE_SETTLES: Duration = Duration::from_secs(2);

/// One pass over the open pull requests.
pub(super) struct Round<'a> {
    pub(super) body: &'a mut MergeReport,
    pub(super) github: &'a Github,
    pub(super) policy: &'a MergePolicy,
    pub(super) pass: &'a Pass,
    pub(super) repository: RepositoryFacts,
    pub(super) clock: ServerClock,
    pub(super) progress: Progress,
}

/// How far it got.
#[derive(Default)]
pub(super) struct Progress {
    /// Merge calls that merged, or may have.
    merges: u32,
    /// When the last merge call ended.
    last_call: Option<Instant>,
    /// Set once nothing more may be merged, whatever the pull request.
    over: Option<Skip>,
}

/// A pull request that may be merged, and when it was seen so.
struct Candidate {
    pull: Pull,
    seen: Instant,
}

/// Pull requests by what is to be done with them; those to be left are in the report already.
#[derive(Default)]
struct Judged {
    candidates: Vec<Candidate>,
    rows_missing: Vec<Pull>,
    mergeability_missing: Vec<Pull>,
}

impl Round<'_> {
    /// Merges what may be merged. `seen` is when the pull requests were read.
    pub(super) async fn run(mut self, pulls: Vec<Pull>, seen: Instant) {
        let mut judged = self.judge(pulls, seen);
        let again = self.reread(judged.rows_missing).await;
        judged.candidates.extend(again.candidates);
        judged.mergeability_missing.extend(again.mergeability_missing);
        judged.mergeability_missing.sort_by_key(|pull| pull.number);
        self.merge_all(judged.candidates).await;
        if self.standstill().is_none() {
            // GitHub computes mergeability when asked, so by now it may know.
            let again = self.reread(judged.mergeability_missing).await;
            self.merge_all(again.candidates).await;
        }
    }

    /// Judges and enters every verdict into the report; what is not decided yet stands there as if nothing more came.
    fn judge(&mut self, pulls: Vec<Pull>, seen: Instant) -> Judged {
        let now = self.clock.now();
        let mut judged = Judged::default();
        for pull in pulls {
            match verdict(&pull, &self.repository, self.policy, now) {
                Verdict::Skip(skip) => {
                    if skip.reason == Reason::AlreadyOnBase {
                        tracing::error!(number = pull.number, "open, but its commit is on the base");
                    }
                    record::skip(self.body, &pull, &skip);
                }
                Verdict::Merge => {
                    let skip = Skip::new(Reason::Deferred, "the cycle ended before its turn");
                    record::skip(self.body, &pull, &skip);
                    judged.candidates.push(Candidate { pull, seen });
                }
                Verdict::Recheck(Missing::CheckRows) => {
                    let skip = Skip::new(Reason::CiUnreadable, "not all of its checks could be read");
                    record::skip(self.body, &pull, &skip);
                    judged.rows_missing.push(pull);
                }
                Verdict::Recheck(Missing::Mergeability) => {
                    let detail = "GitHub has not said yet whether it can be merged";
                    record::skip(self.body, &pull, &Skip::new(Reason::MergeabilityUnknown, detail));
                    judged.mergeability_missing.push(pull);
                }
            }
        }
        judged
    }

    /// Reads pull requests again and judges them anew.
    async fn reread(&mut self, pulls: Vec<Pull>) -> Judged {
        let mut judged = Judged::default();
        for chunk in pulls.chunks(MOST_PULLS) {
            if let Some(skip) = self.halted() {
                self.skip_all(chunk, &skip);
                continue;
            }
            match self.github.recheck(chunk).await {
                Ok(answers) => {
                    let (fresh, unreadable): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
                    for pull in unreadable.into_iter().filter_map(Result::err) {
                        record::unreadable(self.body, &pull);
                    }
                    let fresh = fresh.into_iter().filter_map(Result::ok).collect();
                    let again = self.judge(fresh, Instant::now());
                    judged.candidates.extend(again.candidates);
                    judged.rows_missing.extend(again.rows_missing);
                    judged.mergeability_missing.extend(again.mergeability_missing);
                }
                Err(Error::RateLimited(limit)) => {
                    let skip = self.rate_limited(limit);
                    self.skip_all(chunk, &skip);
                }
                Err(Error::Overloaded(why) | Error::Failed(why)) => {
                    self.skip_all(chunk, &Skip::new(Reason::CiUnreadable, why));
                }
            }
        }
        judged
    }

    /// Oldest first: GitHub numbers pull requests as they are opened.
    async fn merge_all(&mut self, mut candidates: Vec<Candidate>) {
        candidates.sort_by_key(|candidate| candidate.pull.number);
        let mut queue = VecDeque::from(candidates);
        while let Some(candidate) = queue.pop_front() {
            if self.standstill().is_none() && !self.pass.dry_run {
                self.pause().await;
            }
            if let Some(skip) = self.standstill() {
                record::skip(self.body, &candidate.pull, &skip);
            } else if candidate.seen.elapsed() > FRESH && !self.pass.dry_run {
                queue.push_front(candidate);
                self.refresh(&mut queue).await;
            } else if let Some(skip) = self.protected(&candidate.pull).await.or_else(|| self.halted()) {
                // The list of its files took its time, too.
                record::skip(self.body, &candidate.pull, &skip);
            } else if self.pass.dry_run {
                self.progress.merges += 1;
                record::merged(self.body, &candidate.pull, None);
            } else {
                self.merge(&candidate).await;
            }
        }
    }

    /// Reads the head of the queue again, as many as one question takes.
    async fn refresh(&mut self, queue: &mut VecDeque<Candidate>) {
        let count = queue.len().min(MOST_PULLS);
        let stale = queue.drain(..count).map(|candidate| candidate.pull).collect();
        for candidate in self.reread(stale).await.candidates.into_iter().rev() {
            queue.push_front(candidate);
        }
    }

    /// One merge call, and a second one only where GitHub said that it did nothing because the base moved.
    async fn merge(&mut self, candidate: &Candidate) {
        let pull = &candidate.pull;
        let text = commit_text(self.policy.commit_message, &pull.title, pull.number);
        let (title, message) = (text.title, text.message);
        let call = MergeCall { number: pull.number, head: pull.head.clone(), title, message };
        let mut outcome = self.call(pull, &call).await;
        if outcome == Outcome::BaseModified {
            let detail = "the base moved at that moment; the next cycle tries again";
            record::skip(self.body, pull, &Skip::new(Reason::BaseModified, detail));
            self.sleep_until(Instant::now() + BASE_SETTLES).await;
            // A run that was stopped meanwhile does not know any more what it saw.
            if self.halted().is_some() || candidate.seen.elapsed() > FRESH {
                return;
            }
            outcome = self.call(pull, &call).await;
            if outcome == Outcome::BaseModified {
                record::skip(self.body, pull, &Skip::new(Reason::BaseModified, detail));
            }
        }
        self.conclude(pull, outcome);
    }

    /// Should nobody wait for the answer, the report says so: the entry is made before the call.
    async fn call(&mut self, pull: &Pull, call: &MergeCall) -> Outcome {
        let detail = "it may be merged: the cycle ended before GitHub answered; the next cycle looks again";
        record::skip(self.body, pull, &Skip::new(Reason::MergeOutcomeUnknown, detail));
        let outcome = classify(&self.github.merge(call).await);
        self.progress.last_call = Some(Instant::now());
        outcome
    }

    fn conclude(&mut self, pull: &Pull, outcome: Outcome) {
        let number = pull.number;
        let skip = match outcome {
            Outcome::Merged(commit) => {
                tracing::info!(number, head = %pull.head, "merged");
                self.progress.merges += 1;
                return record::merged(self.body, pull, commit);
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
        record::skip(self.body, pull, &skip);
    }

    /// Why this one is for people, where the roster protects some paths.
    async fn protected(&mut self, pull: &Pull) -> Option<Skip> {
        let globs = self.policy.protected_paths.as_ref()?;
        match self.github.changed_paths(pull.number).await {
            Ok(paths) => {
                let path = paths.iter().find(|path| globs.is_match(path))?;
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

    fn rate_limited(&mut self, limit: crate::report::RateLimit) -> Skip {
        let error = Error::RateLimited(limit.clone());
        let skip = Skip::new(Reason::RateLimited, error.to_string());
        self.body.rate_limit = Some(limit);
        self.progress.over = Some(skip.clone());
        skip
    }

    fn skip_all(&mut self, pulls: &[Pull], skip: &Skip) {
        for pull in pulls {
            record::skip(self.body, pull, skip);
        }
    }

    /// GitHub asks for a second between writes.
    async fn pause(&self) {
        if let Some(last) = self.progress.last_call {
            self.sleep_until(last + self.policy.pause).await;
        }
    }

    async fn sleep_until(&self, time: Instant) {
        tokio::select! {
            () = tokio::time::sleep_until(time.min(self.pass.merge_until)) => {}
            () = self.pass.stop.cancelled() => {}
        }
    }

    /// Why no further merge starts.
    fn standstill(&self) -> Option<Skip> {
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
    fn halted(&self) -> Option<Skip> {
        let over = self.progress.over.clone();
        over.or_else(|| {
            let detail = if self.pass.stop.is_cancelled() {
                "the run was interrupted"
            } else if Instant::now() >= self.pass.merge_until {
                "no merge starts in the last 20 s of the run's deadline"
            } else {
                return None;
            };
            Some(Skip::new(Reason::Deferred, detail))
        })
    }
}
