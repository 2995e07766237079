//! Commands that programs run. They have a parser of their own: help, suggestions and completions
//! of the other commands do not contain them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::Global;
use coordinator_core::agent::Profile;

/// A command that a program runs.
#[derive(Debug, Parser)]
#[command(
    name = "coordinator",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct MachineCli {
    #[command(subcommand)]
    pub command: Machine,
    #[command(flatten)]
    pub global: Global,
}

/// Commands that programs run.
#[derive(Debug, Subcommand)]
pub enum Machine {
    /// Test whether a plugin of the exec platform follows the protocol; needs no roster
    PluginTest(PluginTest),
    /// Decide whether the session of a workflow run may begin: a step of the session workflow
    SessionAdmit(SessionAdmit),
    /// The former name of `session-admit`, in workflows written by an earlier `init`
    Gate(SessionAdmit),
    /// Own the agent of a workflow run until its end: a step of the session workflow
    SessionAgent(SessionAgent),
    /// Own a program until its end: `session-agent --wrap`, in a container or for a plugin
    SessionWrap(SessionWrap),
    /// Keep one local session: started by `reconcile`
    SessionRun {
        /// The session's record directory
        directory: PathBuf,
    },
    /// Become the agent: started by `session-run`
    SessionExec {
        /// The session's record directory
        directory: PathBuf,
    },
}

/// Which session a workflow run is for. The values are plain text: the command itself validates
/// them, and escapes its errors so that the runner does not take them for workflow commands.
#[derive(Debug, Args)]
pub struct Session {
    /// The fleet
    #[arg(long, env = "COORDINATOR_FLEET")]
    pub fleet: String,
    /// The slot, without the fleet
    #[arg(long, env = "COORDINATOR_SLOT")]
    pub slot: String,
    /// Which session of the slot
    #[arg(long, env = "COORDINATOR_GENERATION")]
    pub generation: String,
    /// The cycle that dispatched it
    #[arg(long, env = "COORDINATOR_CYCLE")]
    pub cycle: String,
    /// The session input, as JSON
    #[arg(long, env = "COORDINATOR_TASK", hide_env_values = true)]
    pub task: String,
    /// `owner/repo`
    #[arg(long, env = "GITHUB_REPOSITORY")]
    pub repository: String,
    /// Attempt of the workflow run, from 1
    #[arg(long, env = "GITHUB_RUN_ATTEMPT", default_value = "1")]
    pub run_attempt: String,
}

/// Options of `session-admit`.
#[derive(Debug, Args)]
pub struct SessionAdmit {
    #[command(flatten)]
    pub session: Session,
    /// The session does not begin after this time, in RFC 3339
    #[arg(long, env = "COORDINATOR_EXPIRES_AT")]
    pub expires_at: String,
    /// This workflow run
    #[arg(long, env = "GITHUB_RUN_ID")]
    pub run_id: String,
    /// `owner/repo/.github/workflows/FILE@ref`
    #[arg(long, env = "GITHUB_WORKFLOW_REF")]
    pub workflow_ref: String,
    /// Address of GitHub's REST API
    #[arg(long, env = "GITHUB_API_URL", default_value = "https://api.github.com")]
    pub api_url: String,
    /// Address of GitHub's GraphQL API
    #[arg(long, env = "GITHUB_GRAPHQL_URL", default_value = "https://api.github.com/graphql")]
    pub graphql_url: String,
    /// File for the outputs of the step; without it they are only printed
    #[arg(long, env = "GITHUB_OUTPUT")]
    pub step_output: Option<PathBuf>,
}

/// Options of `session-agent`.
#[derive(Debug, Args)]
pub struct SessionAgent {
    #[command(flatten)]
    pub session: Session,
    /// The key of the role
    #[arg(long, env = "COORDINATOR_ROLE")]
    pub role: String,
}

/// The arguments of this process, where `session-agent --wrap` is a command of its own: the options
/// of a workflow run do not go with it.
pub(super) fn arguments(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut given: Vec<OsString> = given.collect();
    let options = given.iter().position(|one| *one == "--").unwrap_or(given.len());
    let command = given[..options].iter().position(|one| *one == "session-agent");
    let wrap = given[..options].iter().position(|one| *one == "--wrap");
    if let (Some(command), Some(wrap)) = (command, wrap)
        && command < wrap
    {
        given[command] = "session-wrap".into();
        given.remove(wrap);
    }
    given
}

/// Options of `session-agent --wrap`.
#[derive(Debug, Args)]
pub struct SessionWrap {
    /// The form of the program's output: `claude`, `codex` or `none`; by default by its name
    #[arg(long, value_name = "PROFILE", value_parser = profile)]
    agent: Option<Profile>,
    /// End the program when it writes nothing for so long; 0s: never
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "0s",
        value_parser = humantime::parse_duration
    )]
    stall_timeout: Duration,
    /// Between the first signal and SIGKILL
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        value_parser = humantime::parse_duration
    )]
    pub grace: Duration,
    /// Write one line of JSON to FILE at the end: what the program left
    #[arg(long, value_name = "FILE")]
    pub end_file: Option<PathBuf>,
    /// Copy the program's output to FILE
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Show the output readably, not as it is
    #[arg(long)]
    pub render: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub command: Vec<OsString>,
}

impl SessionWrap {
    /// As it was given, else by the program's name.
    pub fn profile(&self) -> Profile {
        let program = self.command.first().map(|program| program.to_string_lossy().into_owned());
        self.agent.unwrap_or_else(|| Profile::of_command(program.as_slice()))
    }

    /// `None`: it may be silent for good.
    pub fn stall_timeout(&self) -> Option<Duration> {
        (!self.stall_timeout.is_zero()).then_some(self.stall_timeout)
    }
}

fn profile(word: &str) -> Result<Profile, String> {
    Profile::from_word(word).ok_or_else(|| "expected `claude`, `codex` or `none`".to_owned())
}

/// Options of `plugin-test`.
#[derive(Debug, Args)]
pub struct PluginTest {
    /// The plugin
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Time limit of one operation
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        value_parser = humantime::parse_duration
    )]
    pub timeout: Duration,
}
