//! The command line: clap types only.

#![allow(
    clippy::struct_excessive_bools,
    clippy::doc_markdown,
    reason = "a flag is a bool, and a doc comment is help text on a terminal"
)]

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::ArgValueCandidates;

use crate::command::history::parse_since;
use crate::render::{Color, Output};
use crate::steps::StepName;

mod candidates;
mod machine;
mod parse;

pub use machine::{
    Machine, MachineCli, PluginTest, Session, SessionAdmit, SessionAgent, SessionWrap,
};
pub use parse::{COMPLETE, Invocation, command, parse, registration, without_notes};

/// Keeps a fleet of coding agents at its declared size, and merges what is approved
#[derive(Debug, Parser)]
#[command(
    name = "coordinator",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    disable_help_flag = true,
    disable_version_flag = true,
    subcommand_value_name = "COMMAND"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub global: Global,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Roster [default: roster.toml, here or above]
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "COORDINATOR_CONFIG",
        hide_env_values = true,
        hide_env = true,
        value_hint = ValueHint::FilePath,
        // An empty variable counts as unset.
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    pub config: Option<PathBuf>,
    /// Result on stdout: text, json or markdown
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t = Output::Text,
        value_name = "FORMAT",
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub output: Output,
    /// More detail in reports and logs; twice for more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// auto, always or never; NO_COLOR is respected
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = Color::Auto,
        value_name = "WHEN",
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub color: Color,
    /// Kubeconfig context [default: the current one]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Log on stderr: text or json
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = LogFormat::Text,
        value_name = "FORMAT",
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub log_format: LogFormat,
    /// error, warn, info, debug or trace
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        value_parser = ["error", "warn", "info", "debug", "trace"],
        hide_possible_values = true
    )]
    pub log_level: Option<String>,
    /// Print help
    #[arg(short, long, global = true, action = ArgAction::HelpShort)]
    pub help: Option<bool>,
    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version)]
    pub version: Option<bool>,
}

/// In the order of the help.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a starter roster, briefs and deploy files
    Init(Init),
    /// Validate the roster and its briefs; uses no network
    Check,
    /// Check the setup: tokens, branch rules, platform, endpoints
    Doctor(Doctor),
    /// Run one cycle: inventory, spawn, merge, health, report
    Reconcile(Reconcile),
    /// Show the fleet at a glance: what runs, what waits, and why
    Status(Status),
    /// List live and ended sessions
    Sessions,
    /// Print what agents write
    Logs(Logs),
    /// Show what ended, what it cost, and what was merged
    History(History),
    /// Show what sessions may cost: caps, spent, reserved
    Budget,
    /// End live sessions; their slots wait until `retry` or `resume`
    Stop(Stop),
    /// Start no session and merge nothing until `resume`
    Pause(Pause),
    /// End the pause, and let stopped slots go on
    Resume(Resume),
    /// Start a session in a slot at once, whatever failed before
    Retry(Retry),
    /// Go to the agent of a slot
    Attach(Attach),
    /// List open pull requests with verdict and reason
    Pulls,
    /// Print the prompt that a session of a role gets
    Prompt(Prompt),
    /// Print the JSON schema of the roster
    Schema,
    /// Print a completion script for a shell
    Completions {
        /// Slots and roles are completed from the roster
        shell: Shell,
    },
    /// Print the manual page
    Man {
        /// The page of this command
        command: Option<String>,
    },
    /// Print help
    Help {
        /// Every command with its options
        #[arg(long)]
        all: bool,
        /// Help of this command
        command: Option<String>,
    },
}

/// Options of `reconcile`.
#[derive(Debug, Args)]
pub struct Reconcile {
    /// Read and plan, change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Run only these steps; `spawn` implies `inventory`
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STEP", conflicts_with = "skip")]
    pub only: Vec<StepName>,
    /// Leave these steps out
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STEP")]
    pub skip: Vec<StepName>,
    /// Start only sessions of this role; may be repeated
    #[arg(long, value_name = "KEY", add = ArgValueCandidates::new(candidates::roles))]
    pub role: Vec<String>,
    /// Read only this source, `roster` for all roles; may be repeated
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    /// Exit with 1 also when degraded
    #[arg(long)]
    pub strict: bool,
    /// With --dry-run: exit with 3 when changes are pending
    #[arg(long, requires = "dry_run")]
    pub detailed_exitcode: bool,
    /// Print nothing when the cycle is healthy and did nothing
    #[arg(short, long)]
    pub quiet: bool,
    /// Write metrics in Prometheus text format to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub metrics_file: Option<PathBuf>,
}

/// Options of `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Such as `ui-builder-s0`; a role stands for its only slot [default: all live sessions]
    #[arg(add = ArgValueCandidates::new(candidates::slots))]
    pub slot: Option<String>,
    /// Print new lines until the sessions end
    #[arg(short, long)]
    pub follow: bool,
    /// Print only the last N lines of each log
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
    /// Sessions that were live in this time, such as 12h, oldest first
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub since: Option<Duration>,
    /// Only sessions of this role
    #[arg(
        long,
        value_name = "KEY",
        conflicts_with = "slot",
        add = ArgValueCandidates::new(candidates::roles)
    )]
    pub role: Option<String>,
    /// Only sessions of this source, `roster` for those of roles
    #[arg(long, value_name = "NAME", conflicts_with = "slot")]
    pub source: Option<String>,
    /// Print this generation instead of the newest
    #[arg(long, value_name = "N", requires = "slot", conflicts_with = "since")]
    pub generation: Option<u64>,
    /// Print what the agent wrote as it is, secrets aside
    #[arg(long)]
    pub raw: bool,
}

/// Options of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Look again every 2 s, until Ctrl-C
    #[arg(short, long)]
    pub watch: bool,
    /// Also send a request to production
    #[arg(long)]
    pub probe: bool,
}

/// Options of `history`.
#[derive(Debug, Args)]
pub struct History {
    /// How far to look back; records stay 48h
    #[arg(long, value_name = "DURATION", default_value = "12h", value_parser = parse_since)]
    pub since: Duration,
}

/// Options of `pause`.
#[derive(Debug, Args)]
pub struct Pause {
    /// Why; every report shows it
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
}

/// Options of `resume`.
#[derive(Debug, Args)]
pub struct Resume {
    /// Only these slots, which were stopped; by default the pause and every stopped slot
    #[arg(value_name = "SLOT", add = ArgValueCandidates::new(candidates::slots))]
    pub slots: Vec<String>,
}

/// Options of `retry`.
#[derive(Debug, Args)]
pub struct Retry {
    /// Such as `ui-builder-s0`; a role stands for its only slot
    #[arg(add = ArgValueCandidates::new(candidates::slots))]
    pub slot: String,
}

/// Options of `attach`.
#[derive(Debug, Args)]
pub struct Attach {
    /// Such as `ui-builder-s0`; a role stands for its only slot
    #[arg(add = ArgValueCandidates::new(candidates::slots))]
    pub slot: String,
    /// Print the command also on a terminal
    #[arg(long)]
    pub print: bool,
}

/// Options of `stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// Such as `ui-builder-s0`; a role stands for its only slot
    #[arg(value_name = "SLOT", add = ArgValueCandidates::new(candidates::slots))]
    pub slots: Vec<String>,
    /// Every session of the fleet; pauses the fleet first
    #[arg(long, conflicts_with = "slots")]
    pub all: bool,
    /// With --all: why; every report shows it
    #[arg(short, long, value_name = "TEXT", requires = "all")]
    pub message: Option<String>,
    /// Do not ask; without a terminal nothing is asked
    #[arg(short, long)]
    pub yes: bool,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Run each agent command once, with one short prompt and at most 60 s
    #[arg(long)]
    pub try_agent: bool,
}

/// Options of `prompt`.
#[derive(Debug, Args)]
pub struct Prompt {
    /// A role of the roster, such as `ui_builder`
    #[arg(value_name = "ROLE", add = ArgValueCandidates::new(candidates::roles))]
    pub role: String,
    /// Number of the role's slot
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub slot: u32,
}

/// Options of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Where to write; the fleet is named after the folder. Existing files stay as they are
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Write all 25 roles; by default three roles, two sessions at a time
    #[arg(long)]
    pub full: bool,
    /// Also write a systemd service and timer, named after the fleet
    #[arg(long)]
    pub systemd: bool,
    /// Write a fleet for a cluster: a CronJob, sessions are Jobs
    #[arg(long, conflicts_with = "systemd")]
    pub kubernetes: bool,
    /// Write a fleet for GitHub Actions: a schedule, sessions are workflow runs
    #[arg(long, conflicts_with_all = ["systemd", "kubernetes"])]
    pub github_actions: bool,
}

/// Format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Shells with completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}
