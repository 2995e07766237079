//! The inputs of a run. Everyone who can read the repository can read them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::Settings;
use super::item::ItemTicket;
use super::title::{ItemTitle, RESUMED};
use coordinator_core::agent::Profile;
use coordinator_core::backoff::BackoffSettings;
use coordinator_core::fleet::{Slot, Want};
use coordinator_core::platform::CycleId;
use coordinator_github::actions::Dispatch;

/// Of the form. A run's workflow may bring an older or a newer coordinator than the one that
/// dispatched it.
const VERSION: u32 = 1;

/// Of the form with an item. A coordinator that reads version 1 alone would run it without
/// comparing.
const ITEM_VERSION: u32 = 2;

/// The input `task_json`: the command of the session, and what its admission needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInput {
    version: u32,
    /// With its placeholders.
    pub command: Vec<String>,
    pub prompt: String,
    /// Only where the command has a place for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brief: Option<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    time_limit_s: u64,
    /// 0: none.
    #[serde(default, skip_serializing_if = "is_zero")]
    stall_timeout_ms: u64,
    /// The form of the agent's output.
    #[serde(default)]
    pub agent: Profile,
    /// A person wants it at once: nothing in the slot's history holds it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_hand: bool,
    #[serde(rename = "restraint")]
    backoff: Seconds,
    /// In the slot of a work item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemTicket>,
}

/// A [`BackoffSettings`] in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seconds {
    #[serde(rename = "backoff_base_s")]
    backoff_base: u64,
    #[serde(rename = "backoff_cap_s")]
    backoff_cap: u64,
    #[serde(rename = "min_runtime_s")]
    min_runtime: u64,
    #[serde(rename = "min_interval_s")]
    min_interval: u64,
}

impl SessionInput {
    fn of(want: &Want, item: Option<ItemTicket>) -> Self {
        let spec = &want.spec;
        let wants_brief = spec.command.iter().any(|argument| argument.contains("{brief}"));
        let backoff = &spec.backoff;
        Self {
            version: if item.is_some() { ITEM_VERSION } else { VERSION },
            command: spec.command.clone(),
            prompt: spec.prompt.clone(),
            brief: wants_brief.then(|| spec.brief.clone()),
            env: spec.env.clone(),
            time_limit_s: whole_seconds(spec.time_limit),
            stall_timeout_ms: u64::try_from(spec.stall_timeout.as_millis()).unwrap_or(u64::MAX),
            agent: spec.agent,
            by_hand: want.by_hand,
            backoff: Seconds {
                backoff_base: whole_seconds(backoff.backoff_base),
                backoff_cap: whole_seconds(backoff.backoff_cap),
                min_runtime: whole_seconds(backoff.min_runtime),
                min_interval: whole_seconds(backoff.min_interval),
            },
            item,
        }
    }

    /// Fails on a text that is not a session input of this version; the error has the remedy.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        // The parser's own words may quote the text, which is large.
        let input: Self = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            anyhow::anyhow!("not the JSON of a session input (line {line}, column {column})")
        })?;
        let version = input.version;
        let expected = if input.item.is_some() { ITEM_VERSION } else { VERSION };
        anyhow::ensure!(
            version == expected,
            "the session input has version {version}, and this coordinator reads version \
             {expected}; let the session workflow install the version that dispatches it"
        );
        anyhow::ensure!(!input.command.is_empty(), "the session input has an empty command");
        Ok(input)
    }

    pub fn time_limit(&self) -> Duration {
        Duration::from_secs(self.time_limit_s)
    }

    /// Zero: none.
    pub fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms)
    }

    pub fn backoff_settings(&self) -> BackoffSettings {
        let Seconds { backoff_base, backoff_cap, min_runtime, min_interval } = self.backoff;
        BackoffSettings {
            backoff_base: Duration::from_secs(backoff_base),
            backoff_cap: Duration::from_secs(backoff_cap),
            min_runtime: Duration::from_secs(min_runtime),
            min_interval: Duration::from_secs(min_interval),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The session that a run is dispatched for, and when, by GitHub's clock.
#[derive(Debug, Clone)]
pub(super) struct NewSession<'a> {
    pub(super) cycle: &'a CycleId,
    pub(super) generation: u64,
    pub(super) now: SystemTime,
    /// In the slot of a work item.
    pub(super) item: Option<ItemTicket>,
}

/// The item in the title of the want's run.
pub(super) fn item_title(want: &Want) -> Option<ItemTitle> {
    let time_limit = Duration::from_secs(whole_seconds(want.spec.time_limit));
    want.item_run().map(|run| ItemTitle { run, time_limit })
}

/// The run that lets a slot go on: its ticket has expired, so no agent starts in it.
pub(super) fn resume(
    settings: &Settings,
    slot: &Slot,
    generation: u64,
) -> anyhow::Result<Dispatch> {
    let role = slot.group.to_string();
    let input = SessionInput {
        version: VERSION,
        command: vec!["true".to_owned()],
        prompt: String::new(),
        brief: None,
        env: BTreeMap::new(),
        time_limit_s: 60,
        stall_timeout_ms: 0,
        agent: Profile::None,
        by_hand: false,
        backoff: Seconds { backoff_base: 0, backoff_cap: 0, min_runtime: 0, min_interval: 0 },
        item: None,
    };
    let inputs = [
        ("fleet", settings.fleet.to_string()),
        ("slot", slot.name()),
        ("role", role),
        ("generation", generation.to_string()),
        ("cycle", RESUMED.to_owned()),
        ("expires_at", humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH).to_string()),
        ("brief_ref", "-".to_owned()),
        ("time_limit_minutes", "1".to_owned()),
        ("task_json", serde_json::to_string(&input)?),
    ];
    let inputs = inputs.into_iter().collect();
    Ok(Dispatch { git_ref: settings.actions.git_ref.clone(), inputs })
}

pub(super) fn dispatch(
    settings: &Settings,
    want: &Want,
    new: NewSession<'_>,
) -> anyhow::Result<Dispatch> {
    let expires_at = new.now + settings.actions.ticket;
    let NewSession { cycle, generation, item, .. } = new;
    let of_item = item_title(want).map(|item| ("item", item.part()));
    let inputs = [
        ("fleet", settings.fleet.to_string()),
        ("slot", want.slot.name()),
        ("role", want.role.to_string()),
        ("generation", generation.to_string()),
        ("cycle", cycle.0.clone()),
        ("expires_at", humantime::format_rfc3339_seconds(expires_at).to_string()),
        ("brief_ref", want.spec.brief_path.clone()),
        ("time_limit_minutes", minutes(want.spec.time_limit).to_string()),
        ("task_json", serde_json::to_string(&SessionInput::of(want, item))?),
    ];
    // A workflow of before has no input `item`: it takes the sessions of roles, and refuses those
    // of items.
    let inputs = inputs.into_iter().chain(of_item).collect();
    Ok(Dispatch { git_ref: settings.actions.git_ref.clone(), inputs })
}

/// The `timeout-minutes` of the agent's job.
pub(super) fn minutes(limit: Duration) -> u64 {
    whole_seconds(limit).div_ceil(60).max(1)
}

/// Rounded up: no limit becomes none.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
