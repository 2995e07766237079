//! Step 3: merges every open pull request that is approved and green, and says of every other why not.
//!
//! [`verdict::verdict`] decides and touches nothing; [`run`] reads, asks it, and sends one merge call per verdict, bound to the
//! head that was judged. Nothing is ever merged twice: a call without a clear answer is not repeated.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::github::Github;
use crate::report::MergeReport;
use crate::roster::MergePolicy;

pub mod answer;
pub mod approval;
pub mod checks;
pub mod reason;
mod record;
mod round;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
pub mod title;
pub mod verdict;

/// What one run of the step may do.
#[derive(Debug, Clone)]
pub struct Pass {
    /// Nothing is merged: `merged` lists what would be.
    pub dry_run: bool,
    /// No merge starts after this.
    pub merge_until: Instant,
    /// No merge starts once it is cancelled.
    pub stop: CancellationToken,
}

/// Lists, judges and merges. Fills `body` as it goes, so that a dropped future leaves the truth behind: a merge call
/// that is under way stands in it as `merge_outcome_unknown`.
///
/// Fails when the list fails; then nothing is merged. A single merge that fails is an entry of `body`.
pub async fn run(
    body: &mut MergeReport,
    github: &Github,
    policy: &MergePolicy,
    pass: &Pass,
) -> anyhow::Result<()> {
    let snapshot = github.list(&policy.bases).await.inspect_err(|error| {
        body.rate_limit = error.rate_limit().cloned();
    })?;
    record::survey(body, &snapshot);
    let listing = snapshot.listing;
    if let Some(skip) = verdict::repository_verdict(&listing.repository) {
        for pull in &listing.pulls {
            record::skip(body, pull, &skip);
        }
        return Ok(());
    }
    let repository = listing.repository;
    let progress = round::Progress::default();
    let round = round::Round { body, github, policy, pass, repository, clock: snapshot.clock, progress };
    round.run(listing.pulls, snapshot.taken).await;
    Ok(())
}
