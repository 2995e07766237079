//! Rows about work items: a session starts only as the attempt that was planned.

use futures_util::future::join_all;

use super::harness::{Harness, Order, SlotNo, describe};
use super::lifecycle::finished;
use super::row::{CheckResult, NotPassed, demand};
use coordinator_platform_local::exec::protocol::{
    Code, Session, SessionEnd, SpawnResult, Spawned, State,
};
use coordinator_platform_local::exec::{Failure, item_refusal};

/// Cycles that planned the same attempt.
const RIVALS: usize = 8;

/// The first attempt, which fails: of concurrent spawns, one starts it.
pub(super) async fn start_first(harness: &Harness, place: SlotNo) -> Result<(), NotPassed> {
    usable(harness)?;
    let order = |number: usize| Order {
        cycle: format!("rival-{number}"),
        ..Order::first(place, &["sh", "-c", "sleep 1; exit 3"])
    };
    let orders: Vec<Order> = (0..RIVALS).map(order).collect();
    let answers = join_all(orders.iter().map(|order| harness.spawn(order))).await;
    let mut created = 0;
    for answer in answers {
        match answer {
            Ok(Spawned { result: SpawnResult::Created, .. }) => created += 1,
            Ok(Spawned { result: SpawnResult::Exists | SpawnResult::Deferred, .. }) => {}
            Err(Failure::Refused { refusal, .. })
                if matches!(refusal.code, Code::Superseded | Code::Conflict) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    demand(created == 1, || {
        format!(
            "{created} of {RIVALS} concurrent starts of one attempt returned created, \
            instead of one"
        )
    })
}

fn usable(harness: &Harness) -> Result<(), NotPassed> {
    item_refusal(&harness.capabilities)
        .map_or(Ok(()), |why| Err(NotPassed::Skipped(why.to_owned())))
}

/// What the item is, and what it has used up, comes back in every list; the next attempt follows
/// the one before.
pub(super) async fn life(harness: &Harness, place: SlotNo) -> CheckResult {
    let first = Order::first(place, &[]);
    let ended = finished(harness, place, "a session of an item that ends is finished").await?;
    demand(ended.outcome == Some(SessionEnd::Failure), || {
        format!("exit 3 is listed as {:?}", ended.outcome)
    })?;
    lists_its_item(harness, &first, &ended)?;
    let predecessor = Some(ended.id);
    let second = Order { generation: 2, predecessor, ..Order::first(place, &["sleep", "1"]) };
    let answer = harness.spawn(&second).await?;
    demand(answer.result == SpawnResult::Created, || {
        format!("the next attempt returned {:?}, not created", answer.result).to_lowercase()
    })?;
    let newest = |sessions: &[Session]| sessions.iter().find(|one| one.generation == 2).cloned();
    let live = harness.until(place, "the next attempt is listed", newest).await?;
    lists_its_item(harness, &second, &live)?;
    Ok(format!(
        "of {RIVALS} at once one starts; item and counts come back; the next attempt follows"
    ))
}

fn lists_its_item(harness: &Harness, order: &Order, session: &Session) -> Result<(), NotPassed> {
    let expected = (harness.slot(order.place), order.generation, Harness::item(order));
    let listed = (session.slot.clone(), session.generation, session.item.clone());
    demand(listed == expected, || {
        format!(
            "slot, generation and `item` come back as {listed:?}, and were given as {expected:?}"
        )
    })
}

/// What was planned before another session ran does not start, also when that one has ended.
pub(super) async fn superseded(harness: &Harness, place: SlotNo) -> CheckResult {
    usable(harness)?;
    let ended = finished(harness, place, "the session before is finished").await?;
    let newest = ended.generation;
    // The first attempt again, and one that follows a session which never ran.
    for generation in [1, newest, newest + 2] {
        let predecessor = Some(ended.id.clone());
        let order = Order { generation, predecessor, ..Order::first(place, &["sleep", "1"]) };
        match harness.spawn(&order).await {
            Err(Failure::Refused { refusal, .. }) if refusal.code == Code::Superseded => {}
            Err(failure) => return Err(failure.into()),
            Ok(answer) => {
                let why = format!(
                    "the newest generation is {newest}, and a start that follows {} returned \
                    {:?}, not superseded",
                    generation - 1,
                    answer.result
                );
                return Err(NotPassed::Failed(why));
            }
        }
    }
    let sessions = harness.at(place).await?;
    let nothing =
        sessions.iter().all(|one| one.state == State::Finished && one.generation <= newest);
    demand(nothing, || format!("something started; {}", describe(&sessions)))?;
    Ok("a start that follows another session than the newest: superseded, and nothing starts"
        .to_owned())
}
