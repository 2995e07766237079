//! From the arguments to a command, and what a shell completes.

use std::{env, io};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, CommandFactory, FromArgMatches, Parser};
use clap_complete::env::Shells;

use super::machine::arguments;
use super::{Cli, MachineCli, Shell};

/// The variable with which a shell's completion script calls this program.
pub const COMPLETE: &str = "COORDINATOR_COMPLETE";

/// What the command line means.
#[derive(Debug)]
pub enum Invocation {
    Person(Cli),
    Machine(MachineCli),
}

/// Parses this process's arguments. Prints help and usage errors, and exits for them.
pub fn parse() -> Invocation {
    match command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => Invocation::Person(cli),
        Err(error) if is_for_machines(&error) => {
            Invocation::Machine(MachineCli::parse_from(arguments(env::args_os())))
        }
        Err(error) => error.exit(),
    }
}

fn is_for_machines(error: &clap::Error) -> bool {
    let name = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(name)) if error.kind() == ErrorKind::InvalidSubcommand => name,
        _ => return false,
    };
    MachineCli::command().find_subcommand(name).is_some()
}

/// The commands for people. The help of each names the global options in one line only.
pub fn command() -> clap::Command {
    without_notes().after_help(ALL).mut_subcommands(|subcommand| subcommand.after_help(GLOBALS))
}

const ALL: &str = "`coordinator help --all` lists the options of every command.";
const GLOBALS: &str = "Global options: -c, -o, -v and others; see `coordinator --help`";

/// The same without a line below each help.
pub fn without_notes() -> clap::Command {
    let root = Cli::command();
    let globals = root.get_arguments().filter(|argument| argument.is_global_set());
    let hidden: Vec<Arg> = globals.map(|argument| argument.clone().hide(true)).collect();
    root.mut_subcommands(|subcommand| subcommand.args(hidden.clone()))
}

/// The script that makes a shell complete commands, options, slots and roles.
pub fn registration(shell: Shell) -> io::Result<String> {
    let name = match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::Elvish => "elvish",
        Shell::Powershell => "powershell",
    };
    let mut script = Vec::new();
    if let Some(shell) = Shells::builtins().completer(name) {
        let program = "coordinator";
        shell.write_registration(COMPLETE, program, program, program, &mut script)?;
    }
    String::from_utf8(script).map_err(io::Error::other)
}
