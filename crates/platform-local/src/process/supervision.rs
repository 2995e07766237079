//! Watches one agent until nothing of its session is left. Single-threaded: signals come through a
//! pipe.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, kill_process, kill_process_group,
    wait, waitid, waitpid,
};
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
    /// Its time was over.
    TimeLimit,
    /// A signal to the shim.
    Stopped,
}

/// How an agent ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    pub(super) cause: Cause,
}

/// Waits for the agent's end, keeps its time limit, then ends every process that it left.
/// `housekeeping` is called repeatedly; it returns whether more is left to do at once.
pub(super) fn supervise(
    agent: Pid,
    signals: &mut Signals,
    time_limit: Duration,
    mut housekeeping: impl FnMut() -> bool,
) -> anyhow::Result<End> {
    let limit = Instant::now().checked_add(time_limit);
    let mut cause = Cause::Itself;
    let mut kill_at = None;
    while !has_ended(agent)? {
        let now = Instant::now();
        let asked = signals.stop.swap(false, Ordering::Relaxed).then_some(Cause::Stopped);
        let late = limit.filter(|limit| now >= *limit).map(|_| Cause::TimeLimit);
        if let (Cause::Itself, Some(why)) = (cause, late.or(asked)) {
            cause = why;
            kill_at = Some(now + GRACE);
            signal_group(agent, Signal::TERM);
        }
        if kill_at.is_some_and(|kill_at| now >= kill_at) {
            kill_at = None;
            signal_group(agent, Signal::KILL);
        }
        let patience = if housekeeping() { Duration::ZERO } else { TICK };
        let next = if cause == Cause::Itself { limit } else { kill_at };
        let left = next.map_or(patience, |next| next.saturating_duration_since(now));
        if signals.wait(patience.min(left))? {
            reap_adopted(agent);
        }
    }
    // The group's id is ours as long as its leader is not reaped.
    signal_group(agent, Signal::KILL);
    let status = reap(agent)?;
    end_descendants(signals)?;
    Ok(End { code: status.exit_status(), signal: status.terminating_signal(), cause })
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
            Err(error) => return Err(io::Error::from(error)).context("reap what the agent left"),
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
