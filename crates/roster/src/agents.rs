//! `[defaults]` and `[[role]]`: roles with their briefs read, their prompts composed, their environment filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coordinator_core::backoff::BackoffSettings;
use coordinator_core::fleet::{LocalSettings, Mode, Role, RoleKey, SessionSpec};
use coordinator_core::prompt::{self, Prompt};

use super::briefs::{Briefs, Mistake};
use super::load::Surroundings;
use super::problem::Problem;
use super::reference::MOST;
use super::section::Values;
use super::value::Value;
use super::variables::{Destination, MissingVariables, Variables};

/// A prompt becomes one argument or one environment variable; Linux takes 128 KiB for either.
const LARGEST_PROMPT: usize = 96 * 1024;

/// Linux starts no program with a longer argument or variable, its name and the end mark included (`execve(2)`).
const LARGEST_TEXT: usize = 128 * 1024;

/// What the roster says about agents.
pub(super) struct Agents {
    pub(super) roles: Vec<Role>,
    pub(super) secret_names: BTreeSet<String>,
    pub(super) missing: MissingVariables,
}

/// All roles that could be read, with a problem for each that could not.
pub(super) fn read(document: &Values, around: &Surroundings<'_>, problems: &mut Vec<Problem>) -> Agents {
    let none = Values::default();
    let defaults = document.section("defaults").unwrap_or(&none);
    let mut variables = Variables::new(around.environment, destination(document));
    let shared = variables.expand(defaults);
    let mut missing = MissingVariables::default();
    missing.note(&shared);
    let mut briefs = Briefs::new(around.folder);
    let mut roles = Vec::new();
    for values in document.sections("role") {
        let own = variables.expand(values);
        missing.note(&own);
        let env = own.over(shared.clone());
        let mut values = values.clone();
        values.inherit(defaults);
        let role = role(document, &values, env.env.clone(), &mut briefs, problems);
        if let Some(role) = &role {
            missing.note_role(&env, &role.key);
        }
        roles.extend(role);
    }
    problems.append(&mut variables.problems);
    check_keys(document, problems);
    check_total(document, problems);
    Agents { roles, secret_names: variables.named, missing }
}

fn destination(document: &Values) -> Destination {
    match document.section("platform").and_then(|platform| platform.text("kind")) {
        Some("kubernetes") => Destination::Job,
        Some("github-actions") => Destination::Run,
        _ => Destination::Agent,
    }
}

fn role(
    document: &Values,
    values: &Values,
    env: BTreeMap<String, String>,
    briefs: &mut Briefs<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Role> {
    let key = RoleKey::parse(values.text("key")?).ok()?;
    // A mode that is none has its problem already; the brief is looked at all the same.
    let mode =
        Mode::ALL.into_iter().find(|mode| values.is("mode", mode.word())).unwrap_or(Mode::SelfDirected);
    let name = values.text("name").filter(|name| !name.trim().is_empty());
    let name = name.map_or_else(|| title(&key), str::to_owned);
    let brief_path = values.text("brief").map_or_else(|| format!("briefs/{key}.md"), str::to_owned);
    let texts = match texts(document, (&key, &name), mode, &brief_path, briefs) {
        Ok(texts) => texts,
        Err(mistake) => {
            let span = values.span("brief").or_else(|| values.span("key"));
            problems.push(Problem::new(mistake.message, span).hint(mistake.hint));
            return None;
        }
    };
    let spec = spec(values, env, brief_path, texts);
    check_sizes(&key, values, &spec, problems);
    Some(Role {
        key,
        name,
        count: values.number("count"),
        department: values.text("department").unwrap_or_default().to_owned(),
        mode,
        spec: Arc::new(spec),
    })
}

/// What the system would refuse at the start is refused here, with its place.
fn check_sizes(key: &RoleKey, values: &Values, spec: &SessionSpec, problems: &mut Vec<Problem>) {
    let mut check = |what: String, bytes: usize, place: &str| {
        if bytes >= LARGEST_TEXT {
            let span = values.span(place).or_else(|| values.span("key"));
            let message = format!("{what} of `{key}` is too long: {} KiB", bytes.div_ceil(1024));
            problems.push(Problem::new(message, span).hint("the system takes less than 128 KiB"));
        }
    };
    for (place, argument) in spec.command.iter().enumerate() {
        let filled = argument.replace("{brief}", &spec.brief).replace("{prompt}", &spec.prompt);
        check(format!("argument {place} of the command"), filled.len(), "command");
    }
    for (name, value) in &spec.env {
        check(format!("the variable {name}"), name.len() + value.len() + 1, "env");
    }
}

fn spec(
    values: &Values,
    env: BTreeMap<String, String>,
    brief_path: String,
    (brief, prompt): (String, String),
) -> SessionSpec {
    SessionSpec {
        command: values.texts("command").to_vec(),
        prompt,
        brief,
        env,
        time_limit: values.duration("time_limit"),
        brief_path,
        local: LocalSettings {
            min_free_bytes: match values.value("min_free") {
                Some(Value::Bytes(bytes)) => *bytes,
                _ => 0,
            },
            retain: values.number("retain"),
            retain_work: values.number("retain_work"),
        },
        container: None,
        restraint: BackoffSettings {
            backoff_base: values.duration("backoff_base"),
            backoff_cap: values.duration("backoff_cap"),
            min_runtime: values.duration("min_runtime"),
            min_interval: values.duration("min_interval"),
        },
    }
}

/// The brief and the prompt around it.
fn texts(
    document: &Values,
    role: (&RoleKey, &str),
    mode: Mode,
    brief_path: &str,
    briefs: &mut Briefs<'_>,
) -> Result<(String, String), Mistake> {
    let (key, name) = role;
    let brief = briefs.brief(brief_path)?;
    let prompt = prompt::compose(&Prompt {
        fleet: document.text("fleet").unwrap_or_default(),
        repository: document.section("repository").and_then(|section| section.text("name")),
        production: document.sections("health").iter().filter_map(|endpoint| endpoint.text("url")).collect(),
        key: key.as_str(),
        name,
        preamble: &briefs.preamble()?,
        mode,
        mode_text: &briefs.mode(mode)?,
        brief: &brief,
    });
    if prompt.len() <= LARGEST_PROMPT {
        return Ok((brief, prompt));
    }
    Err(Mistake {
        message: format!(
            "the prompt of `{key}` is too long: {} KiB of at most 96",
            prompt.len().div_ceil(1024)
        ),
        hint: format!("shorten {brief_path}, briefs/preamble.md or the mode's paragraph"),
    })
}

/// `ui_builder` for people: `Ui Builder`.
fn title(key: &RoleKey) -> String {
    let words = key.as_str().split('_').filter(|word| !word.is_empty());
    let capitalised = words.map(|word| word[..1].to_uppercase() + &word[1..]);
    capitalised.collect::<Vec<_>>().join(" ")
}

/// No key twice, and none that reads as another's full name: `logs demo-x-s0` must mean one slot.
fn check_keys(document: &Values, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    let keys =
        || document.sections("role").iter().filter_map(|role| Some((role.text("key")?, role.span("key")?)));
    for (key, span) in keys() {
        if !seen.insert(key) {
            let problem = Problem::new(format!("role `{key}` is there twice"), Some(span));
            problems.push(problem.label("give each role a key of its own, or raise `count`"));
        }
    }
    let Some(fleet) = document.text("fleet") else { return };
    for (key, span) in keys() {
        let other = key.strip_prefix(fleet).and_then(|rest| rest.strip_prefix('_'));
        if let Some(other) = other.filter(|other| seen.contains(other)) {
            let message =
                format!("sessions of `{key}` would be named like those of `{other}` in fleet `{fleet}`");
            problems.push(Problem::new(message, Some(span)).label("choose another key"));
        }
    }
}

fn check_total(document: &Values, problems: &mut Vec<Problem>) {
    let roles = document.sections("role");
    let total: u64 = roles.iter().map(|role| u64::from(role.number("count"))).sum();
    if total > u64::from(MOST) {
        let largest =
            roles.iter().max_by_key(|role| role.number("count")).and_then(|role| role.span("count"));
        let message = format!("the roles ask for {total} sessions in all");
        problems.push(Problem::new(message, largest).label(format!("at most {MOST}")));
    }
}
