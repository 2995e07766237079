//! What every session is told of itself, and what it is never told. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use crate::fleet::{FleetName, RoleKey, Slot, WorkItem};
use crate::secrets::is_own;

/// All variables of this program start so. Those of an outer session would mislead the new one.
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
        own.into_iter().chain(of_item).map(|(name, value)| (format!("{OWN_PREFIX}{name}"), value)).collect()
    }
}

/// What of the coordinator's environment others may have: no secret, nothing of this program's own.
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
