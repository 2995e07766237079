//! How a person steers a plugin's fleet, and looks back at it. What the plugin does not remember is
//! in files on this machine.

use std::time::SystemTime;

use anyhow::{Context, bail};

use super::protocol::{self, Attached, Operation};
use super::{Exec, stopped, view};
use crate::pause;
use crate::secure_fs::{create_directory, create_parents};
use coordinator_core::fleet::{Pause, Slot};
use coordinator_core::platform::{Attach, Ended};

impl Exec {
    /// Pauses the fleet for every cycle of this machine to come. A second pause replaces the first
    /// one's reason.
    #[expect(clippy::unused_async, reason = "every platform has it, and most wait for a server")]
    pub async fn pause(&self, pause: &Pause) -> anyhow::Result<()> {
        create_parents(&self.settings.exec.state_dir)?;
        create_directory(&self.directory())?;
        pause::write(&self.directory().join(PAUSED), pause)
    }

    /// Ends the pause; without one it does nothing.
    #[expect(clippy::unused_async, reason = "every platform has it, and most wait for a server")]
    pub async fn resume(&self) -> anyhow::Result<()> {
        pause::remove(&self.directory().join(PAUSED))
    }

    /// Lets a slot go on whose last session a person stopped; whether it was held.
    #[expect(clippy::unused_async, reason = "every platform has it, and most wait for a server")]
    pub async fn release(&self, slot: &Slot) -> anyhow::Result<bool> {
        stopped::release(&self.directory(), slot)
    }

    /// The sessions that ended since then, as far as the plugin remembers.
    pub async fn history(&self, since: SystemTime) -> anyhow::Result<Ended> {
        let runs = self.look_since(since).await?.ended(since);
        Ok(Ended { runs, ..Ended::default() })
    }

    /// The same, for a budget: not without a history.
    pub(super) async fn ended_since(&self, since: SystemTime) -> anyhow::Result<Ended> {
        if !self.fit().await?.history {
            bail!("the plugin keeps no history of sessions");
        }
        self.history(since).await
    }

    /// When a cycle last ran: the plugin does not show it.
    #[expect(clippy::unused_async, reason = "every platform has it, and most wait for a server")]
    pub async fn last_cycle_at(&self) -> anyhow::Result<Option<SystemTime>> {
        Ok(None)
    }

    /// The command that takes a person to the agent of the slot: its live session, or the newest.
    pub async fn attach(&self, slot: &Slot) -> anyhow::Result<Attach> {
        let name = slot.name();
        if !self.fit().await?.attach {
            bail!("the plugin cannot attach; read the agent with `coordinator logs {name}`");
        }
        let view = self.look().await?;
        let sessions = view.sessions(slot);
        let live = sessions.iter().rev().find(|session| view::is_live(session));
        let session = live.or(sessions.last());
        let session = session.with_context(|| format!("{name} has not run yet"))?;
        let request = protocol::Attach { id: &session.id };
        let Attached { argv, directory } = self.plugin.call(Operation::Attach, &request).await?;
        if argv.first().is_none_or(String::is_empty) {
            bail!("the plugin's command to attach is empty");
        }
        Ok(Attach { argv, directory })
    }

    /// Whether the fleet is paused.
    #[expect(clippy::unused_async, reason = "every platform has it, and most wait for a server")]
    pub(super) async fn read_pause(&self) -> anyhow::Result<Option<Pause>> {
        pause::read(&self.directory().join(PAUSED))
    }
}

/// The file that pauses the fleet.
const PAUSED: &str = "paused.json";
