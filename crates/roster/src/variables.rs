//! Replaces `${NAME}` in `env` by values from the coordinator's environment.

use std::collections::{BTreeMap, BTreeSet};

use coordinator_core::fleet::RoleKey;
use coordinator_core::secrets::is_everyday;

use coordinator_core::section::{self, Placed, Problem, VariableValue};

/// Collects which variables were named, and what is wrong with how.
pub(super) struct Variables<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    /// Every secret that some `${...}` names.
    pub(super) named: BTreeSet<String>,
    /// One for each `${` that is not a `${NAME}`, or that would be copied to where others can read
    /// it.
    pub(super) problems: Vec<Problem>,
    destination: Destination,
}

/// A section's `env` after replacement.
#[derive(Debug, Clone, Default)]
pub(super) struct Expanded {
    /// What is set; a value that names a missing variable is left out.
    pub(super) env: BTreeMap<String, String>,
    /// By the variable that is to be set: what it names and is missing.
    missing: BTreeMap<String, Vec<(String, Problem)>>,
}

/// A variable that some `${NAME}` names and that is not set. Only a command that starts sessions,
/// or the plugin, with it needs it.
#[derive(Debug, Clone)]
pub struct Missing {
    pub variable: String,
    /// What is wrong, and where it is named first.
    pub problem: Problem,
    /// The roles whose sessions need it.
    pub roles: BTreeSet<RoleKey>,
    /// The plugin of `[platform.exec]` needs it.
    pub plugin: bool,
}

/// All that are missing, each once.
#[derive(Debug, Default)]
pub(super) struct MissingVariables {
    found: BTreeMap<String, Missing>,
}

impl MissingVariables {
    /// Notes what this section names, whether or not something uses it.
    pub(super) fn note(&mut self, section: &Expanded) {
        self.each(section, |_| {});
    }

    /// Notes what a role's sessions need.
    pub(super) fn note_role(&mut self, env: &Expanded, role: &RoleKey) {
        self.each(env, |missing| {
            missing.roles.insert(role.clone());
        });
    }

    /// Notes what the plugin needs.
    pub(super) fn note_plugin(&mut self, env: &Expanded) {
        self.each(env, |missing| missing.plugin = true);
    }

    fn each(&mut self, section: &Expanded, mut change: impl FnMut(&mut Missing)) {
        for (variable, problem) in section.missing.values().flatten() {
            change(self.found.entry(variable.clone()).or_insert_with(|| Missing {
                variable: variable.clone(),
                problem: problem.clone(),
                roles: BTreeSet::new(),
                plugin: false,
            }));
        }
    }

    /// By name.
    pub(super) fn into_list(self) -> Vec<Missing> {
        self.found.into_values().collect()
    }
}

/// Where the value of a `${NAME}` would end up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// With the agent alone.
    Agent,
    /// In a Job: readable with permission to read Jobs.
    Job,
    /// In the inputs of a workflow run: readable with read access to the repository.
    Run,
}

impl Destination {
    /// The place where others can read it, and the remedy; `None` where only the agent can.
    fn exposure(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Agent => None,
            Self::Job => Some((
                "the Job",
                "name a Secret that holds it in `env_from`, or write a plain value",
            )),
            Self::Run => Some((
                "the run's inputs",
                "set it in the session workflow from a secret of the repository, \
                 or write a plain value",
            )),
        }
    }
}

impl<'a> Variables<'a> {
    pub(super) fn new(
        environment: &'a dyn Fn(&str) -> Option<String>,
        destination: Destination,
    ) -> Self {
        Self { environment, named: BTreeSet::new(), problems: Vec::new(), destination }
    }

    /// The section's own `env` with every `${NAME}` replaced.
    pub(super) fn expand(&mut self, env: &section::Variables) -> Expanded {
        let mut expanded = Expanded::default();
        for (name, variable) in &env.0 {
            let mut missing = Vec::new();
            let value = self.replace(name, variable, &mut missing);
            if missing.is_empty() {
                expanded.env.insert(name.to_string(), value);
            } else {
                expanded.missing.insert(name.to_string(), missing);
            }
        }
        expanded
    }

    fn replace(
        &mut self,
        name: &str,
        variable: &Placed<VariableValue>,
        missing: &mut Vec<(String, Problem)>,
    ) -> String {
        let mut replaced = String::new();
        let mut rest = &*variable.value;
        while let Some((before, from)) = rest.split_once("${") {
            replaced.push_str(before);
            let Some((source, after)) =
                from.split_once('}').filter(|(source, _)| section::is_variable_name(source))
            else {
                let message = format!("a `${{` in the value of `{name}` names no variable");
                let hint = "write ${NAME}, with letters, digits and `_` alone";
                self.problems.push(Problem::new(message, variable.span.clone()).hint(hint));
                return replaced;
            };
            if let Some(value) = self.value(source, name, variable) {
                replaced.push_str(&value);
            } else {
                missing.push((source.to_owned(), unset(source, name, variable)));
            }
            rest = after;
        }
        replaced + rest
    }

    /// The variable's value; `None` where it is missing.
    fn value(
        &mut self,
        source: &str,
        name: &str,
        variable: &Placed<VariableValue>,
    ) -> Option<String> {
        if is_everyday(source) {
            return (self.environment)(source);
        }
        if let Some((place, hint)) = self.destination.exposure() {
            let message = format!(
                "the value of `{name}` would copy `{source}` into {place}, where others can read it"
            );
            self.problems.push(Problem::new(message, variable.span.clone()).hint(hint));
            return Some(String::new());
        }
        self.named.insert(source.to_owned());
        (self.environment)(source)
    }
}

fn unset(source: &str, name: &str, variable: &Placed<VariableValue>) -> Problem {
    let message =
        format!("environment variable `{source}` is not set, and `{name}` in `env` names it");
    let hint = "set it where the coordinator is started, or take it out";
    Problem::new(message, variable.span.clone()).hint(hint)
}
