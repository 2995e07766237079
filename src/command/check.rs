//! `coordinator check`: validates the roster and shows it. Reads files, uses no network, and runs
//! `capabilities` of a plugin.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::command::{block_on, clients};
use crate::render::json::Json;
use crate::render::table::{Cell, Table, View};
use crate::render::words::count;
use crate::render::{Form, Output, Screen};
use crate::secrets::from_environment;
use coordinator_core::budget::WINDOW;
use coordinator_core::fleet::Role;
use coordinator_core::pull::Repository;
use coordinator_platform_kubernetes::KubernetesSettings;
use coordinator_platform_local::exec::Purpose;
use coordinator_roster::{
    Leftover, Located, PlatformKind, Problem, Problems, Roster, leftover_placeholders,
};

/// Images that are named; more would fill the screen.
const MAX_IMAGES: usize = 4;

/// Roles that are named after their command.
const MAX_ROLES: usize = 4;

/// For `capabilities`, which needs no network.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(5);

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
pub fn run(
    config: &Path,
    output: Output,
    screen: Screen,
    environment: &dyn Fn(&str) -> Option<String>,
) -> serde_json::Result<Answer> {
    let checked = coordinator_roster::load(config, environment).and_then(|roster| {
        let remembers =
            plugin(&roster).map_err(|problem| coordinator_roster::complaint(config, problem))?;
        Ok((roster, remembers))
    });
    let none = BTreeSet::new();
    let names = checked.as_ref().map_or(&none, |(roster, _)| &roster.secret_names);
    let secrets = from_environment(names);
    let form = Form { screen, ..Form::plain(output, &secrets) };
    match checked {
        Ok((roster, remembers)) => {
            let missing = roster.missing.iter().map(|missing| missing.problem.clone());
            let leftovers = leftover_placeholders(&roster).into_iter().map(example);
            let short = short_memory(&roster, remembers);
            let warnings = missing.chain(leftovers).chain(short).collect::<Vec<_>>();
            let warnings =
                (!warnings.is_empty()).then(|| coordinator_roster::complaints(config, warnings));
            let located = warnings.as_ref().map(Problems::located).unwrap_or_default();
            let stdout = form.show(
                || view(&roster, remembers),
                |secrets| document(&roster.roles, &[], &located).pretty(secrets),
            )?;
            Ok(Answer { stdout, problems: None, warnings })
        }
        Err(problems) => {
            let stdout = match output {
                Output::Json => document(&[], &problems.located(), &[]).pretty(&secrets)?,
                Output::Text | Output::Markdown => String::new(),
            };
            Ok(Answer { stdout, problems: Some(problems), warnings: None })
        }
    }
}

/// Whether ended sessions are remembered. Fails where the roster and its plugin do not fit each
/// other: the one question that a file cannot answer.
fn plugin(roster: &Roster) -> Result<bool, Problem> {
    let PlatformKind::Exec(settings) = &roster.platform.kind else { return Ok(true) };
    let at = || settings.place.clone();
    let mut settings = settings.clone();
    settings.timeout = settings.timeout.min(PLUGIN_TIMEOUT);
    let exec = clients::exec(roster, &settings, Purpose::Look);
    let asked = block_on(async {
        let capabilities = exec.capabilities().await?;
        Ok((exec.incompatible(capabilities), capabilities.history))
    });
    match asked {
        Ok((None, remembers)) => Ok(remembers),
        Ok((Some(incompatible), _)) => Err(Problem::new(incompatible.why, at())
            .label("does not fit this roster")
            .hint(incompatible.remedy)),
        Err(error) => {
            let problem = Problem::new(format!("{error:#}"), at()).label("`capabilities` failed");
            Err(problem.hint("run it by hand: `PLUGIN capabilities` prints one JSON object"))
        }
    }
}

fn example(left: Leftover) -> Problem {
    let Leftover { key, value } = left;
    let message = format!("{key} is still the example `{value}`");
    Problem::new(message, None).hint("write your own value in its place")
}

/// A platform that forgets sessions before they have left the window of a budget: every start under
/// a cap would wait. `remembers` is of a plugin.
fn short_memory(roster: &Roster, remembers: bool) -> Option<Problem> {
    let ttl = match &roster.platform.kind {
        PlatformKind::Kubernetes(settings) => settings.ttl,
        PlatformKind::Exec(_) if !remembers => Duration::ZERO,
        PlatformKind::Process { .. } | PlatformKind::GithubActions(_) | PlatformKind::Exec(_) => {
            return None;
        }
    };
    let hint = "raise `ttl` in [platform.kubernetes] to 24h, or let the plugin keep a history";
    let is_short = roster.budget.is_set() && ttl < WINDOW;
    let message = "[budget] holds every start: the platform forgets sessions within 24 h";
    is_short.then(|| Problem::new(message, None).hint(hint))
}

fn document(roles: &[Role], problems: &[Located], warnings: &[Located]) -> Json {
    let roles: Vec<Value> = roles.iter().map(role).collect();
    let document = json!({
        "schema": "coordinator.check/v1",
        "roles": roles,
        "problems": problems,
        "warnings": warnings,
    });
    document.into()
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

fn view(roster: &Roster, remembers: bool) -> View {
    let row = |role: &Role| {
        let mut cells = vec![
            Cell::ours(role.key.as_str()),
            Cell::number(role.count),
            Cell::new(&role.department).optional(),
            Cell::ours(role.mode.word()).optional(),
        ];
        if !has_usual_briefs(roster) {
            cells.push(Cell::new(&role.spec.brief_path));
        }
        cells
    };
    let headings: &[&str] = &["role", "count", "department", "mode", "brief"];
    let headings = if has_usual_briefs(roster) { &headings[..4] } else { headings };
    let table = Table { headings, rows: roster.roles.iter().map(row).collect() };
    View { table, lines: totals(roster, remembers) }
}

/// The brief of each role is where it is looked for when the roster does not name it.
fn has_usual_briefs(roster: &Roster) -> bool {
    roster.roles.iter().all(|role| role.spec.brief_path == format!("briefs/{}.md", role.key))
}

/// Each command once, with the roles that run it unless all do.
fn commands(roles: &[Role]) -> impl Iterator<Item = String> {
    let mut commands: Vec<(&[String], Vec<&str>)> = Vec::new();
    for role in roles {
        match commands.iter_mut().find(|(known, _)| *known == role.spec.command.as_slice()) {
            Some((_, keys)) => keys.push(role.key.as_str()),
            None => commands.push((&role.spec.command, vec![role.key.as_str()])),
        }
    }
    let several = commands.len() > 1;
    commands.into_iter().map(move |(argv, keys)| {
        let roles = match keys.len() {
            _ if !several => String::new(),
            1..=MAX_ROLES => format!("  ({})", keys.join(", ")),
            all => format!("  ({all} roles)"),
        };
        format!("command {}{roles}", command(argv))
    })
}

/// The words as a person would type them.
fn command(argv: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,{}".contains(c);
    let words = argv.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) { word.clone() } else { format!("{word:?}") }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn totals(roster: &Roster, remembers: bool) -> Vec<String> {
    let agents: u32 = roster.roles.iter().map(|role| role.count).sum();
    let merge = match &roster.repository {
        Some(repository) if roster.merge.enabled => {
            format!("{}/{}", repository.owner, repository.name)
        }
        Some(_) => "turned off by `enabled = false`".to_owned(),
        None => "not configured: add [repository]".to_owned(),
    };
    let health = match roster.health.as_slice() {
        [] => "not configured: add [[health]]".to_owned(),
        endpoints => {
            endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect::<Vec<_>>().join(", ")
        }
    };
    let (roles, agents) = (count(roster.roles.len() as u64, "role"), count(agents.into(), "agent"));
    let mut lines = vec![
        format!("fleet {}: {roles}, {agents}", roster.fleet),
        format!("runs    {}", platform(roster, remembers)),
    ];
    lines.extend(commands(&roster.roles));
    lines.extend(has_usual_briefs(roster).then(|| "briefs  briefs/ROLE.md".to_owned()));
    lines.extend([format!("merge   {merge}"), format!("health  {health}")]);
    lines
}

fn platform(roster: &Roster, remembers: bool) -> String {
    match &roster.platform.kind {
        PlatformKind::Process { .. } => "on this machine".to_owned(),
        PlatformKind::Kubernetes(settings) => cluster(settings, &roster.roles),
        PlatformKind::GithubActions(settings) => {
            let place = roster
                .repository
                .as_ref()
                .map_or_else(String::new, |Repository { owner, name, .. }| {
                    format!(" in {owner}/{name}")
                });
            format!("as runs of {} on {}{place}", settings.workflow, settings.git_ref)
        }
        PlatformKind::Exec(settings) => {
            let backoff =
                if remembers { "" } else { ", which keeps no history: no slot ever backs off" };
            format!("by the plugin {}{backoff}", settings.plugin.display())
        }
    }
}

fn cluster(settings: &KubernetesSettings, roles: &[Role]) -> String {
    let place = match &settings.namespace {
        Some(namespace) => format!("namespace {namespace}"),
        None => "the context's namespace".to_owned(),
    };
    let images: BTreeSet<_> = roles
        .iter()
        .filter_map(|role| role.spec.container.as_ref())
        .map(|it| it.image.as_str())
        .collect();
    let shown = images.iter().copied().take(MAX_IMAGES).collect::<Vec<_>>().join(", ");
    match images.len() {
        0 => format!("as Jobs in {place}"),
        1..=MAX_IMAGES => format!("as Jobs in {place}, image {shown}"),
        all => format!("as Jobs in {place}, image {shown} and {} more", all - MAX_IMAGES),
    }
}
