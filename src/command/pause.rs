//! `coordinator pause` and `coordinator resume`: whether cycles start sessions and merge.

use std::time::SystemTime;

use super::person::person;
use super::{Finished, clients, slots};
use crate::cli::{Global, Pause, Resume};
use crate::render::Form;
use crate::render::table::View;
use coordinator_core::fleet::{self, Slot};
use coordinator_core::platform::Platform;
use coordinator_roster::Roster;

/// Pauses the fleet for every cycle to come; live sessions go on.
pub async fn pause(
    options: &Pause,
    global: &Global,
    roster: &Roster,
    form: Form<'_>,
) -> anyhow::Result<Finished> {
    let platform = clients::platform_to_look(roster, global).await?;
    let reason = options.message.clone().filter(|reason| !reason.trim().is_empty());
    let pause = fleet::Pause { by: Some(person()), since: Some(SystemTime::now()), reason };
    platform.pause(&pause).await?;
    let lines = vec![
        format!("{} is {}", roster.fleet, pause.sentence()),
        "live sessions go on; `coordinator resume` ends the pause".to_owned(),
    ];
    Ok(finished(lines, 0, form))
}

/// Ends the pause, and lets every stopped slot go on; with slots, lets these go on alone.
pub async fn resume(
    options: &Resume,
    global: &Global,
    roster: &Roster,
    form: Form<'_>,
) -> anyhow::Result<Finished> {
    let platform = clients::platform_to_look(roster, global).await?;
    let mut lines = Vec::new();
    let mut named = Vec::new();
    for text in &options.slots {
        named.extend(slots::meant(roster, text)?.into_iter().take(1));
    }
    let is_for_all = named.is_empty();
    if is_for_all {
        let listing = platform.list().await?;
        lines.push(match &listing.paused {
            Some(_) => format!("{} goes on", roster.fleet),
            None => format!("{} was not paused", roster.fleet),
        });
        platform.resume().await?;
        let is_held = |record: &fleet::SlotRecord| {
            record.live.is_none()
                && record.history.last().is_some_and(|run| run.stopped_by.is_some())
        };
        let held = listing.slots.into_iter().filter(|(_, record)| is_held(record));
        named = held.map(|(slot, _)| slot).collect();
    }
    let mut code = 0;
    for slot in named {
        let line = match platform.release(&slot).await {
            Ok(true) => format!("{} goes on with the next cycle", slot.name()),
            Ok(false) => not_held(&slot),
            Err(error) => {
                code = 1;
                format!("{}: {error:#}", slot.name())
            }
        };
        lines.push(line);
    }
    Ok(finished(lines, code, form))
}

fn not_held(slot: &Slot) -> String {
    format!("{} was not stopped", slot.name())
}

fn finished(lines: Vec<String>, code: u8, form: Form<'_>) -> Finished {
    let view = View { lines, ..View::default() };
    Finished { stdout: view.text(form.screen, form.secrets), code }
}
