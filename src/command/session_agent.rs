//! `coordinator session-agent`: the last step of a workflow run becomes the agent. It starts no
//! shell, no thread and no other process. The workflow decides which secrets the job has, and the
//! agent gets all of them.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio, id};

use anyhow::Context;

use crate::cli;
use crate::command::session_admit::{Session, session, wrong};
use crate::command::{USAGE, fail};
use coordinator_core::environment::Identity;
use coordinator_core::fleet::RoleKey;
use coordinator_core::placeholders::{Values, filled, takes_prompt};
use coordinator_core::sanitize::one_line;
use coordinator_core::secrets::Secrets;

/// A shell's exit code for a program that was not found.
const NOT_FOUND: u8 = 127;

/// A shell's exit code for a program that cannot be run.
const NOT_EXECUTABLE: u8 = 126;

/// What the run carried, and no agent needs.
const SPENT: [&str; 3] = ["COORDINATOR_TASK", "COORDINATOR_CYCLE", "COORDINATOR_EXPIRES_AT"];

const LONGEST_ERROR: usize = 500;

/// Becomes the agent; returns only when that cannot be.
pub fn run(options: &cli::SessionAgent) -> ExitCode {
    let (error, code) = match command(options) {
        Ok(mut command) => {
            let error = command.exec();
            let program = command.get_program().to_string_lossy().into_owned();
            explain(&program, &error)
        }
        Err(error) => (error, USAGE),
    };
    let text = one_line(&format!("error: {error:#}"), LONGEST_ERROR);
    fail(&Secrets::default(), &format!("{text}\n"), code)
}

fn command(options: &cli::SessionAgent) -> anyhow::Result<Command> {
    let Session { fleet, slot, generation, input: given } = session(&options.session)?;
    let role = RoleKey::parse(&options.role)
        .map_err(|why| wrong("COORDINATOR_ROLE", &options.role, why.to_owned()))?;
    if slot.index().is_some() && slot.group != role {
        return Err(wrong(
            "COORDINATOR_ROLE",
            &options.role,
            format!("the slot is one of {}", slot.group),
        ));
    }
    if given.item.as_ref().is_some_and(|item| item.of.role != role) {
        return Err(wrong(
            "COORDINATOR_ROLE",
            &options.role,
            "the work item's session is another role's",
        ));
    }
    let brief = given.brief.as_deref().unwrap_or_default();
    let item = given.item.as_ref().map(|ticket| &ticket.of.item);
    let id = item.map_or("", |item| &item.id);
    let values =
        Values { fleet: &fleet, slot: &slot, role: &role, item: id, prompt: &given.prompt, brief };
    let mut words = filled(&given.command, values).into_iter();
    let mut command = Command::new(words.next().context("the session input has an empty command")?);
    command.args(words).envs(&given.env);
    for name in SPENT {
        command.env_remove(name);
    }
    let identity = Identity {
        fleet: &fleet,
        slot: &slot,
        role: &role,
        item,
        generation,
        cycle: &options.session.cycle,
        prompt: &given.prompt,
        repository: Some(&options.session.repository),
    };
    command.envs(identity.variables());
    let takes_prompt = takes_prompt(&given.command);
    command.stdin(if takes_prompt { Stdio::null() } else { input(&given.prompt)?.into() });
    Ok(command)
}

/// A file without a name, which is gone when the agent has read it.
fn input(prompt: &str) -> anyhow::Result<File> {
    let path = env::temp_dir().join(format!("coordinator-prompt-{}", id()));
    let write = || {
        let mut file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        file.write_all(prompt.as_bytes())?;
        file.rewind()?;
        io::Result::Ok(file)
    };
    write().with_context(|| format!("write the prompt to {}", path.display()))
}

fn explain(program: &str, error: &io::Error) -> (anyhow::Error, u8) {
    let remedy = "install it in the job `agent` of the session workflow, \
                  or set `command` for this role in the roster";
    match (error.kind(), find(program)) {
        (ErrorKind::NotFound, Some(path)) => (
            anyhow::anyhow!("the interpreter of {} is missing; {remedy}", path.display()),
            NOT_FOUND,
        ),
        (ErrorKind::NotFound, None) if program.contains('/') => (
            anyhow::anyhow!("`{program}` not found in the job's working directory; {remedy}"),
            NOT_FOUND,
        ),
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
