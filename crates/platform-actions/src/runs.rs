//! The runs of the workflow by the slots that they are for, and which of them are stuck.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::ActionsSettings;
use super::title::{ItemTitle, Title};
use coordinator_core::fleet::{
    FleetName, LiveSession, Run, Slot, State, Stuck, StuckReason, Unmanaged,
};
use coordinator_core::sanitize::one_line;
use coordinator_github::actions::{RunStatus, WorkflowRun};

/// The title of a foreign run may have any length.
const MAX_TITLE: usize = 80;

/// A run for a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SlotRun {
    pub(super) generation: u64,
    /// Of a work item's run, as far as its title can be read.
    pub(super) item: Option<ItemTitle>,
    /// No session: a person let the slot go on.
    pub(super) is_resume: bool,
    pub(super) run: WorkflowRun,
}

/// All runs for one slot that the list had, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SlotRuns {
    live: Vec<SlotRun>,
    over: Vec<SlotRun>,
    /// The newest generation with which a person let the slot go on; 0 where none did.
    resumed: u64,
}

/// The runs of the workflow, by purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sorted {
    pub(super) slots: BTreeMap<Slot, SlotRuns>,
    pub(super) unmanaged: Vec<Unmanaged>,
}

/// Sorts the runs, newest first, of which `file` is the workflow.
pub(super) fn sort(fleet: &FleetName, file: &str, runs: Vec<WorkflowRun>) -> Sorted {
    let mut sorted = Sorted::default();
    for run in runs {
        let is_over = run.status == RunStatus::Completed;
        match Title::read(fleet, &run.title) {
            Title::Ours { slot, generation, item, is_resume } => {
                let runs = sorted.slots.entry(slot).or_default();
                if is_resume {
                    runs.resumed = generation.max(runs.resumed);
                }
                let runs = if is_over { &mut runs.over } else { &mut runs.live };
                runs.push(SlotRun { generation, item, is_resume, run });
            }
            Title::Foreign if !is_over => sorted.unmanaged.push(foreign(file, &run)),
            Title::Foreign | Title::OtherFleet => {}
        }
    }
    sorted
}

fn foreign(file: &str, run: &WorkflowRun) -> Unmanaged {
    Unmanaged {
        session: one_line(&run.title, MAX_TITLE),
        reason: format!(
            "its title does not name a slot, so a person started {file} by hand; \
             it is neither counted nor touched: {}",
            run.url
        ),
    }
}

impl SlotRuns {
    /// The run that holds the slot: the one in progress, else the one that waits longest.
    pub(super) fn holder(&self) -> Option<&SlotRun> {
        let running = self.live.iter().find(|run| run.run.status == RunStatus::InProgress);
        running.or(self.live.last())
    }

    /// The sessions of the slot, of which those that a person let it go on after hold it no more.
    pub(super) fn released(&self, mut sessions: Vec<Run>) -> Vec<Run> {
        for session in &mut sessions {
            if session.generation < self.resumed {
                session.stopped_by = None;
            }
        }
        sessions
    }

    /// The runs that are not over, newest first.
    pub(super) fn live(&self) -> &[SlotRun] {
        &self.live
    }

    /// How many runs are over.
    pub(super) fn over(&self) -> usize {
        self.over.len()
    }

    /// The last finished runs, newest first, up to a maximum.
    pub(super) fn recent(&self, most: usize) -> &[SlotRun] {
        &self.over[..self.over.len().min(most)]
    }

    /// 1 + the greatest that was ever dispatched, whatever became of it.
    pub(super) fn next_generation(&self) -> u64 {
        self.live
            .iter()
            .chain(&self.over)
            .map(|run| run.generation)
            .max()
            .map_or(1, |last| last.saturating_add(1))
    }

    /// The runs of this generation, newest first; all with `None`.
    pub(super) fn newest(&self, generation: Option<u64>) -> Option<&SlotRun> {
        let wanted = |run: &&SlotRun| generation.is_none_or(|wanted| wanted == run.generation);
        self.live.iter().chain(&self.over).filter(wanted).max_by_key(|run| run.run.id)
    }
}

impl SlotRun {
    /// The session that holds its slot.
    pub(super) fn live(&self) -> LiveSession {
        LiveSession {
            generation: Some(self.generation),
            state: if self.run.status == RunStatus::InProgress {
                State::Running
            } else {
                State::Starting
            },
            started_at: Some(self.run.started_at),
            item: self.item.as_ref().map(|item| item.run.clone()),
        }
    }
}

/// Why the run that holds a slot is stuck, at `now` by GitHub's clock.
pub(super) fn stuck(
    slot: &Slot,
    holder: &SlotRun,
    settings: &ActionsSettings,
    now: SystemTime,
) -> Option<Stuck> {
    let run = &holder.run;
    let waits_long = run.started_at + settings.start_timeout < now;
    let (reason, detail) = match run.status {
        RunStatus::Waiting => (
            StuckReason::Suspended,
            format!(
                "an environment of the session workflow waits for approval; \
                 approve or reject it at {}",
                run.url
            ),
        ),
        RunStatus::Queued if waits_long => (
            StuckReason::Pending,
            format!(
                "no runner has taken it; check that one with its labels is online and free: {}",
                run.url
            ),
        ),
        RunStatus::Queued | RunStatus::InProgress | RunStatus::Completed => return None,
    };
    Some(Stuck { slot: slot.clone(), reason, since: Some(run.started_at), detail })
}
