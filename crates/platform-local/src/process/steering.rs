//! How a person steers the fleet on this machine, and looks back at it.

use std::time::SystemTime;

use anyhow::{Context, bail};

use super::record::{self, RESUMED, ResumeRecord, VERSION};
use super::scan::SlotScan;
use super::{Process, left, proc};
use crate::pause;
use coordinator_core::agent::Profile;
use coordinator_core::fleet::{Pause, Slot};
use coordinator_core::platform::{Attach, Ended};

impl Process {
    /// Pauses the fleet for every cycle to come. A second pause replaces the first one's reason.
    #[expect(clippy::unused_async, reason = "every platform has it, and most wait for a server")]
    pub async fn pause(&self, pause: &Pause) -> anyhow::Result<()> {
        let directory = self.settings.directory();
        directory.create()?;
        pause::write(&directory.paused(), pause)
    }

    /// Ends the pause; without one it does nothing.
    #[expect(clippy::unused_async, reason = "every platform has it, and most wait for a server")]
    pub async fn resume(&self) -> anyhow::Result<()> {
        pause::remove(&self.settings.directory().paused())
    }

    /// Lets a slot go on whose last session a person stopped; whether it was held.
    #[expect(clippy::unused_async, reason = "every platform has it, and most wait for a server")]
    pub async fn release(&self, slot: &Slot) -> anyhow::Result<bool> {
        let records = self.settings.directory().records(slot);
        let newest = record::read_records(&records, 1)?.pop();
        let Some(held) = newest.filter(|record| record.stopped_by.is_some()) else {
            return Ok(false);
        };
        record::write(&held.directory.join(RESUMED), &ResumeRecord { version: VERSION })?;
        Ok(true)
    }

    /// The sessions that ended since then. What cannot be read is named, and the others are shown.
    #[expect(clippy::unused_async, reason = "every platform has it, and most wait for a server")]
    pub async fn history(&self, since: SystemTime) -> anyhow::Result<Ended> {
        let (directory, boot_id) = (self.settings.directory(), proc::boot_id());
        let mut ended = Ended::default();
        for slot in directory.slots()? {
            match SlotScan::since(&directory, slot.clone(), since, &boot_id) {
                Ok((scan, damaged)) => {
                    ended.damaged.extend(damaged);
                    let runs = scan.history().into_iter().filter(|run| run.finished_at >= since);
                    ended.runs.extend(runs.map(|run| (slot.clone(), run)));
                }
                Err(error) => ended.unreadable.push(format!("{error:#}")),
            }
        }
        Ok(ended)
    }

    /// When a cycle last ran: nothing on this machine shows it.
    #[expect(clippy::unused_async, reason = "every platform has it, and most wait for a server")]
    pub async fn last_cycle_at(&self) -> anyhow::Result<Option<SystemTime>> {
        Ok(None)
    }

    /// The agent's own command that goes on with the session: the live one, or the newest. Beside a
    /// live one it starts a conversation of its own.
    #[expect(clippy::unused_async, reason = "every platform has it, and most wait for a server")]
    pub async fn attach(&self, slot: &Slot) -> anyhow::Result<Attach> {
        let (directory, name) = (self.settings.directory(), slot.name());
        let scan = SlotScan::read(&directory, slot.clone(), 1, &proc::boot_id())?;
        let record = scan.records.last();
        let record = record.with_context(|| format!("{name} has not run yet"))?;
        let launch: Option<record::Launch> = record::read(&record.directory.join("launch.json"))?;
        let launch = launch.with_context(|| format!("the record of {name} has no command"))?;
        let result = record.exit.as_ref().and_then(|exit| exit.result.as_ref());
        let id = result.and_then(|result| result.agent_session.clone());
        let id = id.or_else(|| left::agent_session(&record.directory, launch.agent));
        let id = id.with_context(|| {
            format!(
                "the session of {name} shows no id of its agent's own; read it with \
                 `coordinator logs {name}`"
            )
        })?;
        let program = launch.argv.first().context("the command is empty")?;
        let is_live = scan.is_held;
        Ok(Attach {
            argv: resumed(launch.agent, program, &id, is_live, &name)?,
            directory: Some(record.start.cwd.clone()),
        })
    }

    /// Whether the fleet is paused.
    #[expect(clippy::unused_async, reason = "every platform has it, and most wait for a server")]
    pub(super) async fn read_pause(&self) -> anyhow::Result<Option<Pause>> {
        pause::read(&self.settings.directory().paused())
    }
}

/// The command that goes on with the agent's session `id`.
fn resumed(
    agent: Profile,
    program: &str,
    id: &str,
    is_live: bool,
    slot: &str,
) -> anyhow::Result<Vec<String>> {
    let words: &[&str] = match agent {
        Profile::Claude if is_live => &[program, "--resume", id, "--fork-session"],
        Profile::Claude => &[program, "--resume", id],
        Profile::Codex => &[program, "resume", id],
        Profile::None => bail!(
            "the agent of {slot} has no session to go on with; read it with \
             `coordinator logs {slot}`"
        ),
    };
    Ok(words.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_conversation_is_forked_and_an_ended_one_goes_on() {
        let words = |agent, is_live| resumed(agent, "/bin/agent", "id-1", is_live, "x-s0");
        let forked = ["/bin/agent", "--resume", "id-1", "--fork-session"];
        assert_eq!(words(Profile::Claude, true).expect("it can be resumed"), forked);
        let resumed = words(Profile::Claude, false).expect("it can be resumed");
        assert_eq!(resumed, forked[..3]);
        let resumed = words(Profile::Codex, false).expect("it can be resumed");
        assert_eq!(resumed, ["/bin/agent", "resume", "id-1"]);
        assert!(words(Profile::None, false).is_err());
    }
}
