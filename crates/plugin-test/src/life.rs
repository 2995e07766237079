//! Rows about a session's end, and what comes after it.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::lock::not_created;
use super::row::{Shortfall, Tried, demand, promised};
use super::subject::{Order, Place, Subject, told};
use coordinator_platform_local::exec::Failure;
use coordinator_platform_local::exec::protocol::{
    Forget, Forgotten, Log, Logs, Operation, Outcome, Session, State, Stop, StopResult, Stopped,
    Verdict,
};

/// What the session of the row about logs writes.
const SAID: &str = "a line of the session";

/// Its limit is a second, and it would sleep for a minute.
pub(super) async fn start_overlong(subject: &Subject, place: Place) -> Result<(), Shortfall> {
    let time_limit = Duration::from_secs(1);
    subject.spawn(&Order { time_limit, ..Order::first(place, &["sleep", "60"]) }).await?;
    Ok(())
}

/// It writes two lines and ends.
pub(super) async fn start_talkative(subject: &Subject, place: Place) -> Result<(), Shortfall> {
    let script = format!("echo {SAID}; echo 'the last one'");
    subject.spawn(&Order::first(place, &["sh", "-c", &script])).await?;
    Ok(())
}

/// Sessions end by themselves, and how they did is listed.
pub(super) async fn ends(subject: &Subject, holder: Place, failing: Place) -> Tried {
    promised(subject.capabilities.history, "`history`")?;
    let good = finished(subject, holder, "a session that ends by itself is finished").await?;
    demand((good.outcome, good.exit_code) == (Some(Outcome::Success), Some(0)), || {
        format!("exit 0 is listed as {:?} with exit code {:?}", good.outcome, good.exit_code)
    })?;
    demand(good.finished_at.is_some(), || "`finished_at` is null".to_owned())?;
    let bad = finished(subject, failing, "a session that fails is finished").await?;
    demand((bad.outcome, bad.exit_code) == (Some(Outcome::Failure), Some(3)), || {
        format!("exit 3 is listed as {:?} with exit code {:?}", bad.outcome, bad.exit_code)
    })?;
    Ok("success with 0 and failure with 3 are listed as such".to_owned())
}

/// Who has an old view is told so.
pub(super) async fn stale_view(subject: &Subject, place: Place) -> Tried {
    promised(subject.capabilities.history, "`history`")?;
    finished(subject, place, "the session before is finished").await?;
    let predecessor = Some("of-another-time".to_owned());
    let order = Order { generation: 9, predecessor, ..Order::first(place, &["true"]) };
    not_created(subject.spawn(&order).await)?;
    Ok("another predecessor than the newest session: nothing starts".to_owned())
}

/// A finished session makes room, and is remembered.
pub(super) async fn next_generation(subject: &Subject, place: Place) -> Tried {
    let before = if subject.capabilities.history {
        Some(finished(subject, place, "the session before is finished").await?.id)
    } else {
        let gone =
            |sessions: &[Session]| sessions.iter().all(|session| session.state == State::Finished);
        subject.until(place, "the slot is free", |sessions| gone(sessions).then_some(())).await?;
        None
    };
    let order = Order {
        generation: 2,
        predecessor: before.clone(),
        ..Order::first(place, &["sleep", "1"])
    };
    let answer = subject.spawn(&order).await?;
    demand(answer.result == Verdict::Created, || {
        format!("the next generation in a slot whose session has finished says {:?}", answer.result)
            .to_lowercase()
    })?;
    let sessions = subject.at(place).await?;
    demand(sessions.iter().any(|session| session.generation == 2), || {
        format!("generation 2 was created, and {}", told(&sessions))
    })?;
    let Some(before) = before else { return Ok("a finished session makes room".to_owned()) };
    let remembered = |session: &Session| session.id == before && session.state == State::Finished;
    demand(sessions.iter().any(remembered), || {
        format!("`{before}` is forgotten: {}", told(&sessions))
    })?;
    Ok("a finished session makes room and stays in the list".to_owned())
}

/// A session that runs too long is ended, and that is listed.
pub(super) async fn time_limit(subject: &Subject, place: Place) -> Tried {
    promised(subject.capabilities.history, "`history`")?;
    let session = finished(subject, place, "a session with a limit of 1 s is finished").await?;
    demand(session.outcome == Some(Outcome::Timeout), || {
        format!("a session over its limit is listed as {:?}, not timeout", session.outcome)
    })?;
    Ok("a session over its limit is ended, with the outcome timeout".to_owned())
}

/// What a session writes can be read.
pub(super) async fn logs(subject: &Subject, place: Place) -> Tried {
    promised(subject.capabilities.logs, "`logs`")?;
    let written = |sessions: &[Session]| sessions.first().map(|session| session.id.clone());
    let id = subject.until(place, "a session that writes is listed", written).await?;
    if subject.capabilities.history {
        finished(subject, place, "the session that writes is finished").await?;
    }
    let whole: Log = read(subject, &id, 65_536).await?;
    demand(whole.text.contains(SAID), || {
        format!("it wrote `{SAID}`, the log is `{}`", whole.text)
    })?;
    let tail: Log = read(subject, &id, 8).await?;
    demand(tail.text.len() <= 8 && tail.truncated, || {
        format!(
            "of the last 8 bytes it gives {}, `truncated` is {}",
            tail.text.len(),
            tail.truncated
        )
    })?;
    Ok("the whole log and its tail".to_owned())
}

async fn read(subject: &Subject, id: &str, tail_bytes: u64) -> Result<Log, Shortfall> {
    Ok(subject.plugin().ask(Operation::Logs, &Logs { id, tail_bytes }).await?)
}

/// A person's word ends this session, and no other.
pub(super) async fn stop(subject: &Subject, place: Place) -> Tried {
    promised(subject.capabilities.stop, "`stop`")?;
    subject.spawn(&Order::first(place, &["sleep", "60"])).await?;
    let live =
        |sessions: &[Session]| sessions.iter().find(|one| one.state != State::Finished).cloned();
    let session = subject.until(place, "a session that sleeps is live", live).await?;
    let answer = end(subject, &session).await?;
    demand(answer.result == StopResult::Stopping, || {
        "a live session is said to be finished".to_owned()
    })?;
    if subject.capabilities.history {
        let ended = finished(subject, place, "a stopped session is finished").await?;
        demand(ended.outcome == Some(Outcome::Stopped), || {
            format!("a stopped session is listed as {:?}, not stopped", ended.outcome)
        })?;
        demand(ended.stopped_by.as_deref() == Some(STOPPED_BY), || {
            format!("`{STOPPED_BY}` stopped it, and `stopped_by` is {:?}", ended.stopped_by)
        })?;
        let again = end(subject, &session).await?;
        demand(again.result == StopResult::Finished, || {
            "a finished session is stopped again".to_owned()
        })?;
    }
    let stranger = Session { id: format!("{}0", session.id), ..session };
    let unknown: Result<Stopped, Failure> = end(subject, &stranger).await;
    match unknown {
        Err(Failure::Refused { .. }) => Ok("a session is stopped, and listed as such".to_owned()),
        Ok(_) => {
            Err(Shortfall::Failed("it stops a session with an `id` that it never gave".to_owned()))
        }
        Err(failure) => Err(failure.into()),
    }
}

/// Who asks for the stop of the row about it.
const STOPPED_BY: &str = "plugin-test";

async fn end(subject: &Subject, session: &Session) -> Result<Stopped, Failure> {
    let (slot, id, generation) = (&session.slot, &session.id, session.generation);
    subject.plugin().ask(Operation::Stop, &Stop { slot, id, generation, by: STOPPED_BY }).await
}

/// The last row: what the plugin remembers of this fleet goes.
pub(super) async fn forget(subject: &mut Subject) -> Tried {
    promised(subject.capabilities.forget, "`forget`")?;
    let _: Forgotten =
        subject.plugin().ask(Operation::Forget, &Forget { fleet: subject.fleet() }).await?;
    let left = subject.list().await?;
    demand(left.is_empty(), || format!("it should have forgotten all; {}", told(&left)))?;
    subject.is_forgotten = true;
    Ok("its records of the fleet are gone".to_owned())
}

/// Every session ends by itself, and then no process of any is left on this machine.
pub(super) async fn nothing_left(subject: &Subject) -> Tried {
    let end = Instant::now() + subject.patience();
    loop {
        let sessions = subject.list().await?;
        let live: Vec<Session> =
            sessions.into_iter().filter(|one| one.state != State::Finished).collect();
        if live.is_empty() {
            break;
        }
        demand(Instant::now() < end, || {
            format!("all sessions should have ended; {}", told(&live))
        })?;
        sleep(Duration::from_millis(100)).await;
    }
    let left = processes(subject.fleet());
    demand(left.is_empty(), || {
        format!("no session is live, and these processes of sessions are: {left:?}")
    })?;
    Ok("all sessions have ended, and none of their processes is on this machine".to_owned())
}

/// Those that know by their environment that they belong to the fleet. None where there is no
/// `/proc`.
fn processes(fleet: &str) -> BTreeSet<u32> {
    let mark = format!("COORDINATOR_FLEET={fleet}");
    let of_fleet = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(of_fleet).collect()
}

pub(super) async fn finished(
    subject: &Subject,
    place: Place,
    what: &str,
) -> Result<Session, Shortfall> {
    let newest = |sessions: &[Session]| {
        let newest = sessions.iter().max_by_key(|session| session.generation)?;
        (newest.state == State::Finished).then(|| newest.clone())
    };
    subject.until(place, what, newest).await
}
