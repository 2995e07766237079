//! The inventory: the runs of the session workflow, page by page, back to where no live one can be.
//!
//! A list with a filter would be shorter, and may lack runs: see [`coordinator_github::actions`].
//! Whatever is not certainly complete has failed.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::Settings;
use super::outcome::{is_settled, judge, roughly};
use super::runs::{SlotRun, SlotRuns, Sorted, sort, stuck};
use coordinator_core::fleet::{HISTORY, Listing, Pause, Run, Seat, Slot, SlotRecord};
use coordinator_github::Error;
use coordinator_github::actions::{
    PAGE_SIZE, RunPage, Workflow, WorkflowFile, WorkflowJob, WorkflowRun,
};

/// GitHub's word for a workflow that a person, or their token, disabled.
const DISABLED_BY_HAND: &str = "disabled_manually";

/// A run that no runner takes is given up after a day (GitHub Docs, "Actions limits").
const MAX_QUEUE: Duration = Duration::from_secs(24 * 3600);

/// No run lives longer (GitHub Docs, "Actions limits").
const MAX_RUN: Duration = Duration::from_secs(35 * 24 * 3600);

/// Runs of an item's slot whose jobs are read: those that were not admitted stand between its
/// sessions.
pub(super) const MAX_ITEM_RUNS: usize = 100;

/// How far back a list must go: to the oldest run that may be live, or that may still hold its slot
/// back.
pub(super) fn reach(longest: Duration) -> Duration {
    longest.saturating_add(MAX_QUEUE).min(MAX_RUN)
}

/// The next step after a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read the next one.
    Page,
    /// Stop: it went back far enough, or was the last.
    Done,
    /// The list was cut off: GitHub returns a limited number of runs.
    Capped { shown: u64 },
}

/// `before` are the runs on earlier pages; `limit` is the time to go back to.
pub(super) fn next(page: &RunPage, before: u64, limit: SystemTime) -> Next {
    let shown = before + page.runs.len() as u64;
    match page.runs.last() {
        Some(last) if last.created_at < limit => Next::Done,
        Some(_) if page.has_next => Next::Page,
        Some(_) | None if shown < page.total => Next::Capped { shown },
        Some(_) | None => Next::Done,
    }
}

/// The runs of the last `reach`, newest first, and when their list began, by GitHub's clock.
pub(super) async fn runs(
    workflow: &Workflow,
    reach: Duration,
) -> Result<(Vec<WorkflowRun>, SystemTime), Error> {
    let mut runs: BTreeMap<u64, WorkflowRun> = BTreeMap::new();
    let mut began = None;
    for page_number in 1.. {
        let page = workflow.runs(page_number).await?;
        let began =
            *began.get_or_insert_with(|| workflow.server_time().unwrap_or_else(SystemTime::now));
        let limit = began.checked_sub(reach).unwrap_or(SystemTime::UNIX_EPOCH);
        let next = next(&page, (page_number as u64 - 1) * PAGE_SIZE as u64, limit);
        // New runs push the others from page to page: what is seen twice counts once, as it was
        // last.
        runs.extend(page.runs.into_iter().map(|run| (run.id, run)));
        match next {
            Next::Page => {}
            Next::Done => break,
            Next::Capped { shown } => return Err(Error::Failed(capped(shown))),
        }
    }
    Ok((runs.into_values().rev().collect(), began.unwrap_or_else(SystemTime::now)))
}

pub(super) fn capped(shown: u64) -> String {
    format!("GitHub listed {shown} runs and has more, of which older ones may be live")
}

/// The runs of the fleet by slot, and the jobs of those that count.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) slots: BTreeMap<Slot, Known>,
    pub(super) as_of: SystemTime,
    /// When the newest run was dispatched that the list shows, whatever it is.
    pub(super) newest_run: Option<SystemTime>,
    /// The session workflow is disabled by hand.
    is_paused: bool,
    sorted: Sorted,
}

/// The runs of one slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) record: SlotRecord,
    pub(super) next_generation: u64,
    /// The run that was the newest session of an item; `None` where nothing ran, and in the slot of
    /// a role.
    pub(super) last_session: Option<u64>,
}

/// Asks for all of it.
pub(super) async fn view(workflow: &Workflow, settings: &Settings) -> Result<Snapshot, Error> {
    let listed = runs(workflow, reach(settings.longest));
    let (listed, state) = tokio::join!(listed, workflow.state());
    let ((runs, as_of), is_paused) = (listed?, is_pause(&state?));
    let newest_run = runs.iter().map(|run| run.created_at).max();
    let sorted = sort(&settings.fleet, workflow.file(), runs);
    let ids = sorted.slots.iter().flat_map(|(slot, runs)| judged_by_jobs(slot, runs));
    let ids: Vec<String> = ids.map(|run| run.run.node_id.clone()).collect();
    let jobs = workflow.jobs(&ids).await?;
    let known = sorted.slots.iter().map(|(slot, runs)| {
        let known = match slot.seat {
            Seat::Index(_) => of_role(runs, &jobs, settings.time_limits.get(&slot.group).copied()),
            Seat::Item(_) => of_item(runs, &jobs, as_of),
        };
        (slot.clone(), known)
    });
    Ok(Snapshot { slots: known.collect(), as_of, newest_run, is_paused, sorted })
}

/// Whether this state of the session workflow is a pause. GitHub itself disables workflows of
/// repositories without activity, which is none.
pub(super) fn is_pause(state: &WorkflowFile) -> bool {
    match state {
        WorkflowFile::Inactive(word) => word == DISABLED_BY_HAND,
        WorkflowFile::Active | WorkflowFile::Absent => false,
    }
}

/// The runs that are over whose jobs matter. Of a role's slot that is taken none do: nothing
/// depends on its history.
fn judged_by_jobs<'a>(slot: &Slot, runs: &'a SlotRuns) -> &'a [SlotRun] {
    match slot.seat {
        Seat::Item(_) => runs.recent(MAX_ITEM_RUNS),
        Seat::Index(_) if runs.holder().is_none() => runs.recent(HISTORY),
        Seat::Index(_) => &[],
    }
}

type Jobs = BTreeMap<String, Vec<WorkflowJob>>;

/// Its generation is the greatest that was ever dispatched.
fn of_role(runs: &SlotRuns, jobs: &Jobs, time_limit: Option<Duration>) -> Known {
    let history = match runs.holder() {
        Some(_) => runs.recent(HISTORY).iter().rev().filter_map(roughly).collect(),
        None => history(runs.recent(HISTORY), jobs, time_limit),
    };
    let history = runs.released(history);
    let next_generation = runs.next_generation();
    let live = runs.holder().map(SlotRun::live);
    let record = SlotRecord { live, history, generation: next_generation - 1 };
    Known { record, next_generation, last_session: None }
}

/// Its generation is that of the newest session: what was not admitted did not run, and nothing
/// follows it.
fn of_item(runs: &SlotRuns, jobs: &Jobs, now: SystemTime) -> Known {
    let over = runs.recent(MAX_ITEM_RUNS);
    let holder = runs.holder().or_else(|| over.iter().find(|run| !is_known(run, jobs, now)));
    let mut sessions = sessions(over, jobs, None);
    sessions.retain(|(run, _)| holder.is_none_or(|holder| holder.run.id != *run));
    sessions.drain(..sessions.len().saturating_sub(HISTORY));
    let last_session = sessions.last().map(|(run, _)| *run);
    let history = sessions.into_iter().map(|(_, session)| session).collect();
    let history = runs.released(history);
    let record = SlotRecord::of(holder.map(SlotRun::live), history);
    Known { record, next_generation: runs.next_generation(), last_session }
}

/// Whether it is certain how a run that is over ended. A run without an answer has been deleted
/// meanwhile.
pub(super) fn is_known(run: &SlotRun, jobs: &Jobs, now: SystemTime) -> bool {
    jobs.get(&run.run.node_id).is_none_or(|jobs| is_settled(run, jobs, now))
}

/// The sessions of these runs that are over, which come newest first; oldest first, by the jobs of
/// the runs.
pub(super) fn history(over: &[SlotRun], jobs: &Jobs, time_limit: Option<Duration>) -> Vec<Run> {
    sessions(over, jobs, time_limit).into_iter().map(|(_, session)| session).collect()
}

/// The same, with the id of each run.
pub(super) fn sessions(
    over: &[SlotRun],
    jobs: &Jobs,
    time_limit: Option<Duration>,
) -> Vec<(u64, Run)> {
    let judged = over.iter().rev().filter_map(|run| {
        let session = judge(run, jobs.get(&run.run.node_id)?, time_limit)?;
        Some((run.run.id, session))
    });
    judged.collect()
}

impl Snapshot {
    /// The same in the terms of every platform, at `now` by GitHub's clock.
    pub(super) fn listing(&self, settings: &Settings, now: Option<SystemTime>) -> Listing {
        let slots = self.slots.iter().map(|(slot, known)| (slot.clone(), known.record.clone()));
        let slots = slots.filter(|(_, record)| record.live.is_some() || !record.history.is_empty());
        let stuck = self.sorted.slots.iter().filter_map(|(slot, runs)| {
            stuck(slot, runs.holder()?, &settings.actions, now.unwrap_or_else(SystemTime::now))
        });
        Listing {
            slots: slots.collect(),
            unmanaged: self.sorted.unmanaged.clone(),
            stuck: stuck.collect(),
            leftovers: Vec::new(),
            paused: self.is_paused.then(Pause::default),
            as_of: now,
        }
    }
}
