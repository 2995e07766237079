//! Slots and roles for completion, from the roster. Where it cannot be read there are none: a shell
//! has no place for an error.

use std::env;
use std::path::PathBuf;

use clap_complete::CompletionCandidate;

use coordinator_core::fleet::Slot;
use coordinator_roster::Roster;

/// Slots that are offered of one role.
const MAX_SLOTS: u32 = 100;

pub(super) fn roles() -> Vec<CompletionCandidate> {
    let roster = roster();
    let roles = roster.iter().flat_map(|roster| &roster.roles);
    roles.map(|role| CompletionCandidate::new(role.key.as_str())).collect()
}

pub(super) fn slots() -> Vec<CompletionCandidate> {
    let roster = roster();
    let roles = roster.iter().flat_map(|roster| &roster.roles);
    let slots = roles.flat_map(|role| {
        (0..role.count.min(MAX_SLOTS)).map(|index| Slot::of_role(&role.key, index).name())
    });
    slots.map(CompletionCandidate::new).collect()
}

/// The roster that the command line or the environment names, else the one of this folder.
fn roster() -> Option<Roster> {
    let words: Vec<String> = env::args().collect();
    let named = words.windows(2).find_map(|pair| match pair {
        [option, file] if ["-c", "--config"].contains(&option.as_str()) => Some(file.clone()),
        _ => None,
    });
    let joined = || words.iter().find_map(|word| word.strip_prefix("--config=").map(str::to_owned));
    let variable = || env::var("COORDINATOR_CONFIG").ok();
    let named = named.or_else(joined).or_else(variable).filter(|file| !file.is_empty());
    let path = named.map_or_else(coordinator_roster::find, PathBuf::from);
    coordinator_roster::load(&path, &|name| env::var(name).ok()).ok()
}
