//! Rows about the one promise: a slot holds at most one live session.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::row::{Shortfall, Tried, demand};
use super::subject::{Order, Place, Subject, told};
use coordinator_platform_local::exec::Failure;
use coordinator_platform_local::exec::protocol::{
    Code, Session, SlotExclusive, Spawned, State, Verdict,
};

/// Who wants one slot at once.
const RIVALS: usize = 20;

/// Of twenty who ask at once, one starts a session. Without a lock, one asks.
pub(super) async fn rivals(subject: &Subject, place: Place, holder: &mut Option<Session>) -> Tried {
    let hold = subject.hold_s().to_string();
    let order = |number: usize| Order {
        cycle: format!("rival-{number}"),
        ..Order::first(place, &["sleep", &hold])
    };
    if subject.capabilities.slot_exclusive == SlotExclusive::None {
        let answer = subject.spawn(&order(0)).await?;
        *holder = answer.session;
        return Err(unlocked());
    }
    let orders: Vec<Order> = (0..RIVALS).map(order).collect();
    let answers = join_all(orders.iter().map(|order| subject.spawn(order))).await;
    let mut created = 0;
    for answer in answers {
        match answer {
            Ok(Spawned { result: Verdict::Created, session }) => {
                created += 1;
                *holder = session.or(holder.take());
            }
            Ok(Spawned { result: Verdict::Exists | Verdict::Deferred, .. }) => {}
            Err(Failure::Refused { refusal, .. }) if refusal.code == Code::Conflict => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    demand(created == 1, || {
        format!("{created} of {RIVALS} spawns of one slot say created, and one may")
    })?;
    demand(holder.is_some(), || "`created` comes without its `session`".to_owned())?;
    Ok(format!("of {RIVALS} at once, one is created"))
}

/// The list shows that one, with what it was given.
pub(super) async fn listed(subject: &Subject, place: Place, holder: Option<&Session>) -> Tried {
    let holder = known(holder)?;
    let sessions = subject.at(place).await?;
    let [session] = &sessions[..] else {
        return Err(Shortfall::Failed(format!("one session was created, and {}", told(&sessions))));
    };
    demand(session.state != State::Finished, || {
        format!("it sleeps {} s and is finished at once", subject.hold_s())
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

/// Who asks again for the same gets the same.
pub(super) async fn replay(subject: &Subject, place: Place, holder: Option<&Session>) -> Tried {
    let holder = known(holder)?;
    let hold = subject.hold_s().to_string();
    let answer = subject.spawn(&Order::first(place, &["sleep", &hold])).await?;
    demand(answer.result == Verdict::Exists, || {
        format!("the same `idempotency_key` again says {:?}, not exists", answer.result)
            .to_lowercase()
    })?;
    let id = answer.session.map(|session| session.id);
    demand(id.as_ref() == Some(&holder.id), || {
        format!("a replay answers {id:?} instead of `{}`", holder.id)
    })?;
    Ok("the same request again: exists, and the same session".to_owned())
}

/// Another generation does not get in beside it.
pub(super) async fn taken(subject: &Subject, place: Place, holder: Option<&Session>) -> Tried {
    let holder = known(holder)?;
    locked(subject)?;
    for predecessor in [None, Some(holder.id.clone())] {
        let order = Order { generation: 2, predecessor, ..Order::first(place, &["sleep", "1"]) };
        not_created(subject.spawn(&order).await)?;
    }
    one_live(subject, place).await?;
    Ok("the next generation does not start beside a live one".to_owned())
}

/// Another slot is another lock.
pub(super) async fn other_slot(subject: &Subject, place: Place) -> Tried {
    let answer = subject.spawn(&Order::first(place, &["sh", "-c", "exit 3"])).await?;
    demand(answer.result == Verdict::Created, || {
        format!("a spawn in a free slot says {:?}, not created", answer.result).to_lowercase()
    })?;
    Ok("a free slot beside it is filled".to_owned())
}

/// A plugin that was killed at any moment and is asked again has started one session at most.
pub(super) async fn killed(subject: &Subject, places: &[Place]) -> Tried {
    locked(subject)?;
    let hold = subject.hold_s().to_string();
    let steps = u32::try_from(places.len()).unwrap_or(1);
    for (number, place) in (1..).zip(places) {
        let order = Order::first(*place, &["sleep", &hold]);
        let moment = subject.pace * 2 * number / steps;
        // What is dropped is killed, with its group.
        let _ = timeout(moment.max(Duration::from_millis(1)), subject.spawn(&order)).await;
        match subject.spawn(&order).await {
            Ok(_) => {}
            Err(Failure::Refused { refusal, .. }) if refusal.code == Code::Conflict => {}
            Err(failure) => return Err(failure.into()),
        }
        one_live(subject, *place).await?;
    }
    Ok(format!("killed at {steps} moments of a spawn and asked again: one session each"))
}

/// What was planned too long ago does not start.
pub(super) async fn expired(subject: &Subject, place: Place) -> Tried {
    let order = Order { expires_in_s: -10, ..Order::first(place, &["sleep", "1"]) };
    not_created(subject.spawn(&order).await)?;
    let sessions = subject.at(place).await?;
    demand(sessions.is_empty(), || format!("it started after `expires_at`: {}", told(&sessions)))?;
    Ok("nothing starts after `expires_at`".to_owned())
}

async fn one_live(subject: &Subject, place: Place) -> Result<(), Shortfall> {
    let sessions = subject.at(place).await?;
    let live = sessions.iter().filter(|session| session.state != State::Finished).count();
    // A second one may wait for its turn when the lock is at the execution.
    let running = sessions.iter().filter(|session| session.state == State::Running).count();
    let counted = match subject.capabilities.slot_exclusive {
        SlotExclusive::Create | SlotExclusive::None => live,
        SlotExclusive::Execution => running.max(live.min(1)),
    };
    demand(counted == 1, || format!("one live session should be in the slot; {}", told(&sessions)))
}

/// Refused in any way; an answer that is none fails.
pub(super) fn not_created(answer: Result<Spawned, Failure>) -> Result<(), Shortfall> {
    match answer {
        Ok(Spawned { result: Verdict::Created, .. }) => {
            Err(Shortfall::Failed("it says created".to_owned()))
        }
        Ok(Spawned { result: Verdict::Exists | Verdict::Deferred, .. })
        | Err(Failure::Refused { .. }) => Ok(()),
        Err(failure @ (Failure::NotStarted(_) | Failure::Late(_) | Failure::Garbled(_))) => {
            Err(failure.into())
        }
    }
}

fn known(holder: Option<&Session>) -> Result<&Session, Shortfall> {
    holder.ok_or_else(|| Shortfall::Skipped("no session was created before".to_owned()))
}

fn locked(subject: &Subject) -> Result<(), Shortfall> {
    match subject.capabilities.slot_exclusive {
        SlotExclusive::Create | SlotExclusive::Execution => Ok(()),
        SlotExclusive::None => Err(unlocked()),
    }
}

fn unlocked() -> Shortfall {
    Shortfall::Skipped("slot_exclusive is none: the coordinator must be alone".to_owned())
}
