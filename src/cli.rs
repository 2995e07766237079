//! The command line: clap types only.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::render::{Color, Output};
use crate::steps::StepName;
use coordinator_core::fleet::RoleKey;

/// Keeps a fleet of coding agents at the size you declared, merges what is approved and green,
/// checks production, tells you what it did, and exits.
#[derive(Debug, Parser)]
#[command(name = "coordinator", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// The roster.
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "COORDINATOR_CONFIG",
        default_value = ROSTER,
        value_parser = roster_path
    )]
    pub config: PathBuf,
    /// The kubeconfig's context, for fleets on Kubernetes; by default its current one.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Form of the report on stdout.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Colour on stdout and stderr; `NO_COLOR` is respected.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Form of the log on stderr.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// error, warn, info, debug or trace.
    #[arg(long, global = true, value_name = "LEVEL", value_parser = ["error", "warn", "info", "debug", "trace"])]
    pub log_level: Option<String>,
    /// More log lines; twice for the finest.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs one cycle: inventory, spawn, merge, health, report
    Reconcile(Reconcile),
    /// Lists every open pull request with its verdict and reason; changes nothing
    Pulls,
    /// Lists live and remembered sessions
    Sessions,
    /// Prints a session's log
    Logs(Logs),
    /// Ends live sessions: their slots are filled again by the next cycle
    Stop(Stop),
    /// Validates roster and briefs and shows them as a table; no network
    Check,
    /// Checks the setup: token, branch rules, platform, agents, endpoints; changes nothing
    Doctor(Doctor),
    /// Writes a starter roster, briefs and deploy files; overwrites nothing
    Init(Init),
    /// Tries whether a plugin of the exec platform keeps the protocol; needs no roster
    PluginTest(PluginTest),
    /// Prints the JSON schema of the roster
    Schema,
    /// Prints a completion script
    Completions {
        /// Whose script.
        shell: clap_complete::Shell,
    },
    /// Decides whether the session of a workflow run may begin: a step of the session workflow,
    /// never by hand
    #[command(hide = true)]
    SessionAdmit(SessionAdmit),
    /// The former name of `session-admit`, for workflows that `init` wrote before
    #[command(hide = true)]
    Gate(SessionAdmit),
    /// Becomes the agent: a step of the session workflow, never by hand
    #[command(hide = true)]
    SessionAgent(SessionAgent),
    /// Keeps one local session: started by `reconcile`, never by hand
    #[command(hide = true)]
    SessionRun {
        /// The session's record directory.
        directory: PathBuf,
    },
    /// Becomes the agent: started by `session-run`, never by hand
    #[command(hide = true)]
    SessionExec {
        /// The session's record directory.
        directory: PathBuf,
    },
}

/// Options of `reconcile`.
#[derive(Debug, Args)]
pub struct Reconcile {
    /// Reads and plans, changes nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Runs these steps alone; `spawn` implies `inventory`
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STEP", conflicts_with = "skip")]
    pub only: Vec<StepName>,
    /// Leaves these steps out
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STEP")]
    pub skip: Vec<StepName>,
    /// Serves this role alone; may be repeated
    #[arg(long, value_name = "KEY", value_parser = role_key)]
    pub role: Vec<RoleKey>,
    /// Serves this source alone, `roster` for all roles; may be repeated
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    /// Exits with 1 when degraded, too
    #[arg(long)]
    pub strict: bool,
    /// With --dry-run: exits with 3 when changes are pending
    #[arg(long, requires = "dry_run")]
    pub detailed_exitcode: bool,
    /// Also writes Prometheus text to this file, for a textfile collector
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
}

/// Options of `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// `ui-builder-s0`, with or without the fleet
    pub slot: String,
    /// Goes on until the session ends
    #[arg(short, long)]
    pub follow: bool,
    /// Of this generation instead of the newest
    #[arg(long, value_name = "N")]
    pub generation: Option<u64>,
}

/// Options of `stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// `ui-builder-s0`, with or without the fleet
    #[arg(required = true, value_name = "SLOT")]
    pub slots: Vec<String>,
    /// Does not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Also runs each distinct agent command once, with a prompt of one sentence and at most 60 s
    #[arg(long)]
    pub try_agent: bool,
}

/// Options of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Where; the fleet is named after it
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Also writes a systemd service and timer
    #[arg(long)]
    pub systemd: bool,
    /// Writes a fleet for a cluster: the coordinator as a cron job, sessions as jobs
    #[arg(long, conflicts_with = "systemd")]
    pub kubernetes: bool,
    /// Writes a fleet for the repository's own workflows: the coordinator on a schedule, sessions
    /// as workflow runs
    #[arg(long, conflicts_with_all = ["systemd", "kubernetes"])]
    pub github_actions: bool,
}

/// Which session a workflow run is for. The command reads the texts: what is wrong with one must be
/// told to people without being obeyed by the runner.
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
    /// Which start of the run this is, from 1
    #[arg(long, env = "GITHUB_RUN_ATTEMPT", default_value = "1")]
    pub run_attempt: String,
}

/// Options of `session-admit`.
#[derive(Debug, Args)]
pub struct SessionAdmit {
    /// Whose session.
    #[command(flatten)]
    pub session: Session,
    /// When it is too late to begin, in RFC 3339
    #[arg(long, env = "COORDINATOR_EXPIRES_AT")]
    pub expires_at: String,
    /// This run
    #[arg(long, env = "GITHUB_RUN_ID")]
    pub run_id: String,
    /// `owner/repo/.github/workflows/FILE@ref`
    #[arg(long, env = "GITHUB_WORKFLOW_REF")]
    pub workflow_ref: String,
    /// Where GitHub's REST API is
    #[arg(long, env = "GITHUB_API_URL", default_value = "https://api.github.com")]
    pub api_url: String,
    /// Where its GraphQL API is
    #[arg(long, env = "GITHUB_GRAPHQL_URL", default_value = "https://api.github.com/graphql")]
    pub graphql_url: String,
    /// Takes the outputs of the step; without it they are only told
    #[arg(long, env = "GITHUB_OUTPUT")]
    pub step_output: Option<PathBuf>,
}

/// Options of `session-agent`.
#[derive(Debug, Args)]
pub struct SessionAgent {
    /// Whose session.
    #[command(flatten)]
    pub session: Session,
    /// The key of the role
    #[arg(long, env = "COORDINATOR_ROLE")]
    pub role: String,
}

/// Options of `plugin-test`.
#[derive(Debug, Args)]
pub struct PluginTest {
    /// The plugin
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// For one operation
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

const ROSTER: &str = "roster.toml";

/// An empty variable is as good as none.
#[expect(clippy::unnecessary_wraps, reason = "clap wants a parser that could fail")]
fn roster_path(text: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(PathBuf::from(if text.is_empty() { ROSTER } else { text }))
}

fn role_key(text: &str) -> Result<RoleKey, &'static str> {
    RoleKey::parse(text)
}
