//! The commands: each sets up its edges, runs, and gives back what to print and how to exit.

use std::collections::BTreeSet;
use std::env;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;

use crate::cli::{Cli, Command, Global, Init, PluginTest, SessionAdmit};
use crate::command::edges::Use;
use crate::platforms::AnyPlatform;
use crate::render::{Color, Form, Output, Screen};
use crate::secrets::{self, MaskedStderr, from_environment};
use crate::workflow_commands::Escape;
use coordinator_core::secrets::Secrets;
use coordinator_http::client;
use coordinator_platform_local::exec::Purpose;
use coordinator_platform_local::process;
use coordinator_roster::{Problem, Problems, Roster, reference};

pub mod check;
pub mod doctor;
pub mod init;
pub mod logs;
pub mod plugin_test;
pub mod pulls;
pub mod reconcile;
pub mod session_admit;
pub mod session_agent;
pub mod sessions;
pub mod stop;

mod edges;
mod log;
mod slots;

/// A mistake in the command line or the configuration; nothing was touched.
const USAGE: u8 = 2;

/// What a command leaves to print, and how to exit.
#[derive(Debug)]
pub struct Outcome {
    /// For stdout: the report, and nothing else.
    pub stdout: String,
    /// See the table of exit codes in the README.
    pub code: u8,
}

impl Outcome {
    pub fn ok(stdout: String) -> Self {
        Self { stdout, code: 0 }
    }
}

/// The error of a command that was not let start: the configuration or the surroundings are wrong.
#[derive(Debug)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Runs the command, prints what it says, and tells how to exit. The session stages come first: they must run before
/// this process has a second thread.
pub fn main(cli: &Cli) -> ExitCode {
    if holds_credentials(&cli.command)
        && let Err(error) = secrets::seal_process()
    {
        return fail(&Secrets::default(), &format!("error: {error:#}\n"), 1);
    }
    match &cli.command {
        Command::SessionRun { directory } => process::session_run(directory),
        Command::SessionExec { directory } => process::session_exec(directory),
        Command::SessionAgent(options) => session_agent::run(options),
        Command::SessionAdmit(options) => session_admit(options, &cli.global),
        Command::Gate(options) => former_session_admit(options, &cli.global),
        Command::Completions { shell } => completions(*shell),
        Command::Schema => print(&format!("{:#}\n", reference::schema()), Output::Json, 0),
        Command::Check => check(&cli.global),
        Command::Init(options) => init(options),
        Command::PluginTest(options) => plugin_test(options, &cli.global),
        Command::Reconcile(_)
        | Command::Pulls
        | Command::Doctor
        | Command::Sessions
        | Command::Stop(_)
        | Command::Logs(_) => with_roster(cli),
    }
}

/// Whether the command may have been given the coordinator's own credentials. The stages of a session have none, and what
/// a session does is its own affair.
fn holds_credentials(command: &Command) -> bool {
    match command {
        Command::SessionRun { .. } | Command::SessionExec { .. } | Command::SessionAgent(_) => false,
        Command::SessionAdmit(_)
        | Command::Gate(_)
        | Command::Completions { .. }
        | Command::Schema
        | Command::Check
        | Command::Init(_)
        | Command::PluginTest(_)
        | Command::Reconcile(_)
        | Command::Pulls
        | Command::Doctor
        | Command::Sessions
        | Command::Stop(_)
        | Command::Logs(_) => true,
    }
}

fn with_roster(cli: &Cli) -> ExitCode {
    let roster = match load_roster(&cli.global.config) {
        Ok(roster) => roster,
        Err(problems) => return refuse(&problems, cli.global.color),
    };
    let secrets = from_environment(&roster.secret_names);
    log::start(&cli.global, &secrets);
    if let Err(problems) = refuse_missing_variables(cli, &roster) {
        return refuse(&problems, cli.global.color);
    }
    match run(cli, &roster, &secrets) {
        Ok(outcome) => print(&outcome.stdout, cli.global.output, outcome.code),
        Err(error) => {
            let code = if error.is::<Refused>() { USAGE } else { 1 };
            fail(&secrets, &format!("error: {error:#}\n"), code)
        }
    }
}

/// A missing variable stops only a command that would start sessions, or a plugin, without it.
fn refuse_missing_variables(cli: &Cli, roster: &Roster) -> Result<(), Problems> {
    let Command::Reconcile(options) = &cli.command else { return Ok(()) };
    let missing = reconcile::missing(roster, options);
    if options.dry_run {
        for Problem { message, hint, .. } in &missing {
            tracing::warn!("{message}; {}", hint.as_deref().unwrap_or_default());
        }
        return Ok(());
    }
    if missing.is_empty() { Ok(()) } else { Err(coordinator_roster::complaints(&cli.global.config, missing)) }
}

fn run(cli: &Cli, roster: &Roster, secrets: &Secrets) -> anyhow::Result<Outcome> {
    let global = &cli.global;
    let form = form(global, secrets);
    match &cli.command {
        Command::Reconcile(options) => block_on(reconcile::run(roster, options, global, form)),
        Command::Pulls => block_on(in_time(roster, pulls::run(roster, form))),
        Command::Doctor => block_on(in_time(roster, doctor::run(roster, global, form))),
        Command::Sessions => block_on(in_time(roster, sessions::run(roster, global, form))),
        Command::Stop(options) => block_on(in_time(roster, stop::run(options, global, roster, form))),
        Command::Logs(options) => block_on(logs::run(options, global, roster, secrets)),
        Command::Check
        | Command::Init(_)
        | Command::PluginTest(_)
        | Command::Schema
        | Command::Completions { .. }
        | Command::SessionAdmit(_)
        | Command::Gate(_)
        | Command::SessionAgent(_)
        | Command::SessionRun { .. }
        | Command::SessionExec { .. } => anyhow::bail!("this command needs no roster"),
    }
}

fn form<'a>(global: &Global, secrets: &'a Secrets) -> Form<'a> {
    Form { output: global.output, screen: Screen::stdout(global.color), secrets }
}

fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the async runtime")?;
    let outcome = runtime.block_on(command);
    // A name lookup or a start that hangs must not hold the exit.
    runtime.shutdown_background();
    outcome
}

/// A server that is slow page after page must not keep a person waiting longer than a whole cycle may take.
async fn in_time<T>(roster: &Roster, command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let deadline = humantime::format_duration(roster.deadline);
    let ended = tokio::time::timeout(roster.deadline, command).await;
    ended.unwrap_or_else(|_| anyhow::bail!("no end within the roster's `deadline` of {deadline}"))
}

/// A variable of the environment. Some schedulers leave out `HOME`; the account still has a home.
fn variable(name: &str) -> Option<String> {
    let home = || {
        env::home_dir().filter(|_| name == "HOME").and_then(|home| home.into_os_string().into_string().ok())
    };
    env::var(name).ok().or_else(home)
}

fn load_roster(path: &Path) -> Result<Roster, Problems> {
    coordinator_roster::load(path, &variable)
}

/// The roster's platform, to look at.
async fn platform(roster: &Roster, global: &Global) -> anyhow::Result<AnyPlatform> {
    let how = Use { purpose: Purpose::Look, context: global.context.as_deref() };
    edges::platform(roster, how, &client()).await?
}

/// No log and no runtime: what is wrong with the roster is the answer.
fn check(global: &Global) -> ExitCode {
    let answer = match check::run(&global.config, global.output, &variable) {
        Ok(answer) => answer,
        Err(error) => return fail(&Secrets::default(), &format!("error: {error}\n"), 1),
    };
    let printed = print(&answer.stdout, global.output, 0);
    if let Some(warnings) = answer.warnings {
        let secrets = from_environment(&BTreeSet::new());
        fail(&secrets, &warnings.render_warnings(Screen::stderr(global.color).color), 0);
    }
    answer.problems.map_or(printed, |problems| refuse(&problems, global.color))
}

fn session_admit(options: &SessionAdmit, global: &Global) -> ExitCode {
    let secrets = from_environment(&BTreeSet::new());
    log::start(global, &secrets);
    admit(options, &secrets)
}

fn former_session_admit(options: &SessionAdmit, global: &Global) -> ExitCode {
    let secrets = from_environment(&BTreeSet::new());
    log::start(global, &secrets);
    tracing::warn!(
        "`coordinator gate` is now `coordinator session-admit`; change the command in the session workflow, as \
         `coordinator init --github-actions` writes it in an empty folder"
    );
    admit(options, &secrets)
}

/// Either decision is a success of the step.
fn admit(options: &SessionAdmit, secrets: &Secrets) -> ExitCode {
    match block_on(session_admit::run(options)) {
        Ok(sentence) => print(&secrets.mask(&sentence), Output::Text, 0),
        Err(error) => {
            let code = if error.is::<Refused>() { USAGE } else { 1 };
            fail(secrets, &format!("error: {error:#}\n"), code)
        }
    }
}

fn init(options: &Init) -> ExitCode {
    let search_path = env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let written = env::current_exe().context("cannot tell where this program is").and_then(|binary| {
        let schedule = match options {
            Init { kubernetes: true, .. } => init::Schedule::Kubernetes,
            Init { github_actions: true, .. } => init::Schedule::GithubActions,
            Init { systemd: true, .. } => init::Schedule::Systemd,
            Init { .. } => init::Schedule::Crontab,
        };
        init::run(&options.dir, schedule, &binary, &search_path)
    });
    match written {
        Ok(text) => print(&text, Output::Text, 0),
        Err(error) => fail(&Secrets::default(), &format!("error: {error:#}\n"), USAGE),
    }
}

fn plugin_test(options: &PluginTest, global: &Global) -> ExitCode {
    let secrets = from_environment(&BTreeSet::new());
    log::start(global, &secrets);
    match block_on(plugin_test::run(options, form(global, &secrets))) {
        Ok(outcome) => print(&outcome.stdout, global.output, outcome.code),
        Err(error) => fail(&secrets, &format!("error: {error:#}\n"), USAGE),
    }
}

fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "coordinator", &mut script);
    print(&String::from_utf8_lossy(&script), Output::Text, 0)
}

/// Escapes workflow commands. A reader that closed its end early is not an error.
fn print(text: &str, form: Output, code: u8) -> ExitCode {
    let escape = Escape::from_environment();
    let text = match form {
        Output::Text | Output::Markdown => escape.text(text),
        Output::Json => escape.json(text),
    };
    let mut stdout = io::stdout().lock();
    let printed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Ok(()) | Err(_) => ExitCode::from(code),
    }
}

fn refuse(problems: &Problems, color: Color) -> ExitCode {
    let secrets = from_environment(&BTreeSet::new());
    fail(&secrets, &problems.render(Screen::stderr(color).color), USAGE)
}

fn fail(secrets: &Secrets, text: &str, code: u8) -> ExitCode {
    // Without stderr there is nobody left to tell.
    let _ = MaskedStderr::new(secrets.clone()).write_all(text.as_bytes());
    ExitCode::from(code)
}
