//! Compares a coordinator's report with what it did.

use std::collections::BTreeSet;

use coordinator_core::platform::CycleId;
use coordinator_core::report::{MergeReport, Report, StepOutcome};

use crate::ledger::Watched;
use crate::scene::Scene;
use crate::table::Place;

/// Reasons that a report may give for a pull request that is merged, when the answer was lost.
const AFTER_A_MERGE: [&str; 3] = ["merge_outcome_unknown", "not_mergeable", "already_merged"];

/// A coordinator has ended by itself, with this report.
pub(crate) fn check(scene: &mut Scene, who: usize, cycle: &CycleId, report: &Report) {
    let merge = &report.merge.body;
    scene.note(&format_args!(
        "coordinator {who}: {}, started {}, running already {}, held {}, failed {}, merged {}, \
         skipped {}, failed {}",
        report.status.word(),
        report.spawn.body.spawned.len(),
        report.spawn.body.already_running.len(),
        report.spawn.body.held.len(),
        report.spawn.body.failed.len(),
        merge.merged.len(),
        merge.skipped.len(),
        merge.failed.len(),
    ));
    for outcome in [&report.inventory.outcome, &report.spawn.outcome, &report.merge.outcome] {
        if let StepOutcome::Failed(why) = outcome {
            scene.note(&format_args!("  {why}"));
            if why.contains("panicked") {
                scene.violate(&format_args!("coordinator {who}: {why}"));
            }
        }
    }
    over_the_cap(scene, who, report);
    if !report.dry_run {
        for claim in false_claims(scene, who, cycle, report) {
            scene.violate(&format_args!("coordinator {who} reports wrongly: {claim}"));
        }
    }
}

/// With a list, its live sessions count against `max_running`. Without one their number is unknown,
/// and each start looks its slot up.
fn over_the_cap(scene: &mut Scene, who: usize, report: &Report) {
    let watched = &scene.watched[&who];
    let live =
        watched.listed.filter(|_| report.inventory.outcome == StepOutcome::Ok).unwrap_or_default();
    let (requested, room) = (watched.requested.len(), watched.room(live));
    if requested > room {
        scene.violate(&format_args!(
            "coordinator {who} creates {requested} sessions, and max_running left room for {room}"
        ));
    }
}

fn false_claims(scene: &Scene, who: usize, cycle: &CycleId, report: &Report) -> Vec<String> {
    let watched = &scene.watched[&who];
    let mut claims = of_sessions(scene, watched, cycle, report);
    claims.extend(of_merges(scene, watched, &report.merge.body));
    claims.extend(of_what_it_merged(scene, who, &report.merge.body));
    claims.extend(of_requests(watched, report));
    claims
}

fn of_sessions(scene: &Scene, watched: &Watched, cycle: &CycleId, report: &Report) -> Vec<String> {
    let spawn = &report.spawn.body;
    let mut claims = Vec::new();
    let name = |slot: &coordinator_core::fleet::Slot| slot.session_name(&report.fleet);
    for spawned in &spawn.spawned {
        let session = name(&spawned.target.slot);
        if !scene.created.contains(&(session.clone(), cycle.0.clone())) {
            claims.push(format!("{session} started, which it never did"));
        }
    }
    let mut reported: BTreeSet<String> =
        spawn.spawned.iter().map(|spawned| name(&spawned.target.slot)).collect();
    reported.extend(spawn.already_running.iter().map(|target| name(&target.slot)));
    reported.extend(spawn.held.iter().map(|(target, _)| name(&target.slot)));
    reported.extend(spawn.failed.iter().map(|failure| name(&failure.target.slot)));
    let missing = watched.requested.difference(&reported);
    claims.extend(
        missing.map(|session| format!("nothing of {session}, whose creation it requested")),
    );
    let inventory = &report.inventory.body;
    let of_items: u32 = inventory.sources.iter().filter_map(|source| source.running).sum();
    let claimed = inventory.running.map(|running| running + of_items);
    let is_whole = report.inventory.outcome == StepOutcome::Ok
        && watched.bounds.items != inventory.sources.is_empty();
    if is_whole && claimed != watched.listed {
        let listed = watched.listed;
        claims.push(format!("{claimed:?} live sessions, and the list showed {listed:?}"));
    }
    claims
}

fn of_merges(scene: &Scene, watched: &Watched, merge: &MergeReport) -> Vec<String> {
    let mut claims = Vec::new();
    for merged in &merge.merged {
        if scene.merged.get(&merged.number) != Some(&merged.head) {
            claims.push(format!("#{} merged at {}, which it is not", merged.number, merged.head));
        }
    }
    let claimed: BTreeSet<u64> = merge.merged.iter().map(|merged| merged.number).collect();
    for number in watched.merged.difference(&claimed) {
        claims.push(format!("nothing of #{number}, which GitHub's answer shows as merged"));
    }
    let skipped = merge.skipped.iter().chain(&merge.failed).map(|skip| skip.number);
    let named: BTreeSet<u64> = claimed.iter().copied().chain(skipped).collect();
    claims.extend(
        watched
            .called()
            .filter(|number| !named.contains(number))
            .map(|number| format!("nothing of #{number}, for which it sent a merge call")),
    );
    claims
}

/// Pull requests that its own calls have merged must be reported as merged, perhaps merged, or not
/// mergeable.
fn of_what_it_merged(scene: &Scene, who: usize, merge: &MergeReport) -> Vec<String> {
    let skipped = merge.skipped.iter().chain(&merge.failed);
    let wrong = skipped.filter(|skip| {
        scene.merged_by.contains(&(skip.number, who))
            && !AFTER_A_MERGE.contains(&skip.reason.word())
    });
    wrong
        .map(|skip| format!("{} of #{}, which it has merged", skip.reason.word(), skip.number))
        .collect()
}

/// A request that was begun counts, also where the cycle ended before it went out.
fn of_requests(watched: &Watched, report: &Report) -> Vec<String> {
    let sent = |place: Place| -> u64 {
        watched.sent.iter().filter(|((of, _), _)| *of == place).map(|(_, times)| *times).sum()
    };
    let claimed =
        [(Place::GitHub, report.requests.github), (Place::Kubernetes, report.requests.platform)];
    let was_cut_off = watched.was_frozen || watched.interrupted.is_some();
    let wrong = claimed
        .into_iter()
        .filter(|(place, count)| sent(*place) > *count || !was_cut_off && sent(*place) != *count);
    wrong
        .map(|(place, count)| format!("{count} requests to {place:?}, and sent {}", sent(place)))
        .collect()
}
