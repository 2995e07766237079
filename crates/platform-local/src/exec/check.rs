//! What a plugin says of itself, and whether it can list sessions.

use std::time::SystemTime;

use super::Exec;
use super::ExecSettings;
use super::protocol::{Capabilities, SlotExclusive};
use coordinator_core::finding::{Finding, clock};
use coordinator_core::platform::Platform;
use coordinator_core::sanitize::one_line;

impl Exec {
    /// Asks the plugin what it can do, then for its sessions.
    pub async fn check(&self, now: SystemTime) -> Vec<Finding> {
        findings(self, &self.settings.exec, now).await
    }
}

async fn findings(exec: &Exec, settings: &ExecSettings, now: SystemTime) -> Vec<Finding> {
    let capabilities = match exec.capabilities().await {
        Ok(capabilities) => capabilities,
        Err(error) => return vec![stops_all(&error)],
    };
    if let Some(incompatible) = exec.incompatible(capabilities) {
        return vec![Finding::fail(incompatible.why, incompatible.remedy)];
    }
    let mut findings = vec![says(capabilities, settings)];
    findings.extend(memory(capabilities));
    match exec.list().await {
        Ok(listing) => {
            let live = listing.slots.values().filter(|record| record.live.is_some()).count();
            findings.push(Finding::ok(format!("the plugin lists its sessions: {live} live")));
            let remedy = "let NTP set both: waits are counted by the plugin's clock";
            findings.extend(listing.as_of.map(|theirs| clock("the plugin's", theirs, now, remedy)));
        }
        Err(error) => findings.push(stops_all(&error)),
    }
    findings
}

fn stops_all(error: &anyhow::Error) -> Finding {
    Finding::fail(format!("{error:#}"), "no session is listed or started until then")
}

fn says(capabilities: &Capabilities, settings: &ExecSettings) -> Finding {
    let name = one_line(&capabilities.name, 40);
    let guard = match capabilities.slot_exclusive {
        SlotExclusive::Create => "refuses a second session in a slot",
        SlotExclusive::Execution => "runs one session of a slot at a time",
        SlotExclusive::None => {
            "cannot refuse a second session: start sessions from this machine alone, where one run at a time does"
        }
    };
    let what = format!("the plugin {} ({name}) {guard}", settings.plugin.display());
    match capabilities.slot_exclusive {
        SlotExclusive::Create | SlotExclusive::Execution => Finding::ok(what),
        SlotExclusive::None => Finding::warn(what, "use a plugin that can, when there is one"),
    }
}

fn memory(capabilities: &Capabilities) -> Option<Finding> {
    let what = "the plugin lists no ended sessions: a slot that keeps failing starts again in every cycle";
    (!capabilities.history).then(|| Finding::warn(what, "bound what that costs by `max_spawns`"))
}
