//! `[platform]`, `[repository]`, `[merge]` and `[[health]]`, from checked values.

use std::collections::BTreeMap;
use std::path::PathBuf;

use coordinator_core::fleet::Role;

use super::load::{Surroundings, owned, resolve};
use super::problem::Problem;
use super::section::Values;
use super::text;
use super::value::Value;
use super::variables::MissingVariables;
use super::{OnInventoryFailure, PlatformKind, PlatformSettings};
use super::{actions, exec, kubernetes};
use coordinator_core::endpoint::{Endpoint, Redirects};
use coordinator_core::merge::{CheckMode, CommitMessage, LastPushApproval, MergePolicy, StaleApprovals};
use coordinator_core::pull::Repository;

pub(super) fn platform(
    document: &Values,
    roles: &mut [Role],
    around: &Surroundings<'_>,
    missing: &mut MissingVariables,
    problems: &mut Vec<Problem>,
) -> Option<PlatformSettings> {
    let values = document.section("platform")?;
    let kubernetes = kubernetes::settings::read(document, roles, around, problems);
    let actions = actions::read(document, roles, problems);
    let exec = exec::read(values, around, missing, problems);
    let kind = match values.text("kind")? {
        "kubernetes" => PlatformKind::Kubernetes(Box::new(kubernetes?)),
        "github-actions" => PlatformKind::GithubActions(actions?),
        "exec" => PlatformKind::Exec(exec?),
        _ => {
            let process = values.section("process")?;
            PlatformKind::Process { state_dir: state_dir(process, "[platform.process]", around, problems)? }
        }
    };
    let on_inventory_failure = if values.is("on_inventory_failure", "skip") {
        OnInventoryFailure::Skip
    } else {
        OnInventoryFailure::Spawn
    };
    Some(PlatformSettings {
        kind,
        max_running: Some(values.number("max_running")).filter(|cap| *cap > 0),
        max_spawns: values.number("max_spawns"),
        on_inventory_failure,
    })
}

/// Where a platform keeps files of this machine. `heading` is the section of `values`.
pub(super) fn state_dir(
    values: &Values,
    heading: &str,
    around: &Surroundings<'_>,
    problems: &mut Vec<Problem>,
) -> Option<PathBuf> {
    let state_home = || (around.environment)("XDG_STATE_HOME").filter(|path| path.starts_with('/'));
    let found = match (values.text("state_dir"), state_home()) {
        (Some(given), _) => resolve(given, around),
        (None, Some(state_home)) => Some(PathBuf::from(state_home).join("coordinator")),
        (None, None) => resolve("~/.local/state/coordinator", around),
    };
    if found.is_none() {
        let message = "there is no place for records: the environment has no HOME";
        let hint = format!("set `state_dir` in {heading} to an absolute path");
        problems.push(Problem::new(message, values.span("state_dir")).hint(hint));
    }
    found
}

pub(super) fn repository(document: &Values) -> Option<Repository> {
    let values = document.section("repository")?;
    let api_url = values.text("api_url")?.trim_end_matches('/').to_owned();
    let graphql_url = values.text("graphql_url").map_or_else(|| graphql_url(&api_url), str::to_owned);
    Repository::named(values.text("name")?, &api_url, &graphql_url).ok()
}

/// GitHub Enterprise Server keeps REST under `/api/v3` and GraphQL beside it
/// (<https://docs.github.com/en/enterprise-server/graphql/guides/managing-enterprise-accounts>).
fn graphql_url(api_url: &str) -> String {
    match api_url.strip_suffix("/api/v3") {
        Some(host) => format!("{host}/api/graphql"),
        None => format!("{api_url}/graphql"),
    }
}

pub(super) fn merge(document: &Values) -> MergePolicy {
    let none = Values::default();
    let values = document.section("merge").unwrap_or(&none);
    let globs = |key| match values.value(key) {
        Some(Value::Globs(set)) => set.clone(),
        _ => globset::GlobSet::empty(),
    };
    let texts = |key| values.texts(key).to_vec();
    MergePolicy {
        enabled: values.flag("enabled"),
        bases: texts("bases"),
        min_approvals: values.number("min_approvals"),
        stale_approvals: if values.is("stale_approvals", "github") {
            StaleApprovals::Github
        } else {
            StaleApprovals::Block
        },
        last_push_approval: if values.is("last_push_approval", "require") {
            LastPushApproval::Require
        } else {
            LastPushApproval::Github
        },
        trusted_approvers: texts("trusted_approvers"),
        allow_bot_approvers: values.texts("allow_bot_approvers").iter().map(|login| bare(login)).collect(),
        checks: if values.is("checks", "required") { CheckMode::Required } else { CheckMode::All },
        required_checks: match values.value("required_checks") {
            Some(Value::Checks(checks)) => checks.clone(),
            _ => Vec::new(),
        },
        ignored_checks: globs("ignored_checks"),
        allow_no_checks: values.flag("allow_no_checks"),
        allow_forks: values.flag("allow_forks"),
        block_labels: texts("block_labels"),
        required_labels: texts("required_labels"),
        block_title: match values.value("block_title") {
            Some(Value::Pattern(pattern)) => pattern.clone(),
            _ => None,
        },
        settle: values.duration("settle"),
        protected_paths: Some(globs("protected_paths")).filter(|set| !set.is_empty()),
        pause: values.duration("pause"),
        max_merges: values.number("max_merges"),
        hold_when_down: values.flag("hold_when_down"),
        commit_message: if values.is("commit_message", "repository") {
            CommitMessage::Repository
        } else {
            CommitMessage::Title
        },
    }
}

fn bare(login: &str) -> String {
    login.strip_suffix("[bot]").unwrap_or(login).to_owned()
}

/// What `hold_when_down` waits for must be there.
pub(super) fn check_hold(document: &Values, health: &[Endpoint], problems: &mut Vec<Problem>) {
    let Some(values) = document.section("merge").filter(|values| values.flag("hold_when_down")) else {
        return;
    };
    if health.is_empty() {
        let message = "`hold_when_down` without a [[health]] would hold every merge";
        let problem = Problem::new(message, values.span("hold_when_down"));
        problems.push(problem.hint("add a [[health]] with the address of production"));
    }
}

pub(super) fn health(document: &Values, problems: &mut Vec<Problem>) -> Vec<Endpoint> {
    let mut names = BTreeMap::new();
    let sections = document.sections("health");
    for values in sections {
        let (Some(name), Some(span)) = (values.text("name"), values.span("name")) else { continue };
        if name.trim().is_empty() {
            problems.push(
                Problem::new("an endpoint has an empty `name`", Some(span)).label("name it for people"),
            );
        } else if names.insert(name, span.clone()).is_some() {
            let message = format!("endpoint {} is there twice", text::quoted(name));
            problems.push(Problem::new(message, Some(span)).label("give each endpoint a name of its own"));
        }
    }
    sections.iter().map(endpoint).collect()
}

fn endpoint(values: &Values) -> Endpoint {
    Endpoint {
        name: owned(values, "name"),
        url: owned(values, "url"),
        expect: match values.value("expect") {
            Some(Value::Statuses(codes)) => codes.clone(),
            _ => Vec::new(),
        },
        timeout: values.duration("timeout"),
        redirects: match values.text("redirects") {
            Some("follow") => Redirects::Follow,
            Some("none") => Redirects::None,
            _ => Redirects::SameHost,
        },
    }
}
