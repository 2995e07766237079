//! `[defaults]` and `[[role]]`: roles with their briefs read, their prompts composed, their
//! environment filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use coordinator_core::agent::Profile;
use coordinator_core::backoff::BackoffSettings;
use coordinator_core::fleet::{LocalSettings, Mode, Role, RoleKey, SessionSpec};
use coordinator_core::placeholders::misspelt;
use coordinator_core::prompt::{self, Prompt};
use coordinator_core::sanitize::one_line;
use coordinator_core::section::{
    self, Argument, Count, Dollars, FilePath, Line, LoadContext, MAX_COUNT, Placed, Problem, Size,
    Time,
};
use coordinator_platform_kubernetes::section::RoleSection;

use super::load::Document;
use super::platform::Kind;
use super::texts::{Briefs, Mistake};
use super::variables::{Destination, MissingVariables, Variables};

/// A prompt becomes one argument or one environment variable; Linux takes 128 KiB for either.
const MAX_PROMPT: usize = 96 * 1024;

/// Linux starts no program with a longer argument or variable, its name and the end mark included
/// (`execve(2)`).
const MAX_TEXT: usize = 128 * 1024;

/// The placeholder of `session_usd`, which is the same in every slot of a role.
const BUDGET: &str = "{budget}";

/// Claude Code, which writes each step as it comes.
const DEFAULT_COMMAND: [&str; 8] = [
    "claude",
    "-p",
    "{prompt}",
    "--output-format",
    "stream-json",
    "--verbose",
    "--permission-mode",
    "bypassPermissions",
];

coordinator_core::section! {
    /// Defaults of every role; a role may override each key. `env` is merged, the role's values
    /// win.
    #[allow(clippy::struct_field_names, reason = "the keys are the roster's")]
    pub(super) struct Agent {
        /// Program and arguments, without a shell. `{prompt}`, `{brief}`, `{role}`, `{slot}`,
        /// `{fleet}` and `{budget}` (`session_usd`) are replaced, other braces stay; without
        /// `{prompt}` the prompt is standard input, which `kubernetes` does not have: there the
        /// agent reads `COORDINATOR_PROMPT`.
        #[schemars(length(min = 1))]
        command: Placed<Vec<Argument>> = argv(&DEFAULT_COMMAND),
        /// The platform ends a session that runs longer.
        time_limit: Placed<Time<1000>> = Time::seconds(2 * 3600).into(),
        /// The form of the agent's output, from which its log is rendered and its cost read:
        /// `claude` (`--output-format stream-json --verbose`), `codex` (`exec --json`), or `none`;
        /// `auto` takes the name of the command's program.
        agent: AgentProgram = AgentProgram::Auto,
        /// The platform ends a session whose agent writes nothing for so long; "0s" turns it off.
        stall_timeout: Time = Time::seconds(0),
        /// The most that one session may cost, in US dollars; 0: not bounded. The command gets it
        /// as `{budget}`, and `[budget]` reserves it for each live session.
        session_usd: Dollars = Dollars::default(),
        /// A session that exits with 0 sooner is idle: its slot waits like one that failed.
        min_runtime: Time = Time::seconds(30),
        /// Minimum time between two starts in one slot; limits the cost of agents that find
        /// nothing to do.
        min_interval: Placed<Time> = Time::seconds(0).into(),
        /// No local session starts with less free disk space; "0" turns the check off.
        min_free: Size = Size::gib(1),
        /// Wait after the first failure, doubled after each further one; "0s" turns the backoff
        /// off.
        backoff_base: Placed<Time> = Time::seconds(60).into(),
        /// The longest wait.
        backoff_cap: Placed<Time> = Time::seconds(3600).into(),
        /// Logs of local sessions kept per slot; the last 8 records always stay.
        retain: Count = Count::of(5),
        /// Work directories of local sessions kept per slot.
        retain_work: Count = Count::of(1),
        /// Added to the agent's environment. `${NAME}` takes a value from the coordinator's own;
        /// such a variable is a secret, and only the roles that name it get it; `HOME`, `PATH` and
        /// other everyday variables are not. On `kubernetes`, secrets come from `env_from`.
        env: Placed<section::Variables> = Placed::default(),
    }
}

/// The form of an agent's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AgentProgram {
    Auto,
    Claude,
    Codex,
    None,
}

impl AgentProgram {
    fn profile(self, command: &[String]) -> Profile {
        match self {
            Self::Auto => Profile::of_command(command),
            Self::Claude => Profile::Claude,
            Self::Codex => Profile::Codex,
            Self::None => Profile::None,
        }
    }
}

coordinator_core::section! {
    /// A kind of agent. Each key of `[defaults]` is allowed here too.
    #[schemars(extend("required" = ["key"]))]
    pub(super) struct Section {
        /// Unique: 1 to 28 characters of a-z, 0-9 and `_`, a letter first, no `_` last.
        key: Option<Placed<RoleKey>> = None,
        /// The name in reports. Default: from the key: `ui_builder` is "Ui Builder".
        name: Option<Line> = None,
        /// Sessions that should be live. Lowering it ends none: the surplus finishes its work.
        count: Placed<Count> = Count::of(1).into(),
        /// A label for people, which `check` shows.
        department: Line = "".into(),
        /// How it finds work: the paragraph of `briefs/modes/<mode>.md` in its prompt.
        mode: Mode = Mode::SelfDirected,
        /// A file with one or two sentences about what this agent does. Default:
        /// `briefs/<key>.md`.
        brief: Option<Placed<FilePath>> = None,
        kubernetes: RoleSection = RoleSection::default(),
        // `table::inherit` merges the role and `[defaults]` under this name.
        #[serde(rename = "[defaults]")]
        #[schemars(flatten)]
        agent: Agent = Agent::default(),
    }
}

/// The roles, and the variables that they name.
pub(super) struct Agents {
    pub(super) roles: Vec<Role>,
    pub(super) secret_names: BTreeSet<String>,
    pub(super) missing: MissingVariables,
}

/// All roles that could be read, with a problem for each that could not.
pub(super) fn read(
    document: &Document,
    around: LoadContext<'_>,
    problems: &mut Vec<Problem>,
) -> Agents {
    let mut variables = Variables::new(around.environment, destination(document));
    let mut missing = MissingVariables::default();
    missing.note(&variables.expand(&document.defaults.env));
    let mut briefs = Briefs::new(around.folder);
    let mut roles = Vec::new();
    check_command(&document.defaults, problems);
    for section in &document.role {
        check_command(&section.agent, problems);
        let env = variables.expand(&section.agent.env);
        missing.note(&env);
        if let Some(role) = role(document, section, env.env.clone(), &mut briefs, problems) {
            missing.note_role(&env, &role.key);
            roles.push(role);
        }
    }
    problems.append(&mut variables.problems);
    check_keys(document, problems);
    check_total(document, problems);
    Agents { roles, secret_names: variables.named, missing }
}

fn destination(document: &Document) -> Destination {
    match document.platform.kind.value {
        Kind::Kubernetes => Destination::Job,
        Kind::GithubActions => Destination::Run,
        Kind::Process | Kind::Exec => Destination::Agent,
    }
}

fn role(
    document: &Document,
    section: &Section,
    env: BTreeMap<String, String>,
    briefs: &mut Briefs<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Role> {
    let key = section.key.as_ref()?;
    let name = section.name.as_ref().filter(|name| !name.trim().is_empty());
    let name = name.map_or_else(|| title(key), ToString::to_string);
    let brief_path = section
        .brief
        .as_ref()
        .map_or_else(|| format!("briefs/{}.md", key.value), |path| path.to_string());
    let texts = match texts(document, (key, &name), section.mode, &brief_path, briefs) {
        Ok(texts) => texts,
        Err(mistake) => {
            let span = section.brief.as_ref().map_or(&key.span, |brief| &brief.span);
            problems.push(Problem::new(mistake.message, span.clone()).hint(mistake.hint));
            return None;
        }
    };
    let spec = spec(&section.agent, env, brief_path, texts);
    check_sizes(key, &section.agent, &spec, problems);
    check_budget(key, &section.agent, problems);
    Some(Role {
        key: key.value.clone(),
        name,
        count: section.count.get(),
        department: section.department.to_string(),
        mode: section.mode,
        spec: Arc::new(spec),
    })
}

fn argv(arguments: &[&str]) -> Placed<Vec<Argument>> {
    arguments.iter().copied().map(Argument::from).collect::<Vec<_>>().into()
}

/// Once for all roles that have it from `[defaults]`.
fn check_command(agent: &Agent, problems: &mut Vec<Problem>) {
    if agent.command.first().is_none_or(|program| program.trim().is_empty()) {
        let problem = Problem::new("`command` has no program", agent.command.span.clone());
        problems
            .push(problem.label(r#"write a list of texts, such as ["claude", "-p", "{prompt}"]"#));
    }
    for (found, meant) in agent.command.iter().filter_map(|argument| misspelt(argument)) {
        let message = format!("unknown placeholder `{{{}}}` in `command`", one_line(found, 60));
        let problem = Problem::new(message, agent.command.span.clone());
        problems.push(problem.label(format!("did you mean `{{{meant}}}`?")));
    }
}

/// What the system would refuse at the start is refused here, with its place.
fn check_sizes(
    key: &Placed<RoleKey>,
    agent: &Agent,
    spec: &SessionSpec,
    problems: &mut Vec<Problem>,
) {
    let mut check = |what: String, bytes: usize, place: &Option<Range<usize>>| {
        if bytes >= MAX_TEXT {
            let span = place.clone().or_else(|| key.span.clone());
            let message =
                format!("{what} of `{}` is too long: {} KiB", key.value, bytes.div_ceil(1024));
            problems.push(Problem::new(message, span).hint("the system takes less than 128 KiB"));
        }
    };
    for (place, argument) in spec.command.iter().enumerate() {
        let filled = argument.replace("{brief}", &spec.brief).replace("{prompt}", &spec.prompt);
        check(format!("argument {place} of the command"), filled.len(), &agent.command.span);
    }
    for (name, value) in &spec.env {
        check(format!("the variable {name}"), name.len() + value.len() + 1, &agent.env.span);
    }
}

/// An agent that is told to spend nothing does nothing.
fn check_budget(key: &Placed<RoleKey>, agent: &Agent, problems: &mut Vec<Problem>) {
    let is_used = agent.command.iter().any(|argument| argument.contains(BUDGET));
    if is_used && agent.session_usd.cap().is_none() {
        let span = agent.command.span.clone().or_else(|| key.span.clone());
        let message =
            format!("the command of `{}` uses `{BUDGET}`, and `session_usd` is 0", key.value);
        problems
            .push(Problem::new(message, span).hint("set `session_usd` in [defaults] or the role"));
    }
}

fn spec(
    agent: &Agent,
    env: BTreeMap<String, String>,
    brief_path: String,
    (brief, prompt): (String, String),
) -> SessionSpec {
    let budget = agent.session_usd.get().dollars().to_string();
    let command = agent.command.iter().map(|argument| argument.replace(BUDGET, &budget));
    let command: Vec<String> = command.collect();
    SessionSpec {
        session_usd: agent.session_usd.get(),
        agent: agent.agent.profile(&command),
        stall_timeout: agent.stall_timeout.get(),
        command,
        prompt,
        brief,
        env,
        time_limit: agent.time_limit.get(),
        brief_path,
        local: LocalSettings {
            min_free_bytes: agent.min_free.get(),
            retain: agent.retain.get(),
            retain_work: agent.retain_work.get(),
        },
        container: None,
        backoff: BackoffSettings {
            backoff_base: agent.backoff_base.get(),
            backoff_cap: agent.backoff_cap.get(),
            min_runtime: agent.min_runtime.get(),
            min_interval: agent.min_interval.get(),
        },
    }
}

/// The brief and the prompt around it.
fn texts(
    document: &Document,
    role: (&RoleKey, &str),
    mode: Mode,
    brief_path: &str,
    briefs: &mut Briefs<'_>,
) -> Result<(String, String), Mistake> {
    let (key, name) = role;
    let brief = briefs.brief(brief_path)?;
    let repository = document.repository.as_ref().and_then(|repository| repository.name.as_deref());
    let prompt = prompt::compose(&Prompt {
        fleet: document.fleet.as_ref().map(|fleet| fleet.as_str()).unwrap_or_default(),
        repository,
        production: document.health.iter().filter_map(|endpoint| endpoint.url.as_deref()).collect(),
        key: key.as_str(),
        name,
        preamble: &briefs.preamble()?,
        mode,
        mode_text: &briefs.mode(mode)?,
        brief: &brief,
    });
    if prompt.len() <= MAX_PROMPT {
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
fn check_keys(document: &Document, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    let keys = || document.role.iter().filter_map(|role| role.key.as_ref());
    for key in keys() {
        if !seen.insert(key.as_str()) {
            let problem =
                Problem::new(format!("role `{}` is defined twice", key.value), key.span.clone());
            problems.push(problem.label("give each role a key of its own, or raise `count`"));
        }
    }
    let Some(fleet) = &document.fleet else { return };
    for key in keys() {
        let other =
            key.as_str().strip_prefix(fleet.as_str()).and_then(|rest| rest.strip_prefix('_'));
        if let Some(other) = other.filter(|other| seen.contains(other)) {
            let message = format!(
                "sessions of `{}` would be named like those of `{other}` in fleet `{}`",
                key.value, fleet.value
            );
            problems.push(Problem::new(message, key.span.clone()).label("choose another key"));
        }
    }
}

fn check_total(document: &Document, problems: &mut Vec<Problem>) {
    let counts = || document.role.iter().map(|role| &role.count);
    let total: u64 = counts().map(|count| u64::from(count.get())).sum();
    if total > u64::from(MAX_COUNT) {
        let largest = counts().max_by_key(|count| count.get()).and_then(|count| count.span.clone());
        let message = format!("the counts add up to {total} sessions");
        problems.push(Problem::new(message, largest).label(format!("at most {MAX_COUNT}")));
    }
}
