//! Whether the roster and its plugin fit each other: the one question of `check` that a file cannot answer.

use std::time::Duration;

use crate::command::{block_on, clients};
use coordinator_platform_local::exec::Purpose;
use coordinator_roster::{PlatformKind, Problem, Roster};

/// For `capabilities`, which needs no network.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether ended sessions are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    Kept,
    None,
}

/// Asks the plugin, when the roster has one, what it can do.
pub(super) fn check(roster: &Roster) -> Result<Memory, Problem> {
    let PlatformKind::Exec(settings) = &roster.platform.kind else { return Ok(Memory::Kept) };
    let at = || settings.place.clone();
    let mut settings = settings.clone();
    settings.timeout = settings.timeout.min(PATIENCE);
    let exec = clients::exec(roster, &settings, Purpose::Look);
    let asked = block_on(async {
        let capabilities = exec.capabilities().await?;
        Ok((exec.incompatible(capabilities), capabilities.history))
    });
    match asked {
        Ok((None, true)) => Ok(Memory::Kept),
        Ok((None, false)) => Ok(Memory::None),
        Ok((Some(incompatible), _)) => Err(Problem::new(incompatible.why, at())
            .label("does not fit this roster")
            .hint(incompatible.remedy)),
        Err(error) => {
            let problem = Problem::new(format!("{error:#}"), at()).label("does not say what it can do");
            Err(problem.hint("run it by hand: `PLUGIN capabilities` prints one JSON object"))
        }
    }
}
