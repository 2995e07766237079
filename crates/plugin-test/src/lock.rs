//! Rows about the one promise: a slot holds at most one live session.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::harness::{Harness, Order, SlotNo, describe};
use super::row::{CheckResult, NotPassed, demand};
use coordinator_platform_local::exec::Failure;
use coordinator_platform_local::exec::protocol::{
    Code, Session, SlotExclusive, SpawnResult, Spawned, State,
};

/// Concurrent spawns of one slot.
const RIVALS: usize = 20;

/// Of twenty concurrent spawns, one starts a session. A plugin without a lock gets a single one.
pub(super) async fn rivals(
    harness: &Harness,
    place: SlotNo,
    holder: &mut Option<Session>,
) -> CheckResult {
    let hold = harness.hold_s().to_string();
    let order = |number: usize| Order {
        cycle: format!("rival-{number}"),
        ..Order::first(place, &["sleep", &hold])
    };
    if harness.capabilities.slot_exclusive == SlotExclusive::None {
        let answer = harness.spawn(&order(0)).await?;
        *holder = answer.session;
        return Err(unlocked());
    }
    let orders: Vec<Order> = (0..RIVALS).map(order).collect();
    let answers = join_all(orders.iter().map(|order| harness.spawn(order))).await;
    let mut created = 0;
    for answer in answers {
        match answer {
            Ok(Spawned { result: SpawnResult::Created, session }) => {
                created += 1;
                *holder = session.or(holder.take());
            }
            Ok(Spawned { result: SpawnResult::Exists | SpawnResult::Deferred, .. }) => {}
            Err(Failure::Refused { refusal, .. }) if refusal.code == Code::Conflict => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    demand(created == 1, || {
        format!(
            "{created} of {RIVALS} concurrent spawns of one slot returned created, instead of one"
        )
    })?;
    demand(holder.is_some(), || "`created` comes without its `session`".to_owned())?;
    Ok(format!("of {RIVALS} at once, one is created"))
}

/// The list shows that one, with what it was given.
pub(super) async fn listed(
    harness: &Harness,
    place: SlotNo,
    holder: Option<&Session>,
) -> CheckResult {
    let holder = known(holder)?;
    let sessions = harness.at(place).await?;
    let [session] = &sessions[..] else {
        return Err(NotPassed::Failed(format!(
            "one session was created, and {}",
            describe(&sessions)
        )));
    };
    demand(session.state != State::Finished, || {
        format!("it sleeps {} s and is finished at once", harness.hold_s())
    })?;
    demand(session.id == holder.id, || {
        format!("`{}` was created, and `{}` is listed", holder.id, session.id)
    })?;
    demand(session.generation == 1, || {
        format!("generation 1 was given, {} is listed", session.generation)
    })?;
    let has_cycle = session
        .cycle
        .as_deref()
        .is_some_and(|cycle| holder.cycle.as_deref().unwrap_or(cycle) == cycle);
    demand(has_cycle, || format!("`cycle` is lost: {:?} is listed", session.cycle))?;
    Ok("one live session, with slot, generation and cycle".to_owned())
}

/// A repeated spawn returns the same session.
pub(super) async fn replay(
    harness: &Harness,
    place: SlotNo,
    holder: Option<&Session>,
) -> CheckResult {
    let holder = known(holder)?;
    let hold = harness.hold_s().to_string();
    let answer = harness.spawn(&Order::first(place, &["sleep", &hold])).await?;
    demand(answer.result == SpawnResult::Exists, || {
        format!("the same `idempotency_key` again returned {:?}, not exists", answer.result)
            .to_lowercase()
    })?;
    let id = answer.session.map(|session| session.id);
    demand(id.as_ref() == Some(&holder.id), || {
        format!("a replay answers {id:?} instead of `{}`", holder.id)
    })?;
    Ok("the same request again: exists, and the same session".to_owned())
}

/// Another generation does not get in beside it.
pub(super) async fn taken(
    harness: &Harness,
    place: SlotNo,
    holder: Option<&Session>,
) -> CheckResult {
    let holder = known(holder)?;
    locked(harness)?;
    for predecessor in [None, Some(holder.id.clone())] {
        let order = Order { generation: 2, predecessor, ..Order::first(place, &["sleep", "1"]) };
        not_created(harness.spawn(&order).await)?;
    }
    one_live(harness, place).await?;
    Ok("the next generation does not start beside a live one".to_owned())
}

/// Another slot is another lock.
pub(super) async fn other_slot(harness: &Harness, place: SlotNo) -> CheckResult {
    let answer = harness.spawn(&Order::first(place, &["sh", "-c", "exit 3"])).await?;
    demand(answer.result == SpawnResult::Created, || {
        format!("a spawn in a free slot returned {:?}, not created", answer.result).to_lowercase()
    })?;
    Ok("a free slot beside it is filled".to_owned())
}

/// A plugin that is killed during a spawn and called again has started at most one session.
pub(super) async fn killed(harness: &Harness, places: &[SlotNo]) -> CheckResult {
    locked(harness)?;
    let hold = harness.hold_s().to_string();
    let steps = u32::try_from(places.len()).unwrap_or(1);
    for (number, place) in (1..).zip(places) {
        let order = Order::first(*place, &["sleep", &hold]);
        let moment = harness.pace * 2 * number / steps;
        // What is dropped is killed, with its group.
        let _ = timeout(moment.max(Duration::from_millis(1)), harness.spawn(&order)).await;
        match harness.spawn(&order).await {
            Ok(_) => {}
            Err(Failure::Refused { refusal, .. }) if refusal.code == Code::Conflict => {}
            Err(failure) => return Err(failure.into()),
        }
        one_live(harness, *place).await?;
    }
    Ok(format!("killed at {steps} moments of a spawn and called again: one session each"))
}

/// What was planned too long ago does not start.
pub(super) async fn expired(harness: &Harness, place: SlotNo) -> CheckResult {
    let order = Order { expires_in_s: -10, ..Order::first(place, &["sleep", "1"]) };
    not_created(harness.spawn(&order).await)?;
    let sessions = harness.at(place).await?;
    demand(sessions.is_empty(), || {
        format!("it started after `expires_at`: {}", describe(&sessions))
    })?;
    Ok("nothing starts after `expires_at`".to_owned())
}

async fn one_live(harness: &Harness, place: SlotNo) -> Result<(), NotPassed> {
    let sessions = harness.at(place).await?;
    let live = sessions.iter().filter(|session| session.state != State::Finished).count();
    // A second one may wait for its turn when the lock is at the execution.
    let running = sessions.iter().filter(|session| session.state == State::Running).count();
    let counted = match harness.capabilities.slot_exclusive {
        SlotExclusive::Create | SlotExclusive::None => live,
        SlotExclusive::Execution => running.max(live.min(1)),
    };
    demand(counted == 1, || {
        format!("one live session should be in the slot; {}", describe(&sessions))
    })
}

/// Refused in any way; an invalid answer fails.
pub(super) fn not_created(answer: Result<Spawned, Failure>) -> Result<(), NotPassed> {
    match answer {
        Ok(Spawned { result: SpawnResult::Created, .. }) => {
            Err(NotPassed::Failed("it returned created".to_owned()))
        }
        Ok(Spawned { result: SpawnResult::Exists | SpawnResult::Deferred, .. })
        | Err(Failure::Refused { .. }) => Ok(()),
        Err(failure @ (Failure::NotStarted(_) | Failure::Late(_) | Failure::Garbled(_))) => {
            Err(failure.into())
        }
    }
}

fn known(holder: Option<&Session>) -> Result<&Session, NotPassed> {
    holder.ok_or_else(|| NotPassed::Skipped("no session was created before".to_owned()))
}

fn locked(harness: &Harness) -> Result<(), NotPassed> {
    match harness.capabilities.slot_exclusive {
        SlotExclusive::Create | SlotExclusive::Execution => Ok(()),
        SlotExclusive::None => Err(unlocked()),
    }
}

fn unlocked() -> NotPassed {
    NotPassed::Skipped("`slot_exclusive` is none: one coordinator must run alone".to_owned())
}
