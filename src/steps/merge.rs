//! Step 3: merges every open pull request that is approved and green, and reports why each other
//! one is not merged.
//!
//! [`verdict`] decides without I/O; [`run()`] reads, judges, and sends one merge call per verdict,
//! bound to the head that was judged. A call without a clear answer is not repeated, so nothing is
//! merged twice.

use std::cell::Cell;
use std::collections::BTreeMap;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use coordinator_core::merge::MergePolicy;
use coordinator_core::merge::reason::{Reason, Skip};
use coordinator_core::merge::verdict::{Missing, Verdict, verdict};
use coordinator_core::pull::{Gap, GapCause, Pull, Sha};
use coordinator_core::report::{MergeReport, RateLimit};
use coordinator_github::{Error, Github, ListHead, MAX_PULLS, Rereads};

use self::decisions::{Decision, Decisions};

pub use self::hold::{PauseWatch, Production, ProductionWatch};

mod decisions;
mod hold;
mod queue;
#[cfg(test)]
mod tests;

/// What one run of the step may do.
#[derive(Debug, Clone)]
pub struct MergeContext {
    /// Nothing is merged: `merged` lists what would be.
    pub dry_run: bool,
    /// No merge starts after this.
    pub merge_until: Instant,
    /// No merge starts once it is cancelled.
    pub stop: CancellationToken,
    /// What to wait for before the first merge that is not a revert; `None`: merges do not depend
    /// on production.
    pub production: Option<ProductionWatch>,
    /// What to wait for before the first merge; `None`: no pause is looked for.
    pub pause: Option<PauseWatch>,
}

impl MergeContext {
    /// No further request is of use.
    fn is_stopped(&self) -> bool {
        self.stop.is_cancelled() || Instant::now() >= self.merge_until
    }

    /// Returns as soon as [`Self::is_stopped`].
    async fn stopped(&self) {
        tokio::select! {
            () = sleep_until(self.merge_until) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// Lists, judges and merges. `body` is filled when the run ends, also where this future is dropped:
/// a merge call that is under way is then in it as `merge_outcome_unknown`.
///
/// Fails when the list fails; then nothing is merged. A single merge that fails is an entry of
/// `body`.
pub async fn run(
    body: &mut MergeReport,
    github: &Github,
    policy: &MergePolicy,
    context: &MergeContext,
) -> anyhow::Result<()> {
    let decisions = Decisions::into(body);
    let mut run =
        MergeRun { github, policy, context, decisions, head: None, progress: Progress::default() };
    let listed = match run.read().await {
        Ok(judged) => {
            run.merge_all(judged).await;
            Ok(())
        }
        Err(error) => {
            run.decisions.body().rate_limit = error.rate_limit().cloned();
            Err(anyhow::Error::from(error))
        }
    };
    let body = run.decisions.body();
    body.renamed_to = github.renamed_to();
    body.unavailable = github.unavailable();
    listed
}

/// One run of the step.
#[derive(Debug)]
struct MergeRun<'a> {
    github: &'a Github,
    policy: &'a MergePolicy,
    context: &'a MergeContext,
    decisions: Decisions<'a>,
    /// The repository, by the first page.
    head: Option<ListHead>,
    progress: Progress,
}

/// How far it got.
#[derive(Debug, Default)]
struct Progress {
    /// Merge calls that merged, or may have.
    merges: u32,
    /// Merge calls in all.
    calls: u32,
    /// No merge call starts earlier.
    not_before: Option<Instant>,
    /// Set once no further pull request may be merged.
    over: Option<Skip>,
    /// Pull requests whose base moved during their merge call: each gets one more.
    tried: BTreeMap<u64, Skip>,
    /// The last head whose files were checked, none of which is protected.
    unprotected: Option<(u64, Sha)>,
}

/// Pull requests that may be merged, by number, and when each was read. GitHub numbers them as they
/// are opened: the first is the oldest.
type Queue = BTreeMap<u64, (Pull, Instant)>;

/// Pull requests by what is to be done with them; the others are skipped.
#[derive(Debug, Default)]
struct Judged {
    queue: Queue,
    /// Their checks must be read one by one.
    rows_missing: Vec<Pull>,
    /// GitHub has not computed yet whether they can be merged.
    mergeability_missing: Vec<Pull>,
}

impl MergeRun<'_> {
    /// Reads and judges all open pull requests. The check rows of those that need them are read at
    /// the same time as the next page, as many at a time as one request takes.
    async fn read(&mut self) -> Result<Judged, Error> {
        let (github, context) = (self.github, self.context);
        let is_refused = Cell::new(false);
        let read_rows = |pulls| github.recheck(pulls, || context.is_stopped() || is_refused.get());
        let mut pages = github.pages(&self.policy.bases);
        let mut judged = Judged::default();
        let mut rows = FuturesUnordered::new();
        let mut reread = Vec::new();
        loop {
            let page = {
                let mut next = std::pin::pin!(pages.next());
                loop {
                    tokio::select! {
                        biased;
                        Some(rereads) = rows.next() => reread.push(rereads),
                        page = &mut next => break page?,
                    }
                }
            };
            self.head = self.head.take().or_else(|| pages.head().cloned());
            let Some(page) = page else { break };
            if let Some(limit) = reread.iter().find_map(Rereads::rate_limit) {
                // GitHub would refuse the next page, too.
                return Err(Error::RateLimited(limit.clone()));
            }
            for pull in page.pulls {
                self.judge(pull, page.read_at, &mut judged);
            }
            page.unreadable.into_iter().for_each(|pull| self.decisions.unreadable(pull));
            page.unnamed.into_iter().for_each(|gap| self.decisions.unnamed(gap));
            while judged.rows_missing.len() >= MAX_PULLS {
                rows.push(read_rows(judged.rows_missing.drain(..MAX_PULLS).collect()));
            }
        }
        if !judged.rows_missing.is_empty() {
            rows.push(read_rows(std::mem::take(&mut judged.rows_missing)));
        }
        if let Some(head) = &self.head {
            self.decisions.listed(head);
        }
        while let Some(rereads) = rows.next().await {
            is_refused.set(is_refused.get() || rereads.rate_limit().is_some());
            reread.push(rereads);
        }
        if let Some(limit) = reread.iter().find_map(Rereads::rate_limit) {
            self.rate_limited(limit.clone());
        }
        for rereads in reread {
            self.judge_again(rereads, Missing::CheckRows, &mut judged);
        }
        Ok(judged)
    }

    /// Judges a pull request, and records what holds where the run ends before more is known.
    fn judge(&mut self, pull: Pull, read_at: Instant, judged: &mut Judged) {
        let Some(head) = &self.head else { return };
        if self.decisions.knows(pull.number) {
            // A later page shows it again.
            judged.queue.remove(&pull.number);
            judged.rows_missing.retain(|earlier| earlier.number != pull.number);
            judged.mergeability_missing.retain(|earlier| earlier.number != pull.number);
        }
        match verdict(&pull, &head.repository, self.policy, head.clock.now()) {
            Verdict::Skip(skip) => {
                if skip.reason == Reason::AlreadyOnBase {
                    tracing::error!(number = pull.number, "open, but its commit is on the base");
                }
                self.decisions.skip(&pull, skip);
            }
            Verdict::Merge => {
                let skip =
                    Skip::new(Reason::Deferred, "the cycle ended first; the next one merges it");
                self.decisions.decide(&pull, Decision::Left(skip));
                judged.queue.insert(pull.number, (pull, read_at));
            }
            Verdict::Recheck(Missing::CheckRows) => {
                let detail = "the cycle ended before all checks were read; the next one reads them";
                self.decisions
                    .decide(&pull, Decision::Left(Skip::new(Reason::CiUnreadable, detail)));
                judged.rows_missing.push(pull);
            }
            Verdict::Recheck(Missing::Mergeability) => {
                let detail = "GitHub has not computed yet whether it can be merged";
                let skip = Skip::new(Reason::MergeabilityUnknown, detail);
                self.decisions.decide(&pull, Decision::Left(skip));
                judged.mergeability_missing.push(pull);
            }
        }
    }

    /// Judges what was read again. `missing` is what it was read again for.
    fn judge_again(&mut self, rereads: Rereads, missing: Missing, judged: &mut Judged) {
        for (pull, read_at) in rereads.read {
            self.judge(pull, read_at, judged);
        }
        for pull in judged.rows_missing.drain(..) {
            // Rows that are missing after a reread stay missing.
            let sentence = "not all of its checks could be read".to_owned();
            let gap = Gap { cause: GapCause::Other, sentence: sentence.clone() };
            let skip = Skip::new(Reason::CiUnreadable, sentence);
            self.decisions.decide(&pull, Decision::Unjudged(skip, gap));
        }
        for pull in rereads.unreadable {
            self.decisions.unreadable(pull);
        }
        if let Some((pulls, error)) = rereads.unanswered {
            self.unanswered(&pulls, &error, missing);
        }
    }

    fn unanswered(&mut self, pulls: &[Pull], error: &Error, missing: Missing) {
        let is_over = self.context.is_stopped() || self.progress.over.is_some();
        let skip = match error.rate_limit() {
            _ if is_over => self.stop_reason(),
            Some(limit) => Some(self.rate_limited(limit.clone())),
            None => None,
        };
        let reason = match missing {
            Missing::CheckRows => Reason::CiUnreadable,
            Missing::Mergeability => Reason::MergeabilityUnknown,
        };
        let sentence = error.to_string();
        let gap = Gap { cause: GapCause::Other, sentence: sentence.clone() };
        let decision = match skip {
            Some(skip) => Decision::Left(skip),
            None => Decision::Unjudged(Skip::new(reason, sentence), gap),
        };
        for pull in pulls {
            self.decisions.decide(pull, decision.clone());
        }
    }

    /// Nothing more is merged in this run.
    fn rate_limited(&mut self, limit: RateLimit) -> Skip {
        let error = Error::RateLimited(limit.clone());
        let skip = Skip::new(Reason::RateLimited, error.to_string());
        self.decisions.body().rate_limit = Some(limit);
        self.progress.over = Some(skip.clone());
        skip
    }
}
