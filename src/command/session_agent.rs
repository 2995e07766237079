//! `coordinator session-agent`: owns an agent until its end. It forwards the agent's output and
//! the signals that it gets, ends an agent that stalls, and writes down what the agent left. It
//! starts no shell and no other process.
//!
//! `--wrap` runs the program that it is given, in a container or for a plugin. Without it the
//! session is that of a workflow run: the workflow decides which secrets the job has, and the agent
//! gets all of them.

use std::env;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::Context;

use crate::cli;
use crate::command::{USAGE, fail};
use crate::render::Screen;
use crate::workflow_commands::Escape;
use coordinator_core::agent::{AgentEnd, combined, read_result};
use coordinator_core::sanitize::one_line;
use coordinator_core::secrets::Secrets;

mod ending;
mod engine;
mod file;
mod guard;
mod output;
mod shown;
mod signals;
mod summary;
mod workflow;

use ending::Ending;
use engine::ProcessEnd;
use file::ResultFile;
use output::{Form, Output};
use shown::Rendered;
use signals::Signals;

/// The exit code of a wrapper that failed itself.
const BROKEN: u8 = 125;

/// A shell's exit code for a program that was not found.
const NOT_FOUND: u8 = 127;

/// A shell's exit code for a program that cannot be run.
const NOT_EXECUTABLE: u8 = 126;

const MAX_ERROR: usize = 500;

/// An agent to start, and how it is watched.
struct Launch {
    command: Command,
    output: Output,
    ending: Ending,
    /// What a person does where the program cannot be started.
    remedy: &'static str,
}

/// What is known after its end.
struct Left {
    /// What the agent left.
    end: AgentEnd,
    /// How its process ended.
    process: ProcessEnd,
}

/// Why there was nothing to watch, or no longer.
struct Failure {
    error: anyhow::Error,
    code: u8,
}

impl Failure {
    fn usage(error: anyhow::Error) -> Self {
        Self { error, code: USAGE }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { error, code: BROKEN }
    }
}

/// Owns the agent of a workflow run.
pub fn run(options: &cli::SessionAgent) -> ExitCode {
    exit(workflow::run(options))
}

/// Owns the program of the command line.
pub fn wrap(options: &cli::SessionWrap, global: &cli::Global) -> ExitCode {
    exit(wrapped(options, global))
}

fn exit(code: Result<u8, Failure>) -> ExitCode {
    match code {
        Ok(code) => code.into(),
        Err(Failure { error, code }) => {
            let text = one_line(&format!("error: {error:#}"), MAX_ERROR);
            fail(&Secrets::default(), &format!("{text}\n"), code)
        }
    }
}

fn wrapped(options: &cli::SessionWrap, global: &cli::Global) -> Result<u8, Failure> {
    let (program, arguments) =
        options.command.split_first().context("no program to run").map_err(Failure::usage)?;
    let mut command = Command::new(program);
    command.args(arguments);
    let log = options.log.as_deref().map(output::create).transpose().map_err(Failure::usage)?;
    let profile = options.profile();
    let form = if options.render {
        Form::Rendered(Rendered::new(profile, Screen::stdout(global.color).color))
    } else {
        Form::Raw
    };
    let launch = Launch {
        command,
        output: Output::new(profile, form, log),
        ending: Ending::new(Instant::now(), options.stall_timeout(), options.grace),
        remedy: "install it, or set `command` for this role in the roster",
    };
    let left = own(launch, |_| String::new())?;
    if let Some(path) = &options.end_file
        && let Err(error) = file::write(path, &format!("{}\n", left.end.line()))
    {
        warn(&format!("write how the agent ended to {}: {error}", path.display()));
    }
    Ok(left.process.code())
}

/// Runs an agent to its end. `last_words` follow on stdout after all that it wrote.
fn own(launch: Launch, last_words: impl FnOnce(&Left) -> String) -> Result<Left, Failure> {
    let Launch { mut command, mut output, mut ending, remedy } = launch;
    let mut signals = Signals::catch()?;
    let result = ResultFile::of(&mut command)
        .inspect_err(|error| warn(&format!("the agent has no COORDINATOR_RESULT: {error:#}")));
    let agent = engine::start(&mut command).map_err(|error| {
        let program = command.get_program().to_string_lossy();
        let (error, code) = explain(&program, &error, remedy);
        Failure { error, code }
    })?;
    let process = agent.supervise(&mut signals, &mut ending, &mut output)?;
    let written = result.ok().and_then(|file| file.read()).and_then(|bytes| read_result(&bytes));
    let end = AgentEnd::new(combined(output.shown(), written), process.stalled.clone());
    let left = Left { end, process };
    output.add(&last_words(&left));
    engine::flush(&mut signals, &mut output)?;
    Ok(left)
}

/// Logs what the agent's end does not depend on.
fn warn(text: &str) {
    let text = one_line(&format!("warning: {text}"), MAX_ERROR);
    let text = Escape::from_environment().text(&text).into_owned();
    // Without a stderr there is nothing to log to.
    let _ = writeln!(io::stderr(), "{text}");
}

fn explain(program: &str, error: &io::Error, remedy: &str) -> (anyhow::Error, u8) {
    match (error.kind(), find(program)) {
        (ErrorKind::NotFound, Some(path)) => (
            anyhow::anyhow!("the interpreter of {} is missing; {remedy}", path.display()),
            NOT_FOUND,
        ),
        (ErrorKind::NotFound, None) if program.contains('/') => {
            (anyhow::anyhow!("`{program}` not found in the working directory; {remedy}"), NOT_FOUND)
        }
        (ErrorKind::NotFound, None) => {
            (anyhow::anyhow!("no command `{program}` on PATH; {remedy}"), NOT_FOUND)
        }
        (ErrorKind::PermissionDenied, _) => (
            anyhow::anyhow!("`{program}` is not executable; make it so, or {remedy}"),
            NOT_EXECUTABLE,
        ),
        _ => (anyhow::anyhow!("cannot start `{program}`: {error}; {remedy}"), NOT_EXECUTABLE),
    }
}

fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| path.is_file());
    }
    let directories = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&directories)
        .map(|directory| directory.join(Path::new(program)))
        .find(|path| path.is_file())
}
