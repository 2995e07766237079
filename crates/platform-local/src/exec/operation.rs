//! One operation of a plugin: a process that reads a request, writes an answer, and has ended by
//! the deadline with all its children.

use std::ffi::OsString;
use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, sleep_until};

use super::protocol::MAX_ANSWER_BYTES;
use coordinator_core::sanitize::one_line;
use coordinator_core::secrets::Secrets;

const CHUNK_BYTES: usize = 16 << 10;

/// Lines on standard error that one operation may log.
const MAX_LINES: usize = 100;

/// Characters of a line that are logged.
const MAX_LINE_CHARS: usize = 500;

/// A longer line is cut before it is masked.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Pieces of standard error that are read after the exit: a process that left the group may never
/// stop writing.
const MAX_PIECES_LEFT: usize = 64;

const BETWEEN_PIECES: Duration = Duration::from_millis(20);

/// A running operation. Its processes end when this value is dropped; those that left the group by
/// `setsid`, as a session must, stay.
pub(super) struct ProcessGroup {
    child: Child,
}

/// Why an operation was ended.
pub(super) enum Trouble {
    /// It ran at the deadline.
    Late,
    /// Its answer is too long.
    TooLong,
    /// It could not be watched.
    Io(io::Error),
}

impl ProcessGroup {
    pub(super) fn start(
        program: &Path,
        operation: &str,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.arg(operation).env_clear().envs(environment).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Self { child: command.spawn()? })
    }

    /// Writes the request, reads the answer until the plugin exits, and ends what is left of the
    /// group. Only the plugin's own exit counts: a child of it may keep the pipes open.
    pub(super) async fn exchange(
        &mut self,
        request: &[&[u8]],
        log: &mut StderrLog<'_>,
        deadline: Instant,
    ) -> Result<(ExitStatus, Vec<u8>), Trouble> {
        let lost = |what: &str| Trouble::Io(io::Error::other(format!("no {what}")));
        let stdin = self.child.stdin.take().ok_or_else(|| lost("stdin"))?;
        let mut stdout = self.child.stdout.take().ok_or_else(|| lost("stdout"))?;
        let mut stderr = self.child.stderr.take().ok_or_else(|| lost("stderr"))?;
        let id = self.id().ok_or_else(|| lost("process id"))?;
        let mut answer = Vec::new();
        let mut exit = tokio::task::spawn_blocking(move || await_exit(id));
        let mut late = pin!(sleep_until(deadline));
        let mut written = pin!(write(stdin, request));
        let (mut is_written, mut is_read, mut is_logged) = (false, false, false);
        loop {
            tokio::select! {
                exited = &mut exit => {
                    exited.map_err(io::Error::other).flatten().map_err(Trouble::Io)?;
                    break;
                }
                () = &mut late => return Err(Trouble::Late),
                () = &mut written, if !is_written => is_written = true,
                has_more = read(&mut stdout, &mut answer), if !is_read => {
                    refuse_flood(&answer)?;
                    is_read = !has_more;
                }
                has_more = read(&mut stderr, &mut log.pending), if !is_logged => {
                    log.log_lines();
                    is_logged = !has_more;
                }
            }
        }
        // The child is not reaped yet, so its id is still the group's.
        self.end();
        let status = self.child.wait().await.map_err(Trouble::Io)?;
        while read_left(&stdout, &mut answer) {
            refuse_flood(&answer)?;
        }
        for _ in 0..MAX_PIECES_LEFT {
            if !read_left(&stderr, &mut log.pending) {
                break;
            }
            log.log_lines();
        }
        log.finish();
        Ok((status, answer))
    }

    /// `None` once the child is reaped: then another process may have the id.
    fn id(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
    }

    fn end(&self) {
        // An empty group is not an error.
        let _ = self.id().map(|id| kill_process_group(id, Signal::KILL));
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.end();
    }
}

/// Writes the pieces a moment apart. A plugin need not read its request.
async fn write(mut stdin: ChildStdin, request: &[&[u8]]) {
    for (number, piece) in request.iter().enumerate() {
        if number > 0 {
            sleep(BETWEEN_PIECES).await;
        }
        if stdin.write_all(piece).await.is_err() {
            return;
        }
    }
}

fn refuse_flood(answer: &[u8]) -> Result<(), Trouble> {
    if answer.len() > MAX_ANSWER_BYTES { Err(Trouble::TooLong) } else { Ok(()) }
}

/// Blocks until the child has exited, and leaves it to be reaped.
fn await_exit(id: Pid) -> io::Result<()> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    rustix::io::retry_on_intr(|| waitid(WaitId::Pid(id), look))?;
    Ok(())
}

/// Waits for the next piece, and returns whether more may come. Cancelled, it has read nothing.
async fn read(pipe: &mut (impl AsyncRead + Unpin), into: &mut Vec<u8>) -> bool {
    into.reserve(CHUNK_BYTES);
    matches!(pipe.read_buf(into).await, Ok(1..))
}

/// Reads the next piece of what was written until now, and returns whether more may come. It does
/// not wait for processes that still have the pipe open.
fn read_left(pipe: &impl AsFd, into: &mut Vec<u8>) -> bool {
    let mut chunk = [0; CHUNK_BYTES];
    // The pipe does not block, as everything that tokio reads: EAGAIN means that it is empty.
    match rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut chunk)) {
        Ok(count @ 1..) => {
            into.extend_from_slice(&chunk[..count]);
            true
        }
        Ok(0) | Err(_) => false,
    }
}

/// Splits stderr into lines and logs them.
pub(super) struct StderrLog<'a> {
    head: String,
    secrets: &'a Secrets,
    /// The beginning of a line whose end has not come.
    pending: Vec<u8>,
    logged: usize,
    /// The line was too long, and its rest is left out.
    skips: bool,
}

impl<'a> StderrLog<'a> {
    /// `head` stands before each line.
    pub(super) fn new(head: String, secrets: &'a Secrets) -> Self {
        Self { head, secrets, pending: Vec::new(), logged: 0, skips: false }
    }

    /// Logs the lines that are complete.
    fn log_lines(&mut self) {
        let read = mem::take(&mut self.pending);
        let mut rest = read.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            if !mem::take(&mut self.skips) {
                self.line(&rest[..end]);
            }
            rest = &rest[end + 1..];
        }
        if self.skips {
            return;
        }
        if rest.len() > MAX_LINE_BYTES {
            self.line(&rest[..MAX_LINE_BYTES]);
            self.skips = true;
        } else {
            self.pending.extend_from_slice(rest);
        }
    }

    /// Logs the last line, which may have no end.
    fn finish(&mut self) {
        self.log_lines();
        let last = mem::take(&mut self.pending);
        if !last.is_empty() {
            self.line(&last);
        }
    }

    fn line(&mut self, line: &[u8]) {
        self.logged += 1;
        if self.logged > MAX_LINES {
            if self.logged == MAX_LINES + 1 {
                tracing::warn!(
                    "{}more than {MAX_LINES} lines on stderr, the rest is left out",
                    self.head
                );
            }
            return;
        }
        // Masked before it is cut: half a secret is one, too.
        let line = one_line(&self.secrets.mask(&String::from_utf8_lossy(line)), MAX_LINE_CHARS);
        if !line.is_empty() {
            tracing::warn!("{}{line}", self.head);
        }
    }
}
