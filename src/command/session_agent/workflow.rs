//! The agent of a workflow run: what it is, from the run's inputs, and what the run shows of its
//! end.

use std::collections::BTreeMap;
use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio, id};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Deserialize;

use super::ending::Ending;
use super::guard::Guard;
use super::output::{Form, Output};
use super::{Failure, Launch, file, own, summary, warn};
use crate::cli;
use crate::command::session_admit::{Session, session, wrong};
use crate::secrets::seal_process;
use crate::workflow_commands::{Escape, Level, annotation};
use coordinator_core::agent::Profile;
use coordinator_core::environment::Identity;
use coordinator_core::fleet::RoleKey;
use coordinator_core::placeholders::{Values, filled, takes_prompt};
use coordinator_github::actions::END_TITLE;

/// What the run carried, and no agent needs.
const SPENT: [&str; 3] = ["COORDINATOR_TASK", "COORDINATOR_CYCLE", "COORDINATOR_EXPIRES_AT"];

/// Between the first signal and SIGKILL.
const GRACE: Duration = Duration::from_secs(30);

/// The file to which a step appends what the run's page shows.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Runs the agent of this run; returns the exit code of the step.
pub(super) fn run(options: &cli::SessionAgent) -> Result<u8, Failure> {
    let (command, title) = command(options).map_err(Failure::usage)?;
    let watch = Watch::read(&options.session.task);
    let escape = Escape::from_environment();
    let form = match escape {
        Escape::None => Form::Raw,
        Escape::WorkflowCommands => {
            // The token that keeps the agent's output from issuing commands is in this memory.
            seal_process()?;
            Form::Guarded(Guard::new()?)
        }
    };
    let launch = Launch {
        command,
        output: Output::new(watch.profile(), form, None),
        ending: Ending::new(Instant::now(), watch.stall_timeout(), GRACE),
        remedy: "install it in the job `agent` of the session workflow, \
                 or set `command` for this role in the roster",
    };
    let left = own(launch, |left| match escape {
        Escape::None => String::new(),
        Escape::WorkflowCommands => annotation(Level::Notice, END_TITLE, &left.end.line()),
    })?;
    if let Some(path) = env::var_os(SUMMARY).filter(|path| !path.is_empty()).map(PathBuf::from)
        && let Err(error) = file::append(&path, &summary::markdown(&title, &left))
    {
        warn(&format!("write the summary of the run to {}: {error}", path.display()));
    }
    Ok(left.process.code())
}

/// How the session input has the agent watched. A coordinator that dispatches an older form leaves
/// both out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Watch {
    command: Vec<String>,
    agent: Option<String>,
    stall_timeout_ms: Option<u64>,
}

impl Watch {
    fn read(task: &str) -> Self {
        serde_json::from_str(task).unwrap_or_default()
    }

    fn profile(&self) -> Profile {
        let named = self.agent.as_deref().and_then(Profile::from_word);
        named.unwrap_or_else(|| Profile::of_command(&self.command))
    }

    fn stall_timeout(&self) -> Option<Duration> {
        self.stall_timeout_ms.filter(|timeout| *timeout > 0).map(Duration::from_millis)
    }
}

/// The agent's command, and the session's full name.
fn command(options: &cli::SessionAgent) -> anyhow::Result<(Command, String)> {
    let Session { fleet, slot, generation, input: given } = session(&options.session)?;
    let role = RoleKey::parse(&options.role)
        .map_err(|why| wrong("COORDINATOR_ROLE", &options.role, why.to_owned()))?;
    if slot.index().is_some() && slot.group != role {
        let why = format!("the slot is one of {}", slot.group);
        return Err(wrong("COORDINATOR_ROLE", &options.role, why));
    }
    if given.item.as_ref().is_some_and(|item| item.of.role != role) {
        let why = "the work item's session is another role's";
        return Err(wrong("COORDINATOR_ROLE", &options.role, why));
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
    let names: BTreeMap<String, String> = identity.variables();
    command.envs(names);
    let takes_prompt = takes_prompt(&given.command);
    command.stdin(if takes_prompt { Stdio::null() } else { input(&given.prompt)?.into() });
    Ok((command, identity.session()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_input_has_the_agent_watched() {
        let watch = |task: &str| {
            let watch = Watch::read(task);
            (watch.profile(), watch.stall_timeout())
        };
        let claude = r#"{"command":["/opt/claude"],"stall_timeout_ms":600000}"#;
        assert_eq!(watch(claude), (Profile::Claude, Some(Duration::from_secs(600))));
        let named = r#"{"command":["./confine.sh"],"agent":"codex","stall_timeout_ms":0}"#;
        assert_eq!(watch(named), (Profile::Codex, None));
        assert_eq!(watch(r#"{"command":["x"],"agent":"?"}"#), (Profile::None, None));
        assert_eq!(watch(r#"{"stall_timeout_ms":"soon"}"#), (Profile::None, None));
    }
}
