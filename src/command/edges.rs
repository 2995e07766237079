//! Sets up the outside world for a command from the roster and the environment.

use crate::command::Refused;
use crate::github::{Credentials, Github, transport};
use crate::platform::process;
use crate::roster::{Repository, Roster};

/// The process platform's settings for this roster.
pub(super) fn process_settings(roster: &Roster) -> process::Settings {
    let full_name = |repository: &Repository| format!("{}/{}", repository.owner, repository.name);
    process::Settings {
        fleet: roster.fleet.clone(),
        roster: roster.path.clone(),
        state_dir: roster.platform.state_dir.clone(),
        repository: roster.repository.as_ref().map(full_name),
        secret_names: roster.secret_names.clone(),
    }
}

/// GitHub over this client; inside, why it cannot be reached. Half an App is a mistake in the configuration, and refused.
pub(super) fn github(
    roster: &Roster,
    client: &anyhow::Result<reqwest::Client>,
) -> Result<anyhow::Result<Github>, Refused> {
    let credentials = Credentials::from_environment().map_err(|error| Refused(format!("{error:#}")))?;
    Ok(connect(roster, credentials, client))
}

fn connect(
    roster: &Roster,
    credentials: Option<Credentials>,
    client: &anyhow::Result<reqwest::Client>,
) -> anyhow::Result<Github> {
    let repository = roster.repository.as_ref().ok_or_else(|| {
        let roster = roster.path.display();
        anyhow::anyhow!("no repository to look at: add [repository] to {roster}")
    })?;
    let credentials = credentials.ok_or_else(|| {
        anyhow::anyhow!("no GitHub token: set GITHUB_TOKEN, or GITHUB_APP_ID and its companions")
    })?;
    let client = client.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
    Github::new(transport::over(client.clone()), repository, credentials)
}
