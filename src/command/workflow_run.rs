//! What a run of a workflow shows beside the report: its summary, and annotations.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::render::{markdown, workflow};
use crate::workflow_commands::Escape;
use coordinator_core::report::Report;
use coordinator_core::secrets::Secrets;

/// Appends the report to the summary of the step and annotates the run, as far as this process is part of one. What cannot be
/// written is a line of the log: a cycle does not fail by it.
pub(super) fn publish(report: &Report, secrets: &Secrets) {
    let summary = env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = summary
        && let Err(error) = append(&path, &markdown::report(report, secrets))
    {
        tracing::error!("{error:#}");
    }
    match Escape::from_environment() {
        // These lines are commands on purpose. stdout carries the report alone; the runner reads both.
        Escape::WorkflowCommands => {
            let commands = workflow::annotations(report, secrets);
            // Without stderr there is nobody left to tell.
            let _ = io::stderr().write_all(commands.as_bytes());
        }
        Escape::None => {}
    }
}

fn append(path: &Path, markdown: &str) -> anyhow::Result<()> {
    let write = || {
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        let used = file.metadata()?.len();
        file.write_all(workflow::summary_after(used, markdown).as_bytes())
    };
    write().with_context(|| format!("cannot add the report to the summary {}", path.display()))
}
