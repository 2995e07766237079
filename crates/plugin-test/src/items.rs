//! Rows about work items: a session starts only as the attempt that was planned.

use futures_util::future::join_all;

use super::life::finished;
use super::row::{Shortfall, Tried, demand};
use super::subject::{Order, Place, Subject, told};
use coordinator_platform_local::exec::protocol::{Code, Outcome, Session, Spawned, State, Verdict};
use coordinator_platform_local::exec::{Failure, item_refusal};

/// Cycles that planned the same attempt.
const RIVALS: usize = 8;

/// The first attempt, which fails: of all that ask for it at once, one starts it.
pub(super) async fn start_first(subject: &Subject, place: Place) -> Result<(), Shortfall> {
    usable(subject)?;
    let order = |number: usize| Order {
        cycle: format!("rival-{number}"),
        ..Order::first(place, &["sh", "-c", "sleep 1; exit 3"])
    };
    let orders: Vec<Order> = (0..RIVALS).map(order).collect();
    let answers = join_all(orders.iter().map(|order| subject.spawn(order))).await;
    let mut created = 0;
    for answer in answers {
        match answer {
            Ok(Spawned { result: Verdict::Created, .. }) => created += 1,
            Ok(Spawned { result: Verdict::Exists | Verdict::Deferred, .. }) => {}
            Err(Failure::Refused { refusal, .. })
                if matches!(refusal.code, Code::Superseded | Code::Conflict) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    demand(created == 1, || {
        format!("{created} of {RIVALS} starts of one attempt say created, and one may")
    })
}

fn usable(subject: &Subject) -> Result<(), Shortfall> {
    item_refusal(&subject.capabilities)
        .map_or(Ok(()), |why| Err(Shortfall::Skipped(why.to_owned())))
}

/// What the item is, and what it has used up, comes back in every list; the next attempt follows
/// the one before.
pub(super) async fn life(subject: &Subject, place: Place) -> Tried {
    let first = Order::first(place, &[]);
    let ended = finished(subject, place, "a session of an item that ends is finished").await?;
    demand(ended.outcome == Some(Outcome::Failure), || {
        format!("exit 3 is listed as {:?}", ended.outcome)
    })?;
    says_its_item(subject, &first, &ended)?;
    let predecessor = Some(ended.id);
    let second = Order { generation: 2, predecessor, ..Order::first(place, &["sleep", "1"]) };
    let answer = subject.spawn(&second).await?;
    demand(answer.result == Verdict::Created, || {
        format!("the next attempt says {:?}, not created", answer.result).to_lowercase()
    })?;
    let newest = |sessions: &[Session]| sessions.iter().find(|one| one.generation == 2).cloned();
    let live = subject.until(place, "the next attempt is listed", newest).await?;
    says_its_item(subject, &second, &live)?;
    Ok(format!(
        "of {RIVALS} at once one starts; item and counts come back; the next attempt follows"
    ))
}

fn says_its_item(subject: &Subject, order: &Order, session: &Session) -> Result<(), Shortfall> {
    let expected = (subject.slot(order.place), order.generation, Subject::item(order));
    let listed = (session.slot.clone(), session.generation, session.item.clone());
    demand(listed == expected, || {
        format!(
            "slot, generation and `item` come back as {listed:?}, and were given as {expected:?}"
        )
    })
}

/// What was planned before another session ran does not start, also when that one has ended.
pub(super) async fn superseded(subject: &Subject, place: Place) -> Tried {
    usable(subject)?;
    let ended = finished(subject, place, "the session before is finished").await?;
    let newest = ended.generation;
    // The first attempt again, and one that follows a session which never ran.
    for generation in [1, newest, newest + 2] {
        let predecessor = Some(ended.id.clone());
        let order = Order { generation, predecessor, ..Order::first(place, &["sleep", "1"]) };
        match subject.spawn(&order).await {
            Err(Failure::Refused { refusal, .. }) if refusal.code == Code::Superseded => {}
            Err(failure) => return Err(failure.into()),
            Ok(answer) => {
                let why = format!(
                    "the newest generation is {newest}, and a start that follows {} says {:?}, not superseded",
                    generation - 1,
                    answer.result
                );
                return Err(Shortfall::Failed(why));
            }
        }
    }
    let sessions = subject.at(place).await?;
    let nothing =
        sessions.iter().all(|one| one.state == State::Finished && one.generation <= newest);
    demand(nothing, || format!("something started; {}", told(&sessions)))?;
    Ok("a start that follows another session than the newest: superseded, and nothing starts"
        .to_owned())
}
