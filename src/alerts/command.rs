//! The command of `[alerts]`: it reads the report, and has ended within 10 s with all that it
//! started.

use std::env;
use std::io;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::AlertContext;
use crate::render::{MAX_SENTENCE, json, shown};
use coordinator_core::environment::passed_on;
use coordinator_core::report::{Advice, Report, Status};
use coordinator_core::sanitize::{lines, sentence};

const LIMIT: Duration = Duration::from_secs(10);

/// For what it wrote before it ended.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Bytes of standard error that are kept.
const MAX_STDERR: usize = 4 << 10;

/// Runs it after a cycle that is not healthy. A warning where that failed.
pub(super) async fn run(report: &Report, context: &AlertContext<'_>) -> Option<Advice> {
    let (program, arguments) = context.settings.command.split_first()?;
    if report.status == Status::Healthy {
        return None;
    }
    let why = match exchange(program, arguments, report, context).await {
        Ok(()) => return None,
        Err(error) => format!("{error:#}"),
    };
    Some(Advice {
        signal: format!("alerts: {program}: {why}"),
        action: "check `command` in [alerts]".to_owned(),
    })
}

async fn exchange(
    program: &str,
    arguments: &[String],
    report: &Report,
    context: &AlertContext<'_>,
) -> anyhow::Result<()> {
    let document = json::report(report, context.secrets).context("write the report as JSON")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(context.folder);
    command.env_clear().envs(passed_on(env::vars_os(), context.secret_names));
    command.process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut group = ProcessGroup(command.spawn().context("start it")?);
    let (status, stderr) = group.feed(document.as_bytes()).await?;
    let said = sentence(&lines(&context.secrets.mask(&String::from_utf8_lossy(&stderr))));
    let said = shown(&said, MAX_SENTENCE, context.secrets);
    let said = if said.is_empty() { said } else { format!(": {said}") };
    match status {
        None => bail!("killed after {} s{said}", LIMIT.as_secs()),
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("{status}{said}"),
    }
}

/// A running command. What is left of its group ends when this value is dropped.
struct ProcessGroup(Child);

impl ProcessGroup {
    /// Writes its input and waits for its end; its status is `None` where it had to be killed.
    async fn feed(&mut self, input: &[u8]) -> anyhow::Result<(Option<ExitStatus>, Vec<u8>)> {
        let stdin = self.0.stdin.take().context("open its standard input")?;
        let stderr = self.0.stderr.take().context("open its standard error")?;
        let id = self.id().context("find its process")?;
        let mut said = Vec::new();
        let mut exit = tokio::task::spawn_blocking(move || await_exit(id));
        let has_ended = {
            let mut late = pin!(sleep(LIMIT));
            let mut pipes =
                pin!(async { tokio::join!(write(stdin, input), read(stderr, &mut said)) });
            let mut are_closed = false;
            let has_ended = loop {
                tokio::select! {
                    ended = &mut exit => break ended.context("wait for it")?.map(|()| true)?,
                    () = &mut late => break false,
                    _ = &mut pipes, if !are_closed => are_closed = true,
                }
            };
            // The child is not reaped yet, so its id is still the group's.
            self.end();
            if !are_closed {
                // A process that left the group may keep the pipe open.
                let _ = timeout(LAST_WORDS, pipes).await;
            }
            has_ended
        };
        let status = self.0.wait().await.context("wait for it")?;
        Ok((has_ended.then_some(status), said))
    }

    /// `None` once the child is reaped: then another process may have the id.
    fn id(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.0.id()?).ok()?)
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

/// Blocks until the child has exited, and leaves it to be reaped.
fn await_exit(id: Pid) -> io::Result<()> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    rustix::io::retry_on_intr(|| waitid(WaitId::Pid(id), look)).map(drop).map_err(Into::into)
}

/// A command need not read its input.
async fn write(mut stdin: impl AsyncWrite + Unpin, input: &[u8]) {
    let _ = stdin.write_all(input).await;
}

/// Reads to the end, and keeps the beginning.
async fn read(mut stderr: impl AsyncRead + Unpin, said: &mut Vec<u8>) {
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut chunk).await {
        let room = MAX_STDERR.saturating_sub(said.len());
        said.extend_from_slice(&chunk[..count.min(room)]);
    }
}
