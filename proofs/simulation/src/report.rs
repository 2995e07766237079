//! What a coordinator says that it did, compared with what it did.

use std::collections::BTreeSet;

use coordinator_core::platform::CycleId;
use coordinator_core::report::{MergeReport, Report, StepOutcome};

use crate::ledger::Watched;
use crate::scene::Scene;
use crate::table::Place;

/// What may be said of a pull request that is merged, and whose merge one did not hear of.
const AFTER_A_MERGE: [&str; 3] = ["merge_outcome_unknown", "not_mergeable", "already_merged"];

/// A coordinator has ended by itself, with this report.
pub(crate) fn check(scene: &mut Scene, who: usize, cycle: &CycleId, report: &Report) {
    let merge = &report.merge.body;
    scene.note(&format_args!(
        "coordinator {who}: {}, started {}, running already {}, held {}, failed {}, merged {}, skipped {}, failed {}",
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
        for lie in lies(scene, who, cycle, report) {
            scene.violate(&format_args!("coordinator {who} reports wrongly: {lie}"));
        }
    }
}

/// With a list, what is live in it takes its part of `max_running`; without one nobody knows, and
/// each start looks.
fn over_the_cap(scene: &mut Scene, who: usize, report: &Report) {
    let watched = &scene.watched[&who];
    let live =
        watched.listed.filter(|_| report.inventory.outcome == StepOutcome::Ok).unwrap_or_default();
    let (asked_for, room) = (watched.asked_for.len(), watched.room(live));
    if asked_for > room {
        scene.violate(&format_args!(
            "coordinator {who} creates {asked_for} sessions, and max_running left room for {room}"
        ));
    }
}

fn lies(scene: &Scene, who: usize, cycle: &CycleId, report: &Report) -> Vec<String> {
    let watched = &scene.watched[&who];
    let mut lies = of_sessions(scene, watched, cycle, report);
    lies.extend(of_merges(scene, watched, &report.merge.body));
    lies.extend(of_what_it_merged(scene, who, &report.merge.body));
    lies.extend(of_requests(watched, report));
    lies
}

fn of_sessions(scene: &Scene, watched: &Watched, cycle: &CycleId, report: &Report) -> Vec<String> {
    let spawn = &report.spawn.body;
    let mut lies = Vec::new();
    let name = |slot: &coordinator_core::fleet::Slot| slot.session_name(&report.fleet);
    for spawned in &spawn.spawned {
        let session = name(&spawned.target.slot);
        if !scene.created.contains(&(session.clone(), cycle.0.clone())) {
            lies.push(format!("{session} started, which it never did"));
        }
    }
    let mut told: BTreeSet<String> =
        spawn.spawned.iter().map(|spawned| name(&spawned.target.slot)).collect();
    told.extend(spawn.already_running.iter().map(|target| name(&target.slot)));
    told.extend(spawn.held.iter().map(|(target, _)| name(&target.slot)));
    told.extend(spawn.failed.iter().map(|failure| name(&failure.target.slot)));
    let untold = watched.asked_for.difference(&told);
    lies.extend(untold.map(|session| format!("nothing of {session}, which it asked for")));
    let inventory = &report.inventory.body;
    let of_items: u32 = inventory.sources.iter().filter_map(|source| source.running).sum();
    let said = inventory.running.map(|running| running + of_items);
    let is_whole = report.inventory.outcome == StepOutcome::Ok
        && watched.bounds.items != inventory.sources.is_empty();
    if is_whole && said != watched.listed {
        let listed = watched.listed;
        lies.push(format!("{said:?} live sessions, and the list showed {listed:?}"));
    }
    lies
}

fn of_merges(scene: &Scene, watched: &Watched, merge: &MergeReport) -> Vec<String> {
    let mut lies = Vec::new();
    for merged in &merge.merged {
        if scene.merged.get(&merged.number) != Some(&merged.head) {
            lies.push(format!("#{} merged at {}, which it is not", merged.number, merged.head));
        }
    }
    let said: BTreeSet<u64> = merge.merged.iter().map(|merged| merged.number).collect();
    for number in watched.merged.difference(&said) {
        lies.push(format!("nothing of #{number}, which GitHub told it is merged"));
    }
    let skipped = merge.skipped.iter().chain(&merge.failed).map(|skip| skip.number);
    let known: BTreeSet<u64> = said.iter().copied().chain(skipped).collect();
    lies.extend(
        watched
            .called()
            .filter(|number| !known.contains(number))
            .map(|number| format!("nothing of #{number}, which it asked to merge")),
    );
    lies
}

/// What its own calls have merged is merged, or may be, or cannot be merged any more.
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
    let said =
        [(Place::GitHub, report.requests.github), (Place::Kubernetes, report.requests.platform)];
    let was_cut_off = watched.was_frozen || watched.interrupted.is_some();
    let wrong = said
        .into_iter()
        .filter(|(place, said)| sent(*place) > *said || !was_cut_off && sent(*place) != *said);
    wrong
        .map(|(place, said)| format!("{said} requests to {place:?}, and sent {}", sent(place)))
        .collect()
}
