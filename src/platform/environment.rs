//! What every session is told of itself, and what it is never told. Pure.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use crate::fleet::{FleetName, Slot};
use crate::secrets::is_own;

/// All variables of this program start so. Those of an outer session would mislead the new one.
pub(super) const OWN_PREFIX: &str = "COORDINATOR_";

/// They would name the coordinator's directory.
const DIRECTORY_NAMES: [&str; 2] = ["PWD", "OLDPWD"];

/// The names of one session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity<'a> {
    pub(crate) fleet: &'a FleetName,
    pub(crate) slot: &'a Slot,
    /// No other session, wherever, has it.
    pub(crate) session: &'a str,
    pub(crate) generation: u64,
    pub(crate) prompt: &'a str,
    /// `owner/repo`.
    pub(crate) repository: Option<&'a str>,
}

impl Identity<'_> {
    /// The variables that tell a session who it is.
    pub(crate) fn variables(&self) -> [(String, String); 7] {
        let own = [
            ("FLEET", self.fleet.to_string()),
            ("ROLE", self.slot.role.to_string()),
            ("SLOT", self.slot.session_name(self.fleet)),
            ("SESSION", self.session.to_owned()),
            ("GENERATION", self.generation.to_string()),
            ("PROMPT", self.prompt.to_owned()),
            ("REPOSITORY", self.repository.unwrap_or_default().to_owned()),
        ];
        own.map(|(name, value)| (format!("{OWN_PREFIX}{name}"), value))
    }
}

/// What of the coordinator's environment others may have: no secret, nothing of this program's own.
pub(super) fn passed_on(
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
