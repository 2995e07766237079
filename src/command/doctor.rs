//! `coordinator doctor`: can the coordinator do its work here? It changes nothing and starts nothing.

use std::time::SystemTime;

use futures_util::future::join3;

use crate::cli::Global;
use crate::command::{Outcome, Refused, clients};
use crate::cycle::MERGE_RESERVE;
use crate::render::Screen;
use coordinator_core::finding::{Finding, Grade};
use coordinator_github::Github;
use coordinator_http::Client;
use coordinator_platform_local::exec::Purpose;
use coordinator_roster::Roster;

mod endpoints;
mod machine;
mod view;

/// Exits with 1 when something stands in the way.
///
/// Fails on half the variables of a GitHub App.
pub async fn run(roster: &Roster, global: &Global) -> anyhow::Result<Outcome> {
    let findings = findings(roster, global, &Client::new(), SystemTime::now()).await?;
    let stdout = view::render(&findings, global.output, Screen::stdout(global.color))?;
    let failed = findings.iter().any(|finding| finding.grade == Grade::Fail);
    Ok(Outcome { stdout, code: u8::from(failed) })
}

/// Looks at the roster, at the platform, at production's names and at GitHub, which is asked only
/// when the roster wants merges.
async fn findings(
    roster: &Roster,
    global: &Global,
    client: &anyhow::Result<Client>,
    now: SystemTime,
) -> anyhow::Result<Vec<Finding>> {
    let github = clients::github(roster, client)?;
    let (platform, production, merging) = join3(
        platform(roster, global, client, now),
        endpoints::findings(&roster.health),
        merging(roster, &github, now),
    )
    .await;
    Ok([machine::findings(roster), platform?, merging, production].concat())
}

/// What the platform says of itself, where it can be used at all.
async fn platform(
    roster: &Roster,
    global: &Global,
    client: &anyhow::Result<Client>,
    now: SystemTime,
) -> Result<Vec<Finding>, Refused> {
    let context = global.context.as_deref();
    let platform = clients::platform(roster, Purpose::Look, context, client).await?;
    Ok(match platform {
        Ok(platform) => platform.check(roster, context, now).await,
        Err(error) => {
            vec![Finding::fail(format!("{error:#}"), "no session is listed or started until then")]
        }
    })
}

fn deadline(roster: &Roster) -> Option<Finding> {
    let (deadline, reserve) = (roster.deadline, MERGE_RESERVE);
    let what = || {
        let [deadline, reserve] = [deadline, reserve].map(humantime::format_duration);
        format!(
            "nothing is ever merged: no merge starts in the last {reserve} of the deadline, which is {deadline}"
        )
    };
    (deadline <= reserve).then(|| Finding::warn(what(), "raise `deadline`; its default is 200s"))
}

async fn merging(roster: &Roster, github: &anyhow::Result<Github>, now: SystemTime) -> Vec<Finding> {
    if roster.repository.is_none() {
        return vec![Finding::ok("merging is not configured: the roster has no [repository]")];
    }
    if !roster.merge.enabled {
        return vec![Finding::ok("merging is turned off: `enabled = false` in [merge]")];
    }
    match github {
        Ok(github) => {
            let mut findings = github.diagnose(now, roster.merge.last_push_approval).await;
            findings.extend(deadline(roster));
            findings
        }
        Err(error) => {
            vec![Finding::fail(format!("{error:#}"), "the merge step fails until then, the others run")]
        }
    }
}
