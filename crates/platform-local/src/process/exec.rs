//! `coordinator session-exec`: the last step before the agent, in the agent's own process. It sets
//! what only a process itself can set; then the agent's program takes over.

use std::convert::Infallible;
use std::env;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, anyhow, bail};
use signal_hook::consts::{SIGALRM, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2};

use super::logs::open_log;
use super::record::{self, Launch, StartRecord};
use crate::secure_fs::open_private;

const BY_HAND: &str = "session-exec is started by `coordinator session-run`, never by hand";

/// Becomes the agent. `directory` is the generation's; standard input is the slot's lock, standard
/// output carries an error to the shim. Returns only when the agent's program cannot be started.
pub fn session_exec(directory: &Path) -> ExitCode {
    let report =
        rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3).context("duplicate the report pipe");
    let report = match report {
        Ok(report) => File::from(report),
        Err(error) => return fail(&mut io::stderr(), &error),
    };
    let Err(error) = become_agent(directory);
    fail(&mut &report, &error)
}

fn fail(report: &mut impl Write, error: &anyhow::Error) -> ExitCode {
    // Without a reader of the pipe the session does not exist either.
    let _ = writeln!(report, "{error:#}");
    ExitCode::FAILURE
}

fn become_agent(home: &Path) -> anyhow::Result<Infallible> {
    let launch: Launch = record::read(&home.join("launch.json"))?.context(BY_HAND)?;
    let start: StartRecord = record::read(&home.join("start.json"))?.context(BY_HAND)?;
    // Without its shim an agent has no time limit, so the kernel ends it with the shim.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .context("bind the agent to its shim")?;
    let parent = rustix::process::getppid().map(rustix::process::Pid::as_raw_pid);
    if parent != Some(start.shim.pid) {
        bail!("{BY_HAND}: the shim is gone");
    }
    // Leak a duplicate of the lock into the agent, so that the slot stays locked until it exits.
    let _ = rustix::io::dup(io::stdin()).context("duplicate the lock")?.into_raw_fd();
    let input = if launch.prompt_on_stdin {
        open_private(&home.join("prompt.md"), OpenOptions::new().read(true))?
    } else {
        File::open("/dev/null").context("open /dev/null")?
    };
    let log = open_log(home, launch.agent)?;
    rustix::stdio::dup2_stdin(&input).context("set the agent's standard input")?;
    rustix::stdio::dup2_stdout(&log).context("set the agent's standard output")?;
    rustix::stdio::dup2_stderr(&log).context("set the agent's standard error")?;
    // The agent inherits ignored signals but not caught ones, so catch those that the shim may have
    // inherited as ignored. It has caught those that end a session; exec itself clears the mask and
    // SIGPIPE.
    for signal in [SIGQUIT, SIGALRM, SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
            .context("restore signals")?;
    }
    let Some((program, arguments)) = launch.argv.split_first() else {
        bail!("the command is empty")
    };
    let error = Command::new(program).args(arguments).current_dir(&start.cwd).exec();
    Err(explain(program, &error, &launch.roster))
}

/// What went wrong, and what to do.
fn explain(program: &str, error: &io::Error, roster: &Path) -> anyhow::Error {
    let roster = roster.file_name().map_or_else(|| "the roster".into(), OsStr::to_string_lossy);
    let remedy = format!("set `command` for this role in {roster}");
    let found = find(program);
    match (error.kind(), found) {
        (ErrorKind::NotFound, None) if program.contains('/') => {
            anyhow!("no file `{program}`; {remedy}")
        }
        (ErrorKind::NotFound, None) => {
            anyhow!("no command `{program}` on PATH; install it, or {remedy}")
        }
        (ErrorKind::NotFound, Some(path)) => {
            anyhow!("the interpreter of {} is missing; install it, or {remedy}", path.display())
        }
        (ErrorKind::PermissionDenied, _) => {
            anyhow!("`{program}` is not executable; make it so, or {remedy}")
        }
        _ => anyhow!("cannot start `{program}`: {error}; {remedy}"),
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let directories = if program.contains('/') { Some("".into()) } else { env::var_os("PATH") };
    env::split_paths(&directories.unwrap_or_default())
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}
