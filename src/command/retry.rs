//! `coordinator retry`: starts a session in a slot at once, whatever its history.

use std::time::SystemTime;

use anyhow::{Context, bail};

use super::reconcile::new_cycle_id;
use super::{Finished, Refused, clients, in_time, slots};
use crate::cli::{Global, Retry};
use coordinator_core::budget::{self, Purse};
use coordinator_core::fleet::{Hold, Listing, Slot, Want};
use coordinator_core::platform::{Platform, Start};
use coordinator_http::Client;
use coordinator_platform_local::exec::Purpose;
use coordinator_roster::{Problem, Roster, complaints};

/// One start that no backoff, interval or stop holds. A pause and `max_running` do.
pub async fn run(options: &Retry, global: &Global, roster: &Roster) -> anyhow::Result<Finished> {
    let slot = slots::meant(roster, &options.slot)?.swap_remove(0);
    let want = want(roster, &slot)?;
    refuse_missing_variables(roster, &want)?;
    let client = Client::new();
    let start = async {
        let context = global.context.as_deref();
        let platform = clients::platform(roster, Purpose::Start, context, &client).await??;
        let now = SystemTime::now();
        let listing = platform.list().await?;
        if let Some(why) = refusal(&listing, &slot, roster) {
            return Ok(Err(why));
        }
        if let Some(hold) = over_budget(roster, &platform, &listing, &want, now).await {
            return Ok(Err(format!("{}: {}", hold.reason.word(), hold.detail)));
        }
        platform.expect([&want].into_iter());
        platform.start(&want, &new_cycle_id(now), now).await.map(Ok)
    };
    let name = slot.name();
    let started = in_time(roster, format!("starting {name}"), start).await?;
    let why = match started {
        Ok(Start::Started { generation }) => {
            let text = format!(
                "{name}: session {generation} started; \
                 `coordinator logs {name} --follow` shows it\n"
            );
            return Ok(Finished::ok(text));
        }
        Ok(Start::AlreadyRunning) => "a session is live".to_owned(),
        Ok(Start::Superseded) => "another session ran meanwhile".to_owned(),
        Ok(Start::Held(hold)) => format!("{}: {}", hold.reason.word(), hold.detail),
        Ok(Start::RateLimited(limit)) => format!("the platform's rate limit: {}", limit.said),
        Ok(Start::Failed(why)) | Err(why) => why,
    };
    bail!("{name} was not started: {why}")
}

/// What the roster wants in the slot.
fn want(roster: &Roster, slot: &Slot) -> anyhow::Result<Want> {
    let role = roster.roles.iter().find(|role| slot.group == role.key);
    let want = role.and_then(|role| role.wants().find(|want| want.slot == *slot));
    let want = want.with_context(|| {
        format!("the roster wants no session in {}; raise the `count` of its role", slot.name())
    })?;
    Ok(Want { by_hand: true, ..want })
}

fn refuse_missing_variables(roster: &Roster, want: &Want) -> anyhow::Result<()> {
    let missing = roster.missing.iter().filter(|it| it.roles.contains(&want.role) || it.plugin);
    let missing: Vec<Problem> = missing.map(|it| it.problem.clone()).collect();
    if !missing.is_empty() {
        bail!(Refused::Roster(complaints(&roster.named, missing)));
    }
    Ok(())
}

/// The budget holds a person's start, too.
async fn over_budget(
    roster: &Roster,
    platform: &impl Platform,
    listing: &Listing,
    want: &Want,
    now: SystemTime,
) -> Option<Hold> {
    if !roster.budget.is_set() {
        return None;
    }
    let ended = platform.ended(budget::since(listing, now)).await;
    let ended = ended.map_err(|error| format!("{error:#}"));
    Purse::read(&roster.budget, listing, ended, now).hold(&want.target())
}

/// Why no session may start now, also by hand.
fn refusal(listing: &Listing, slot: &Slot, roster: &Roster) -> Option<String> {
    if let Some(pause) = &listing.paused {
        return Some(format!(
            "the fleet is {}; `coordinator resume` ends the pause",
            pause.sentence()
        ));
    }
    let live = listing.slots.iter().filter(|(_, record)| record.live.is_some());
    let live: Vec<&Slot> = live.map(|(slot, _)| slot).collect();
    if live.contains(&slot) {
        return Some(format!("a session is live; `coordinator stop {}` ends it", slot.name()));
    }
    let cap = roster.platform.max_running?;
    let is_reached = live.len() >= cap as usize;
    is_reached.then(|| format!("max_running = {cap} is reached"))
}
