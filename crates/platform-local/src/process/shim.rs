//! `coordinator session-run`: keeps one session. It holds the slot's lock, writes the records and
//! ends what must end.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::SystemTime;

use anyhow::{Context, bail};
use rustix::process::Pid;

use super::left;
use super::logs::{MAX_LOG_BYTES, open_log, rotate};
use super::proc::{self, ProcessId};
use super::record::{self, ExitRecord, Launch, StartRecord, VERSION};
use super::retention::tidy;
use super::start::own_program;
use super::stop::stopped_by;
use super::supervision::{Cause, End, Limits, Signals, reap, supervise};
use crate::lock::is_in_place;
use coordinator_core::fleet::Outcome;

/// What the shim writes to its standard output when the agent runs; anything else is an error.
pub(super) const READY: &str = "ready";

/// Directories that are removed after a session's end, while its slot is not free yet.
const MAX_LAST_STEPS: u32 = 1000;

const BY_HAND: &str = "session-run is started by `coordinator reconcile`, never by hand";

/// Runs one session to its end. `directory` is its generation's; standard input is the slot's lock,
/// standard output the readiness pipe. Must be called before anything else in the process: it
/// closes inherited descriptors and relies on being the only thread.
pub fn session_run(directory: &Path) -> ExitCode {
    let inherited = close_inherited().context("close inherited descriptors");
    let readiness = inherited.and_then(|()| take(io::stdout().as_fd(), "the readiness pipe"));
    let Some(mut readiness) = warn("start a session", readiness) else { return ExitCode::FAILURE };
    let started = Shim::open(directory).and_then(|mut shim| {
        let agent = shim.start_agent();
        let agent = agent.inspect_err(|error| shim.write_failure(&format!("{error:#}")))?;
        Ok((agent, shim))
    });
    let answer = started.as_ref().map_or_else(|error| format!("{error:#}"), |_| READY.to_owned());
    // The coordinator may have ended; the session does not need it.
    warn("write to the readiness pipe", writeln!(readiness, "{answer}"));
    drop(readiness);
    started.map_or(ExitCode::FAILURE, |(agent, shim)| shim.keep(agent))
}

/// Closes every descriptor from 3 up. A coordinator under `flock`, `make` or an editor carries
/// descriptors of theirs, and a session that kept one would hold their lock or pipe for hours.
///
/// Only for the first moments of `main`, before anything is opened.
#[allow(unsafe_code)]
fn close_inherited() -> io::Result<()> {
    use std::os::fd::{FromRawFd, OwnedFd};

    for descriptor in inherited()? {
        // SAFETY: the caller is the first thing that main does, on its only thread. Nothing in this
        // process owns a descriptor from 3 up, and the one that listed them is closed again:
        // `is_open` has just seen this one open, so it was inherited and has no owner here.
        drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    }
    Ok(())
}

/// The open descriptors from 3 up, without the listing's own, which is closed afterwards.
fn inherited() -> io::Result<Vec<RawFd>> {
    let directory = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    let listed: Vec<RawFd> = fs::read_dir(directory)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|descriptor| *descriptor > 2)
        .collect();
    let is_open =
        |descriptor: &RawFd| fs::symlink_metadata(format!("{directory}/{descriptor}")).is_ok();
    Ok(listed.into_iter().filter(is_open).collect())
}

/// A copy that the agent does not inherit.
fn take(descriptor: impl AsFd, what: &str) -> anyhow::Result<File> {
    let copy = rustix::io::fcntl_dupfd_cloexec(descriptor, 3);
    copy.map(File::from).with_context(|| format!("duplicate {what}"))
}

/// Writes a failure to stderr, which is the shim's own log: no session fails for it.
#[expect(clippy::print_stderr, reason = "stderr is the shim's log file")]
pub(super) fn warn<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> Option<T> {
    result.inspect_err(|error| eprintln!("warning: cannot {what}: {error:#}")).ok()
}

/// Writes a line of `monitor.log`, which stderr is.
#[expect(clippy::print_stderr, reason = "stderr is the shim's log file")]
fn note(what: &str) {
    eprintln!("{} {what}", humantime::format_rfc3339_seconds(SystemTime::now()));
}

struct Shim {
    home: PathBuf,
    launch: Launch,
    lock: File,
    start: StartRecord,
    signals: Signals,
}

impl Shim {
    fn open(home: &Path) -> anyhow::Result<Self> {
        let lock = take(io::stdin().as_fd(), "the slot's lock")?;
        let launch: Launch = record::read(&home.join("launch.json"))?.context(BY_HAND)?;
        // A session without the lock must not run; locking again what is ours succeeds.
        let path = launch.lock.display();
        if !is_in_place(&lock, &launch.lock)? {
            bail!("{BY_HAND}: standard input is not {path}");
        }
        lock.try_lock().with_context(|| format!("{BY_HAND}: lock {path}"))?;
        let nothing = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")
            .context("open /dev/null")?;
        rustix::stdio::dup2_stdin(&nothing).context("let go of standard input")?;
        rustix::stdio::dup2_stdout(&nothing).context("let go of standard output")?;
        env::set_current_dir("/").context("leave the coordinator's directory")?;
        // It fails only for the leader of a process group, which a child of the coordinator is not.
        warn("start a terminal session of its own", rustix::process::setsid());
        #[cfg(target_os = "linux")]
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .context("become a subreaper")?;
        let signals = Signals::catch()?;
        let start = StartRecord {
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

    /// The record comes first: without it no agent runs, and with it no agent is forgotten. The
    /// exec stage writes its error to its standard output; when the agent's program has taken its
    /// place, the pipe closes empty.
    fn start_agent(&mut self) -> anyhow::Result<Pid> {
        open_log(&self.home, self.launch.agent)?;
        let record = self.home.join("start.json");
        record::write(&record, &self.start)?;
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
        let agent = i32::try_from(stage.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("read the agent's id")?;
        let mut failure = String::new();
        report.read_to_string(&mut failure).context("read from the exec stage")?;
        let failure = failure.trim();
        if !failure.is_empty() {
            reap(agent)?;
            bail!("{failure}");
        }
        self.start.agent = Some(ProcessId::of(agent.as_raw_pid()));
        warn("record the agent's process id", record::write(&record, &self.start));
        Ok(agent)
    }

    /// The log of an agent that never ran gives the reason, too.
    fn write_failure(&self, reason: &str) {
        let log = open_log(&self.home, self.launch.agent)
            .and_then(|mut log| Ok(writeln!(log, "coordinator: {reason}")?));
        warn("write the failure into the log", log);
        self.write_exit(
            &End { code: None, signal: None, cause: Cause::Itself },
            Some(reason.to_owned()),
        );
    }

    /// Without `exit.json`, on a full disk for instance, the session counts as lost: as failed,
    /// too.
    fn write_exit(&self, end: &End, reason: Option<String>) {
        let exit = ExitRecord {
            version: VERSION,
            outcome: outcome(end),
            code: end.code,
            signal: end.signal,
            reason,
            started_at: self.start.started_at,
            finished_at: SystemTime::now(),
            result: left::read(&self.home, self.launch.agent),
        };
        warn("record the end", record::write(&self.home.join("exit.json"), &exit));
        let reason = exit.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        note(&format!("{}{reason}", exit.outcome.word()));
        left::write(&self.home, &self.launch, &exit);
    }

    fn keep(mut self, agent: Pid) -> ExitCode {
        let records = self.home.parent().unwrap_or(&self.home).to_owned();
        note(&format!("the agent runs, process {}", agent.as_raw_pid()));
        let Launch { root, retain, retain_work, time_limit, stall_timeout, .. } = &self.launch;
        let mut removal = tidy(root, &records, *retain, *retain_work, SystemTime::now());
        let limits = Limits { time_limit: *time_limit, stall_timeout: *stall_timeout };
        let home = self.home.clone();
        let housekeeping = || {
            warn("rotate the log", rotate(&home, MAX_LOG_BYTES));
            removal.step();
            !removal.is_done()
        };
        let output = || left::output_state(&self.home);
        match supervise(agent, &mut self.signals, limits, output, housekeeping) {
            Ok(end) => {
                let reason = reason(&end, limits, stopped_by(&self.home));
                self.write_exit(&end, reason);
                // A short session ends before its slot is tidy.
                for _ in 0..MAX_LAST_STEPS {
                    removal.step();
                }
                ExitCode::SUCCESS
            }
            Err(error) => {
                warn::<(), _>("watch the agent", Err(error));
                ExitCode::FAILURE
            }
        }
    }
}

fn outcome(end: &End) -> Outcome {
    match (end.cause, end.code) {
        (Cause::TimeLimit | Cause::Stalled, _) => Outcome::TimedOut,
        (Cause::Itself, Some(0)) => Outcome::Succeeded,
        (Cause::Itself, _) => Outcome::Failed,
        (Cause::Stopped, _) => Outcome::Stopped,
    }
}

fn reason(end: &End, limits: Limits, by: Option<String>) -> Option<String> {
    let signal = end.signal.map(|signal| format!("signal {signal}"));
    match end.cause {
        Cause::Itself => signal,
        Cause::TimeLimit => {
            Some(format!("time limit of {}", humantime::format_duration(limits.time_limit)))
        }
        Cause::Stalled => {
            let timeout = humantime::format_duration(limits.stall_timeout);
            Some(format!("stalled: no output for {timeout}"))
        }
        Cause::Stopped => Some(
            by.map_or_else(|| "stopped by a signal".to_owned(), |by| format!("stopped by {by}")),
        ),
    }
}
