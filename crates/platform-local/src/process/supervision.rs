//! Watches one agent until nothing of its session is left. Single-threaded: signals come through a
//! pipe.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, kill_process, kill_process_group,
    wait, waitid, waitpid,
};
use rustix::time::{ClockId, clock_gettime};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use super::proc;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(30);

/// Between two checks of the log's length.
const TICK: Duration = Duration::from_secs(2);

/// Between two scans for processes that survive SIGKILL for a while.
const SWEEP: Duration = Duration::from_millis(100);

/// Signals of the shim, turned into a readable pipe.
#[derive(Debug)]
pub(super) struct Signals {
    wake: UnixStream,
    stop: Arc<AtomicBool>,
}

impl Signals {
    /// From here on SIGTERM, SIGINT and SIGHUP end the session, and SIGCHLD wakes the shim.
    pub(super) fn catch() -> anyhow::Result<Self> {
        let context = "catch signals";
        let (wake, sender) = UnixStream::pair().context(context)?;
        wake.set_nonblocking(true).context(context)?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&stop)).context(context)?;
        }
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGCHLD] {
            let sender = sender.try_clone().context(context)?;
            signal_hook::low_level::pipe::register(signal, sender).context(context)?;
        }
        Ok(Self { wake, stop })
    }

    /// Whether a signal to end the session came since the last call.
    fn is_stopped(&self) -> bool {
        self.stop.swap(false, Ordering::Relaxed)
    }

    /// Returns at a signal, or after `timeout`; whether a signal came.
    fn wait(&mut self, timeout: Duration) -> anyhow::Result<bool> {
        let timeout = Timespec::try_from(timeout).context("convert a timeout")?;
        match poll(
            &mut [PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN)],
            Some(&timeout),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for a signal"),
        }
        let mut has_come = false;
        while matches!(self.wake.read(&mut [0; 64]), Ok(count) if count > 0) {
            has_come = true;
        }
        Ok(has_come)
    }
}

/// Why an agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// By itself, or by another process's signal.
    Itself,
    /// It ran as long as its time limit.
    TimeLimit,
    /// It wrote nothing for its `stall_timeout`.
    Stalled,
    /// A signal to the shim.
    Stopped,
}

/// How long an agent may run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) time_limit: Duration,
    /// Without output; zero: no limit.
    pub(super) stall_timeout: Duration,
}

/// How an agent ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    pub(super) cause: Cause,
}

/// Waits for the agent's end, keeps its limits, then ends every process that it left.
/// `housekeeping` is called repeatedly; it returns whether more is left to do at once. `output` has
/// another value whenever the agent has written.
pub(super) fn supervise<T: PartialEq>(
    agent: Pid,
    signals: &mut Signals,
    limits: Limits,
    output: impl Fn() -> T,
    mut housekeeping: impl FnMut() -> bool,
) -> anyhow::Result<End> {
    let mut ending = Ending::of(since_boot(), limits);
    let mut seen = output();
    while !has_ended(agent)? {
        let now = since_boot();
        let current = output();
        if current != seen {
            seen = current;
            ending.note_output(now);
        }
        if let Some(signal) = ending.due(now, signals.is_stopped()) {
            signal_group(agent, signal);
        }
        // A poll does not notice that the machine was suspended, so it is never a long one.
        let patience = if housekeeping() { Duration::ZERO } else { TICK };
        let left = ending.left(now).unwrap_or(patience);
        if signals.wait(patience.min(left))? {
            reap_adopted(agent);
        }
    }
    // The group's id is ours as long as its leader is not reaped.
    signal_group(agent, Signal::KILL);
    let status = reap(agent)?;
    end_descendants(signals)?;
    // One `pkill` may reach the agent before us.
    let cause = ending.cause(signals.is_stopped());
    Ok(End { code: status.exit_status(), signal: status.terminating_signal(), cause })
}

/// Since the machine's start, the time in which it was suspended included. Setting the wall clock
/// does not change it.
fn since_boot() -> Duration {
    // Linux stops CLOCK_MONOTONIC while it is suspended, macOS does not.
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

/// When and why an agent is ended; times are since the machine's start.
#[derive(Debug)]
struct Ending {
    limit: Duration,
    stall_timeout: Duration,
    /// When it counts as stalled.
    stalled: Duration,
    cause: Cause,
    kill_at: Option<Duration>,
}

impl Ending {
    fn of(start: Duration, limits: Limits) -> Self {
        let limit = start.saturating_add(limits.time_limit);
        let stall_timeout = match limits.stall_timeout {
            Duration::ZERO => Duration::MAX,
            stall_timeout => stall_timeout,
        };
        let stalled = start.saturating_add(stall_timeout);
        Self { limit, stall_timeout, stalled, cause: Cause::Itself, kill_at: None }
    }

    /// The agent has written.
    fn note_output(&mut self, now: Duration) {
        self.stalled = now.saturating_add(self.stall_timeout);
    }

    /// The signal that the agent gets now: first SIGTERM, and after the grace SIGKILL.
    fn due(&mut self, now: Duration, is_stopped: bool) -> Option<Signal> {
        let cause = if now >= self.limit {
            Cause::TimeLimit
        } else if is_stopped {
            Cause::Stopped
        } else if now >= self.stalled {
            Cause::Stalled
        } else {
            Cause::Itself
        };
        if self.cause == Cause::Itself && cause != Cause::Itself {
            self.cause = cause;
            self.kill_at = Some(now.saturating_add(GRACE));
            return Some(Signal::TERM);
        }
        self.kill_at.take_if(|kill_at| now >= *kill_at).map(|_| Signal::KILL)
    }

    /// Until the next signal is due; `None` when none is.
    fn left(&self, now: Duration) -> Option<Duration> {
        let next = match self.cause {
            Cause::Itself => Some(self.limit.min(self.stalled)),
            Cause::TimeLimit | Cause::Stalled | Cause::Stopped => self.kill_at,
        };
        next.map(|next| next.saturating_sub(now))
    }

    /// Why the agent has ended.
    fn cause(&self, is_stopped: bool) -> Cause {
        if self.cause == Cause::Itself && is_stopped { Cause::Stopped } else { self.cause }
    }
}

fn has_ended(agent: Pid) -> anyhow::Result<bool> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let found = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(agent), look))
        .context("look at the agent")?;
    Ok(found.is_some())
}

/// Reaps the agent, which has ended.
pub(super) fn reap(agent: Pid) -> anyhow::Result<WaitStatus> {
    let (_, status) = rustix::io::retry_on_intr(|| waitpid(Some(agent), WaitOptions::empty()))
        .context("reap the agent")?
        .context("reap the agent: it has not ended")?;
    Ok(status)
}

/// Descendants whose parents have ended become our children, so only we can reap them.
fn reap_adopted(agent: Pid) {
    for child in proc::children().into_iter().filter(|child| *child != agent) {
        // Either outcome is fine: it lives on, or it is reaped.
        let _ = waitpid(Some(child), WaitOptions::NOHANG);
    }
}

/// Ends what an agent left behind, a leaked server for instance, so that it cannot hold the slot.
/// Only own children are signalled: until we reap one, its pid is not reused. Their children become
/// ours in turn.
fn end_descendants(signals: &mut Signals) -> anyhow::Result<()> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Err(Errno::CHILD) => return Ok(()),
            Ok(Some(_)) | Err(Errno::INTR) => continue,
            Ok(None) => {}
            Err(error) => return Err(io::Error::from(error)).context("reap the agent's orphans"),
        }
        for child in proc::children() {
            // It may have ended by itself, or belong to another user, who then must end it.
            let _ = kill_process(child, Signal::KILL);
        }
        signals.wait(SWEEP)?;
    }
}

fn signal_group(agent: Pid, signal: Signal) {
    // An error means that the group is empty.
    let _ = kill_process_group(agent, signal);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const SECOND: Duration = Duration::from_secs(1);

    fn limits(time_limit: Duration) -> Limits {
        Limits { time_limit, stall_timeout: Duration::ZERO }
    }

    #[test]
    fn an_agent_that_writes_nothing_for_its_stall_timeout_is_ended() {
        let stall_timeout = 10 * SECOND;
        let mut ending = Ending::of(HOUR, Limits { time_limit: HOUR, stall_timeout });
        assert_eq!(ending.due(HOUR + 9 * SECOND, false), None);
        ending.note_output(HOUR + 9 * SECOND);
        assert_eq!(ending.due(HOUR + 18 * SECOND, false), None);
        assert_eq!(ending.left(HOUR + 18 * SECOND), Some(SECOND));
        assert_eq!(ending.due(HOUR + 19 * SECOND, false), Some(Signal::TERM));
        assert_eq!(ending.due(HOUR + 49 * SECOND, false), Some(Signal::KILL));
        assert_eq!(ending.cause(true), Cause::Stalled);
    }

    #[test]
    fn the_night_in_which_a_laptop_was_suspended_counts_towards_the_time_limit() {
        let start = 5 * HOUR;
        let mut ending = Ending::of(start, limits(2 * HOUR));
        assert_eq!(ending.due(start + HOUR, false), None);
        assert_eq!(ending.left(start + HOUR), Some(HOUR));
        let morning = start + 10 * HOUR;
        assert_eq!(ending.left(morning), Some(Duration::ZERO));
        assert_eq!(ending.due(morning, false), Some(Signal::TERM));
        assert_eq!(ending.cause(true), Cause::TimeLimit);
    }

    #[test]
    fn an_agent_has_its_grace_after_the_first_signal_and_is_killed_once() {
        let mut ending = Ending::of(Duration::ZERO, limits(HOUR));
        assert_eq!(ending.due(SECOND, true), Some(Signal::TERM));
        assert_eq!(ending.due(2 * SECOND, true), None, "a second request changes nothing");
        assert_eq!(ending.left(SECOND), Some(GRACE));
        assert_eq!(ending.due(SECOND + GRACE, false), Some(Signal::KILL));
        assert_eq!((ending.due(2 * HOUR, false), ending.left(2 * HOUR)), (None, None));
        assert_eq!(ending.cause(false), Cause::Stopped);
    }

    #[test]
    fn a_clock_that_is_set_back_is_not_the_one_that_counts() {
        let before = since_boot();
        assert!(before > Duration::ZERO && since_boot() >= before);
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        if let Some(Ok(seconds)) = uptime.split(' ').next().map(str::parse::<f64>) {
            assert!(since_boot().as_secs_f64() >= seconds, "it is the time since the boot");
        }
    }

    #[test]
    fn a_limit_beyond_all_time_is_none() {
        let mut ending = Ending::of(SECOND, limits(Duration::MAX));
        assert_eq!(ending.due(1000 * HOUR, false), None);
    }
}
