//! Signals to the wrapper, turned into a readable pipe.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use rustix::process::Signal;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

/// What the wrapper forwards to its agent.
const FORWARDED: [(i32, Signal); 3] =
    [(SIGTERM, Signal::TERM), (SIGINT, Signal::INT), (SIGHUP, Signal::HUP)];

/// The signals that came.
#[derive(Debug)]
pub(super) struct Signals {
    wake: UnixStream,
    came: Vec<(Signal, Arc<AtomicBool>)>,
}

impl Signals {
    /// From here on SIGTERM, SIGINT and SIGHUP are for the agent, and SIGCHLD wakes the wrapper.
    pub(super) fn catch() -> anyhow::Result<Self> {
        let context = "catch signals";
        let (wake, sender) = UnixStream::pair().context(context)?;
        wake.set_nonblocking(true).context(context)?;
        let mut came = Vec::new();
        for (number, signal) in FORWARDED {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(number, Arc::clone(&flag)).context(context)?;
            came.push((signal, flag));
        }
        for number in [SIGTERM, SIGINT, SIGHUP, SIGCHLD] {
            let sender = sender.try_clone().context(context)?;
            signal_hook::low_level::pipe::register(number, sender).context(context)?;
        }
        Ok(Self { wake, came })
    }

    /// Readable after a signal.
    pub(super) fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Makes [`Self::wake`] unreadable until the next signal.
    pub(super) fn clear(&mut self) {
        while matches!(self.wake.read(&mut [0; 64]), Ok(count) if count > 0) {}
    }

    /// A signal for the agent that was not returned before.
    pub(super) fn next(&self) -> Option<Signal> {
        let came = self.came.iter().find(|(_, flag)| flag.swap(false, Ordering::Relaxed));
        came.map(|(signal, _)| *signal)
    }
}
