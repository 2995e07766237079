//! What a run that is over was, by its jobs. Pure.
//!
//! A run whose gate said no ends as well as one whose agent did, so the conclusion of the run alone tells nothing.

use std::time::Duration;

use super::runs::SlotRun;
use super::task::minutes;
use crate::fleet::{Outcome, Run};
use crate::github::actions::{Conclusion, Job, WorkflowRun};

/// The job that decides whether the session may start.
const GATE: &str = "gate";

/// The job that is the session.
pub(super) const AGENT: &str = "agent";

/// A job ends at its limit as if it had been cancelled, and not to the second.
const LIMIT_TOLERANCE: Duration = Duration::from_secs(60);

/// The session that the run was; `None` where no agent was to start: the gate skipped it, or it was cancelled while it
/// waited. `time_limit` is the role's, where the roster still has it.
pub(super) fn judge(run: &SlotRun, jobs: &[Job], time_limit: Option<Duration>) -> Option<Run> {
    let job = |name: &str| jobs.iter().filter(|job| job.name == name).max_by_key(|job| job.started_at);
    let agent = job(AGENT).filter(|job| ran(job));
    if let Some(agent) = agent {
        return Some(of_agent(run, agent, time_limit));
    }
    let gate = job(GATE).and_then(|gate| gate.conclusion);
    match gate.or(run.run.conclusion) {
        Some(Conclusion::Success | Conclusion::Cancelled | Conclusion::Skipped) => None,
        Some(Conclusion::Failure | Conclusion::StartupFailure | Conclusion::TimedOut) => {
            let what = if gate.is_some() { "its gate failed" } else { "the run could not begin" };
            Some(ended(run, job(GATE), Outcome::Failed, what))
        }
        Some(Conclusion::Other) | None => {
            Some(ended(run, None, Outcome::Lost, "it is not known how it ended"))
        }
    }
}

/// A job that never started has the conclusion of whoever gave it up.
fn ran(job: &Job) -> bool {
    match job.conclusion {
        Some(Conclusion::Skipped) => false,
        Some(Conclusion::Cancelled) => job.started_at.is_some(),
        Some(
            Conclusion::Success
            | Conclusion::Failure
            | Conclusion::StartupFailure
            | Conclusion::TimedOut
            | Conclusion::Other,
        )
        | None => true,
    }
}

fn of_agent(run: &SlotRun, agent: &Job, time_limit: Option<Duration>) -> Run {
    let (outcome, what) = match agent.conclusion {
        Some(Conclusion::Success) => (Outcome::Succeeded, ""),
        Some(Conclusion::Failure) => (Outcome::Failed, "the agent's job failed"),
        Some(Conclusion::StartupFailure) => (Outcome::Failed, "the agent's job could not begin"),
        Some(Conclusion::TimedOut) => (Outcome::TimedOut, "its time limit"),
        Some(Conclusion::Cancelled) => return cancelled(run, agent, time_limit),
        Some(Conclusion::Skipped | Conclusion::Other) | None => {
            (Outcome::Lost, "it is not known how it ended")
        }
    };
    ended(run, Some(agent), outcome, what)
}

/// By its time limit, or by a person.
fn cancelled(run: &SlotRun, agent: &Job, time_limit: Option<Duration>) -> Run {
    let person = Run { disrupted: true, ..ended(run, Some(agent), Outcome::Failed, "somebody cancelled it") };
    let limit = time_limit.map(|limit| Duration::from_secs(minutes(limit) * 60));
    if limit.is_some_and(|limit| person.runtime() + LIMIT_TOLERANCE >= limit) {
        return ended(run, Some(agent), Outcome::TimedOut, "its time limit");
    }
    person
}

/// By the conclusion of the run alone, where its slot is taken and nothing depends on it.
pub(super) fn roughly(run: &SlotRun) -> Option<Run> {
    let (outcome, what) = match run.run.conclusion {
        Some(Conclusion::Success) => (Outcome::Succeeded, ""),
        Some(Conclusion::Failure) => (Outcome::Failed, "the run failed"),
        Some(Conclusion::StartupFailure) => (Outcome::Failed, "the run could not begin"),
        Some(Conclusion::TimedOut) => (Outcome::TimedOut, "its time limit"),
        Some(Conclusion::Cancelled | Conclusion::Skipped) => return None,
        Some(Conclusion::Other) | None => (Outcome::Lost, "it is not known how it ended"),
    };
    Some(ended(run, None, outcome, what))
}

/// The remedy, where to look, stands behind a semicolon: tables leave it out.
fn ended(run: &SlotRun, job: Option<&Job>, outcome: Outcome, what: &str) -> Run {
    let SlotRun { generation, run: WorkflowRun { url, started_at, updated_at, .. } } = run;
    let started_at = job.and_then(|job| job.started_at).unwrap_or(*started_at);
    Run {
        generation: *generation,
        outcome,
        exit_code: None,
        detail: Some(if what.is_empty() { url.clone() } else { format!("{what}; {url}") }),
        started_at,
        finished_at: job.and_then(|job| job.completed_at).unwrap_or(*updated_at),
        disrupted: false,
    }
}
