//! How a person steers the fleet, and looks back at it.

use std::time::SystemTime;

use anyhow::bail;

use super::Actions;
use coordinator_core::fleet::{Pause, Slot};
use coordinator_core::platform::{Attach, Ended};

impl Actions {
    /// Whether the fleet is paused.
    pub(super) async fn read_pause(&self) -> anyhow::Result<Option<Pause>> {
        Ok(None)
    }

    /// Pauses the fleet for every cycle to come. A second pause replaces the first one's reason.
    pub async fn pause(&self, _pause: &Pause) -> anyhow::Result<()> {
        bail!("not written yet")
    }

    /// Ends the pause; without one it does nothing.
    pub async fn resume(&self) -> anyhow::Result<()> {
        bail!("not written yet")
    }

    /// Lets a slot go on whose last session a person stopped; whether it was held.
    pub async fn release(&self, _slot: &Slot) -> anyhow::Result<bool> {
        bail!("not written yet")
    }

    /// The sessions that ended since then.
    pub async fn history(&self, _since: SystemTime) -> anyhow::Result<Ended> {
        bail!("not written yet")
    }

    /// When a cycle last ran, where the platform itself shows it.
    pub async fn last_cycle_at(&self) -> anyhow::Result<Option<SystemTime>> {
        Ok(None)
    }

    /// The command that takes a person to the agent of the slot: its live session, or the newest.
    pub async fn attach(&self, _slot: &Slot) -> anyhow::Result<Attach> {
        bail!("not written yet")
    }
}
