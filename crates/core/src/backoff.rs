//! When a slot may start again: a pure function of the history that the platform keeps.
//!
//! Two overlapping cycles that see the same history come to the same answer, jitter included.

use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::fleet::{Hold, HoldReason, Outcome, Run};

/// A run this long is healthy whatever its exit: it was not a crash loop.
const HEALTHY_RUNTIME: Duration = Duration::from_secs(600);

/// How often a slot may start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackoffSettings {
    /// Wait after the first failure; zero turns backoff off.
    pub backoff_base: Duration,
    /// The longest wait.
    pub backoff_cap: Duration,
    /// A session shorter than this counts as failed.
    pub min_runtime: Duration,
    /// From start to start of one slot.
    pub min_interval: Duration,
}

/// Whether the slot called `session` with this `history` (oldest first) is held at `now`.
///
/// A record from further in the future than the wait itself says that the clock was set back: it
/// holds nothing, and the session that starts now leaves a record by the new clock.
pub fn hold(
    session: &str,
    history: &[Run],
    restraint: &BackoffSettings,
    now: SystemTime,
) -> Option<Hold> {
    let last = history.last()?;
    let streak = failure_streak(history, restraint);
    let streak = if says_nothing(last) { 0 } else { streak };
    let backoff = wait(session, last.generation, streak, restraint);
    let pending = |since: SystemTime, wait: Duration| {
        let until = since + wait;
        (until > now && since <= now + wait).then_some(until)
    };
    if let Some(until) = pending(last.finished_at, backoff) {
        let detail = describe(last, streak);
        return Some(Hold { reason: HoldReason::Backoff, until: Some(until), detail });
    }
    let until = pending(last.started_at, restraint.min_interval)?;
    let interval = humantime::format_duration(restraint.min_interval);
    let detail = format!("starts at most once every {interval}");
    Some(Hold { reason: HoldReason::Interval, until: Some(until), detail })
}

/// Consecutive unhealthy runs, newest first; those that the platform disrupted or a person stopped
/// are left out.
pub fn failure_streak(history: &[Run], restraint: &BackoffSettings) -> u32 {
    let unhealthy = |run: &&Run| {
        let runtime = run.runtime();
        let succeeded = run.outcome == Outcome::Succeeded && runtime >= restraint.min_runtime;
        !succeeded && runtime < HEALTHY_RUNTIME
    };
    let counted = history.iter().rev().filter(|run| !says_nothing(run));
    u32::try_from(counted.take_while(unhealthy).count()).unwrap_or(u32::MAX)
}

/// Its end is not the agent's doing.
fn says_nothing(run: &Run) -> bool {
    run.disrupted || run.outcome == Outcome::Stopped
}

fn wait(session: &str, generation: u64, streak: u32, restraint: &BackoffSettings) -> Duration {
    if streak == 0 {
        return Duration::ZERO;
    }
    let doubled = 2u32.saturating_pow(streak - 1);
    let full = restraint.backoff_base.saturating_mul(doubled).min(restraint.backoff_cap);
    full.mul_f64(jitter(session, generation))
}

/// 0.9 to 1.1, the same in every cycle.
fn jitter(session: &str, generation: u64) -> f64 {
    let digest = Sha256::digest(format!("{session}/{generation}"));
    0.9 + f64::from(u16::from_be_bytes([digest[0], digest[1]])) / f64::from(u16::MAX) * 0.2
}

fn describe(last: &Run, streak: u32) -> String {
    let end = match (last.outcome, last.exit_code, &last.detail) {
        (Outcome::Succeeded, _, _) => "ended well but too soon,".to_owned(),
        (Outcome::TimedOut, _, _) => "hit its time limit".to_owned(),
        (Outcome::Failed | Outcome::Lost | Outcome::Stopped, Some(code), _) => {
            format!("exit {code}")
        }
        (Outcome::Failed | Outcome::Lost | Outcome::Stopped, None, Some(detail)) => {
            first_clause(detail).to_owned()
        }
        (outcome, None, None) => outcome.word().to_owned(),
    };
    let runtime = humantime::format_duration(Duration::from_secs(last.runtime().as_secs()));
    match streak {
        1 => format!("failed: {end} after {runtime}"),
        times => format!("failed {times} times, last {end} after {runtime}"),
    }
}

/// The remedy behind a semicolon stands where the failure itself is reported.
fn first_clause(detail: &str) -> &str {
    detail.split_once(';').map_or(detail, |(clause, _)| clause)
}
