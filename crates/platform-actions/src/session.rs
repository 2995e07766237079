//! What people do with one session: end it, read its agent's output. GitHub has a
//! log from the end of the agent's job on.

use bytes::Bytes;

use super::Actions;
use super::list::{self, reach};
use super::outcome::AGENT;
use super::runs::{SlotRun, sort};
use coordinator_core::fleet::Slot;
use coordinator_core::platform::StopAnswer;
use coordinator_github::actions::{JobLog, RunStatus};

/// The end of a log matters most; the whole log is on the run's page.
const MAX_LOG: usize = 64 * 1024;

/// The log of a run's agent, as far as there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub url: String,
    /// Which session of the slot it was.
    pub generation: u64,
    pub text: LogText,
}

/// The log as far as GitHub has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogText {
    /// All of it.
    Whole(Bytes),
    /// Its last lines.
    Tail(Bytes),
    /// It still runs: GitHub gives a log when the job is over.
    NotYet,
    NoAgent,
    /// GitHub does not keep it any more.
    Gone,
}

impl Actions {
    /// Ends the slot's live session for a person: has GitHub cancel its run, and
    /// those that wait behind it. GitHub keeps who did it on the run's page.
    pub async fn stop(&self, slot: &Slot) -> anyhow::Result<StopAnswer> {
        let (runs, _) = list::runs(&self.workflow, reach(self.settings.longest)).await?;
        let sorted = sort(&self.settings.fleet, self.workflow.file(), runs);
        let Some(runs) = sorted.slots.get(slot) else { return Ok(StopAnswer::NotLive) };
        let holder = runs.holder().map(|run| run.generation);
        let mut was_live = false;
        // The waiting ones first: they would begin the moment the other one ends.
        for run in runs
            .live()
            .iter()
            .rev()
            .filter(|run| Some(run.generation) != holder)
            .chain(runs.holder())
        {
            was_live |= self.workflow.cancel(run.run.id).await?;
        }
        Ok(if was_live { StopAnswer::Asked { generation: holder } } else { StopAnswer::NotLive })
    }

    /// The log of a slot's newest session, or of the newest of this generation.
    ///
    /// Fails when the run does not exist.
    pub async fn logs(&self, slot: &Slot, generation: Option<u64>) -> anyhow::Result<Log> {
        let (runs, _) = list::runs(&self.workflow, reach(self.settings.longest)).await?;
        let mut sorted = sort(&self.settings.fleet, self.workflow.file(), runs);
        let runs = sorted.slots.remove(slot).unwrap_or_default();
        let Some(found) = runs.newest(generation) else {
            let name = slot.name();
            match generation {
                Some(generation) => anyhow::bail!(
                    "no session {generation} of {name} is in the list of runs; \
                     see `coordinator sessions`"
                ),
                None => {
                    anyhow::bail!("{name} has not run yet; see `coordinator sessions`")
                }
            }
        };
        let text = self.text_of(found).await?;
        Ok(Log { url: found.run.url.clone(), generation: found.generation, text })
    }

    async fn text_of(&self, found: &SlotRun) -> anyhow::Result<LogText> {
        let jobs = self.workflow.run_jobs(found.run.id).await?;
        let agent = jobs.iter().find(|job| job.name == AGENT);
        let Some(agent) = agent else {
            let is_over = found.run.status == RunStatus::Completed;
            return Ok(if is_over { LogText::NoAgent } else { LogText::NotYet });
        };
        if agent.status != RunStatus::Completed {
            return Ok(LogText::NotYet);
        }
        Ok(match self.workflow.job_log(agent.id, MAX_LOG).await? {
            JobLog::Whole(text) => LogText::Whole(text),
            JobLog::Tail(text) => LogText::Tail(text),
            JobLog::None => LogText::Gone,
        })
    }
}
