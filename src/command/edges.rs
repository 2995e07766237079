//! Sets up the outside world for a command from the roster and the environment.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::command::Refused;
use crate::cycle::inventory_limit;
use crate::platforms::AnyPlatform;
use crate::sources;
use coordinator_core::fleet::Group;
use coordinator_core::pull::Repository;
use coordinator_github::{Credentials, Github, transport};
use coordinator_platform_actions::{Actions, ActionsSettings};
use coordinator_platform_kubernetes::{Kubernetes, KubernetesSettings};
use coordinator_platform_local::exec::{self, Exec, ExecSettings, Purpose};
use coordinator_platform_local::process::{self, Process};
use coordinator_roster::{PlatformKind, Roster};

/// What a command is going to do with the platform.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use<'a> {
    pub(super) purpose: Purpose,
    pub(super) context: Option<&'a str>,
}

/// The platform of this roster; inside, why it cannot be used. A place in which local sessions
/// cannot be kept, and half an App, are mistakes in the configuration, and refused.
pub(super) async fn platform(
    roster: &Roster,
    how: Use<'_>,
    client: &anyhow::Result<reqwest::Client>,
) -> Result<anyhow::Result<AnyPlatform>, Refused> {
    Ok(match &roster.platform.kind {
        PlatformKind::Process { state_dir } => {
            if let (Purpose::Start, Some(refusal)) = (how.purpose, process::refusal(state_dir)) {
                return Err(Refused(refusal));
            }
            process(roster, state_dir).map(AnyPlatform::Process)
        }
        PlatformKind::Kubernetes(settings) => {
            let kubernetes = kubernetes(roster, settings, how.context).await;
            kubernetes.map(|platform| AnyPlatform::Kubernetes(Box::new(platform)))
        }
        PlatformKind::GithubActions(settings) => {
            let actions = actions(roster, settings, client)?;
            actions.map(|platform| AnyPlatform::Actions(Box::new(platform)))
        }
        PlatformKind::Exec(settings) => Ok(AnyPlatform::Exec(Box::new(exec(roster, settings, how.purpose)))),
    })
}

fn process(roster: &Roster, state_dir: &Path) -> anyhow::Result<Process> {
    Process::open(process::Settings {
        fleet: roster.fleet.clone(),
        roster: roster.path.clone(),
        state_dir: state_dir.to_owned(),
        repository: roster.repository.as_ref().map(Repository::full_name),
        secret_names: roster.secret_names.clone(),
        program: process::own_program()?,
    })
}

/// A plugin's operation ends so much before its step must, so that the step's error is the plugin's. Of a short time, a part.
const EXEC_RESERVE: Duration = Duration::from_secs(1);

/// The platform by a plugin for this roster; nothing of it runs after the roster's deadline.
pub(super) fn exec(roster: &Roster, settings: &ExecSettings, purpose: Purpose) -> Exec {
    let (now, inventory) = (Instant::now(), inventory_limit(roster.deadline));
    let before = |end: Duration| now + end.saturating_sub(EXEC_RESERVE.min(end / 4));
    let settings = exec::Settings {
        fleet: roster.fleet.clone(),
        repository: roster.repository.as_ref().map(Repository::full_name),
        groups: roster.roles.iter().map(|role| Group::from(&role.key)).collect(),
        on_inventory_failure: roster.platform.on_inventory_failure,
        exec: settings.clone(),
        secret_names: roster.secret_names.clone(),
    };
    Exec::new(settings, purpose, before(inventory), before(roster.deadline))
}

/// The Kubernetes platform for this roster; it asks nothing after the roster's deadline.
pub(super) async fn kubernetes(
    roster: &Roster,
    settings: &KubernetesSettings,
    context: Option<&str>,
) -> anyhow::Result<Kubernetes> {
    let settings = coordinator_platform_kubernetes::Settings {
        fleet: roster.fleet.clone(),
        repository: roster.repository.as_ref().map(Repository::full_name),
        kubernetes: settings.clone(),
        has_items: sources::has_items(roster),
        deadline: roster.deadline,
    };
    let until = Instant::now() + roster.deadline;
    Kubernetes::connect(settings, context, until).await
}

/// The GitHub Actions platform for this roster, on a client of its own: its requests are not the merge step's. Half an App
/// is refused.
pub(super) fn actions(
    roster: &Roster,
    settings: &ActionsSettings,
    client: &anyhow::Result<reqwest::Client>,
) -> Result<anyhow::Result<Actions>, Refused> {
    let settings = coordinator_platform_actions::Settings {
        fleet: roster.fleet.clone(),
        longest: roster.longest_memory(),
        time_limits: roster.time_limits(),
        actions: settings.clone(),
    };
    Ok(github(roster, client)?.map(|github| Actions::new(settings, github)))
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
