//! Replaces `${NAME}` in `env` by values from the coordinator's environment.

use std::collections::{BTreeMap, BTreeSet};

use super::problem::Problem;
use super::section::Values;
use super::text;
use super::value::Variable;

/// Collects which variables were named, and which of them do not exist.
pub(super) struct Variables<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    /// Every variable that some `${...}` names.
    pub(super) named: BTreeSet<String>,
    /// One for each variable that does not exist.
    pub(super) problems: Vec<Problem>,
    missing: BTreeSet<String>,
    destination: Destination,
}

/// Where the value of a `${NAME}` would end up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// With the agent alone.
    Agent,
    /// In a Job, for everyone to read who may read Jobs.
    Job,
    /// In the inputs of a workflow run, for everyone to read who may read the repository.
    Run,
}

impl Destination {
    /// The place where others can read it, and the better way; `None` where nobody else does.
    fn exposure(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Agent => None,
            Self::Job => {
                Some(("the Job", "name a Secret that holds it in `env_from`, or write a plain value"))
            }
            Self::Run => Some((
                "the run's inputs",
                "let the session workflow set it from a secret of the repository, or write a plain value",
            )),
        }
    }
}

impl<'a> Variables<'a> {
    pub(super) fn new(environment: &'a dyn Fn(&str) -> Option<String>, destination: Destination) -> Self {
        Self {
            environment,
            named: BTreeSet::new(),
            problems: Vec::new(),
            missing: BTreeSet::new(),
            destination,
        }
    }

    /// The section's own `env` with every `${NAME}` replaced.
    pub(super) fn expand(&mut self, section: &Values) -> BTreeMap<String, String> {
        section
            .variables("env")
            .map(|(name, variable)| (name.clone(), self.replace(name, variable)))
            .collect()
    }

    fn replace(&mut self, name: &str, variable: &Variable) -> String {
        let mut replaced = String::new();
        let mut rest = variable.value.as_str();
        while let Some((before, from)) = rest.split_once("${") {
            replaced.push_str(before);
            let Some((source, after)) =
                from.split_once('}').filter(|(source, _)| text::is_variable_name(source))
            else {
                let message = format!("a `${{` in the value of `{name}` names no variable");
                let hint = "write ${NAME}, with letters, digits and `_` alone";
                self.problems.push(Problem::new(message, Some(variable.span.clone())).hint(hint));
                return replaced;
            };
            replaced.push_str(&self.value(source, name, variable));
            rest = after;
        }
        replaced + rest
    }

    fn value(&mut self, source: &str, name: &str, variable: &Variable) -> String {
        if let Some((place, hint)) = self.destination.exposure() {
            let message =
                format!("the value of `{name}` would copy `{source}` into {place}, where others can read it");
            self.problems.push(Problem::new(message, Some(variable.span.clone())).hint(hint));
            return String::new();
        }
        self.named.insert(source.to_owned());
        (self.environment)(source).unwrap_or_else(|| {
            if self.missing.insert(source.to_owned()) {
                let message =
                    format!("environment variable `{source}` is not set, and `{name}` in `env` names it");
                let hint = "set it where the coordinator is started, or take it out";
                self.problems.push(Problem::new(message, Some(variable.span.clone())).hint(hint));
            }
            String::new()
        })
    }
}
