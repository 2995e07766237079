//! The process group of one operation.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, sleep_until};

use super::pipe::{Rest, left, read};
use super::stderr::Log;
use crate::exec::protocol::LARGEST_ANSWER;

/// Pieces of standard error that are read after the exit: a process that left the group may write for ever.
const MOST_LEFT: usize = 64;

const BETWEEN_PIECES: Duration = Duration::from_millis(20);

/// A running operation. However this value goes, its processes go with it; those that left the group by `setsid`, which
/// a session must, stay.
pub(super) struct Group {
    child: Child,
}

/// Why an operation was ended.
pub(super) enum Trouble {
    /// It ran at the deadline.
    Late,
    /// It said too much.
    TooLong,
    /// It could not be watched.
    Io(io::Error),
}

impl Group {
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
        log: &mut Log<'_>,
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
        let mut said = pin!(say(stdin, request));
        let (mut has_said, mut has_ended, mut is_logged) = (false, false, false);
        loop {
            tokio::select! {
                exited = &mut exit => {
                    exited.map_err(io::Error::other).flatten().map_err(Trouble::Io)?;
                    break;
                }
                () = &mut late => return Err(Trouble::Late),
                () = &mut said, if !has_said => has_said = true,
                rest = read(&mut stdout, &mut answer), if !has_ended => {
                    refuse_flood(&answer)?;
                    has_ended = rest == Rest::End;
                }
                rest = read(&mut stderr, &mut log.pending), if !is_logged => {
                    log.log_lines();
                    is_logged = rest == Rest::End;
                }
            }
        }
        // The child is not reaped yet, so its id is still the group's and nobody else's.
        self.end();
        let status = self.child.wait().await.map_err(Trouble::Io)?;
        while left(&stdout, &mut answer) == Rest::More {
            refuse_flood(&answer)?;
        }
        for _ in 0..MOST_LEFT {
            if left(&stderr, &mut log.pending) == Rest::End {
                break;
            }
            log.log_lines();
        }
        log.finish();
        Ok((status, answer))
    }

    /// `None` once the child is reaped: then the id may be a stranger's.
    fn id(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
    }

    fn end(&self) {
        // An empty group is what is wanted.
        let _ = self.id().map(|id| kill_process_group(id, Signal::KILL));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

/// In pieces, a moment apart. A plugin that does not read its request has done no wrong.
async fn say(mut stdin: ChildStdin, request: &[&[u8]]) {
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
    if answer.len() > LARGEST_ANSWER { Err(Trouble::TooLong) } else { Ok(()) }
}

/// Blocks until the child has exited, and leaves it to be reaped.
fn await_exit(id: Pid) -> io::Result<()> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    rustix::io::retry_on_intr(|| waitid(WaitId::Pid(id), look))?;
    Ok(())
}
