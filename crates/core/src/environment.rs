//! The variables that every session gets, and those that none inherits.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use crate::fleet::{FleetName, RoleKey, Slot, WorkItem};
use crate::secrets::is_own;

/// The prefix of this program's own variables. Those of an outer session would mislead the new one.
pub const OWN_PREFIX: &str = "COORDINATOR_";

/// They would name the coordinator's directory.
const DIRECTORY_NAMES: [&str; 2] = ["PWD", "OLDPWD"];

/// The names of one session.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    pub fleet: &'a FleetName,
    pub slot: &'a Slot,
    pub role: &'a RoleKey,
    /// What it works on, where the slot is a work item's.
    pub item: Option<&'a WorkItem>,
    pub generation: u64,
    /// The cycle that starts it.
    pub cycle: &'a str,
    pub prompt: &'a str,
    /// `owner/repo`.
    pub repository: Option<&'a str>,
}

impl Identity<'_> {
    /// `COORDINATOR_SESSION`: `<slot>-g<generation>-<cycle>`, the same form on every platform. No
    /// other session has it.
    pub fn session(&self) -> String {
        let slot = self.slot.session_name(self.fleet);
        format!("{slot}-g{}-{}", self.generation, self.cycle)
    }

    /// The session's own names, as variables.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let own = [
            ("FLEET", self.fleet.to_string()),
            ("ROLE", self.role.to_string()),
            ("SLOT", self.slot.session_name(self.fleet)),
            ("SESSION", self.session()),
            ("GENERATION", self.generation.to_string()),
            ("PROMPT", self.prompt.to_owned()),
            ("REPOSITORY", self.repository.unwrap_or_default().to_owned()),
        ];
        let of_item = self.item.into_iter().flat_map(|item| {
            [
                ("SOURCE", self.slot.group.to_string()),
                ("ITEM", item.id.clone()),
                ("ATTEMPT", item.counts.attempt.to_string()),
            ]
        });
        own.into_iter()
            .chain(of_item)
            .map(|(name, value)| (format!("{OWN_PREFIX}{name}"), value))
            .collect()
    }
}

/// The part of the coordinator's environment that others inherit: no secret, no variable of this
/// program's own.
pub fn passed_on(
    inherited: impl Iterator<Item = (OsString, OsString)>,
    secret_names: &BTreeSet<String>,
) -> impl Iterator<Item = (OsString, OsString)> {
    inherited.filter(|(name, _)| is_passed_on(name, secret_names))
}

fn is_passed_on(name: &OsStr, secret_names: &BTreeSet<String>) -> bool {
    let Some(name) = name.to_str() else { return true };
    !(is_own(name)
        || DIRECTORY_NAMES.contains(&name)
        || name.starts_with(OWN_PREFIX)
        || secret_names.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited(variables: &[(&str, &str)], secret_names: &[&str]) -> Vec<String> {
        let secret_names = secret_names.iter().map(ToString::to_string).collect();
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let kept = passed_on(variables, &secret_names);
        kept.map(|(name, _)| name.into_string().expect("the test has only text")).collect()
    }

    #[test]
    fn no_secret_and_no_name_of_an_outer_session_is_inherited() {
        let secrets =
            ["GITHUB_TOKEN", "GH_TOKEN", "GITHUB_APP_PRIVATE_KEY", "GITHUB_PAT", "REDIS_URL"];
        let outer = ["PWD", "OLDPWD", "COORDINATOR_CONFIG", "COORDINATOR_SLOT"];
        let names = ["MODEL_KEY", "PATH"].into_iter().chain(secrets).chain(outer);
        let variables: Vec<_> = names.map(|name| (name, "value")).collect();
        assert_eq!(inherited(&variables, &["MODEL_KEY"]), ["PATH"]);
        assert_eq!(inherited(&variables, &[]), ["MODEL_KEY", "PATH"]);
    }

    #[test]
    fn a_session_has_its_names() {
        let role = RoleKey::parse("ui_builder").expect("a valid key");
        let identity = Identity {
            fleet: &FleetName::parse("demo").expect("a valid name"),
            slot: &Slot::of_role(&role, 2),
            role: &role,
            item: None,
            generation: 4,
            cycle: "18f-1",
            prompt: "do {brief} now",
            repository: Some("acme/app"),
        };
        let expected = [
            ("COORDINATOR_FLEET", "demo"),
            ("COORDINATOR_GENERATION", "4"),
            ("COORDINATOR_PROMPT", "do {brief} now"),
            ("COORDINATOR_REPOSITORY", "acme/app"),
            ("COORDINATOR_ROLE", "ui_builder"),
            ("COORDINATOR_SESSION", "demo-ui-builder-s2-g4-18f-1"),
            ("COORDINATOR_SLOT", "demo-ui-builder-s2"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(identity.variables(), BTreeMap::from(expected));
    }
}
