//! What a coordinator says that it did, compared with what it did.

use std::collections::BTreeSet;

use coordinator::platform::CycleId;
use coordinator::report::Report;
use coordinator::report::StepOutcome;

use crate::scene::Scene;

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
    if !report.dry_run {
        for lie in lies(scene, who, cycle, report) {
            scene.violate(&format_args!("coordinator {who} reports wrongly: {lie}"));
        }
    }
}

fn lies(scene: &Scene, who: usize, cycle: &CycleId, report: &Report) -> Vec<String> {
    let (spawn, merge) = (&report.spawn.body, &report.merge.body);
    let watched = &scene.watched[&who];
    let mut lies = Vec::new();
    let name = |slot: &coordinator::fleet::Slot| slot.session_name(&report.fleet);
    for spawned in &spawn.spawned {
        let session = name(&spawned.slot);
        if !scene.created.contains(&(session.clone(), cycle.0.clone())) {
            lies.push(format!("{session} started, which it never did"));
        }
    }
    let mut told: BTreeSet<String> = spawn.spawned.iter().map(|spawned| name(&spawned.slot)).collect();
    told.extend(spawn.already_running.iter().map(name));
    told.extend(spawn.held.iter().map(|(slot, _)| name(slot)));
    told.extend(spawn.failed.iter().map(|failure| name(&failure.slot)));
    lies.extend(
        watched
            .asked_for
            .difference(&told)
            .map(|session| format!("nothing of {session}, which it asked for")),
    );
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
