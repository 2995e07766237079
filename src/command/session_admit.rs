//! `coordinator session-admit`: may the session of this workflow run begin? It needs no roster: the
//! run carries what it takes.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

use crate::cli;
use crate::command::Refused;
use coordinator_core::fleet::{FleetName, Seat, Slot};
use coordinator_core::pull::Repository;
use coordinator_core::sanitize::one_line;
use coordinator_github::actions::Workflow;
use coordinator_github::{Credentials, Github};
use coordinator_http::Client;
use coordinator_platform_actions::RESUMED;
use coordinator_platform_actions::admit::{Decision, Skip, Ticket, admit};
use coordinator_platform_actions::session_input::SessionInput;

/// The list of runs, and the jobs of some of them.
const MAX_REQUESTS: u32 = 10;

/// A reason is one line of the run's page.
const MAX_REASON_CHARS: usize = 500;

/// Which session a run is for.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) fleet: FleetName,
    pub(super) slot: Slot,
    pub(super) generation: u64,
    pub(super) input: SessionInput,
}

/// Decides, writes the outputs of the step, and returns the decision as a sentence.
///
/// Fails as refused on inputs that are not those of a dispatch; fails when the step's outputs
/// cannot be written.
pub async fn run(options: &cli::SessionAdmit) -> anyhow::Result<String> {
    if options.session.cycle == RESUMED {
        return skip(options, "a person let the slot go on; no session starts in this run");
    }
    let ticket = ticket(options).map_err(|error| refused(&error))?;
    let workflow = workflow(options).map_err(|error| refused(&error))?;
    let decision = admit(&ticket, &workflow).await;
    write(options, &outputs(&decision))?;
    Ok(sentence(&decision))
}

/// The answer to a run without a session.
fn skip(options: &cli::SessionAdmit, why: &str) -> anyhow::Result<String> {
    write(options, &format!("go=false\nreason={why}\n"))?;
    Ok(format!("skip: {why}\n"))
}

/// Writes the outputs of the step, where it has a file for them.
fn write(options: &cli::SessionAdmit, outputs: &str) -> anyhow::Result<()> {
    match options.step_output.as_deref().filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => append(path, outputs),
        None => Ok(()),
    }
}

fn refused(error: &anyhow::Error) -> anyhow::Error {
    Refused::Usage(one_line(&format!("{error:#}"), MAX_REASON_CHARS)).into()
}

/// Reads the inputs of the run.
pub(super) fn session(options: &cli::Session) -> anyhow::Result<Session> {
    let fleet = FleetName::parse(&options.fleet)
        .map_err(|why| wrong("COORDINATOR_FLEET", &options.fleet, why))?;
    let form = "a slot looks like ui-builder-s0, without the fleet";
    let slot =
        Slot::named(&options.slot).ok_or_else(|| wrong("COORDINATOR_SLOT", &options.slot, form))?;
    let generation = options.generation.parse().ok().filter(|generation| *generation > 0);
    let generation = generation.ok_or_else(|| {
        wrong("COORDINATOR_GENERATION", &options.generation, "it is a number from 1 on")
    })?;
    let input = SessionInput::read(&options.task).context("read COORDINATOR_TASK")?;
    match (&slot.seat, &input.item) {
        (Seat::Index(_), None) => {}
        (Seat::Item(_), Some(item)) if item.fits(&slot, generation) => {
            first_attempt(&options.run_attempt)?;
        }
        (Seat::Item(_), _) | (Seat::Index(_), Some(_)) => {
            let why = "the session input is not about this slot and generation";
            return Err(wrong("COORDINATOR_SLOT", &options.slot, why));
        }
    }
    Ok(Session { fleet, slot, generation, input })
}

/// A run that a person starts again would be a session that nothing planned. Failing keeps the
/// record of the session that it was.
fn first_attempt(attempt: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        attempt == "1",
        "GITHUB_RUN_ATTEMPT is {attempt:?}: the run of a work item is not started again; \
         the coordinator starts its next attempt"
    );
    Ok(())
}

pub(super) fn wrong(name: &str, value: &str, why: impl Display) -> anyhow::Error {
    anyhow::anyhow!("{name} is {value:?}: {why}; only `coordinator reconcile` starts this workflow")
}

fn ticket(options: &cli::SessionAdmit) -> anyhow::Result<Ticket> {
    let Session { fleet, slot, generation, input } = session(&options.session)?;
    let expires_at = humantime::parse_rfc3339(&options.expires_at)
        .map_err(|why| wrong("COORDINATOR_EXPIRES_AT", &options.expires_at, why))?;
    let run = options.run_id.parse().map_err(|why| wrong("GITHUB_RUN_ID", &options.run_id, why))?;
    Ok(Ticket { fleet, slot, generation, run, expires_at, input })
}

fn workflow(options: &cli::SessionAdmit) -> anyhow::Result<Workflow> {
    let name = &options.session.repository;
    let repository = Repository::named(name, &options.api_url, &options.graphql_url)
        .map_err(|why| wrong("GITHUB_REPOSITORY", name, why))?;
    let file = file(&options.workflow_ref).ok_or_else(|| {
        wrong("GITHUB_WORKFLOW_REF", &options.workflow_ref, "it does not name a workflow file")
    })?;
    let credentials = Credentials::from_environment()?;
    let credentials = credentials.context("no GitHub token: give the step GITHUB_TOKEN")?;
    let github = Github::over(Client::new()?, &repository, credentials)?;
    Ok(Workflow::new(github, file, MAX_REQUESTS))
}

/// `owner/repo/.github/workflows/FILE@ref`; a ref may have an `@` and a `/`, a file has no `/`.
fn file(workflow_ref: &str) -> Option<&str> {
    let (_, rest) = workflow_ref.split_once("/.github/workflows/")?;
    let (file, _) = rest.split_once('@')?;
    (!file.is_empty() && !file.contains('/')).then_some(file)
}

fn sentence(decision: &Decision) -> String {
    match decision {
        Decision::Go => "go: the slot is free, and nothing holds it\n".to_owned(),
        Decision::Skip(skip) => format!("skip: {}\n", reason(skip)),
    }
}

fn outputs(decision: &Decision) -> String {
    match decision {
        Decision::Go => "go=true\nreason=\n".to_owned(),
        Decision::Skip(skip) => format!("go=false\nreason={}\n", reason(skip)),
    }
}

fn reason(skip: &Skip) -> String {
    one_line(&skip.to_string(), MAX_REASON_CHARS)
}

fn append(path: &Path, outputs: &str) -> anyhow::Result<()> {
    let write =
        || OpenOptions::new().append(true).create(true).open(path)?.write_all(outputs.as_bytes());
    write().with_context(|| format!("write the step's outputs to {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workflow_file_is_read_out_of_the_reference() {
        for (text, expected) in [
            (
                "octo/demo/.github/workflows/agent-session.yml@refs/heads/main",
                Some("agent-session.yml"),
            ),
            (
                "octo/demo/.github/workflows/a.yml@refs/heads/a@b/.github/workflows/c.yml@d",
                Some("a.yml"),
            ),
            ("octo/demo/.github/workflows/@refs/heads/main", None),
            ("octo/demo/.github/workflows/a.yml", None),
            ("octo/demo/.github/workflows/a/b.yml@main", None),
            ("", None),
        ] {
            assert_eq!(file(text), expected, "{text}");
        }
    }

    #[test]
    fn an_output_is_one_line_whatever_github_said() {
        let skip = Decision::Skip(Skip::Unknown("no\ngo=true\r\nreason=x".to_owned()));
        let outputs = outputs(&skip);
        assert_eq!(outputs.lines().count(), 2, "{outputs:?}");
        assert!(outputs.starts_with("go=false\nreason=") && !outputs.contains('\r'), "{outputs:?}");
    }
}
