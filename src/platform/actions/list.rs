//! The inventory: the runs of the session workflow, page by page, back to where no live one can be.
//!
//! A list with a filter would be shorter, and may lack runs: see [`crate::github::actions`]. Whatever is not certainly
//! complete has failed.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::outcome::{judge, roughly};
use super::runs::{SlotRun, Sorted, sort};
use super::{Settings, stuck};
use crate::fleet::{HISTORY, Listing, Role, Run, Slot, SlotRecord};
use crate::github::Error;
use crate::github::actions::{PAGE_SIZE, RunPage, Workflow, WorkflowJob, WorkflowRun};

/// A run that no runner takes is given up after a day (GitHub Docs, "Actions limits").
const LONGEST_QUEUE: Duration = Duration::from_secs(24 * 3600);

/// No run lives longer (GitHub Docs, "Actions limits").
const LONGEST_RUN: Duration = Duration::from_secs(35 * 24 * 3600);

/// How far back a list must go: to the oldest run that may be live, or that may still hold its slot back.
pub(super) fn reach(roles: &[Role]) -> Duration {
    let of_role = |role: &Role| {
        let restraint = &role.spec.restraint;
        role.spec.time_limit.max(restraint.backoff_cap).max(restraint.min_interval)
    };
    let longest = roles.iter().map(of_role).max().unwrap_or_default();
    longest.saturating_add(LONGEST_QUEUE).min(LONGEST_RUN)
}

/// What to do after a page.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Ask for the next one.
    Page,
    /// It went back far enough, or there are no more.
    Done,
    /// It ended before its time: GitHub shows no more than so many of them.
    Capped { shown: u64 },
}

/// `before` are the runs on earlier pages; `limit` is the time to go back to.
fn next(page: &RunPage, before: u64, limit: SystemTime) -> Next {
    let shown = before + page.runs.len() as u64;
    match page.runs.last() {
        Some(last) if last.created_at < limit => Next::Done,
        Some(_) if page.has_next => Next::Page,
        Some(_) | None if shown < page.total => Next::Capped { shown },
        Some(_) | None => Next::Done,
    }
}

/// The runs of the last `reach`, newest first.
pub(super) async fn runs(workflow: &Workflow, reach: Duration) -> Result<Vec<WorkflowRun>, Error> {
    let mut runs: BTreeMap<u64, WorkflowRun> = BTreeMap::new();
    let mut limit = None;
    for page_number in 1.. {
        let page = workflow.runs(page_number).await?;
        let limit = *limit.get_or_insert_with(|| {
            let now = workflow.server_time().unwrap_or_else(SystemTime::now);
            now.checked_sub(reach).unwrap_or(SystemTime::UNIX_EPOCH)
        });
        let next = next(&page, (page_number as u64 - 1) * PAGE_SIZE as u64, limit);
        // New runs push the others from page to page: what is seen twice counts once, as it was last.
        runs.extend(page.runs.into_iter().map(|run| (run.id, run)));
        match next {
            Next::Page => {}
            Next::Done => break,
            Next::Capped { shown } => return Err(Error::Failed(capped(shown))),
        }
    }
    Ok(runs.into_values().rev().collect())
}

fn capped(shown: u64) -> String {
    format!(
        "the list of runs ends after {shown}, and older ones may be live: GitHub says that there are more"
    )
}

/// The runs of the fleet by slot, and the jobs of those that count.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) slots: BTreeMap<Slot, Known>,
    sorted: Sorted,
}

/// What is known of one slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) record: SlotRecord,
    pub(super) next_generation: u64,
}

/// Asks for all of it.
pub(super) async fn view(workflow: &Workflow, settings: &Settings) -> Result<View, Error> {
    let runs = runs(workflow, reach(&settings.roles)).await?;
    let sorted = sort(&settings.fleet, workflow.file(), runs);
    let free = sorted.slots.values().filter(|runs| runs.holder().is_none());
    let ids: Vec<String> =
        free.flat_map(|runs| runs.recent(HISTORY)).map(|run| run.run.node_id.clone()).collect();
    let jobs = workflow.jobs(&ids).await?;
    let limits: BTreeMap<&str, Duration> =
        settings.roles.iter().map(|role| (role.key.as_str(), role.spec.time_limit)).collect();
    let known = sorted.slots.iter().map(|(slot, runs)| {
        let history = match runs.holder() {
            Some(_) => runs.recent(HISTORY).iter().rev().filter_map(roughly).collect(),
            None => history(runs.recent(HISTORY), &jobs, limits.get(slot.group.as_str()).copied()),
        };
        let generation = runs.next_generation() - 1;
        let record = SlotRecord { live: runs.holder().map(SlotRun::live), history, generation };
        (slot.clone(), Known { record, next_generation: runs.next_generation() })
    });
    Ok(View { slots: known.collect(), sorted })
}

/// The sessions of these runs that are over, which come newest first; oldest first, by the jobs of the runs.
pub(super) fn history(
    over: &[SlotRun],
    jobs: &BTreeMap<String, Vec<WorkflowJob>>,
    time_limit: Option<Duration>,
) -> Vec<Run> {
    let judged = over.iter().rev().filter_map(|run| judge(run, jobs.get(&run.run.node_id)?, time_limit));
    judged.collect()
}

impl View {
    /// The same in the terms of every platform, at `now` by GitHub's clock.
    pub(super) fn listing(&self, settings: &Settings, now: Option<SystemTime>) -> Listing {
        let slots = self.slots.iter().map(|(slot, known)| (slot.clone(), known.record.clone()));
        let slots = slots.filter(|(_, record)| record.live.is_some() || !record.history.is_empty());
        let stuck = self.sorted.slots.iter().filter_map(|(slot, runs)| {
            stuck::stuck(slot, runs.holder()?, &settings.actions, now.unwrap_or_else(SystemTime::now))
        });
        Listing {
            slots: slots.collect(),
            unmanaged: self.sorted.unmanaged.clone(),
            stuck: stuck.collect(),
            as_of: now,
        }
    }
}
