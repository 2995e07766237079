//! One issue per cause of alert: opened, rewritten when its text changes, closed once the cause is
//! gone. What is ours shows in the issues alone: their author, their label and a mark in their
//! text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::bail;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::AlertContext;
use crate::cycle::usable;
use crate::render::markdown::escaped;
use crate::render::words::sentence;
use crate::render::{MAX_SENTENCE, shown};
use crate::steps::report::alerts::{Alert, AlertCause, AlertKind, alerts, is_gone};
use coordinator_core::fleet::FleetName;
use coordinator_core::report::{Advice, Report};
use coordinator_core::secrets::Secrets;
use coordinator_github::{AlertIssues, Error, Github};

/// For all requests.
const LIMIT: Duration = Duration::from_secs(10);

/// The next cycle writes the rest.
const MAX_WRITES: usize = 10;

/// GitHub takes 256 characters.
const MAX_TITLE: usize = 200;

/// Brings the issues in line with the report. A warning where that failed.
pub(super) async fn keep(report: &Report, context: &AlertContext<'_>) -> Option<Advice> {
    let found = alerts(report);
    // Offline, no issue can be written.
    let is_offline = found.iter().any(|alert| alert.cause.kind == AlertKind::Offline);
    if !context.settings.github_issue || is_offline {
        return None;
    }
    let why = match timeout(LIMIT, synchronize(report, &found, context)).await {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => format!("timed out after {} s", LIMIT.as_secs()),
    };
    Some(Advice {
        signal: format!("alerts: issues were not written: {why}"),
        action: "the next cycle tries again; the token needs write access to issues".to_owned(),
    })
}

/// Before an issue is opened, and after it, the list is read again: overlapping cycles see the same
/// causes. Of several issues with one cause the lowest number stays.
async fn synchronize(
    report: &Report,
    found: &[Alert],
    context: &AlertContext<'_>,
) -> anyhow::Result<()> {
    if report.merge.body.rate_limit.is_some() {
        // Whatever has gone stays open until a cycle can write again.
        if found.is_empty() {
            return Ok(());
        }
        bail!("a rate limit left them to the next cycle");
    }
    let github = usable(context.github)?;
    let write = Writing { github, fleet: &report.fleet, secrets: context.secrets };
    let is_source = |name: &str| context.sources.iter().any(|source| source == name);
    let is_gone = |cause: &AlertCause| is_gone(report, cause, is_source);
    let plan = |issues: &AlertIssues| plan(issues, found, &write, is_gone);
    let mut changes = match github.listed_alerts() {
        Some(listed) => {
            let changes = plan(&listed?);
            if changes.iter().any(Change::opens) {
                plan(&github.alert_issues().await?)
            } else {
                changes
            }
        }
        None => plan(&github.alert_issues().await?),
    };
    changes.truncate(MAX_WRITES);
    let has_opened = changes.iter().any(Change::opens);
    write.all(&changes).await?;
    if has_opened {
        let issues = github.alert_issues().await?;
        let mut changes = plan(&issues);
        changes.retain(|change| matches!(change, Change::CloseDuplicate { .. }));
        write.all(&changes).await?;
    }
    Ok(())
}

/// The mark at the end of an issue's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    fleet: String,
    cause: String,
    #[serde(default)]
    subject: String,
    /// A hash of the alert's steady text.
    text: String,
}

const MARK_BEGIN: &str = "<!-- coordinator:alert ";
const MARK_END: &str = " -->";

impl Mark {
    fn of(alert: &Alert, fleet: &FleetName, secrets: &Secrets) -> Self {
        let steady = shown(&format!("{} {}", alert.title, alert.steady), usize::MAX, secrets);
        let hash = Sha256::digest(steady.as_bytes());
        let text = hash.iter().take(8).fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self {
            fleet: fleet.to_string(),
            cause: alert.cause.kind.word().to_owned(),
            subject: alert.cause.subject.clone(),
            text,
        }
    }

    /// The last one counts; text from elsewhere cannot hold one, as it is escaped.
    fn read(body: &str) -> Option<Self> {
        let marks = body.lines().rev().filter_map(|line| {
            let json = line.trim().strip_prefix(MARK_BEGIN)?.strip_suffix(MARK_END)?;
            serde_json::from_str(json).ok()
        });
        marks.into_iter().next()
    }

    /// `None` where another version of the program knows it.
    fn cause(&self) -> Option<AlertCause> {
        let kind = AlertKind::ALL.into_iter().find(|kind| kind.word() == self.cause)?;
        Some(AlertCause::new(kind, &self.subject))
    }

    /// A comment of HTML, which no text in it can end.
    fn line(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        let json = json.replace('-', "\\u002d").replace('<', "\\u003c").replace('>', "\\u003e");
        format!("{MARK_BEGIN}{json}{MARK_END}")
    }
}

/// One write, and what it is for.
#[derive(Debug, PartialEq, Eq)]
enum Change<'a> {
    Open { alert: &'a Alert },
    Rewrite { number: u64, alert: &'a Alert },
    Close { number: u64 },
    CloseDuplicate { number: u64, of: u64 },
}

impl Change<'_> {
    fn opens(&self) -> bool {
        matches!(self, Self::Open { .. })
    }
}

/// What must change. Issues of other fleets, and causes that this version does not know, are left
/// alone; so is every issue whose cause this cycle could not see.
fn plan<'a>(
    issues: &AlertIssues,
    alerts: &'a [Alert],
    write: &Writing<'_>,
    is_gone: impl Fn(&AlertCause) -> bool,
) -> Vec<Change<'a>> {
    let mut known: BTreeMap<AlertCause, (u64, Mark)> = BTreeMap::new();
    let mut changes = Vec::new();
    let mut ours: Vec<_> = issues.ours.iter().collect();
    ours.sort_by_key(|issue| issue.number);
    for issue in ours {
        let Some(mark) = Mark::read(&issue.body).filter(|it| it.fleet == write.fleet.as_str())
        else {
            continue;
        };
        let Some(cause) = mark.cause() else { continue };
        match known.get(&cause) {
            Some((of, _)) => {
                changes.push(Change::CloseDuplicate { number: issue.number, of: *of });
            }
            None => drop(known.insert(cause, (issue.number, mark))),
        }
    }
    for alert in alerts {
        match known.get(&alert.cause) {
            Some((_, mark)) if *mark == Mark::of(alert, write.fleet, write.secrets) => {}
            Some((number, _)) => changes.push(Change::Rewrite { number: *number, alert }),
            // Where the list was cut, the issue may be in the rest.
            None if issues.is_complete => changes.push(Change::Open { alert }),
            None => {}
        }
    }
    let gone = known.iter().filter(|(cause, _)| is_gone(cause));
    changes.extend(gone.map(|(_, (number, _))| Change::Close { number: *number }));
    changes
}

/// Writes issues for one fleet.
struct Writing<'a> {
    github: &'a Github,
    fleet: &'a FleetName,
    secrets: &'a Secrets,
}

impl Writing<'_> {
    /// All of them, also after one that failed; the first error. A rate limit ends it.
    async fn all(&self, changes: &[Change<'_>]) -> anyhow::Result<()> {
        let mut first = Ok(());
        for change in changes {
            match self.one(change).await {
                Err(error @ Error::RateLimited(_)) => return Err(error.into()),
                Err(error) if first.is_ok() => first = Err(error.into()),
                Err(_) | Ok(()) => {}
            }
        }
        first
    }

    async fn one(&self, change: &Change<'_>) -> Result<(), Error> {
        match change {
            Change::Open { alert } => {
                let issue = self.github.open_alert(&self.title(alert), &self.body(alert)).await?;
                if issue.is_labelled {
                    return Ok(());
                }
                let comment = "Closed by coordinator: without its label no later cycle finds it.";
                self.github.close_alert(issue.number, comment).await?;
                Err(Error::Failed(
                    "GitHub dropped the label; give the token write access to the repository"
                        .to_owned(),
                ))
            }
            Change::Rewrite { number, alert } => {
                self.github.rewrite_alert(*number, &self.title(alert), &self.body(alert)).await
            }
            Change::Close { number } => {
                self.github.close_alert(*number, "The cause is gone; closed by coordinator.").await
            }
            Change::CloseDuplicate { number, of } => {
                let comment = format!("The same as #{of}; closed by coordinator.");
                self.github.close_alert(*number, &comment).await
            }
        }
    }

    fn title(&self, alert: &Alert) -> String {
        let title = format!("{}: {}", self.fleet, sentence(&alert.title));
        shown(&title, MAX_TITLE, self.secrets)
    }

    fn body(&self, alert: &Alert) -> String {
        let safe = |text: &str| escaped(&shown(&sentence(text), MAX_SENTENCE, self.secrets));
        let mut parts = vec![format!("**{}**", safe(&alert.text))];
        if !alert.action.is_empty() {
            parts.push(format!("What may help: {}", safe(&alert.action)));
        }
        parts.push(format!(
            "`coordinator` keeps this issue for the fleet `{}`: a cycle rewrites it when the cause \
             changes, and closes it once the cause is gone. Agents leave it alone.",
            self.fleet
        ));
        parts.push(Mark::of(alert, self.fleet, self.secrets).line());
        parts.join("\n\n") + "\n"
    }
}

#[cfg(test)]
mod tests;
