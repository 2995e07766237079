//! `coordinator attach`: takes a person to the agent of a slot.

use std::env;
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;

use super::{Finished, clients, in_time, slots};
use crate::cli::{Attach, Global};
use coordinator_core::environment::passed_on;
use coordinator_core::platform;
use coordinator_roster::Roster;

/// Becomes the agent's own command on a terminal, else prints it for a shell.
pub async fn run(options: &Attach, global: &Global, roster: &Roster) -> anyhow::Result<Finished> {
    let slot = slots::meant(roster, &options.slot)?.swap_remove(0);
    let platform = clients::platform_to_look(roster, global).await?;
    let found = in_time(roster, format!("looking for {}", slot.name()), platform.attach(&slot));
    let attach = found.await?;
    let is_on_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !is_on_terminal || options.print {
        return Ok(Finished::ok(shell_line(&attach) + "\n"));
    }
    let (program, arguments) = attach.argv.split_first().context("the command is empty")?;
    let mut command = Command::new(program);
    command.args(arguments);
    // The agent gets no more than in its session: no secret of the coordinator's.
    command.env_clear().envs(passed_on(env::vars_os(), &roster.secret_names));
    let role = roster.roles.iter().find(|role| slot.group == role.key);
    command.envs(role.into_iter().flat_map(|role| &role.spec.env));
    if let Some(directory) = &attach.directory {
        command.current_dir(directory);
    }
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run `{program}`"))
}

/// The command for a shell, with the folder that it must run in.
fn shell_line(attach: &platform::Attach) -> String {
    let words: Vec<String> = attach.argv.iter().map(|word| quoted(word)).collect();
    let command = words.join(" ");
    match &attach.directory {
        Some(directory) => format!("cd {} && {command}", quoted(&directory.to_string_lossy())),
        None => command,
    }
}

/// One word of a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_printed_as_a_shell_reads_it() {
        let argv = ["claude", "--resume", "a b", "it's", ""].map(str::to_owned).to_vec();
        let attach = platform::Attach { argv, directory: Some("/var/my state".into()) };
        assert_eq!(
            shell_line(&attach),
            r"cd '/var/my state' && claude --resume 'a b' 'it'\''s' ''"
        );
    }
}
