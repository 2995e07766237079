//! Connects the clients of a command as roster and environment configure them.

use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::time::Instant;

use crate::cli::Global;
use crate::command::Refused;
use crate::cycle::inventory_limit;
use crate::platforms::AnyPlatform;
#[cfg(feature = "kubernetes")]
use crate::sources;
use coordinator_core::fleet::Group;
use coordinator_core::pull::Repository;
use coordinator_github::{Credentials, Github};
use coordinator_http::Client;
use coordinator_platform_actions::{Actions, ActionsSettings};
#[cfg(feature = "kubernetes")]
use coordinator_platform_kubernetes::{Kubernetes, KubernetesSettings};
use coordinator_platform_local::exec::{self, Exec, ExecSettings, Purpose};
use coordinator_platform_local::process::{self, Process};
use coordinator_roster::{PlatformKind, Roster};

#[cfg(not(feature = "kubernetes"))]
const WITHOUT_KUBERNETES: &str = "this build of coordinator has no support for Kubernetes; \
    install one with the feature `kubernetes`";

/// The roster's platform, for a command that starts nothing.
pub(super) async fn platform_to_look(
    roster: &Roster,
    global: &Global,
) -> anyhow::Result<AnyPlatform> {
    platform(roster, Purpose::Look, global.context.as_deref(), &Client::new()).await?
}

/// The platform of this roster. Outer error: a mistake in the configuration (a place where local
/// sessions cannot live, half a GitHub App). Inner error: the platform cannot be used now.
/// `context` is the kubeconfig's.
#[cfg_attr(
    not(feature = "kubernetes"),
    expect(
        unused_variables,
        clippy::unused_async,
        reason = "clusters alone have a context, and are waited for"
    )
)]
pub(super) async fn platform(
    roster: &Roster,
    purpose: Purpose,
    context: Option<&str>,
    client: &anyhow::Result<Client>,
) -> Result<anyhow::Result<AnyPlatform>, Refused> {
    Ok(match &roster.platform.kind {
        PlatformKind::Process { state_dir } => {
            if let (Purpose::Start, Some(refusal)) = (purpose, process::refusal(state_dir)) {
                return Err(Refused::Usage(refusal));
            }
            let process = process::own_program().and_then(|program| {
                Process::open(process::Settings {
                    fleet: roster.fleet.clone(),
                    roster: roster.path.clone(),
                    state_dir: state_dir.clone(),
                    repository: roster.repository.as_ref().map(Repository::full_name),
                    secret_names: roster.secret_names.clone(),
                    program,
                })
            });
            process.map(AnyPlatform::Process)
        }
        #[cfg(not(feature = "kubernetes"))]
        PlatformKind::Kubernetes(_) => return Err(Refused::Usage(WITHOUT_KUBERNETES.to_owned())),
        #[cfg(feature = "kubernetes")]
        PlatformKind::Kubernetes(settings) => {
            let kubernetes = kubernetes(roster, settings, context).await;
            kubernetes.map(|platform| AnyPlatform::Kubernetes(Box::new(platform)))
        }
        PlatformKind::GithubActions(settings) => {
            let actions = actions(roster, settings, client)?;
            actions.map(|platform| AnyPlatform::Actions(Box::new(platform)))
        }
        PlatformKind::Exec(settings) => {
            Ok(AnyPlatform::Exec(Box::new(exec(roster, settings, purpose))))
        }
    })
}

/// A plugin's operation ends this long before its step must, so that the step's error is the
/// plugin's; of a short time, a quarter.
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

/// The Kubernetes platform for this roster; it sends nothing after the roster's deadline.
#[cfg(feature = "kubernetes")]
async fn kubernetes(
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

/// The GitHub Actions platform for this roster, on a client of its own: its requests are not the
/// merge step's.
fn actions(
    roster: &Roster,
    settings: &ActionsSettings,
    client: &anyhow::Result<Client>,
) -> Result<anyhow::Result<Actions>, Refused> {
    let settings = coordinator_platform_actions::Settings {
        fleet: roster.fleet.clone(),
        longest: roster.longest_memory(),
        time_limits: roster.time_limits(),
        actions: settings.clone(),
    };
    Ok(github(roster, client)?.map(|github| Actions::new(settings, github)))
}

/// GitHub over this client. Outer error: incomplete credentials of a GitHub App. Inner error: no
/// repository, no token, or no client.
pub(super) fn github(
    roster: &Roster,
    client: &anyhow::Result<Client>,
) -> Result<anyhow::Result<Github>, Refused> {
    let credentials = Credentials::from_environment();
    let credentials = credentials.map_err(|error| Refused::Usage(format!("{error:#}")))?;
    let connect = || {
        let repository = roster.repository.as_ref().with_context(|| {
            format!("no repository configured; add [repository] to {}", roster.path.display())
        })?;
        let credentials = credentials
            .context("no GitHub token; set GITHUB_TOKEN, or the three variables GITHUB_APP_*")?;
        let client = client.as_ref().map_err(|error| anyhow!("{error:#}"))?;
        Github::over(client.clone(), repository, credentials)
    };
    Ok(connect())
}
