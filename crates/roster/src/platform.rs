//! `[platform]`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use coordinator_core::fleet::{Role, RoleKey};
use coordinator_core::plan::OnInventoryFailure;
use coordinator_core::section::{Count, FilePath, LoadContext, Placed, Problem, state_dir};
use coordinator_platform_actions as actions;
use coordinator_platform_kubernetes as kubernetes;
use coordinator_platform_local::{exec, process};

use super::agents::{self, Agents};
use super::load::Document;
use super::texts::{self, Unreadable};
use super::variables::{Destination, Variables};
use super::{PlatformKind, PlatformSettings};

coordinator_core::section! {
    /// Where sessions run, and how many.
    pub(super) struct Section {
        /// `process`: local processes that outlive the run; `kubernetes`: Jobs on a cluster;
        /// `github-actions`: workflow runs; `exec`: sessions that a plugin starts.
        kind: Placed<Kind> = Kind::Process.into(),
        /// Live sessions in the whole fleet; 0: no cap.
        max_running: Count = Count::of(0),
        /// Starts per cycle; 0 starts none: the pause switch.
        max_spawns: Count = Count::of(50),
        /// What to do when the sessions cannot be listed: `spawn` looks at each slot on its own and
        /// starts where it is certainly free, `skip` starts nothing.
        on_inventory_failure: OnInventoryFailure = OnInventoryFailure::Spawn,
        process: process::section::Section = process::section::Section::default(),
        kubernetes: Placed<kubernetes::section::Section> = Placed::default(),
        #[serde(rename = "github-actions")]
        github_actions: actions::section::Section = actions::section::Section::default(),
        exec: Placed<exec::section::Section> = Placed::default(),
    }
}

/// `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Process,
    Kubernetes,
    GithubActions,
    Exec,
}

/// The settings of the chosen platform; problems of the other sections are found too. `wrong` are
/// the keys whose values could not be read.
pub(super) fn settings(
    document: &Document,
    agents: &mut Agents,
    wrong: &BTreeSet<String>,
    around: LoadContext<'_>,
    problems: &mut Vec<Problem>,
) -> Option<PlatformSettings> {
    let section = &document.platform;
    let on_cluster = on_cluster(document, &mut agents.roles, wrong, around, problems);
    let plugin = plugin(section, agents, wrong, around, problems);
    let kind = match section.kind.value {
        Kind::Kubernetes => PlatformKind::Kubernetes(Box::new(on_cluster?)),
        Kind::GithubActions => {
            check_runs(document, &agents.roles, problems);
            PlatformKind::GithubActions(section.github_actions.clone().into())
        }
        Kind::Exec => PlatformKind::Exec(plugin?),
        Kind::Process => {
            let state_dir =
                state_dir(section.process.state_dir.as_ref(), "[platform.process]", around);
            PlatformKind::Process {
                state_dir: state_dir.map_err(|problem| problems.push(problem)).ok()?,
            }
        }
    };
    Some(PlatformSettings {
        kind,
        max_running: Some(section.max_running.get()).filter(|cap| *cap > 0),
        max_spawns: section.max_spawns.get(),
        on_inventory_failure: section.on_inventory_failure,
    })
}

/// The settings of `[platform.kubernetes]`; the roles get their containers.
fn on_cluster(
    document: &Document,
    roles: &mut [Role],
    wrong: &BTreeSet<String>,
    around: LoadContext<'_>,
    problems: &mut Vec<Problem>,
) -> Option<kubernetes::KubernetesSettings> {
    let Section { kind, kubernetes: section, .. } = &document.platform;
    let chosen = kubernetes::section::Chosen {
        kind: kind.span.clone(),
        deadline: document.deadline.clone(),
    };
    let chosen = Some(chosen).filter(|_| kind.value == Kind::Kubernetes);
    let template = section.template.as_ref().and_then(|path| template(path, around, problems));
    let specs: BTreeMap<_, _> = roles.iter().map(|role| (&role.key, &*role.spec)).collect();
    let facts = document.role.iter().filter_map(|role| facts(role, &specs));
    let facts: Vec<_> = facts.collect();
    let context = kubernetes::section::Context { template, wrong, chosen };
    let settings = kubernetes::section::settings(section, &facts, &context, problems)?;
    let own: BTreeMap<_, _> = document
        .role
        .iter()
        .filter_map(|role| Some((&role.key.as_ref()?.value, &role.kubernetes)))
        .collect();
    for role in roles {
        let container =
            own.get(&role.key).and_then(|own| kubernetes::section::container(own, section));
        Arc::make_mut(&mut role.spec).container = container;
    }
    Some(settings)
}

fn facts<'a>(
    role: &'a agents::Section,
    specs: &BTreeMap<&RoleKey, &'a coordinator_core::fleet::SessionSpec>,
) -> Option<kubernetes::section::RoleFacts<'a>> {
    let key = role.key.as_ref()?;
    Some(kubernetes::section::RoleFacts {
        key,
        own: &role.kubernetes,
        time_limit: &role.agent.time_limit,
        backoff_base: &role.agent.backoff_base,
        backoff_cap: &role.agent.backoff_cap,
        min_interval: &role.agent.min_interval,
        variables: role.agent.env.0.keys().map(|name| &**name).collect(),
        spec: specs.get(&key.value).copied(),
    })
}

/// The text of a template beside the roster.
fn template(
    named: &Placed<FilePath>,
    around: LoadContext<'_>,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let path = around.resolve(named).unwrap_or_else(|| named.to_string().into());
    let unreadable = match texts::text(&path, kubernetes::section::MAX_TEMPLATE) {
        Ok(text) => return Some(text),
        Err(unreadable) => unreadable,
    };
    let named_file = &named.value;
    let (message, hint) = match unreadable {
        Unreadable::Missing => (
            format!("template {named_file} not found"),
            "write it beside the roster, where its path starts, or take `template` out",
        ),
        Unreadable::Bad(why) => {
            (format!("the template {named_file} {why}"), "write a Job in YAML, of 256 KiB at most")
        }
        Unreadable::NotUtf8 { at, .. } => (
            format!("the template {named_file} is not UTF-8 from byte {at} on"),
            "save the file as UTF-8",
        ),
    };
    problems.push(Problem::new(message, named.span.clone()).hint(hint));
    None
}

fn plugin(
    section: &Section,
    agents: &mut Agents,
    wrong: &BTreeSet<String>,
    around: LoadContext<'_>,
    problems: &mut Vec<Problem>,
) -> Option<exec::ExecSettings> {
    let mut variables = Variables::new(around.environment, Destination::Agent);
    let env = variables.expand(&section.exec.env);
    agents.missing.note(&env);
    problems.append(&mut variables.problems);
    if section.kind.value != Kind::Exec || wrong.contains("plugin") {
        return None;
    }
    agents.missing.note_plugin(&env);
    agents.secret_names.extend(variables.named.iter().cloned());
    let kind: Option<&Range<usize>> = section.kind.span.as_ref();
    exec::ExecSettings::of(&section.exec, kind, (env.env, variables.named), around, problems)
}

fn check_runs(document: &Document, roles: &[Role], problems: &mut Vec<Problem>) {
    if document.repository.is_none() {
        let span = document.platform.kind.span.clone();
        let problem = Problem::new("`github-actions` needs a repository to run workflows in", span);
        problems.push(problem.hint("add [repository] with `name = \"owner/repo\"`"));
    }
    let specs: BTreeMap<_, _> = roles.iter().map(|role| (&role.key, &*role.spec)).collect();
    for role in &document.role {
        let Some((key, spec)) =
            role.key.as_ref().and_then(|key| Some((key, specs.get(&key.value)?)))
        else {
            continue;
        };
        actions::section::check_role(key, role.agent.time_limit.span.as_ref(), spec, problems);
    }
}
