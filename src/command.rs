//! The commands: each sets up its edges, runs, and gives back what to print and how to exit.

use std::collections::BTreeSet;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Color, Command, Global, LogFormat};
use crate::platform::process;
use crate::roster::{self, Problems, Roster};
use crate::secrets::{MaskedStderr, Secrets};

pub mod reconcile;

mod edges;

/// A mistake in the command line or the configuration; nothing was touched.
pub const USAGE: u8 = 2;

/// What a command leaves to print, and how to exit.
#[derive(Debug)]
pub struct Outcome {
    /// For stdout: the report, and nothing else.
    pub stdout: String,
    /// See the table of exit codes in the README.
    pub code: u8,
}

impl Outcome {
    /// Success with this text.
    pub fn ok(stdout: String) -> Self {
        Self { stdout, code: 0 }
    }
}

/// Runs the command, prints what it says, and tells how to exit. The session stages come first: they must run before
/// this process has a second thread.
pub fn main(cli: &Cli) -> ExitCode {
    match &cli.command {
        Command::SessionRun { directory } => return process::session_run(directory),
        Command::SessionExec { directory } => return process::session_exec(directory),
        Command::Completions { shell } => return completions(*shell),
        _ => {}
    }
    let roster = match load_roster(&cli.global.config) {
        Ok(roster) => roster,
        Err(problems) => {
            let color = colored_stderr(cli.global.color);
            return fail(&Secrets::from_environment(&BTreeSet::new()), &problems.render(color));
        }
    };
    let secrets = Secrets::from_environment(&roster.secret_names);
    start_log(&cli.global, &secrets);
    match run(cli, &roster) {
        Ok(outcome) => print(&secrets.mask(&outcome.stdout), outcome.code),
        Err(error) => fail(&secrets, &format!("error: {error:#}\n")),
    }
}

fn run(cli: &Cli, roster: &Roster) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the async runtime")?;
    let outcome = runtime.block_on(async {
        match &cli.command {
            Command::Reconcile(options) => reconcile::run(roster, options, &cli.global).await,
            _ => anyhow::bail!("not in this build"),
        }
    });
    // A name lookup or a start that hangs must not hold the exit.
    runtime.shutdown_background();
    outcome
}

fn load_roster(path: &Path) -> Result<Roster, Problems> {
    roster::load(path, &|name| env::var(name).ok())
}

fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "coordinator", &mut script);
    print(&String::from_utf8_lossy(&script), 0)
}

/// A reader that closed its end early has seen enough.
fn print(text: &str, code: u8) -> ExitCode {
    let mut stdout = io::stdout().lock();
    let printed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Ok(()) | Err(_) => ExitCode::from(code),
    }
}

fn fail(secrets: &Secrets, text: &str) -> ExitCode {
    let mut stderr = MaskedStderr(secrets.clone());
    // Without stderr there is nobody left to tell.
    let _ = stderr.write_all(text.as_bytes());
    ExitCode::from(USAGE)
}

fn colored_stderr(color: Color) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    }
}

/// Logs go to stderr with every secret masked. A panic is logged like an error, so that it is masked, too.
fn start_log(global: &Global, secrets: &Secrets) {
    let default = match global.verbose {
        0 => "warn",
        1 => "coordinator=info,warn",
        2 => "coordinator=debug,info",
        _ => "trace",
    };
    let filter = EnvFilter::new(global.log_level.as_deref().unwrap_or(default));
    let masked = MaskedStderr(secrets.clone());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colored_stderr(global.color))
        .with_writer(move || masked.clone());
    match global.log_format {
        LogFormat::Text => log.compact().init(),
        LogFormat::Json => log.json().init(),
    }
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
}
