//! The renderers, with arbitrary text in every field that comes from outside.

use coordinator_core::merge::reason::Reason as PullReason;
use coordinator_core::report::{Advice, NotMerged, Reason, Status, StepOutcome};

use super::chance::Chance;
use super::server::Server;
use super::stage::block_on;
use super::{Verdict, merge, shown};

/// Renders the report of a good cycle in which other texts were put.
pub(crate) fn report(bytes: &[u8]) -> Verdict {
    let chance = &mut Chance::of(bytes);
    let mut report = block_on(merge::cycle(&Server::new(&[], merge::answer)));
    if !bytes.is_empty() {
        report.reasons.push(Reason { status: Status::Broken, text: chance.text() });
        report.advice.push(Advice { signal: chance.text(), action: chance.text() });
        report.inventory.outcome = StepOutcome::Failed(chance.text());
        report.health.outcome = StepOutcome::Failed(chance.text());
        let merge = &mut report.merge.body;
        merge.merged.iter_mut().for_each(|one| one.title = chance.text());
        merge
            .skipped
            .iter_mut()
            .for_each(|one| (one.title, one.detail) = (chance.text(), chance.text()));
        let failed = NotMerged {
            number: 9,
            title: chance.text(),
            reason: PullReason::Forbidden,
            detail: chance.text(),
        };
        merge.failed.push(failed);
    }
    shown::check(&report);
    Verdict::Taken
}
