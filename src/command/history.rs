//! `coordinator history`: the sessions that ended in some time, what they used, and what was
//! merged.

use std::time::{Duration, SystemTime};

use crate::cli::{Global, History};
use crate::command::{Finished, clients, in_time};
use crate::render::Form;
use crate::sources::ROSTER;
use coordinator_core::backoff;
use coordinator_core::fleet::{Outcome, Role, Run, Slot};
use coordinator_github::MergedPull;
use coordinator_http::Client;
use coordinator_roster::Roster;

mod document;
mod totals;
mod view;

use totals::Totals;

/// What happened since then.
#[derive(Debug)]
struct Past {
    fleet: String,
    since: SystemTime,
    now: SystemTime,
    /// Oldest first.
    sessions: Vec<PastSession>,
    /// Newest first; `None` where no repository is configured, or it could not be read.
    merges: Option<Vec<PastMerge>>,
    totals: Totals,
    /// What could not be read, a sentence each.
    unreadable: Vec<String>,
}

/// A session that ended.
#[derive(Debug)]
struct PastSession {
    slot: Slot,
    /// The session's full name.
    name: String,
    role: String,
    /// `roster`, or the source of its item.
    source: String,
    /// By the role's settings of today.
    outcome: Outcome,
    run: Run,
}

impl PastSession {
    /// Why it ended so: the platform's words, else the agent's.
    fn reason(&self) -> Option<&str> {
        let said = self.run.result.as_ref().map(|result| result.reason.as_str());
        self.run.detail.as_deref().or(said.filter(|said| !said.is_empty()))
    }
}

/// A merge, and the role whose branch it was.
#[derive(Debug)]
struct PastMerge {
    pull: MergedPull,
    /// `None` where the branch is not named after a role.
    role: Option<String>,
}

/// Reads sessions and merges at the same time. What cannot be read is a line and exit code 1; the
/// rest is shown.
pub async fn run(
    options: &History,
    global: &Global,
    roster: &Roster,
    form: Form<'_>,
) -> anyhow::Result<Finished> {
    let now = SystemTime::now();
    let since = now.checked_sub(options.since).unwrap_or(SystemTime::UNIX_EPOCH);
    let read = async {
        let platform = clients::platform_to_look(roster, global).await?;
        let merges = merges(roster, since);
        let (ended, merges) = tokio::join!(platform.history(since), merges);
        anyhow::Ok((ended?, merges))
    };
    let (ended, merges) = in_time(roster, "reading the history", read).await?;
    let mut unreadable = ended.unreadable;
    unreadable.extend(ended.damaged.into_iter().map(|damaged| damaged.why));
    let merges = merges.unwrap_or_else(|error| {
        unreadable.push(format!("the merged pull requests could not be read: {error:#}"));
        None
    });
    let sessions = sessions(roster, ended.runs);
    let totals = Totals::of(&sessions);
    let fleet = roster.fleet.to_string();
    let past = Past { fleet, since, now, sessions, merges, totals, unreadable };
    let code = u8::from(!past.unreadable.is_empty());
    let stdout =
        form.show(|| view::view(&past, form), |secrets| document::document(&past).pretty(secrets))?;
    Ok(Finished { stdout, code })
}

fn sessions(roster: &Roster, runs: Vec<(Slot, Run)>) -> Vec<PastSession> {
    let session = |(slot, run): (Slot, Run)| {
        let role = run.item.as_ref().map(|item| item.role.to_string());
        let role = role.unwrap_or_else(|| slot.group.to_string());
        let known = roster.roles.iter().find(|known| known.key.as_str() == role);
        let outcome = |known: &Role| backoff::outcome(&run, &known.spec.backoff);
        let source = slot.index().map_or_else(|| slot.group.to_string(), |_| ROSTER.to_owned());
        PastSession {
            name: slot.session_name(&roster.fleet),
            outcome: known.map_or(run.outcome, outcome),
            source,
            role,
            slot,
            run,
        }
    };
    let mut sessions: Vec<PastSession> = runs.into_iter().map(session).collect();
    sessions.sort_by(|a, b| {
        let key = |it: &PastSession| (it.run.finished_at, it.run.generation);
        key(a).cmp(&key(b)).then_with(|| a.slot.cmp(&b.slot))
    });
    sessions
}

/// `None` without a repository.
async fn merges(roster: &Roster, since: SystemTime) -> anyhow::Result<Option<Vec<PastMerge>>> {
    if roster.repository.is_none() {
        return Ok(None);
    }
    let github = clients::github(roster, &Client::new())??;
    let merged = github.merged_since(since).await?;
    let role = |pull: &MergedPull| {
        let (prefix, _) = pull.branch.split_once('/')?;
        let known = roster.roles.iter().find(|role| role.key.as_str() == prefix)?;
        Some(known.key.to_string())
    };
    Ok(Some(merged.into_iter().map(|pull| PastMerge { role: role(&pull), pull }).collect()))
}

/// `12h`, `90 min`.
pub fn parse_since(text: &str) -> Result<Duration, String> {
    let year = Duration::from_secs(365 * 86_400);
    match humantime::parse_duration(text) {
        Ok(since) if !since.is_zero() && since <= year => Ok(since),
        Ok(_) => Err("a duration of more than nothing and at most a year".to_owned()),
        Err(error) => Err(format!("{error}; write a duration such as 12h")),
    }
}
