//! Alerts, after the report is made: issues on GitHub and a command. None of them changes the
//! status or the exit code; what fails is advice in the report.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use futures_util::FutureExt;

use crate::steps::panic_message;
use coordinator_core::report::{Advice, Report};
use coordinator_core::secrets::Secrets;
use coordinator_github::Github;
use coordinator_roster::AlertSettings;

mod command;
mod issues;

/// What alerts need beside the report.
pub struct AlertContext<'a> {
    pub settings: &'a AlertSettings,
    pub github: &'a anyhow::Result<Github>,
    /// The names of the roster's sources.
    pub sources: &'a [String],
    /// The roster's folder.
    pub folder: &'a Path,
    /// Variables that the command does not inherit.
    pub secret_names: &'a BTreeSet<String>,
    pub secrets: &'a Secrets,
}

/// Raises the alerts of a finished cycle, at most 10 s long. A dry run raises none, nor does a
/// cycle that a signal ended: what it did not see is not gone.
pub async fn raise(report: &mut Report, context: &AlertContext<'_>) {
    if report.dry_run || report.interrupted.is_some() {
        return;
    }
    let issues = AssertUnwindSafe(issues::keep(report, context)).catch_unwind();
    let command = AssertUnwindSafe(command::run(report, context)).catch_unwind();
    let (issues, command) = tokio::join!(issues, command);
    let ended = [("the issue of an alert was not written", issues), ("`command` failed", command)];
    let warnings = ended.map(|(signal, ended)| match ended {
        Ok(warning) => warning,
        Err(panic) => Some(Advice {
            signal: signal.to_owned(),
            action: format!("it panicked: {}", panic_message(&*panic)),
        }),
    });
    report.advice.extend(warnings.into_iter().flatten());
    report.requests.github = context.github.as_ref().map_or(0, Github::requests);
}
