//! Rows about a session's end, and what comes after it.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::harness::{Harness, Order, SlotNo, describe};
use super::lock::not_created;
use super::row::{CheckResult, NotPassed, demand, promised};
use coordinator_platform_local::exec::Failure;
use coordinator_platform_local::exec::protocol::{
    Forget, Forgotten, Log, Logs, Operation, Session, SessionEnd, SpawnResult, State, Stop,
    StopResult, Stopped,
};

/// What the session of the row about logs writes.
const LINE: &str = "a line of the session";

/// Its limit is a second, and it would sleep for a minute.
pub(super) async fn start_overlong(harness: &Harness, place: SlotNo) -> Result<(), NotPassed> {
    let time_limit = Duration::from_secs(1);
    harness.spawn(&Order { time_limit, ..Order::first(place, &["sleep", "60"]) }).await?;
    Ok(())
}

/// It writes two lines and ends.
pub(super) async fn start_talkative(harness: &Harness, place: SlotNo) -> Result<(), NotPassed> {
    let script = format!("echo {LINE}; echo 'the last one'");
    harness.spawn(&Order::first(place, &["sh", "-c", &script])).await?;
    Ok(())
}

/// Sessions end by themselves, and how they did is listed.
pub(super) async fn ends(harness: &Harness, holder: SlotNo, failing: SlotNo) -> CheckResult {
    promised(harness.capabilities.history, "`history`")?;
    let good = finished(harness, holder, "a session that ends by itself is finished").await?;
    demand((good.outcome, good.exit_code) == (Some(SessionEnd::Success), Some(0)), || {
        format!("exit 0 is listed as {:?} with exit code {:?}", good.outcome, good.exit_code)
    })?;
    demand(good.finished_at.is_some(), || "`finished_at` is null".to_owned())?;
    let bad = finished(harness, failing, "a session that fails is finished").await?;
    demand((bad.outcome, bad.exit_code) == (Some(SessionEnd::Failure), Some(3)), || {
        format!("exit 3 is listed as {:?} with exit code {:?}", bad.outcome, bad.exit_code)
    })?;
    Ok("success with 0 and failure with 3 are listed as such".to_owned())
}

/// A spawn that follows an outdated session is refused.
pub(super) async fn stale_view(harness: &Harness, place: SlotNo) -> CheckResult {
    promised(harness.capabilities.history, "`history`")?;
    finished(harness, place, "the session before is finished").await?;
    let predecessor = Some("of-another-time".to_owned());
    let order = Order { generation: 9, predecessor, ..Order::first(place, &["true"]) };
    not_created(harness.spawn(&order).await)?;
    Ok("another predecessor than the newest session: nothing starts".to_owned())
}

/// A finished session makes room, and is remembered.
pub(super) async fn next_generation(harness: &Harness, place: SlotNo) -> CheckResult {
    let before = if harness.capabilities.history {
        Some(finished(harness, place, "the session before is finished").await?.id)
    } else {
        let gone =
            |sessions: &[Session]| sessions.iter().all(|session| session.state == State::Finished);
        harness.until(place, "the slot is free", |sessions| gone(sessions).then_some(())).await?;
        None
    };
    let order = Order {
        generation: 2,
        predecessor: before.clone(),
        ..Order::first(place, &["sleep", "1"])
    };
    let answer = harness.spawn(&order).await?;
    demand(answer.result == SpawnResult::Created, || {
        format!(
            "the next generation in a slot whose session has finished returned {:?}",
            answer.result
        )
        .to_lowercase()
    })?;
    let sessions = harness.at(place).await?;
    demand(sessions.iter().any(|session| session.generation == 2), || {
        format!("generation 2 was created, and {}", describe(&sessions))
    })?;
    let Some(before) = before else { return Ok("a finished session makes room".to_owned()) };
    let remembered = |session: &Session| session.id == before && session.state == State::Finished;
    demand(sessions.iter().any(remembered), || {
        format!("`{before}` is forgotten: {}", describe(&sessions))
    })?;
    Ok("a finished session makes room and stays in the list".to_owned())
}

/// A session that runs too long is ended, and that is listed.
pub(super) async fn time_limit(harness: &Harness, place: SlotNo) -> CheckResult {
    promised(harness.capabilities.history, "`history`")?;
    let session = finished(harness, place, "a session with a limit of 1 s is finished").await?;
    demand(session.outcome == Some(SessionEnd::Timeout), || {
        format!("a session over its limit is listed as {:?}, not timeout", session.outcome)
    })?;
    Ok("a session over its limit is ended, with the outcome timeout".to_owned())
}

/// What a session writes can be read.
pub(super) async fn logs(harness: &Harness, place: SlotNo) -> CheckResult {
    promised(harness.capabilities.logs, "`logs`")?;
    let written = |sessions: &[Session]| sessions.first().map(|session| session.id.clone());
    let id = harness.until(place, "a session that writes is listed", written).await?;
    if harness.capabilities.history {
        finished(harness, place, "the session that writes is finished").await?;
    }
    let whole: Log = read(harness, &id, 65_536).await?;
    demand(whole.text.contains(LINE), || {
        format!("it wrote `{LINE}`, the log is `{}`", whole.text)
    })?;
    let tail: Log = read(harness, &id, 8).await?;
    demand(tail.text.len() <= 8 && tail.truncated, || {
        format!(
            "of the last 8 bytes it gives {}, `truncated` is {}",
            tail.text.len(),
            tail.truncated
        )
    })?;
    Ok("the whole log and its tail".to_owned())
}

/// While a session writes, its log has whole lines only, and grows at its end.
pub(super) async fn follow(harness: &Harness, slot: SlotNo) -> CheckResult {
    promised(harness.capabilities.follow, "`follow`")?;
    let script = "echo the first line; printf half; sleep 2; echo ' and half'";
    harness.spawn(&Order::first(slot, &["sh", "-c", script])).await?;
    let listed = |sessions: &[Session]| sessions.first().map(|session| session.id.clone());
    let id = harness.until(slot, "a session that writes is listed", listed).await?;
    let read = async || -> Result<Log, Failure> {
        let request = Logs { id: &id, tail_bytes: 65_536, follow: true };
        harness.plugin().call(Operation::Logs, &request).await
    };
    let mut seen = String::new();
    loop {
        let sessions = harness.at(slot).await?;
        let has_ended = sessions.iter().all(|session| session.state == State::Finished);
        let log = read().await?;
        demand(log.size == Some(log.text.len() as u64), || {
            format!("`size` is {:?}, and the log has {} bytes", log.size, log.text.len())
        })?;
        demand(log.text.starts_with(&seen), || {
            format!("it gave `{seen}`, and then `{}`", log.text)
        })?;
        demand(log.text.is_empty() || log.text.ends_with('\n'), || {
            format!("`{}` ends within a line", log.text)
        })?;
        seen = log.text;
        if has_ended {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    demand(seen == "the first line\nhalf and half\n", || format!("in the end it is `{seen}`"))?;
    Ok("whole lines while the session writes, and all of them in the end".to_owned())
}

async fn read(harness: &Harness, id: &str, tail_bytes: u64) -> Result<Log, NotPassed> {
    Ok(harness.plugin().call(Operation::Logs, &Logs { id, tail_bytes, follow: false }).await?)
}

/// A person's word ends this session, and no other.
pub(super) async fn stop(harness: &Harness, place: SlotNo) -> CheckResult {
    promised(harness.capabilities.stop, "`stop`")?;
    harness.spawn(&Order::first(place, &["sleep", "60"])).await?;
    let live =
        |sessions: &[Session]| sessions.iter().find(|one| one.state != State::Finished).cloned();
    let session = harness.until(place, "a session that sleeps is live", live).await?;
    let answer = end(harness, &session).await?;
    demand(answer.result == StopResult::Stopping, || {
        "the stop of a live session returned finished".to_owned()
    })?;
    if harness.capabilities.history {
        let ended = finished(harness, place, "a stopped session is finished").await?;
        demand(ended.outcome == Some(SessionEnd::Stopped), || {
            format!("a stopped session is listed as {:?}, not stopped", ended.outcome)
        })?;
        demand(ended.stopped_by.as_deref() == Some(STOPPED_BY), || {
            format!("`{STOPPED_BY}` stopped it, and `stopped_by` is {:?}", ended.stopped_by)
        })?;
        let again = end(harness, &session).await?;
        demand(again.result == StopResult::Finished, || {
            "a finished session is stopped again".to_owned()
        })?;
    }
    let unlisted = Session { id: format!("{}0", session.id), ..session };
    let unknown: Result<Stopped, Failure> = end(harness, &unlisted).await;
    match unknown {
        Err(Failure::Refused { .. }) => Ok("a session is stopped, and listed as such".to_owned()),
        Ok(_) => {
            Err(NotPassed::Failed("it stops a session with an `id` that it never gave".to_owned()))
        }
        Err(failure) => Err(failure.into()),
    }
}

/// The `by` of the stop.
const STOPPED_BY: &str = "plugin-test";

async fn end(harness: &Harness, session: &Session) -> Result<Stopped, Failure> {
    let (slot, id, generation) = (&session.slot, &session.id, session.generation);
    harness.plugin().call(Operation::Stop, &Stop { slot, id, generation, by: STOPPED_BY }).await
}

/// The last row: what the plugin remembers of this fleet goes.
pub(super) async fn forget(harness: &mut Harness) -> CheckResult {
    promised(harness.capabilities.forget, "`forget`")?;
    let _: Forgotten =
        harness.plugin().call(Operation::Forget, &Forget { fleet: harness.fleet() }).await?;
    let left = harness.list().await?;
    demand(left.is_empty(), || format!("it should have forgotten all; {}", describe(&left)))?;
    harness.is_forgotten = true;
    Ok("its records of the fleet are gone".to_owned())
}

/// Every session ends by itself, and then no process of any is left on this machine.
pub(super) async fn nothing_left(harness: &Harness) -> CheckResult {
    let end = Instant::now() + harness.patience();
    loop {
        let sessions = harness.list().await?;
        let live: Vec<Session> =
            sessions.into_iter().filter(|one| one.state != State::Finished).collect();
        if live.is_empty() {
            break;
        }
        if Instant::now() >= end {
            end_all(harness, &live).await;
            return Err(NotPassed::Failed(format!(
                "all sessions should have ended; {}",
                describe(&live)
            )));
        }
        sleep(Duration::from_millis(100)).await;
    }
    let left = processes(harness.fleet());
    demand(left.is_empty(), || {
        format!("no session is live, and these processes of sessions are: {left:?}")
    })?;
    Ok("all sessions have ended, and none of their processes is on this machine".to_owned())
}

/// What the test started must not outlive it, also where the plugin is broken.
async fn end_all(harness: &Harness, live: &[Session]) {
    for session in live.iter().filter(|_| harness.capabilities.stop) {
        // The row fails in any case.
        let _ = end(harness, session).await;
    }
}

/// The processes with the fleet in their environment; none without `/proc`.
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
    harness: &Harness,
    place: SlotNo,
    what: &str,
) -> Result<Session, NotPassed> {
    let newest = |sessions: &[Session]| {
        let newest = sessions.iter().max_by_key(|session| session.generation)?;
        (newest.state == State::Finished).then(|| newest.clone())
    };
    harness.until(place, what, newest).await
}
