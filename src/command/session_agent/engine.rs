//! Starts an agent and stays until nothing of its process group is left. Single-threaded: signals
//! come through a pipe, and nothing but `poll` waits.

use std::fs;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio, retry_on_intr};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, kill_process_group, waitid,
    waitpid,
};
use rustix::termios::{isatty, tcsetpgrp};

use super::ending::{Cause, Ending};
use super::output::Output;
use super::signals::Signals;

/// The exit code of an agent that stalled, as that of `timeout`.
const STALLED: u8 = 124;

/// A shell adds it to the number of the signal that ended a program.
const SIGNALLED: i32 = 128;

/// Bytes of one read.
const CHUNK: usize = 64 * 1024;

/// What is read of a pipe after the agent's end: as much as a pipe can hold, because a process that
/// left the agent's group may go on writing.
const MAX_LEFTOVER: usize = 1024 * 1024;

/// An agent that runs, in a process group of its own.
#[derive(Debug)]
pub(super) struct Agent {
    pid: Pid,
    /// Its stdout and stderr in one; `None` after it closed them.
    output: Option<PipeReader>,
}

/// How its process ended.
#[derive(Debug)]
pub(super) struct ProcessEnd {
    pub(super) status: WaitStatus,
    pub(super) cause: Cause,
    /// `no output for 10m`.
    pub(super) stalled: Option<String>,
}

impl ProcessEnd {
    /// As a shell has it, and 124 for an agent that stalled.
    pub(super) fn code(&self) -> u8 {
        if self.stalled.is_some() {
            return STALLED;
        }
        let signal =
            self.status.terminating_signal().map(|signal| signal.saturating_add(SIGNALLED));
        let code = self.status.exit_status().or(signal);
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
    }
}

/// Fails as starting the program fails.
pub(super) fn start(command: &mut Command) -> io::Result<Agent> {
    let (output, writer) = io::pipe()?;
    ioctl_fionbio(&output, true)?;
    command.process_group(0).stdout(writer.try_clone()?).stderr(writer);
    let child = command.spawn();
    // The command keeps its ends of the pipe, and the pipe would not end before them.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let pid = Pid::from_child(&child?);
    bring_to_foreground(pid);
    Ok(Agent { pid, output: Some(output) })
}

/// On a terminal the agent must be in front, or reading stops it; it may have been stopped already.
fn bring_to_foreground(agent: Pid) {
    let stdin = rustix::stdio::stdin();
    if isatty(stdin) && tcsetpgrp(stdin, agent).is_ok() {
        signal_group(agent, Signal::CONT);
    }
}

impl Agent {
    /// Waits for its end and gives `output` all that it writes.
    pub(super) fn supervise(
        mut self,
        signals: &mut Signals,
        ending: &mut Ending,
        output: &mut Output,
    ) -> anyhow::Result<ProcessEnd> {
        let watched = self.watch(signals, ending, output);
        // The group's id is ours as long as its leader is not reaped.
        signal_group(self.pid, Signal::KILL);
        watched?;
        let status = reap(self.pid)?;
        self.read_rest(signals, output)?;
        output.finish();
        Ok(ProcessEnd { status, cause: ending.cause(), stalled: ending.stalled() })
    }

    fn watch(
        &mut self,
        signals: &mut Signals,
        ending: &mut Ending,
        output: &mut Output,
    ) -> anyhow::Result<()> {
        let mut chunk = vec![0; CHUNK];
        while !has_ended(self.pid)? {
            let ready = self.wait(signals, output, ending.left(Instant::now()))?;
            if ready.signal {
                signals.clear();
                reap_orphans(self.pid);
            }
            if ready.stdout {
                output.write();
            }
            let has_read = ready.agent && self.read(&mut chunk, output)? > 0;
            let now = Instant::now();
            // An agent whose output is not taken cannot write.
            if has_read || output.blocked_on().is_some() {
                ending.wrote(now);
            }
            if let Some(signal) = ending.due(now, signals.next()) {
                signal_group(self.pid, signal);
            }
        }
        Ok(())
    }

    /// Waits for a signal, for the agent's output unless some waits for stdout, or for stdout.
    fn wait(
        &self,
        signals: &Signals,
        output: &Output,
        timeout: Option<Duration>,
    ) -> anyhow::Result<Ready> {
        let stdout = output.blocked_on();
        let agent = self.output.as_ref().filter(|_| stdout.is_none()).map(AsFd::as_fd);
        ready(signals, agent, stdout, timeout)
    }

    /// Reads once; the count of bytes, 0 at the end and where there is nothing.
    fn read(&mut self, chunk: &mut [u8], output: &mut Output) -> anyhow::Result<usize> {
        let Some(pipe) = &mut self.output else { return Ok(0) };
        match pipe.read(chunk) {
            Ok(0) => self.output = None,
            Ok(count) => {
                output.take(&chunk[..count]);
                return Ok(count);
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                _ => return Err(error).context("read the agent's output"),
            },
        }
        Ok(0)
    }

    /// What is in the pipe after the agent's end.
    fn read_rest(&mut self, signals: &mut Signals, output: &mut Output) -> anyhow::Result<()> {
        let mut chunk = vec![0; CHUNK];
        let mut read = 0;
        while read < MAX_LEFTOVER {
            flush(signals, output)?;
            match self.read(&mut chunk, output)? {
                0 => break,
                count => read += count,
            }
        }
        Ok(())
    }
}

/// Writes all that waits for stdout. A signal ends that: nothing may read it.
pub(super) fn flush(signals: &mut Signals, output: &mut Output) -> anyhow::Result<()> {
    while let Some(stdout) = output.blocked_on() {
        let ready = ready(signals, None, Some(stdout), None)?;
        if ready.signal {
            signals.clear();
            if signals.next().is_some() {
                output.close();
            }
        }
        if ready.stdout {
            output.write();
        }
    }
    Ok(())
}

/// Which of the streams can be used now.
#[derive(Debug, Clone, Copy)]
struct Ready {
    signal: bool,
    agent: bool,
    stdout: bool,
}

fn ready(
    signals: &Signals,
    agent: Option<BorrowedFd<'_>>,
    stdout: Option<BorrowedFd<'_>>,
    timeout: Option<Duration>,
) -> anyhow::Result<Ready> {
    let mut polled = vec![PollFd::from_borrowed_fd(signals.wake(), PollFlags::IN)];
    polled.extend(agent.map(|agent| PollFd::from_borrowed_fd(agent, PollFlags::IN)));
    polled.extend(stdout.map(|stdout| PollFd::from_borrowed_fd(stdout, PollFlags::OUT)));
    // Beyond what the kernel's type holds is as good as never.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error).context("wait for the agent"),
    }
    let mut found = polled.iter().map(|one| !one.revents().is_empty());
    let mut next = |is_polled: bool| is_polled && found.next().unwrap_or(false);
    Ok(Ready { signal: next(true), agent: next(agent.is_some()), stdout: next(stdout.is_some()) })
}

fn has_ended(agent: Pid) -> anyhow::Result<bool> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let found = retry_on_intr(|| waitid(WaitId::Pid(agent), look)).context("look at the agent")?;
    Ok(found.is_some())
}

fn reap(agent: Pid) -> anyhow::Result<WaitStatus> {
    let (_, status) = retry_on_intr(|| waitpid(Some(agent), WaitOptions::empty()))
        .context("reap the agent")?
        .context("reap the agent: it has not ended")?;
    Ok(status)
}

/// In a container this process is the first: every process whose parent ended becomes its child.
/// The agent itself stays, so that its group's id is not used again.
fn reap_orphans(agent: Pid) {
    for orphan in children().filter(|child| *child != agent) {
        // Either outcome is fine: it lives on, or it is reaped.
        let _ = waitpid(Some(orphan), WaitOptions::NOHANG);
    }
}

/// The children of this process, where the system lists them.
fn children() -> impl Iterator<Item = Pid> {
    let list = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    let pids: Vec<Pid> =
        list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect();
    pids.into_iter()
}

fn signal_group(agent: Pid, signal: Signal) {
    // An error means that the group is empty.
    let _ = kill_process_group(agent, signal);
}
