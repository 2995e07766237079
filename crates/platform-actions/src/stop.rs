//! Ends a live session because a person says so: its run is cancelled. GitHub keeps who did it on
//! the run's page; the record says that a person did.

use super::Actions;
use super::list;
use super::runs::sort;
use coordinator_core::fleet::Slot;
use coordinator_core::platform::StopAnswer;

impl Actions {
    /// Asks GitHub to cancel the slot's live run, and those that wait behind it.
    pub async fn stop(&self, slot: &Slot) -> anyhow::Result<StopAnswer> {
        let (runs, _) = list::runs(&self.workflow, list::reach(self.settings.longest)).await?;
        let sorted = sort(&self.settings.fleet, self.workflow.file(), runs);
        let Some(runs) = sorted.slots.get(slot) else { return Ok(StopAnswer::NotLive) };
        let holder = runs.holder().map(|run| run.generation);
        let mut was_live = false;
        // The waiting ones first: they would begin the moment the other one ends.
        for run in runs.live().iter().rev().filter(|run| Some(run.generation) != holder).chain(runs.holder())
        {
            was_live |= self.workflow.cancel(run.run.id).await?;
        }
        Ok(if was_live { StopAnswer::Asked { generation: holder } } else { StopAnswer::NotLive })
    }
}
