//! When a slot may start again: a pure function of the history that the platform keeps.
//!
//! Two overlapping cycles that see the same history come to the same answer, jitter included.

use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::fleet::{Hold, HoldReason, Outcome, Run, SlotRecord};

/// Failures in a row after which a slot is reported as failing.
const MAX_FAILURES: usize = 3;

/// A session this long is healthy whatever its exit: the slot is not in a crash loop.
const HEALTHY_RUNTIME: Duration = Duration::from_secs(600);

/// How often a slot may start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackoffSettings {
    /// Wait after the first failure; zero turns backoff off.
    pub backoff_base: Duration,
    /// The longest wait.
    pub backoff_cap: Duration,
    /// A session that exits with 0 sooner is idle.
    pub min_runtime: Duration,
    /// From start to start of one slot.
    pub min_interval: Duration,
}

/// The outcome of a session under its role's settings: exit 0 sooner than `min_runtime` is
/// [`Outcome::Idle`]. The platform's record keeps what happened, so a changed `min_runtime` judges
/// old sessions anew.
pub fn outcome(run: &Run, settings: &BackoffSettings) -> Outcome {
    match run.outcome {
        Outcome::Succeeded if run.runtime() < settings.min_runtime => Outcome::Idle,
        outcome => outcome,
    }
}

/// Whether the slot called `session` with this `history` (oldest first) is held at `now`.
///
/// A record from further in the future than the wait itself means that the clock was set back: it
/// holds nothing, and the session that starts now leaves a record by the new clock.
pub fn hold(
    session: &str,
    history: &[Run],
    settings: &BackoffSettings,
    now: SystemTime,
) -> Option<Hold> {
    let last = history.last()?;
    if let Some(by) = &last.stopped_by {
        return Some(stopped(by));
    }
    let backoff = wait(session, last.generation, streak(history, settings), settings);
    let pending = |since: SystemTime, wait: Duration| {
        let until = since + wait;
        (until > now && since <= now + wait).then_some(until)
    };
    let interval = pending(last.started_at, settings.min_interval);
    if let Some(until) = pending(last.finished_at, backoff) {
        let times = in_a_row(history, settings);
        let (reason, detail) = match outcome(last, settings) {
            Outcome::Idle => (HoldReason::Idle, describe_idle(last, times, settings)),
            Outcome::Succeeded
            | Outcome::Failed
            | Outcome::TimedOut
            | Outcome::Lost
            | Outcome::Stopped => (HoldReason::Backoff, describe_failure(last, times)),
        };
        return Some(Hold { reason, until: Some(until).max(interval), detail });
    }
    let until = interval?;
    let every = humantime::format_duration(settings.min_interval);
    let detail = format!("starts at most once every {every}");
    Some(Hold { reason: HoldReason::Interval, until: Some(until), detail })
}

/// A slot waits until a person lets it go on.
fn stopped(by: &str) -> Hold {
    let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
    let detail =
        format!("its last session was stopped{by}; `coordinator retry` starts the next one");
    Hold { reason: HoldReason::Stopped, until: None, detail }
}

/// How many sessions in a row, newest first, were idle as the newest one was, or failed as it did;
/// 0 where the newest did neither. Disrupted and stopped sessions are left out.
pub fn in_a_row(history: &[Run], settings: &BackoffSettings) -> u32 {
    let is_idle = |run: &Run| outcome(run, settings) == Outcome::Idle;
    let mut unhealthy = unhealthy(history, settings).peekable();
    let Some(newest) = unhealthy.peek().map(|run| is_idle(run)) else { return 0 };
    number(unhealthy.take_while(|run| is_idle(run) == newest).count())
}

/// Whether the slot's last `MAX_FAILURES` sessions failed, disrupted ones left out. A live
/// session ends that when it has run for ten minutes, and longer than each of them.
pub fn keeps_failing(record: &SlotRecord, now: SystemTime) -> bool {
    let counted = record.history.iter().rev().filter(|run| !run.disrupted);
    let last: Vec<&Run> = counted.take(MAX_FAILURES).collect();
    if last.len() < MAX_FAILURES || !last.iter().all(|run| run.outcome.is_failure()) {
        return false;
    }
    let longest = last.iter().map(|run| run.runtime()).fold(HEALTHY_RUNTIME, Duration::max);
    let started_at = record.live.as_ref().and_then(|live| live.started_at);
    started_at.is_none_or(|at| now.duration_since(at).unwrap_or_default() < longest)
}

/// Idle and failed sessions in a row, which lengthen the wait alike; 0 after a session whose end
/// was not the agent's doing.
fn streak(history: &[Run], settings: &BackoffSettings) -> u32 {
    if history.last().is_some_and(ended_from_outside) {
        return 0;
    }
    number(unhealthy(history, settings).count())
}

/// The sessions after the last healthy one, newest first.
fn unhealthy<'a>(
    history: &'a [Run],
    settings: &'a BackoffSettings,
) -> impl Iterator<Item = &'a Run> {
    let is_unhealthy = |run: &&Run| {
        outcome(run, settings) != Outcome::Succeeded && run.runtime() < HEALTHY_RUNTIME
    };
    history.iter().rev().filter(|run| !ended_from_outside(run)).take_while(is_unhealthy)
}

fn ended_from_outside(run: &Run) -> bool {
    run.disrupted || run.outcome == Outcome::Stopped
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn wait(session: &str, generation: u64, streak: u32, settings: &BackoffSettings) -> Duration {
    if streak == 0 {
        return Duration::ZERO;
    }
    let doubled = 2u32.saturating_pow(streak - 1);
    let full = settings.backoff_base.saturating_mul(doubled).min(settings.backoff_cap);
    full.mul_f64(jitter(session, generation))
}

/// 0.9 to 1.1, the same in every cycle.
fn jitter(session: &str, generation: u64) -> f64 {
    let digest = Sha256::digest(format!("{session}/{generation}"));
    0.9 + f64::from(u16::from_be_bytes([digest[0], digest[1]])) / f64::from(u16::MAX) * 0.2
}

fn describe_idle(last: &Run, times: u32, settings: &BackoffSettings) -> String {
    let times = if times > 1 { format!(" {times} times") } else { String::new() };
    let min_runtime = humantime::format_duration(settings.min_runtime);
    let runtime = runtime(last);
    format!(
        "found nothing to do{times} (exited with 0 after {runtime}, less than min_runtime \
         {min_runtime})"
    )
}

fn describe_failure(last: &Run, times: u32) -> String {
    let end = match (last.outcome, last.exit_code, &last.detail) {
        (Outcome::TimedOut, _, _) => "hit its time limit".to_owned(),
        (_, Some(code), _) => format!("exit {code}"),
        (_, None, Some(detail)) => first_clause(detail).to_owned(),
        (outcome, None, None) => outcome.word().to_owned(),
    };
    let runtime = runtime(last);
    match times {
        1 => format!("failed: {end} after {runtime}"),
        times => format!("failed {times} times, last {end} after {runtime}"),
    }
}

fn runtime(run: &Run) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(run.runtime().as_secs()))
}

/// Without the remedy, which is in the report of the failure itself.
fn first_clause(detail: &str) -> &str {
    detail.split_once(';').map_or(detail, |(clause, _)| clause)
}
