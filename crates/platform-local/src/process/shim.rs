//! `coordinator session-run`: keeps one session. It holds the slot's lock, writes the records and ends what must end.

use std::env;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::SystemTime;

use anyhow::{Context, bail};
use rustix::process::Pid;

use super::descriptors;
use super::proc::{self, ProcessId};
use super::record::{self, Exit, Launch, Start, VERSION};
use super::start::own_program;
use super::stop::stopped_by;
use super::storage::{LOG_LIMIT_BYTES, open_log, rotate, tidy, warn};
use super::supervision::{Cause, End, Signals, reap, supervise};
use crate::lock;
use coordinator_core::fleet::Outcome;

/// What the shim says on its standard output when the agent runs; anything else is an error's text.
pub(super) const READY: &str = "ready";

/// Runs one session to its end. `directory` is its generation's; standard input is the slot's lock, standard output
/// the readiness pipe. Must be called before anything else in the process: it closes inherited descriptors and relies
/// on being the only thread.
pub fn session_run(directory: &Path) -> ExitCode {
    let inherited = descriptors::close_inherited().context("close inherited descriptors");
    let readiness = inherited.and_then(|()| take(io::stdout().as_fd(), "the readiness pipe"));
    let Some(mut readiness) = warn("start a session", readiness) else { return ExitCode::FAILURE };
    let started = Shim::open(directory).and_then(|mut shim| Ok((shim.start_agent()?, shim)));
    match started {
        Ok((agent, shim)) => {
            report(&mut readiness, READY);
            drop(readiness);
            shim.keep(agent)
        }
        Err(error) => {
            report(&mut readiness, &format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The coordinator may be gone; the session goes on without it.
fn report(readiness: &mut impl Write, answer: &str) {
    warn("write to the readiness pipe", writeln!(readiness, "{answer}"));
}

struct Shim {
    home: PathBuf,
    launch: Launch,
    lock: File,
    start: Start,
    signals: Signals,
}

impl Shim {
    fn open(home: &Path) -> anyhow::Result<Self> {
        let lock = take(io::stdin().as_fd(), "the slot's lock")?;
        let launch: Launch = record::read(&home.join("launch.json"))?.context(BY_HAND)?;
        check_lock(&lock, &launch.lock)?;
        let nothing =
            OpenOptions::new().read(true).write(true).open("/dev/null").context("open /dev/null")?;
        rustix::stdio::dup2_stdin(&nothing).context("let go of standard input")?;
        rustix::stdio::dup2_stdout(&nothing).context("let go of standard output")?;
        env::set_current_dir("/").context("leave the coordinator's directory")?;
        // It fails only for the leader of a process group, which a child of the coordinator is not.
        warn("start a terminal session of its own", rustix::process::setsid());
        #[cfg(target_os = "linux")]
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .context("become a subreaper")?;
        let signals = Signals::catch()?;
        let start = Start {
            version: VERSION,
            session: launch.session.clone(),
            cycle: launch.cycle.clone(),
            roster: launch.roster.clone(),
            argv: launch.command.clone(),
            cwd: home.join("work"),
            shim: ProcessId::of(rustix::process::getpid().as_raw_pid()),
            agent: None,
            boot_id: proc::boot_id(),
            started_at: SystemTime::now(),
            item: launch.item.clone(),
        };
        Ok(Self { home: home.to_owned(), launch, lock, start, signals })
    }

    /// The record comes first: without it no agent runs, and with it no agent is forgotten.
    fn start_agent(&mut self) -> anyhow::Result<Pid> {
        open_log(&self.home)?;
        self.write_start()?;
        let agent = self.spawn_agent().inspect_err(|error| self.write_failure(&format!("{error:#}")))?;
        self.start.agent = Some(ProcessId::of(agent.as_raw_pid()));
        warn("record the agent's process id", self.write_start());
        Ok(agent)
    }

    fn write_start(&self) -> anyhow::Result<()> {
        record::write(&self.home.join("start.json"), &self.start)
    }

    /// The exec stage says what went wrong on its standard output; when the agent's program has taken its place, the
    /// pipe is closed without a word.
    fn spawn_agent(&self) -> anyhow::Result<Pid> {
        let (mut report, stage_output) = io::pipe().context("make a pipe")?;
        let lock = self.lock.try_clone().context("duplicate the lock")?;
        let stage = Command::new(own_program()?)
            .arg0("coordinator")
            .arg("session-exec")
            .arg(&self.home)
            .stdin(Stdio::from(lock))
            .stdout(Stdio::from(stage_output))
            .process_group(0)
            .spawn()
            .context("start the exec stage")?;
        let agent = i32::try_from(stage.id()).ok().and_then(Pid::from_raw).context("read the agent's id")?;
        let failure = read_report(&mut report)?;
        if failure.is_empty() {
            return Ok(agent);
        }
        reap(agent)?;
        bail!("{failure}")
    }

    /// Whoever looks at the log of an agent that never ran finds the reason there, too.
    fn write_failure(&self, reason: &str) {
        let log = open_log(&self.home).and_then(|mut log| Ok(writeln!(log, "coordinator: {reason}")?));
        warn("write the failure into the log", log);
        self.write_exit(&End { code: None, signal: None, cause: Cause::Itself }, Some(reason.to_owned()));
    }

    /// Without `exit.json`, on a full disk for instance, the session counts as lost: as failed, too.
    fn write_exit(&self, end: &End, reason: Option<String>) {
        let exit = Exit {
            version: VERSION,
            outcome: outcome(end),
            code: end.code,
            signal: end.signal,
            reason,
            started_at: self.start.started_at,
            finished_at: SystemTime::now(),
        };
        warn("record the end", record::write(&self.home.join("exit.json"), &exit));
    }

    fn keep(mut self, agent: Pid) -> ExitCode {
        let records = self.home.parent().unwrap_or(&self.home).to_owned();
        let mut removal = tidy(&self.launch.root, &records, self.launch.retain, self.launch.retain_work);
        let home = self.home.clone();
        let housekeeping = || {
            warn("rotate the log", rotate(&home, LOG_LIMIT_BYTES));
            removal.step();
            !removal.is_done()
        };
        match supervise(agent, &mut self.signals, self.launch.time_limit, housekeeping) {
            Ok(end) => {
                let reason = reason(&end, self.launch.time_limit, stopped_by(&self.home));
                self.write_exit(&end, reason);
                ExitCode::SUCCESS
            }
            Err(error) => {
                warn::<(), _>("watch the agent", Err(error));
                ExitCode::FAILURE
            }
        }
    }
}

const BY_HAND: &str = "session-run is started by `coordinator reconcile`, never by hand";

/// A copy that the agent does not inherit.
fn take(descriptor: impl AsFd, what: &str) -> anyhow::Result<File> {
    let copy: OwnedFd =
        rustix::io::fcntl_dupfd_cloexec(descriptor, 3).with_context(|| format!("duplicate {what}"))?;
    Ok(File::from(copy))
}

/// A session without the lock must not run; asking again for a lock that is ours succeeds.
fn check_lock(file: &File, path: &Path) -> anyhow::Result<()> {
    if !lock::is_in_place(file, path)? {
        bail!("{BY_HAND}: standard input is not {}", path.display());
    }
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => bail!("{BY_HAND}: another session holds {}", path.display()),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}

fn read_report(report: &mut PipeReader) -> anyhow::Result<String> {
    let mut text = String::new();
    report.read_to_string(&mut text).context("read from the exec stage")?;
    Ok(text.trim().to_owned())
}

fn outcome(end: &End) -> Outcome {
    match (end.cause, end.code) {
        (Cause::TimeLimit, _) => Outcome::TimedOut,
        (Cause::Itself, Some(0)) => Outcome::Succeeded,
        (Cause::Itself, _) => Outcome::Failed,
        (Cause::Stopped, _) => Outcome::Stopped,
    }
}

fn reason(end: &End, time_limit: std::time::Duration, by: Option<String>) -> Option<String> {
    let signal = end.signal.map(|signal| format!("signal {signal}"));
    match end.cause {
        Cause::Itself => signal,
        Cause::TimeLimit => Some(format!("time limit of {}", humantime::format_duration(time_limit))),
        Cause::Stopped => {
            Some(by.map_or_else(|| "stopped by a signal".to_owned(), |by| format!("stopped by {by}")))
        }
    }
}
