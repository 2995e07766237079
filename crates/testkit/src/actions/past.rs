//! Runs that were there before a test begins.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::life::Admission;
use super::workflow::SESSIONS;
use super::{Actions, Groups};

/// A session's run that is over.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    /// Without the fleet: `ui-builder-s0`.
    pub slot: &'a str,
    pub generation: u64,
    /// How the agent ended; `skipped` when it was not admitted.
    pub conclusion: &'a str,
    /// Seconds since the end.
    pub ended: u64,
    /// Seconds that the agent ran.
    pub runtime: u64,
}

impl Default for Past<'_> {
    fn default() -> Self {
        Self {
            slot: "ui-builder-s0",
            generation: 1,
            conclusion: "success",
            ended: 3_600,
            runtime: 600,
        }
    }
}

/// The inputs of a session's run, with a ticket that has expired long ago.
pub fn inputs(fleet: &str, slot: &str, generation: u64) -> BTreeMap<String, String> {
    let role = slot.rsplit_once("-s").map_or(slot, |(role, _)| role).replace('-', "_");
    let generation = generation.to_string();
    let pairs = [
        ("fleet", fleet),
        ("slot", slot),
        ("role", &role),
        ("generation", &generation),
        ("cycle", "earlier"),
        ("expires_at", "2026-01-01T00:00:00Z"),
        ("brief_ref", "briefs/x.md"),
        ("time_limit_minutes", "120"),
        ("task_json", "{}"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

impl Actions {
    /// Adds a run that is over, of fleet `demo`. The group is left aside: it happened before.
    pub fn add_past(&mut self, past: Past<'_>, now: SystemTime) -> u64 {
        let ended = now - Duration::from_secs(past.ended);
        let started = ended - Duration::from_secs(past.runtime);
        let index = std::mem::take(&mut self.index);
        let groups = std::mem::replace(&mut self.groups, Groups::Broken);
        let id =
            self.trigger(SESSIONS, "main", inputs("demo", past.slot, past.generation), started);
        (self.index, self.groups) = (index, groups);
        self.start(id, started);
        if past.conclusion == "skipped" {
            self.end_admission(id, Admission::Skip, ended);
        } else {
            self.end_admission(id, Admission::Go, started);
            self.start_agent(id, started);
            self.end(id, past.conclusion, ended);
        }
        id
    }

    /// Adds a live run, of any fleet, that started `seconds` ago.
    pub fn add_live(&mut self, fleet: &str, slot: &str, seconds: u64, now: SystemTime) -> u64 {
        let started = now - Duration::from_secs(seconds);
        let id = self.trigger(SESSIONS, "main", inputs(fleet, slot, 1), started);
        self.start(id, started);
        self.end_admission(id, Admission::Go, started);
        self.start_agent(id, started);
        id
    }
}
