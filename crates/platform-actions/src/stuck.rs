//! Which live runs do not get on, and why. Pure.

use std::time::SystemTime;

use super::ActionsSettings;
use super::runs::SlotRun;
use coordinator_core::fleet::{Slot, Stuck, StuckReason};
use coordinator_github::actions::RunStatus;

/// Why the run that holds a slot does not get on, at `now` by GitHub's clock.
pub(super) fn stuck(
    slot: &Slot,
    holder: &SlotRun,
    settings: &ActionsSettings,
    now: SystemTime,
) -> Option<Stuck> {
    let run = &holder.run;
    let waits_long = run.started_at + settings.start_timeout < now;
    let (reason, detail) = match run.status {
        RunStatus::Waiting => (
            StuckReason::Suspended,
            format!(
                "an environment of the session workflow asks for approval; give or refuse it at {}",
                run.url
            ),
        ),
        RunStatus::Queued if waits_long => (
            StuckReason::Pending,
            format!("no runner has taken it; is one online that has its labels, and free? {}", run.url),
        ),
        RunStatus::Queued | RunStatus::InProgress | RunStatus::Completed => return None,
    };
    Some(Stuck { slot: slot.clone(), reason, since: Some(run.started_at), detail })
}
