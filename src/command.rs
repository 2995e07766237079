//! The commands: each connects its clients, runs, and returns what to print and how to exit.

use std::collections::BTreeSet;
use std::env;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap_complete::CompleteEnv;

use crate::cli::{self, Cli, Command, Global, Init, Invocation, Machine, MachineCli, SessionAdmit};
use crate::render::words::LOCAL;
use crate::render::{Color, Form, Output, Screen, progress};
use crate::secrets::{self, MaskedStderr, from_environment};
use crate::workflow_commands::Escape;
use coordinator_core::secrets::Secrets;
use coordinator_platform_local::process;
use coordinator_roster::{Problems, Roster, reference};

pub mod attach;
mod budget;
pub mod check;
pub mod doctor;
pub mod help;
pub mod history;
pub mod init;
pub mod logs;
pub mod pause;
pub mod plugin_test;
pub mod prompt;
pub mod pulls;
pub mod reconcile;
pub mod retry;
pub mod session_admit;
pub mod session_agent;
pub mod sessions;
pub mod status;
pub mod stop;

mod clients;
mod log;
mod person;
mod slots;

/// A mistake in the command line or the configuration; nothing was touched.
const USAGE: u8 = 2;

/// What a command leaves to print, and how to exit.
#[derive(Debug)]
pub struct Finished {
    /// For stdout: the report, and nothing else.
    pub stdout: String,
    /// Explained in docs/commands.md, "Exit codes".
    pub code: u8,
}

impl Finished {
    pub fn ok(stdout: String) -> Self {
        Self { stdout, code: 0 }
    }
}

/// Why a command did not start: a mistake in the command line, the configuration or the
/// environment.
#[derive(Debug)]
pub enum Refused {
    /// In a sentence.
    Usage(String),
    /// Mistakes in the roster.
    Roster(Problems),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(sentence) => f.write_str(sentence),
            Self::Roster(problems) => f.write_str(&problems.render(false)),
        }
    }
}

impl std::error::Error for Refused {}

/// The whole program: parses the command line, runs the command, prints its result, and returns how
/// to exit.
pub fn run() -> ExitCode {
    CompleteEnv::with_factory(cli::command).var(cli::COMPLETE).complete();
    let invocation = cli::parse();
    if holds_credentials(&invocation)
        && let Err(error) = secrets::seal_process()
    {
        return fail(&Secrets::default(), &format!("error: {error:#}\n"), 1);
    }
    match &invocation {
        Invocation::Person(cli) => run_for_person(cli),
        Invocation::Machine(cli) => run_for_machine(cli),
    }
}

fn run_for_person(cli: &Cli) -> ExitCode {
    let global = &cli.global;
    match &cli.command {
        Command::Help { all, command } => text(help::help(command.as_deref(), *all)),
        Command::Man { command } => text(help::man(command.as_deref())),
        Command::Completions { shell } => {
            text(cli::registration(*shell).context("write the completion script"))
        }
        Command::Schema => print(&format!("{:#}\n", reference::schema()), Output::Json, 0),
        Command::Check => check(global),
        Command::Init(options) => init(options),
        Command::Reconcile(options) => with_roster(global, async |roster, form| {
            Box::pin(reconcile::run(roster, options, global, form)).await
        }),
        Command::Pulls => with_roster(global, async |roster, form| {
            in_time(roster, reading_pulls(roster), Box::pin(pulls::run(roster, form))).await
        }),
        Command::Doctor(options) => with_roster(global, async |roster, form| {
            doctor::run(roster, options, global, form).await
        }),
        Command::Sessions => with_roster(global, async |roster, form| {
            in_time(roster, "listing sessions", sessions::run(roster, global, form)).await
        }),
        Command::Status(options) => with_roster(global, async |roster, form| {
            Box::pin(status::run(options, global, roster, form)).await
        }),
        Command::History(options) => with_roster(global, async |roster, form| {
            history::run(options, global, roster, form).await
        }),
        Command::Budget => with_roster(global, async |roster, form| {
            in_time(roster, "reading what was spent", budget::run(global, roster, form)).await
        }),
        Command::Stop(options) => with_roster(global, async |roster, form| {
            in_time(roster, "stopping sessions", stop::run(options, global, roster, form)).await
        }),
        Command::Pause(options) => with_roster(global, async |roster, form| {
            in_time(roster, "pausing", pause::pause(options, global, roster, form)).await
        }),
        Command::Resume(options) => with_roster(global, async |roster, form| {
            in_time(roster, "resuming", pause::resume(options, global, roster, form)).await
        }),
        Command::Retry(options) => {
            with_roster(global, async |roster, _| retry::run(options, global, roster).await)
        }
        Command::Attach(options) => {
            with_roster(global, async |roster, _| attach::run(options, global, roster).await)
        }
        Command::Prompt(options) => {
            with_roster(global, async |roster, form| prompt::run(options, roster, form.secrets))
        }
        Command::Logs(options) => {
            with_roster(global, async |roster, form| logs::run(options, global, roster, form).await)
        }
    }
}

fn run_for_machine(cli: &MachineCli) -> ExitCode {
    let global = &cli.global;
    match &cli.command {
        // The stages of a session must run before this process has a second thread.
        Machine::SessionRun { directory } => process::session_run(directory),
        Machine::SessionExec { directory } => process::session_exec(directory),
        Machine::SessionAgent(options) => session_agent::run(options),
        Machine::SessionWrap(options) => session_agent::wrap(options, global),
        Machine::SessionAdmit(options) => session_admit(options, global),
        Machine::Gate(options) => former_session_admit(options, global),
        Machine::PluginTest(options) => {
            let secrets = secrets_and_log(global);
            let tested = plugin_test::run(options, form(global, &secrets));
            let tested = block_on(progress::waiting(|| "testing the plugin".to_owned(), tested));
            finish(global, &secrets, tested)
        }
    }
}

/// Whether the command may have been given the coordinator's own credentials. The stages of a
/// session have none, and an agent decides by itself whether others may read it.
fn holds_credentials(invocation: &Invocation) -> bool {
    let Invocation::Machine(cli) = invocation else { return true };
    !matches!(
        cli.command,
        Machine::SessionRun { .. }
            | Machine::SessionExec { .. }
            | Machine::SessionAgent(_)
            | Machine::SessionWrap(_)
    )
}

/// Prints what a command without a roster returns.
fn text(text: anyhow::Result<String>) -> ExitCode {
    match text {
        Ok(text) => print(&text, Output::Text, 0),
        Err(error) => {
            let code = if error.is::<Refused>() { USAGE } else { 1 };
            fail(&Secrets::default(), &format!("error: {error:#}\n"), code)
        }
    }
}

/// The roster that `--config` or `COORDINATOR_CONFIG` names, else `roster.toml` of this folder or
/// the nearest one above.
fn roster_file(global: &Global) -> PathBuf {
    let named = global.config.clone().filter(|path| !path.as_os_str().is_empty());
    named.unwrap_or_else(coordinator_roster::find)
}

/// Loads the roster, then runs a command that needs it.
fn with_roster(
    global: &Global,
    command: impl AsyncFnOnce(&Roster, Form<'_>) -> anyhow::Result<Finished>,
) -> ExitCode {
    let roster = match coordinator_roster::load(&roster_file(global), &variable) {
        Ok(roster) => roster,
        Err(problems) => return refuse(&problems, global.color),
    };
    let secrets = from_environment(&roster.secret_names);
    log::start(global, &secrets);
    finish(global, &secrets, block_on(command(&roster, form(global, &secrets))))
}

/// Prints a command's answer, which is masked already, or its error.
fn finish(global: &Global, secrets: &Secrets, answer: anyhow::Result<Finished>) -> ExitCode {
    match answer {
        Ok(outcome) => print(&outcome.stdout, global.output, outcome.code),
        Err(error) => match error.downcast_ref() {
            Some(Refused::Roster(problems)) => refuse(problems, global.color),
            Some(Refused::Usage(_)) => fail(secrets, &format!("error: {error:#}\n"), USAGE),
            None => fail(secrets, &format!("error: {error:#}\n"), 1),
        },
    }
}

fn form<'a>(global: &Global, secrets: &'a Secrets) -> Form<'a> {
    Form {
        output: global.output,
        screen: Screen::stdout(global.color),
        verbose: global.verbose > 0,
        zone: &LOCAL,
        secrets,
    }
}

fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the async runtime")?;
    let outcome = runtime.block_on(command);
    // A name lookup or a start that hangs must not hold the exit.
    runtime.shutdown_background();
    outcome
}

/// A server that is slow page after page must not keep a person waiting longer than a whole cycle
/// may take. `what` is shown while it takes long.
fn in_time<'a, T: 'a>(
    roster: &'a Roster,
    what: impl Into<String>,
    command: impl Future<Output = anyhow::Result<T>> + 'a,
) -> impl Future<Output = anyhow::Result<T>> + 'a {
    let what = what.into();
    // The futures of commands are large.
    let command = Box::pin(command);
    async move {
        let limited = tokio::time::timeout(roster.deadline, command);
        progress::waiting(|| what.clone(), limited).await.unwrap_or_else(|_| {
            let deadline = humantime::format_duration(roster.deadline);
            anyhow::bail!("timed out after {deadline} (`deadline` in the roster)")
        })
    }
}

/// `reading pull requests from api.github.com`.
fn reading_pulls(roster: &Roster) -> String {
    let url = roster.repository.as_ref().and_then(|it| reqwest::Url::parse(&it.api_url).ok());
    let host = url.as_ref().and_then(reqwest::Url::host_str).unwrap_or("GitHub");
    format!("reading pull requests from {host}")
}

/// A variable of the environment. Some schedulers leave out `HOME`; the account still has a home.
fn variable(name: &str) -> Option<String> {
    let home = || {
        let home = env::home_dir().filter(|_| name == "HOME")?;
        home.into_os_string().into_string().ok()
    };
    env::var(name).ok().or_else(home)
}

/// For a command without a roster.
fn secrets_and_log(global: &Global) -> Secrets {
    let secrets = from_environment(&BTreeSet::new());
    log::start(global, &secrets);
    secrets
}

/// Without a log and a runtime: the problems of the roster are the answer.
fn check(global: &Global) -> ExitCode {
    let answer = match check::run(
        &roster_file(global),
        global.output,
        Screen::stdout(global.color),
        &variable,
    ) {
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
    admit(options, &secrets_and_log(global))
}

fn former_session_admit(options: &SessionAdmit, global: &Global) -> ExitCode {
    let secrets = secrets_and_log(global);
    tracing::warn!(
        "`coordinator gate` is now `coordinator session-admit`; change the command in the session \
         workflow, as `coordinator init --github-actions` writes it in an empty folder"
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
    let search_path =
        env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let written = env::current_exe().context("find this program's own file").and_then(|binary| {
        let schedule = match options {
            Init { kubernetes: true, .. } => init::Schedule::Kubernetes,
            Init { github_actions: true, .. } => init::Schedule::GithubActions,
            Init { systemd: true, .. } => init::Schedule::Systemd,
            Init { .. } => init::Schedule::Crontab,
        };
        init::run(init::Starter {
            dir: &options.dir,
            schedule,
            roles: if options.full { init::Roles::Full } else { init::Roles::FirstDay },
            binary: &binary,
            search_path: &search_path,
        })
    });
    match written {
        Ok(text) => print(&text, Output::Text, 0),
        Err(error) => fail(&Secrets::default(), &format!("error: {error:#}\n"), USAGE),
    }
}

/// Escapes workflow commands. A reader that closed its end early is not an error; a full disk is.
fn print(text: &str, form: Output, code: u8) -> ExitCode {
    let escape = Escape::from_environment();
    let text = match form {
        Output::Text | Output::Markdown => escape.text(text),
        Output::Json => escape.json(text),
    };
    let mut stdout = io::stdout().lock();
    let printed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let why = format!("error: cannot write the result to standard output: {error}\n");
            fail(&Secrets::default(), &why, 1)
        }
        Ok(()) | Err(_) => ExitCode::from(code),
    }
}

fn refuse(problems: &Problems, color: Color) -> ExitCode {
    let secrets = from_environment(&BTreeSet::new());
    fail(&secrets, &problems.render(Screen::stderr(color).color), USAGE)
}

fn fail(secrets: &Secrets, text: &str, code: u8) -> ExitCode {
    // Without stderr the text has no reader.
    let _ = MaskedStderr::new(secrets.clone()).write_all(text.as_bytes());
    ExitCode::from(code)
}
