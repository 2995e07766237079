//! Sets up the outside world for a command from the roster and the environment.

use crate::platform::process;
use crate::roster::Roster;

/// The process platform's settings for this roster.
pub fn process_settings(roster: &Roster) -> process::Settings {
    process::Settings {
        fleet: roster.fleet.clone(),
        roster: roster.path.clone(),
        state_dir: roster.platform.state_dir.clone(),
        repository: roster
            .repository
            .as_ref()
            .map(|repository| format!("{}/{}", repository.owner, repository.name)),
        secret_names: roster.secret_names.clone(),
    }
}
