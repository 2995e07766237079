//! Whether the roster can use a plugin, by its `capabilities`, and what `doctor` reports of it.

use std::time::SystemTime;

use super::Exec;
use super::ExecSettings;
use super::protocol::{Capabilities, SlotExclusive, VERSION};
use coordinator_core::finding::{Finding, clock};
use coordinator_core::plan::OnInventoryFailure;
use coordinator_core::platform::Platform;
use coordinator_core::sanitize::one_line;

/// Why no session is listed or started by this plugin, and what to do; `None` when it can be used.
pub(super) fn refusal(
    capabilities: &Capabilities,
    on_inventory_failure: OnInventoryFailure,
) -> Option<Incompatible> {
    if !capabilities.protocol.contains(&VERSION) {
        return Some(Incompatible {
            why: format!(
                "the plugin has protocol versions {:?}, and this coordinator needs {VERSION}",
                capabilities.protocol
            ),
            remedy: "install a matching version of the plugin or of the coordinator",
        });
    }
    match (capabilities.slot_exclusive, on_inventory_failure) {
        (SlotExclusive::Create | SlotExclusive::Execution, _)
        | (SlotExclusive::None, OnInventoryFailure::Skip) => None,
        (SlotExclusive::None, OnInventoryFailure::Spawn) => Some(Incompatible {
            why: "the plugin cannot refuse a second session in a slot (its `slot_exclusive` is \
                \"none\"), so it must not start any while the inventory is unknown"
                .to_owned(),
            remedy: "set `on_inventory_failure = \"skip\"` in [platform]",
        }),
    }
}

/// A plugin that does not fit the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incompatible {
    /// What does not fit.
    pub why: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl Incompatible {
    pub(super) fn sentence(&self) -> String {
        format!("{}; {}", self.why, self.remedy)
    }
}

/// Whether a slot whose sessions are unknown may be tried: the plugin then decides.
pub(super) fn may_start_blind(capabilities: &Capabilities) -> bool {
    match capabilities.slot_exclusive {
        SlotExclusive::Create | SlotExclusive::Execution => capabilities.blind_spawn,
        SlotExclusive::None => false,
    }
}

/// Why the plugin must not get a work item; `None` when it may.
///
/// Where nothing refuses a second session, no lock of this machine makes the comparison of
/// `follows` and the start one step. Without ended sessions nothing carries an item's counts.
pub fn item_refusal(capabilities: &Capabilities) -> Option<&'static str> {
    match capabilities.slot_exclusive {
        _ if !capabilities.items => Some("the plugin runs no work items (its `items` is not true)"),
        SlotExclusive::None => Some(
            "the plugin cannot refuse a second session in a slot (its `slot_exclusive` is \
            \"none\"), so an item could run twice",
        ),
        SlotExclusive::Create | SlotExclusive::Execution if !capabilities.history => Some(
            "the plugin lists no ended sessions (its `history` is not true), so attempts could \
            not be counted",
        ),
        SlotExclusive::Create | SlotExclusive::Execution => None,
    }
}

impl Exec {
    /// Requests its capabilities, then its sessions.
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
    let mut findings = vec![exclusion(capabilities, settings)];
    findings.extend(memory(capabilities));
    match exec.list().await {
        Ok(listing) => {
            let live = listing.slots.values().filter(|record| record.live.is_some()).count();
            findings.push(Finding::ok(format!("the plugin lists its sessions: {live} live")));
            let remedy = "synchronise both with NTP: the plugin's clock times the waits";
            findings.extend(listing.as_of.map(|theirs| clock("the plugin's", theirs, now, remedy)));
        }
        Err(error) => findings.push(stops_all(&error)),
    }
    findings
}

fn stops_all(error: &anyhow::Error) -> Finding {
    Finding::fail(format!("{error:#}"), "no session is listed or started until then")
}

fn exclusion(capabilities: &Capabilities, settings: &ExecSettings) -> Finding {
    let name = one_line(&capabilities.name, 40);
    let guard = match capabilities.slot_exclusive {
        SlotExclusive::Create => "refuses a second session in a slot",
        SlotExclusive::Execution => "runs one session of a slot at a time",
        SlotExclusive::None => {
            "cannot refuse a second session in a slot: run the coordinator on one machine only"
        }
    };
    let what = format!("the plugin {} ({name}) {guard}", settings.plugin.display());
    match capabilities.slot_exclusive {
        SlotExclusive::Create | SlotExclusive::Execution => Finding::ok(what),
        SlotExclusive::None => {
            Finding::warn(what, "use a plugin with a `slot_exclusive`, where one exists")
        }
    }
}

fn memory(capabilities: &Capabilities) -> Option<Finding> {
    let what =
        "the plugin lists no ended sessions: a slot that keeps failing starts again in every cycle";
    (!capabilities.history).then(|| Finding::warn(what, "limit the cost with `max_spawns`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(more: &str) -> Capabilities {
        serde_json::from_str(&format!(r#"{{"protocol":[1],"name":"p"{more}}}"#))
            .expect("capabilities")
    }

    #[test]
    fn a_plugin_that_excludes_nothing_needs_a_roster_that_skips() {
        for more in ["", r#","slot_exclusive":"none""#, r#","slot_exclusive":"perhaps""#] {
            let open = capabilities(more);
            let incompatible = refusal(&open, OnInventoryFailure::Spawn).expect("it does not fit");
            assert!(incompatible.sentence().contains("on_inventory_failure"), "{incompatible:?}");
            assert_eq!(refusal(&open, OnInventoryFailure::Skip), None);
        }
        let exclusive = capabilities(r#","slot_exclusive":"create""#);
        assert_eq!(refusal(&exclusive, OnInventoryFailure::Spawn), None);
    }

    #[test]
    fn nothing_starts_blind_but_what_the_plugin_excludes_and_says_so() {
        let blind =
            |more: &str| may_start_blind(&capabilities(&format!(r#","blind_spawn":true{more}"#)));
        assert!(!blind("") && !blind(r#","slot_exclusive":"none""#));
        assert!(
            blind(r#","slot_exclusive":"create""#) && blind(r#","slot_exclusive":"execution""#)
        );
        assert!(!may_start_blind(&capabilities(r#","slot_exclusive":"create""#)));
    }

    #[test]
    fn a_plugin_gets_work_items_only_when_it_compares_excludes_and_remembers() {
        let fit = r#","items":true,"history":true,"slot_exclusive":"create""#;
        assert_eq!(item_refusal(&capabilities(fit)), None);
        assert_eq!(item_refusal(&capabilities(&fit.replace("create", "execution"))), None);
        for (unfit, why) in [
            (fit.replace(r#""items":true,"#, ""), "`items`"),
            (fit.replace(r#""history":true,"#, ""), "`history`"),
            (fit.replace("create", "none"), "`slot_exclusive`"),
        ] {
            let refusal = item_refusal(&capabilities(&unfit));
            assert!(refusal.is_some_and(|refusal| refusal.contains(why)), "{unfit}: {refusal:?}");
        }
    }

    #[test]
    fn another_version_of_the_protocol_is_refused() {
        let mut other = capabilities(r#","slot_exclusive":"create""#);
        other.protocol = vec![2, 3];
        assert!(
            refusal(&other, OnInventoryFailure::Skip)
                .is_some_and(|incompatible| incompatible.why.contains("[2, 3]"))
        );
    }
}
