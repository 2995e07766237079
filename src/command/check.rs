//! `coordinator check`: is the roster valid, and what does it say? Reads files, uses no network, and asks a plugin
//! what it can do.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use self::plugin::Memory;
use crate::render::Output;
use crate::render::table::Table;
use coordinator_core::fleet::Role;
use coordinator_core::pull::Repository;
use coordinator_platform_kubernetes::KubernetesSettings;
use coordinator_roster::{Located, PlatformKind, Problems, Roster};

mod plugin;

/// More would fill the screen.
const SHOWN_IMAGES: usize = 4;

/// What `check` answers.
#[derive(Debug)]
pub struct Answer {
    /// For standard output; may be empty.
    pub stdout: String,
    /// What is wrong: for standard error, and exit code 2.
    pub problems: Option<Problems>,
    /// What only some commands need: for standard error.
    pub warnings: Option<Problems>,
}

/// Validates the roster at `config` and shows it.
pub fn run(config: &Path, output: Output, environment: &dyn Fn(&str) -> Option<String>) -> Answer {
    let checked = coordinator_roster::load(config, environment).and_then(|roster| {
        let plugin =
            plugin::check(&roster).map_err(|problem| coordinator_roster::complaint(config, problem))?;
        Ok((roster, plugin))
    });
    match checked {
        Ok((roster, plugin)) => {
            let warnings = roster.missing.iter().map(|missing| missing.problem.clone()).collect::<Vec<_>>();
            let warnings = (!warnings.is_empty()).then(|| coordinator_roster::complaints(config, warnings));
            let located = warnings.as_ref().map(Problems::located).unwrap_or_default();
            Answer { stdout: show(&roster, plugin, &located, output), problems: None, warnings }
        }
        Err(problems) => {
            let stdout = match output {
                Output::Json => document(&[], &problems.located(), &[]),
                Output::Text | Output::Markdown => String::new(),
            };
            Answer { stdout, problems: Some(problems), warnings: None }
        }
    }
}

fn show(roster: &Roster, plugin: Memory, warnings: &[Located], output: Output) -> String {
    match output {
        Output::Json => document(&roster.roles, &[], warnings),
        Output::Text => format!("{}\n{}", table(roster).text(), totals(roster, plugin)),
        Output::Markdown => format!("{}\n{}", table(roster).markdown(), totals(roster, plugin)),
    }
}

fn document(roles: &[Role], problems: &[Located], warnings: &[Located]) -> String {
    let roles: Vec<Value> = roles.iter().map(role).collect();
    let document = json!({
        "schema": "coordinator.check/v1",
        "roles": roles,
        "problems": problems,
        "warnings": warnings,
    });
    format!("{document:#}\n")
}

fn role(role: &Role) -> Value {
    json!({
        "role": role.key.as_str(),
        "name": role.name,
        "count": role.count,
        "department": role.department,
        "mode": role.mode.word(),
        "brief": role.spec.brief_path,
        "command": role.spec.command,
    })
}

fn table(roster: &Roster) -> Table<'static> {
    let row = |role: &Role| {
        vec![
            role.key.to_string(),
            role.count.to_string(),
            role.department.clone(),
            role.mode.word().to_owned(),
            role.spec.brief_path.clone(),
            command(&role.spec.command),
        ]
    };
    Table {
        headings: &["role", "count", "department", "mode", "brief", "command"],
        rows: roster.roles.iter().map(row).collect(),
    }
}

/// The words as a person would type them.
fn command(argv: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,{}".contains(c);
    let words = argv.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) { word.clone() } else { format!("{word:?}") }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn totals(roster: &Roster, plugin: Memory) -> String {
    let agents: u32 = roster.roles.iter().map(|role| role.count).sum();
    let merge = match &roster.repository {
        Some(repository) if roster.merge.enabled => format!("{}/{}", repository.owner, repository.name),
        Some(_) => "turned off by `enabled = false`".to_owned(),
        None => "not configured: add [repository]".to_owned(),
    };
    let health = match roster.health.as_slice() {
        [] => "not configured: add [[health]]".to_owned(),
        endpoints => endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect::<Vec<_>>().join(", "),
    };
    format!(
        "fleet {}: {}, {}\nruns    {}\nmerge   {merge}\nhealth  {health}\n",
        roster.fleet,
        counted(roster.roles.len(), "role"),
        counted(usize::try_from(agents).unwrap_or(usize::MAX), "agent"),
        platform(roster, plugin),
    )
}

fn platform(roster: &Roster, plugin: Memory) -> String {
    match &roster.platform.kind {
        PlatformKind::Process { .. } => "on this machine".to_owned(),
        PlatformKind::Kubernetes(settings) => cluster(settings, &roster.roles),
        PlatformKind::GithubActions(settings) => {
            let place = roster
                .repository
                .as_ref()
                .map_or_else(String::new, |Repository { owner, name, .. }| format!(" in {owner}/{name}"));
            format!("as runs of {} on {}{place}", settings.workflow, settings.git_ref)
        }
        PlatformKind::Exec(settings) => {
            let backoff = match plugin {
                Memory::Kept => "",
                Memory::None => ", which keeps no history: no slot ever backs off",
            };
            format!("by the plugin {}{backoff}", settings.plugin.display())
        }
    }
}

fn cluster(settings: &KubernetesSettings, roles: &[Role]) -> String {
    let place = match &settings.namespace {
        Some(namespace) => format!("namespace {namespace}"),
        None => "the context's namespace".to_owned(),
    };
    let images: BTreeSet<_> =
        roles.iter().filter_map(|role| role.spec.container.as_ref()).map(|it| it.image.as_str()).collect();
    let shown = images.iter().copied().take(SHOWN_IMAGES).collect::<Vec<_>>().join(", ");
    match images.len() {
        0 => format!("as Jobs in {place}"),
        1..=SHOWN_IMAGES => format!("as Jobs in {place}, image {shown}"),
        all => format!("as Jobs in {place}, image {shown} and {} more", all - SHOWN_IMAGES),
    }
}

fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
