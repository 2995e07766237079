//! The outcome of a finished run, by its jobs.
//!
//! A run that was not admitted succeeds like one whose agent succeeded, so the conclusion of the
//! run is not enough.

use std::time::{Duration, SystemTime};

use super::runs::SlotRun;
use super::session_input::minutes;
use coordinator_core::agent::AgentEnd;
use coordinator_core::fleet::{Outcome, Run};
use coordinator_core::sanitize::one_line;
use coordinator_github::actions::{Conclusion, RunStatus, WorkflowJob, WorkflowRun};

/// The job that decides whether the session may start.
pub(super) const ADMIT: &str = "admit";

/// The same job in workflows that `init` wrote before it was called `admit`.
const FORMER_ADMIT: &str = "gate";

/// The job that is the session.
pub(super) const AGENT: &str = "agent";

/// A job ends at its limit as if it had been cancelled, and not to the second.
const LIMIT_TOLERANCE: Duration = Duration::from_secs(60);

/// Characters of the wrapper's word on a stalled agent.
const MAX_STALLED: usize = 80;

/// GitHub may show the jobs of a run later than the end of the run. After so long, what it shows is
/// all.
const JOBS_LAG: Duration = Duration::from_secs(300);

fn job<'a>(jobs: &'a [WorkflowJob], name: &str) -> Option<&'a WorkflowJob> {
    jobs.iter().filter(|job| job.name == name).max_by_key(|job| job.started_at)
}

fn admission(jobs: &[WorkflowJob]) -> Option<&WorkflowJob> {
    job(jobs, ADMIT).or_else(|| job(jobs, FORMER_ADMIT))
}

/// Whether the jobs of a run that is over show, at `now` by GitHub's clock, if its agent ran and
/// how it ended. Until they do, the slot of a work item counts as taken: a session that is
/// overlooked would run again.
pub(super) fn is_settled(run: &SlotRun, jobs: &[WorkflowJob], now: SystemTime) -> bool {
    let shows_all = match job(jobs, AGENT) {
        Some(agent) => agent.status == RunStatus::Completed,
        None => admission(jobs)
            .and_then(|job| job.conclusion)
            .is_some_and(|conclusion| conclusion != Conclusion::Success),
    };
    shows_all || run.run.updated_at + JOBS_LAG <= now
}

/// The session that the run was; `None` where no agent was to start: it was not admitted, or it was
/// cancelled while it waited. `time_limit` applies where the run's title has none.
pub(super) fn judge(
    run: &SlotRun,
    jobs: &[WorkflowJob],
    time_limit: Option<Duration>,
) -> Option<Run> {
    if run.is_resume {
        return None;
    }
    let time_limit = run.item.as_ref().map(|item| item.time_limit).or(time_limit);
    let agent = job(jobs, AGENT).filter(|job| ran(job));
    if let Some(agent) = agent {
        return Some(with_end(of_agent(run, agent, time_limit), agent));
    }
    let admission = admission(jobs);
    match admission.and_then(|job| job.conclusion).or(run.run.conclusion) {
        Some(Conclusion::Success | Conclusion::Cancelled | Conclusion::Skipped) => None,
        Some(Conclusion::Failure | Conclusion::StartupFailure | Conclusion::TimedOut) => {
            let what = match admission {
                Some(job) => format!("its job `{}` failed", job.name),
                None => "the run could not start".to_owned(),
            };
            Some(ended(run, admission, Outcome::Failed, &what))
        }
        Some(Conclusion::Other) | None => {
            Some(ended(run, None, Outcome::Lost, "its outcome is unknown"))
        }
    }
}

/// What the wrapper wrote at the agent's end, where the job has it.
fn with_end(run: Run, agent: &WorkflowJob) -> Run {
    let Some(end) = agent.end.as_deref().and_then(AgentEnd::parse) else { return run };
    let stalled = end.stalled.as_deref().filter(|_| run.outcome == Outcome::Failed);
    let run = match stalled {
        Some(stalled) => {
            let detail = format!("stalled: {}", one_line(stalled, MAX_STALLED));
            Run { outcome: Outcome::TimedOut, detail: Some(detail), ..run }
        }
        None => run,
    };
    Run { result: end.left(), ..run }
}

/// A job that never started has the conclusion of its canceller.
fn ran(job: &WorkflowJob) -> bool {
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

fn of_agent(run: &SlotRun, agent: &WorkflowJob, time_limit: Option<Duration>) -> Run {
    let (outcome, what) = match agent.conclusion {
        Some(Conclusion::Success) => (Outcome::Succeeded, ""),
        Some(Conclusion::Failure) => (Outcome::Failed, "the agent's job failed"),
        Some(Conclusion::StartupFailure) => (Outcome::Failed, "the agent's job could not start"),
        Some(Conclusion::TimedOut) => (Outcome::TimedOut, "its time limit"),
        Some(Conclusion::Cancelled) => return cancelled(run, agent, time_limit),
        Some(Conclusion::Skipped | Conclusion::Other) | None => {
            (Outcome::Lost, "its outcome is unknown")
        }
    };
    ended(run, Some(agent), outcome, what)
}

/// By its time limit, or by a person.
fn cancelled(run: &SlotRun, agent: &WorkflowJob, time_limit: Option<Duration>) -> Run {
    // GitHub does not show who cancelled it.
    let stopped_by = Some(String::new());
    let person = ended(run, Some(agent), Outcome::Stopped, "its run was cancelled");
    let person = Run { stopped_by, ..person };
    let limit = time_limit.map(|limit| Duration::from_secs(minutes(limit) * 60));
    if limit.is_some_and(|limit| person.runtime() + LIMIT_TOLERANCE >= limit) {
        return ended(run, Some(agent), Outcome::TimedOut, "its time limit");
    }
    person
}

/// By the conclusion of the run alone, where its slot is taken and nothing depends on it.
pub(super) fn roughly(run: &SlotRun) -> Option<Run> {
    if run.is_resume {
        return None;
    }
    let (outcome, what) = match run.run.conclusion {
        Some(Conclusion::Success) => (Outcome::Succeeded, ""),
        Some(Conclusion::Failure) => (Outcome::Failed, "the run failed"),
        Some(Conclusion::StartupFailure) => (Outcome::Failed, "the run could not start"),
        Some(Conclusion::TimedOut) => (Outcome::TimedOut, "its time limit"),
        Some(Conclusion::Cancelled | Conclusion::Skipped) => return None,
        Some(Conclusion::Other) | None => (Outcome::Lost, "its outcome is unknown"),
    };
    Some(ended(run, None, outcome, what))
}

/// The remedy, where to look, follows a semicolon: tables leave it out.
fn ended(run: &SlotRun, job: Option<&WorkflowJob>, outcome: Outcome, what: &str) -> Run {
    let SlotRun { generation, item, run: workflow_run, .. } = run;
    let WorkflowRun { url, started_at, updated_at, .. } = workflow_run;
    let started_at = job.and_then(|job| job.started_at).unwrap_or(*started_at);
    Run {
        generation: *generation,
        outcome,
        exit_code: None,
        detail: Some(if what.is_empty() { url.clone() } else { format!("{what}; {url}") }),
        started_at,
        finished_at: job.and_then(|job| job.completed_at).unwrap_or(*updated_at),
        disrupted: false,
        stopped_by: None,
        result: None,
        item: item.as_ref().map(|item| item.run.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + second)
    }

    /// A run from second 0 to 10,000.
    fn run(conclusion: Conclusion) -> SlotRun {
        let run = WorkflowRun {
            id: 1,
            node_id: "WFR_1".to_owned(),
            title: String::new(),
            status: RunStatus::Completed,
            conclusion: Some(conclusion),
            created_at: second(0),
            started_at: second(0),
            updated_at: second(10_000),
            url: "https://github.com/x".to_owned(),
        };
        SlotRun { generation: 3, item: None, is_resume: false, run }
    }

    /// A job from second 100 on.
    fn job(name: &str, conclusion: Conclusion, seconds: u64) -> WorkflowJob {
        WorkflowJob {
            name: name.to_owned(),
            status: RunStatus::Completed,
            conclusion: Some(conclusion),
            started_at: Some(second(100)),
            completed_at: Some(second(100 + seconds)),
            end: None,
        }
    }

    /// With a time limit of 7,201 s, which the job's is 121 min for.
    fn judged(conclusion: Conclusion, jobs: &[WorkflowJob]) -> Option<(Outcome, bool)> {
        let session = judge(&run(conclusion), jobs, Some(Duration::from_secs(7201)))?;
        Some((session.outcome, session.disrupted))
    }

    #[test]
    fn the_agents_job_tells_how_the_session_ended() {
        let admission = job(ADMIT, Conclusion::Success, 5);
        for (conclusion, seconds, expected) in [
            (Conclusion::Success, 60, (Outcome::Succeeded, false)),
            (Conclusion::Failure, 60, (Outcome::Failed, false)),
            (Conclusion::StartupFailure, 0, (Outcome::Failed, false)),
            (Conclusion::TimedOut, 60, (Outcome::TimedOut, false)),
            (Conclusion::Cancelled, 60, (Outcome::Stopped, false)),
            (Conclusion::Cancelled, 7199, (Outcome::Stopped, false)),
            (Conclusion::Cancelled, 7200, (Outcome::TimedOut, false)),
            (Conclusion::Other, 60, (Outcome::Lost, false)),
        ] {
            let jobs = [admission.clone(), job(AGENT, conclusion, seconds)];
            assert_eq!(
                judged(Conclusion::Success, &jobs),
                Some(expected),
                "{conclusion:?} after {seconds} s"
            );
        }
    }

    #[test]
    fn what_the_agents_wrapper_wrote_counts_and_a_stalled_agent_timed_out() {
        let judged = |conclusion, end: &str| {
            let agent = WorkflowJob { end: Some(end.to_owned()), ..job(AGENT, conclusion, 60) };
            let jobs = [job(ADMIT, Conclusion::Success, 5), agent];
            judge(&run(conclusion), &jobs, None).expect("it was a session")
        };
        let stalled = r#"{"coordinator_end":1,"stalled":"no output for 10m","reason":"stuck"}"#;
        let session = judged(Conclusion::Failure, stalled);
        assert_eq!(session.outcome, Outcome::TimedOut);
        assert_eq!(session.detail.as_deref(), Some("stalled: no output for 10m"));
        assert_eq!(session.result.map(|result| result.reason).as_deref(), Some("stuck"));
        let odd = judged(Conclusion::Failure, "{\"coordinator_end\":2}");
        assert_eq!((odd.outcome, odd.result), (Outcome::Failed, None));
    }

    #[test]
    fn a_cancelled_session_holds_its_slot_and_one_at_its_time_limit_does_not() {
        let stopped_by = |seconds| {
            let jobs =
                [job(ADMIT, Conclusion::Success, 5), job(AGENT, Conclusion::Cancelled, seconds)];
            let limit = Some(Duration::from_secs(7201));
            judge(&run(Conclusion::Cancelled), &jobs, limit).and_then(|session| session.stopped_by)
        };
        assert_eq!(stopped_by(60).as_deref(), Some(""));
        assert_eq!(stopped_by(7200), None);
    }

    #[test]
    fn its_times_are_those_of_the_agents_job_and_the_detail_links_the_run() {
        let jobs = [job(ADMIT, Conclusion::Success, 5), job(AGENT, Conclusion::Failure, 60)];
        let session = judge(&run(Conclusion::Failure), &jobs, None).expect("it was a session");
        assert_eq!(
            (session.generation, session.started_at, session.finished_at),
            (3, second(100), second(160))
        );
        assert_eq!(session.detail.as_deref(), Some("the agent's job failed; https://github.com/x"));
    }

    #[test]
    fn a_run_in_which_no_agent_was_to_start_is_no_session() {
        let skipped = [job(ADMIT, Conclusion::Success, 5), job(AGENT, Conclusion::Skipped, 0)];
        assert_eq!(judged(Conclusion::Success, &skipped), None);
        let never_begun = WorkflowJob { started_at: None, ..job(AGENT, Conclusion::Cancelled, 0) };
        assert_eq!(
            judged(Conclusion::Cancelled, &[job(ADMIT, Conclusion::Success, 5), never_begun]),
            None
        );
        assert_eq!(judged(Conclusion::Cancelled, &[]), None, "it was cancelled while it waited");
        assert_eq!(judged(Conclusion::Cancelled, &[job(ADMIT, Conclusion::Cancelled, 5)]), None);
    }

    #[test]
    fn a_run_that_broke_before_its_agent_is_a_failure_that_backs_off() {
        let failed = Some((Outcome::Failed, false));
        let broken = [job(ADMIT, Conclusion::Failure, 5), job(AGENT, Conclusion::Skipped, 0)];
        assert_eq!(judged(Conclusion::Failure, &broken), failed);
        assert_eq!(
            judged(Conclusion::StartupFailure, &[]),
            failed,
            "GitHub could not read the workflow"
        );
        assert_eq!(judged(Conclusion::Other, &[]), Some((Outcome::Lost, false)));
    }

    #[test]
    fn a_run_is_settled_when_its_jobs_show_how_it_ended_or_have_had_the_time_to() {
        let goes_on =
            WorkflowJob { status: RunStatus::InProgress, ..job(AGENT, Conclusion::Success, 60) };
        let admitted = job(ADMIT, Conclusion::Success, 5);
        for (jobs, expected) in [
            (vec![], false),
            (vec![admitted.clone()], false),
            (vec![admitted.clone(), goes_on], false),
            (vec![admitted.clone(), job(AGENT, Conclusion::Failure, 60)], true),
            (vec![admitted, job(AGENT, Conclusion::Skipped, 0)], true),
            (vec![job(ADMIT, Conclusion::Failure, 5)], true),
        ] {
            let run = run(Conclusion::Success);
            assert_eq!(is_settled(&run, &jobs, second(10_299)), expected, "{jobs:?}");
            assert!(is_settled(&run, &jobs, second(10_300)), "{jobs:?}");
        }
    }

    #[test]
    fn of_a_job_that_was_run_again_the_last_one_counts() {
        let first =
            WorkflowJob { started_at: Some(second(50)), ..job(AGENT, Conclusion::Failure, 0) };
        let jobs = [job(AGENT, Conclusion::Success, 600), first];
        assert_eq!(judged(Conclusion::Success, &jobs), Some((Outcome::Succeeded, false)));
    }
}
