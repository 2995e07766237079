//! Where an agent's output goes: the wrapper's own stdout, a log, and the tally of what it used.

use std::fs::File;
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::io::Errno;
use rustix::stdio::stdout;

use super::guard::Guard;
use super::shown::Rendered;
use super::warn;
use coordinator_core::agent::{Profile, Tally};
use coordinator_core::fleet::SessionResult;

/// A pipe that is ready takes so many bytes at once without blocking (`PIPE_BUF` on Linux).
const WRITTEN_AT_ONCE: usize = 4096;

/// What stdout gets of the agent's bytes.
#[derive(Debug)]
pub(super) enum Form {
    /// Every byte.
    Raw,
    /// Every byte, between two workflow commands.
    Guarded(Guard),
    /// Lines for people.
    Rendered(Rendered),
}

/// The agent's output on its way. At most what one read brought is waiting for stdout.
#[derive(Debug)]
pub(super) struct Output {
    form: Form,
    log: Option<(PathBuf, File)>,
    tally: Option<Tally>,
    waiting: Vec<u8>,
    sent: usize,
    is_closed: bool,
}

impl Output {
    pub(super) fn new(profile: Profile, form: Form, log: Option<(PathBuf, File)>) -> Self {
        let mut waiting = Vec::new();
        if let Form::Guarded(guard) = &form {
            waiting.extend(guard.stop().into_bytes());
        }
        Self { form, log, tally: Some(Tally::new(profile)), waiting, sent: 0, is_closed: false }
    }

    /// Takes what the agent wrote.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        if let Some(tally) = &mut self.tally {
            tally.read(bytes);
        }
        if let Some((path, log)) = &mut self.log
            && let Err(error) = log.write_all(bytes)
        {
            warn(&format!("write the agent's output to {}: {error}", path.display()));
            self.log = None;
        }
        let Self { form, waiting, .. } = self;
        match form {
            Form::Raw => waiting.extend_from_slice(bytes),
            Form::Guarded(guard) => guard.pass(bytes, waiting),
            Form::Rendered(rendered) => {
                rendered.read(bytes, |line| waiting.extend_from_slice(line));
            }
        }
        self.forget_if_closed();
    }

    /// The agent writes no more.
    pub(super) fn finish(&mut self) {
        let Self { form, waiting, .. } = self;
        match form {
            Form::Raw => {}
            Form::Guarded(guard) => waiting.extend(guard.resume().into_bytes()),
            Form::Rendered(rendered) => rendered.finish(|line| waiting.extend_from_slice(line)),
        }
        self.forget_if_closed();
    }

    /// Adds words of the wrapper's own.
    pub(super) fn add(&mut self, text: &str) {
        self.waiting.extend_from_slice(text.as_bytes());
        self.forget_if_closed();
    }

    /// The stream to wait for, while bytes wait for it.
    pub(super) fn blocked_on(&self) -> Option<BorrowedFd<'static>> {
        (self.sent < self.waiting.len()).then(stdout)
    }

    /// Writes what stdout, which is ready, takes without blocking. After an error, a closed pipe
    /// for instance, the agent works on, and its output goes to the log and the tally.
    pub(super) fn write(&mut self) {
        let end = self.waiting.len().min(self.sent + WRITTEN_AT_ONCE);
        match rustix::io::write(stdout(), &self.waiting[self.sent..end]) {
            Ok(count) => self.sent += count,
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.is_closed = true,
        }
        if self.is_closed || self.sent == self.waiting.len() {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.waiting.clear();
        self.sent = 0;
    }

    fn forget_if_closed(&mut self) {
        if self.is_closed {
            self.forget();
        }
    }

    /// Writes nothing more to stdout.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.forget();
    }

    /// What the output showed; once.
    pub(super) fn shown(&mut self) -> Option<SessionResult> {
        self.tally.take()?.finish()
    }
}

/// Creates or empties the log, which others cannot read.
pub(super) fn create(path: &Path) -> anyhow::Result<(PathBuf, File)> {
    let file = super::file::options().create(true).truncate(true).open(path);
    let file = file.with_context(|| format!("create {}", path.display()))?;
    Ok((path.to_owned(), file))
}
