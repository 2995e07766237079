//! Step 3: merges every open pull request that is approved and green, and says of every other why
//! not.
//!
//! [`verdict::verdict`] decides and touches nothing; [`run()`] reads, asks it, and sends one merge
//! call per verdict, bound to the head that was judged. Nothing is ever merged twice: a call
//! without a clear answer is not repeated.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use coordinator_core::merge::MergePolicy;
use coordinator_core::report::MergeReport;
use coordinator_github::Github;

use self::decisions::Decisions;
use self::run::{MergeRun, Progress};

pub use self::production::{Production, ProductionWatch};

pub mod answer;
mod decisions;
mod judge;
mod production;
mod run;
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
}

impl MergeContext {
    /// No further request is of use.
    fn is_stopped(&self) -> bool {
        self.stop.is_cancelled() || Instant::now() >= self.merge_until
    }
}

/// Lists, judges and merges. `body` is filled when the run ends, also where this future is dropped:
/// a merge call that is under way then stands in it as `merge_outcome_unknown`.
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
    let mut run = MergeRun { github, policy, context, decisions, head: None, progress: Progress::default() };
    let ended = run.run().await;
    let body = run.decisions.body();
    body.renamed_to = github.renamed_to();
    body.unavailable = github.unavailable();
    ended.map_err(anyhow::Error::from)
}
