//! How a person steers the fleet on GitHub Actions, and looks back at it.

use std::time::{Duration, SystemTime};

use anyhow::bail;

use super::Actions;
use super::list::{self, reach};
use super::runs::sort;
use super::session_input::resume;
use coordinator_core::fleet::{Pause, Slot};
use coordinator_core::platform::{Attach, Ended};
use coordinator_github::actions::DispatchAnswer;

/// The workflow that runs the cycles, as `coordinator init --github-actions` writes it.
const CYCLES: &str = "coordinator.yml";

/// Runs that ended in the time may have been dispatched this long before.
const MAX_LIFE: Duration = Duration::from_secs(2 * 86_400);

impl Actions {
    /// Disables the session workflow: GitHub then refuses every start, and each list shows it. It
    /// keeps neither the person nor the reason.
    pub async fn pause(&self, _pause: &Pause) -> anyhow::Result<()> {
        Ok(self.workflow.enable(false).await?)
    }

    /// Enables the session workflow.
    pub async fn resume(&self) -> anyhow::Result<()> {
        Ok(self.workflow.enable(true).await?)
    }

    /// Lets a slot go on whose last session was cancelled; whether it was held. GitHub has no place
    /// for a note on a run, so another run says it: one without an agent.
    pub async fn release(&self, slot: &Slot) -> anyhow::Result<bool> {
        let view = list::view(&self.workflow, &self.settings).await?;
        let Some(known) = view.slots.get(slot) else { return Ok(false) };
        let last = known.record.history.last();
        if known.record.live.is_some() || last.is_none_or(|run| run.stopped_by.is_none()) {
            return Ok(false);
        }
        self.workflow.reserve(1).map_err(coordinator_github::Error::from)?;
        let run = resume(&self.settings, slot, known.next_generation)?;
        match self.workflow.dispatch(&run).await {
            DispatchAnswer::Accepted { .. } => Ok(true),
            DispatchAnswer::Refused { message, .. } => bail!("GitHub answered: {message}"),
            DispatchAnswer::RateLimited(limit) => bail!("GitHub's rate limit: {}", limit.said),
            DispatchAnswer::Lost(why) => bail!("{why}; see `coordinator status`"),
        }
    }

    /// The sessions that ended since then, by the list of runs.
    pub async fn history(&self, since: SystemTime) -> anyhow::Result<Ended> {
        let back = SystemTime::now().duration_since(since).unwrap_or_default() + MAX_LIFE;
        let back = back.min(reach(Duration::MAX));
        let (runs, _) = list::runs(&self.workflow, back).await?;
        let runs = runs.into_iter().filter(|run| run.updated_at >= since).collect();
        let sorted = sort(&self.settings.fleet, self.workflow.file(), runs);
        let over = |runs: &super::runs::SlotRuns| runs.recent(usize::MAX).to_vec();
        let ids = sorted.slots.values().flat_map(over).map(|run| run.run.node_id);
        let jobs = self.workflow.jobs(&ids.collect::<Vec<_>>()).await?;
        let mut ended = Ended::default();
        for (slot, runs) in &sorted.slots {
            let limit = self.settings.time_limits.get(&slot.group).copied();
            let sessions = list::history(runs.recent(usize::MAX), &jobs, limit);
            let sessions = sessions.into_iter().filter(|run| run.finished_at >= since);
            ended.runs.extend(sessions.map(|run| (slot.clone(), run)));
        }
        Ok(ended)
    }

    /// When the workflow of the cycles last ran; `None` where it has another name.
    pub async fn last_cycle_at(&self) -> anyhow::Result<Option<SystemTime>> {
        Ok(self.workflow.last_run_of(CYCLES).await?)
    }

    /// Nobody gets to an agent on a runner: where its run is.
    pub async fn attach(&self, slot: &Slot) -> anyhow::Result<Attach> {
        let (runs, _) = list::runs(&self.workflow, reach(self.settings.longest)).await?;
        let sorted = sort(&self.settings.fleet, self.workflow.file(), runs);
        let newest = sorted.slots.get(slot).and_then(|runs| runs.newest(None));
        let name = slot.name();
        match newest {
            Some(run) => bail!(
                "an agent on a runner of GitHub Actions cannot be attached to; its run is {}",
                run.run.url
            ),
            None => bail!("{name} has not run yet"),
        }
    }

    /// Whether the fleet is paused.
    pub(super) async fn read_pause(&self) -> anyhow::Result<Option<Pause>> {
        let state = self.workflow.state().await?;
        Ok(list::is_pause(&state).then(Pause::default))
    }
}
