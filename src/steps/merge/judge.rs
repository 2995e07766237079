//! Turns pull requests that were read into decisions.

use tokio::time::Instant;

use coordinator_core::pull::{Gap, GapCause, Pull};
use coordinator_github::{Error, Rereads};

use super::decisions::Decision;
use super::run::MergeRun;
use coordinator_core::merge::reason::{Reason, Skip};
use coordinator_core::merge::verdict::{Missing, Verdict, verdict};

/// A pull request that may be merged.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) pull: Pull,
    pub(super) read_at: Instant,
}

/// Pull requests by what is to be done with them; all others are left.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) candidates: Vec<Candidate>,
    /// Their checks must be read one by one.
    pub(super) rows_missing: Vec<Pull>,
    /// GitHub has not worked out yet whether they can be merged.
    pub(super) mergeability_missing: Vec<Pull>,
}

impl Judged {
    pub(super) fn add(&mut self, other: Self) {
        self.candidates.extend(other.candidates);
        self.rows_missing.extend(other.rows_missing);
        self.mergeability_missing.extend(other.mergeability_missing);
    }

    /// Forgets a pull request that a later page shows again.
    fn remove(&mut self, number: u64) {
        self.candidates.retain(|candidate| candidate.pull.number != number);
        self.rows_missing.retain(|pull| pull.number != number);
        self.mergeability_missing.retain(|pull| pull.number != number);
    }
}

impl MergeRun<'_> {
    /// Judges a pull request and decides about it.
    pub(super) fn judge(&mut self, pull: Pull, read_at: Instant, judged: &mut Judged) {
        let Some(head) = &self.head else { return };
        if self.decisions.knows(pull.number) {
            judged.remove(pull.number);
        }
        if let Some(skip) = coordinator_core::merge::verdict::repository_verdict(&head.repository) {
            return self.decisions.leave(&pull, &skip);
        }
        match verdict(&pull, &head.repository, self.policy, head.clock.now()) {
            Verdict::Skip(skip) => {
                if skip.reason == Reason::AlreadyOnBase {
                    tracing::error!(number = pull.number, "open, but its commit is on the base");
                }
                let decision = left(&pull, skip);
                self.decisions.decide(&pull, decision);
            }
            Verdict::Merge => {
                self.decisions.decide(&pull, Decision::Waits);
                judged.candidates.push(Candidate { pull, read_at });
            }
            Verdict::Recheck(missing) => {
                self.decisions.decide(&pull, Decision::Recheck(missing));
                match missing {
                    Missing::CheckRows => judged.rows_missing.push(pull),
                    Missing::Mergeability => judged.mergeability_missing.push(pull),
                }
            }
        }
    }

    /// Judges what was read again. `missing` is what it was read again for.
    pub(super) fn judge_again(&mut self, rereads: Rereads, missing: Missing) -> Judged {
        let mut judged = Judged::default();
        for (pull, read_at) in rereads.read {
            self.judge(pull, read_at, &mut judged);
        }
        for pull in judged.rows_missing.drain(..) {
            // Rows that were asked for and are not all there do not come by asking again.
            let sentence = "not all of its checks could be read".to_owned();
            let gap = Gap { cause: GapCause::Other, sentence: sentence.clone() };
            self.decisions.decide(&pull, Decision::Unjudged(Skip::new(Reason::CiUnreadable, sentence), gap));
        }
        for pull in rereads.unreadable {
            self.decisions.unreadable(pull);
        }
        if let Some((pulls, error)) = rereads.unanswered {
            self.unanswered(&pulls, &error, missing);
        }
        judged
    }

    fn unanswered(&mut self, pulls: &[Pull], error: &Error, missing: Missing) {
        let halted = self.halted();
        let skip = match (halted, error.rate_limit()) {
            (Some(skip), _) => Some(skip),
            (None, Some(limit)) => Some(self.rate_limited(limit.clone())),
            (None, None) => None,
        };
        for pull in pulls {
            if let Some(skip) = &skip {
                self.decisions.leave(pull, skip);
                continue;
            }
            let reason = match missing {
                Missing::CheckRows => Reason::CiUnreadable,
                Missing::Mergeability => Reason::MergeabilityUnknown,
            };
            let gap = Gap { cause: GapCause::Other, sentence: error.to_string() };
            let unread = Skip::new(reason, error.to_string());
            self.decisions.decide(pull, Decision::Unjudged(unread, gap));
        }
    }
}

/// A verdict that rests on something that GitHub did not show is none.
fn left(pull: &Pull, skip: Skip) -> Decision {
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
    let gap = gap.or_else(|| {
        let sentence = skip.detail.clone();
        (skip.reason == Reason::CiUnreadable).then_some(Gap { cause: GapCause::Other, sentence })
    });
    match gap {
        None => Decision::Left(skip),
        Some(gap) if skip.detail.contains(&gap.sentence) => Decision::Unjudged(skip, gap),
        Some(gap) => {
            let detail = format!("{}: GitHub says: {}", skip.detail, gap.sentence);
            Decision::Unjudged(Skip { detail, ..skip }, gap)
        }
    }
}
