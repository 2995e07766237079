//! Compare-and-start for work items. The register of an item's generation is the runs of its slot
//! themselves.
//!
//! A dispatch compares nothing, so the run that it starts does, while it holds the slot's
//! concurrency group: no other session of the slot can begin then. Its ticket names the session
//! that the start was planned after, and the time from which on the plan may not have seen every
//! run. A session that was dispatched since then, and is not the one that the ticket names, ran
//! without the plan: the run ends without an agent.
//!
//! GitHub's list of runs may lag. It is believed only where it shows the run that reads it, which
//! is newer than all that ran before. What a list of the coordinator did not show yet is newer than
//! the newest run that it did show, so the time in the ticket is not later than that. Whatever is
//! not certain ends the run without an agent, too: then nothing ran, and the next cycle plans anew.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::admit::{MAX_PAGES, Skip, Ticket};
use super::list::{MAX_ITEM_RUNS, Next, Snapshot, capped, is_known, next, sessions};
use super::runs::{SlotRun, SlotRuns, sort};
use super::title::{ItemTitle, Title};
use coordinator_core::fleet::{HISTORY, ItemKey, ItemRun, Run, Seat, Slot};
use coordinator_github::actions::{PAGE_SIZE, RunStatus, Workflow, WorkflowRun};

/// A run may be missing in a list that shows newer ones. 22 seconds have been seen; this is far
/// more.
const LIST_LAG: Duration = Duration::from_secs(1800);

/// The input of a work item's session beside the command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemTicket {
    #[serde(flatten)]
    pub of: ItemRun,
    /// The generation of the session that it follows; 0: nothing ran yet.
    pub follows: u64,
    /// The run of that session: generations begin anew where runs were deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows_run: Option<u64>,
    /// In seconds: see [`ItemTicket::since`].
    since_s: u64,
}

impl ItemTicket {
    /// For a session that was planned by this view.
    pub(super) fn new(
        of: ItemRun,
        follows: u64,
        follows_run: Option<u64>,
        view: &Snapshot,
    ) -> Self {
        let trusted = view.as_of.checked_sub(LIST_LAG).unwrap_or(SystemTime::UNIX_EPOCH);
        // An empty list shows nothing that its lag could be judged by.
        let since = view.newest_run.map_or(SystemTime::UNIX_EPOCH, |newest| newest.min(trusted));
        let since_s = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { of, follows, follows_run, since_s }
    }

    /// Runs dispatched before this time had ended when the plan was made. Later ones are compared.
    pub(super) fn since(&self) -> SystemTime {
        let since = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.since_s));
        since.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Whether it is about the item of this slot, and a session of this generation may come of it.
    pub fn fits(&self, slot: &Slot, generation: u64) -> bool {
        let key = ItemKey::of(&self.of.item.id);
        slot.seat == Seat::Item(key) && self.follows < generation
    }
}

/// The slot's sessions since the ticket's time, oldest first; an error where they are not those of
/// the plan.
pub(super) async fn past(
    ticket: &Ticket,
    item: &ItemTicket,
    workflow: &Workflow,
) -> Result<Vec<Run>, Skip> {
    let mut runs = runs_since(ticket, item.since(), workflow).await?;
    let own = runs.remove(&ticket.run).ok_or(Skip::Behind)?;
    if Title::read(&ticket.fleet, &own.title) != expected_title(ticket, item) {
        return Err(Skip::Mislabelled);
    }
    runs.retain(|_, run| run.created_at >= item.since());
    let runs = runs.into_values().rev().collect();
    let mut sorted = sort(&ticket.fleet, workflow.file(), runs);
    let runs = sorted.slots.remove(&ticket.slot).unwrap_or_default();
    compare(ticket, item, &runs, workflow).await
}

/// The runs back to `since`, by id.
async fn runs_since(
    ticket: &Ticket,
    since: SystemTime,
    workflow: &Workflow,
) -> Result<BTreeMap<u64, WorkflowRun>, Skip> {
    let mut runs = BTreeMap::new();
    for page_number in 1..=MAX_PAGES {
        let page = workflow.runs(page_number).await?;
        let next = next(&page, ((page_number - 1) * PAGE_SIZE) as u64, since);
        runs.extend(page.runs.into_iter().map(|run| (run.id, run)));
        let now = workflow.server_time().unwrap_or_else(SystemTime::now);
        match next {
            _ if now >= ticket.expires_at => {
                return Err(Skip::Expired { since: ticket.expires_at });
            }
            Next::Done => return Ok(runs),
            Next::Page => {}
            Next::Capped { shown } => return Err(Skip::Unknown(capped(shown))),
        }
    }
    let since = humantime::format_rfc3339_seconds(since);
    Err(Skip::Unknown(format!(
        "more than {} runs were dispatched since {since}",
        MAX_PAGES * PAGE_SIZE
    )))
}

/// The run in every list must match its session.
fn expected_title(ticket: &Ticket, item: &ItemTicket) -> Title {
    let Ticket { slot, generation, input, .. } = ticket;
    let item = ItemTitle { run: item.of.clone(), time_limit: input.time_limit() };
    Title::Ours { slot: slot.clone(), generation: *generation, item: Some(item), is_resume: false }
}

/// Compares the newest session of the slot's other runs with the one that the ticket names.
async fn compare(
    ticket: &Ticket,
    item: &ItemTicket,
    runs: &SlotRuns,
    workflow: &Workflow,
) -> Result<Vec<Run>, Skip> {
    // A newer run waits behind this one. An older one that is not over contradicts the group that
    // this one holds.
    let mut live = runs.live().iter().map(|run| &run.run);
    if let Some(other) = live.find(|run| run.status == RunStatus::InProgress || run.id < ticket.run)
    {
        return Err(Skip::Taken { url: other.url.clone() });
    }
    if runs.over() > MAX_ITEM_RUNS {
        return Err(Skip::Unknown(format!(
            "more than {MAX_ITEM_RUNS} runs of the slot have ended"
        )));
    }
    let over = runs.recent(MAX_ITEM_RUNS);
    let ids: Vec<String> = over.iter().map(|run| run.run.node_id.clone()).collect();
    let jobs = workflow.jobs(&ids).await?;
    let now = workflow.server_time().unwrap_or_else(SystemTime::now);
    let sessions = sessions(over, &jobs, None);
    if let Some((run, session)) = sessions.last().filter(|(run, _)| Some(*run) != item.follows_run)
    {
        let of_run = over.iter().find(|one| one.run.id == *run);
        let url = of_run.map(|one| one.run.url.clone()).unwrap_or_default();
        return Err(Skip::Superseded { generation: session.generation, url });
    }
    // A newer run that made way for another one while it waited never has jobs.
    let has_begun =
        |run: &&SlotRun| run.run.id < ticket.run || jobs.get(&run.run.node_id) != Some(&Vec::new());
    let mut open = over.iter().filter(|run| !is_known(run, &jobs, now));
    if let Some(run) = open.find(has_begun) {
        return Err(Skip::Unknown(format!(
            "GitHub does not show yet how a run ended: {}",
            run.run.url
        )));
    }
    let mut history: Vec<Run> = sessions.into_iter().map(|(_, session)| session).collect();
    history.drain(..history.len().saturating_sub(HISTORY));
    Ok(history)
}
