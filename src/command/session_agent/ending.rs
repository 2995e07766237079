//! When and why an agent is ended.

use std::time::{Duration, Instant};

use rustix::process::Signal;

/// Why an agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// By itself, or by a signal that another process sent it.
    Itself,
    /// It wrote nothing for the stall timeout.
    Stalled,
    /// The wrapper got a signal and forwarded it.
    Stopped,
}

/// Decides which signal the agent gets, and when. By a clock that stands still while the machine is
/// suspended: an agent cannot write then.
#[derive(Debug)]
pub(super) struct Ending {
    stall_timeout: Option<Duration>,
    grace: Duration,
    last_output: Instant,
    cause: Cause,
    kill_at: Option<Instant>,
}

impl Ending {
    /// Of an agent that starts now; `grace` is between the first signal and SIGKILL.
    pub(super) fn new(now: Instant, stall_timeout: Option<Duration>, grace: Duration) -> Self {
        Self { stall_timeout, grace, last_output: now, cause: Cause::Itself, kill_at: None }
    }

    /// The agent wrote, or could not because its output was not read.
    pub(super) fn wrote(&mut self, now: Instant) {
        self.last_output = now;
    }

    /// The signal that the agent's group gets now. `forwarded` came to the wrapper.
    pub(super) fn due(&mut self, now: Instant, forwarded: Option<Signal>) -> Option<Signal> {
        if forwarded.is_some() {
            self.end(now, Cause::Stopped);
            return forwarded;
        }
        if self.stalls_at().is_some_and(|at| now >= at) {
            self.end(now, Cause::Stalled);
            return Some(Signal::TERM);
        }
        self.kill_at.take_if(|kill_at| now >= *kill_at).map(|_| Signal::KILL)
    }

    /// The first reason to end it stays, and so does the time of its SIGKILL.
    fn end(&mut self, now: Instant, cause: Cause) {
        if self.cause == Cause::Itself {
            self.cause = cause;
            self.kill_at = now.checked_add(self.grace);
        }
    }

    fn stalls_at(&self) -> Option<Instant> {
        let timeout = self.stall_timeout.filter(|_| self.cause == Cause::Itself)?;
        self.last_output.checked_add(timeout)
    }

    /// Until the next signal is due; `None` when none is.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let next = self.stalls_at().or(self.kill_at)?;
        Some(next.saturating_duration_since(now))
    }

    pub(super) fn cause(&self) -> Cause {
        self.cause
    }

    /// In a sentence's part, where it stalled: `no output for 10m`.
    pub(super) fn stalled(&self) -> Option<String> {
        let timeout = self.stall_timeout.filter(|_| self.cause == Cause::Stalled)?;
        Some(format!("no output for {}", humantime::format_duration(timeout)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const GRACE: Duration = Duration::from_secs(30);

    fn ending(stall_timeout: Option<Duration>) -> (Instant, Ending) {
        let start = Instant::now();
        (start, Ending::new(start, stall_timeout, GRACE))
    }

    #[test]
    fn an_agent_that_writes_nothing_for_the_stall_timeout_gets_sigterm_then_sigkill() {
        let (start, mut ending) = ending(Some(10 * MINUTE));
        assert_eq!(ending.due(start + 9 * MINUTE, None), None);
        ending.wrote(start + 9 * MINUTE);
        assert_eq!(ending.left(start + 9 * MINUTE), Some(10 * MINUTE));
        assert_eq!(ending.due(start + 18 * MINUTE, None), None);
        assert_eq!((ending.cause(), ending.stalled()), (Cause::Itself, None));
        let late = start + 19 * MINUTE;
        assert_eq!(ending.due(late, None), Some(Signal::TERM));
        assert_eq!(ending.left(late), Some(GRACE));
        ending.wrote(late + Duration::from_secs(1));
        assert_eq!(ending.due(late + GRACE, None), Some(Signal::KILL), "its last words count not");
        assert_eq!((ending.due(late + MINUTE, None), ending.left(late + MINUTE)), (None, None));
        assert_eq!(ending.cause(), Cause::Stalled);
        assert_eq!(ending.stalled().as_deref(), Some("no output for 10m"));
    }

    #[test]
    fn each_signal_is_forwarded_and_the_grace_begins_with_the_first() {
        let (start, mut ending) = ending(Some(MINUTE));
        assert_eq!(ending.due(start, Some(Signal::INT)), Some(Signal::INT));
        let later = start + GRACE / 2;
        assert_eq!(ending.due(later, Some(Signal::TERM)), Some(Signal::TERM));
        assert_eq!(ending.left(later), Some(GRACE / 2));
        assert_eq!(ending.due(start + GRACE, None), Some(Signal::KILL));
        assert_eq!(ending.due(start + 2 * MINUTE, None), None, "a stopped agent does not stall");
        assert_eq!((ending.cause(), ending.stalled()), (Cause::Stopped, None));
    }

    #[test]
    fn without_a_stall_timeout_an_agent_is_left_alone() {
        let (start, mut ending) = ending(None);
        assert_eq!(ending.due(start + 10_000 * MINUTE, None), None);
        assert_eq!((ending.left(start), ending.cause()), (None, Cause::Itself));
        let (start, mut ending) = self::ending(Some(Duration::MAX));
        assert_eq!((ending.due(start, None), ending.left(start)), (None, None), "beyond all time");
    }
}
