//! Secrets leave the report before it is laid out: cutting, wrapping or escaping could hide one from a search.

use std::borrow::Cow;

use coordinator_core::report::{NotMerged, Report, SourceOutcome, StepOutcome};
use coordinator_core::sanitize::one_line;
use coordinator_core::secrets::Secrets;

/// Replaces every secret in every text of a complete report, before it is rendered.
pub fn mask(report: &mut Report, secrets: &Secrets) {
    for text in texts(report) {
        // What is invisible must not keep a secret apart: it is left out when the text is shown.
        let visible = one_line(text, usize::MAX);
        if let Cow::Owned(masked) = secrets.mask(&visible) {
            *text = masked;
        }
    }
}

/// Every text that somebody else may have had a hand in.
fn texts(report: &mut Report) -> Vec<&mut String> {
    let Report { reasons, inventory, spawn, merge, health, advice, .. } = report;
    let mut texts: Vec<_> = reasons.iter_mut().map(|reason| &mut reason.text).collect();
    texts.extend(advice.iter_mut().flat_map(|advice| [&mut advice.signal, &mut advice.action]));

    let outcomes = [&mut inventory.outcome, &mut spawn.outcome, &mut merge.outcome, &mut health.outcome];
    texts.extend(outcomes.into_iter().filter_map(error));
    texts.extend(inventory.body.unmanaged.iter_mut().flat_map(|one| [&mut one.session, &mut one.reason]));
    texts.extend(inventory.body.stuck.iter_mut().map(|one| &mut one.detail));
    texts.extend(spawn.body.held.iter_mut().map(|(_, hold)| &mut hold.detail));
    texts.extend(spawn.body.failed.iter_mut().map(|failure| &mut failure.error));
    texts.extend(spawn.body.effects.iter_mut().map(|effect| &mut effect.report.detail));
    let sources = inventory.body.sources.iter_mut();
    texts.extend(sources.filter_map(|source| match &mut source.outcome {
        SourceOutcome::Partial(error) | SourceOutcome::Failed(error) => Some(error),
        SourceOutcome::Ok => None,
    }));

    let merge = &mut merge.body;
    texts.extend(merge.merged.iter_mut().map(|merged| &mut merged.title));
    let not_merged = merge.skipped.iter_mut().chain(&mut merge.failed);
    texts.extend(not_merged.flat_map(|NotMerged { title, detail, .. }| [title, detail]));
    texts.extend(merge.unjudged.iter_mut().map(|pull| &mut pull.sentence));
    texts.extend(merge.rate_limit.iter_mut().map(|limit| &mut limit.said));

    texts.extend(health.body.recent_merges.iter_mut().map(|merge| &mut merge.title));
    let endpoints = health.body.endpoints.iter_mut();
    texts.extend(
        endpoints.flat_map(|endpoint| {
            [&mut endpoint.name, &mut endpoint.url].into_iter().chain(&mut endpoint.error)
        }),
    );
    texts
}

fn error(outcome: &mut StepOutcome) -> Option<&mut String> {
    match outcome {
        StepOutcome::Failed(error) => Some(error),
        StepOutcome::Ok | StepOutcome::Skipped | StepOutcome::NotConfigured => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::render::json;
    use crate::render::sample::filled_with;
    use coordinator_core::secrets::Secrets;

    use super::mask;

    #[test]
    fn no_text_of_a_report_keeps_a_secret() {
        let secret = "ghp_0123456789";
        let mut report = filled_with(&format!("a {secret} b"));
        let shown = json::report(&report).expect("it is written");
        assert!(shown.matches(secret).count() > 10, "the sample holds it in many places: {shown}");
        mask(&mut report, &Secrets::new([secret.to_owned()]));
        let shown = json::report(&report).expect("it is written");
        assert!(!shown.contains(secret), "{shown}");
    }
}
