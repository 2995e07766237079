//! The admission of a session: the first job of its workflow run decides whether the agent may
//! start. Of all checks before a start it is the only one under the slot's lock.
//!
//! A run may have waited behind another one of its slot, or may have been dispatched by a cycle
//! whose inventory had failed. So the ticket must not have expired, and the slot's history is
//! judged once more. A run that cannot be judged is skipped, which does not count as a session, and
//! the next cycle tries again. The run of a work item first compares the slot's sessions with those
//! of its plan.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use super::item;
use super::list::history;
use super::runs::{SlotRun, SlotRuns, sort};
use super::session_input::SessionInput;
use coordinator_core::backoff;
use coordinator_core::fleet::{FleetName, HISTORY, Hold, Run, Slot};
use coordinator_core::sanitize::sentence;
use coordinator_github::Error;
use coordinator_github::actions::{Workflow, WorkflowJob, WorkflowRun};

/// The built-in token of a repository has 1,000 requests an hour for all of its runs, so an
/// admission reads a bounded number of pages. A run on a later page is too old to hold a slot.
pub(super) const MAX_PAGES: usize = 5;

/// More than the sessions, because the list also has the runs that were not admitted.
const MAX_RUNS: usize = 100;

#[derive(Debug, Clone)]
pub struct Ticket {
    pub fleet: FleetName,
    pub slot: Slot,
    pub generation: u64,
    pub run: u64,
    pub expires_at: SystemTime,
    pub input: SessionInput,
}

/// Whether the session may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Go,
    /// It may not, and nothing is lost.
    Skip(Skip),
}

/// Why a session may not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// It waited too long for its turn.
    Expired { since: SystemTime },
    /// Another run of the slot is in progress, which the slot's concurrency group should not allow.
    Taken { url: String },
    /// The slot's history holds it.
    Held(Hold),
    /// Another session of the work item ran since this start was planned.
    Superseded {
        generation: u64,
        /// The page of its run.
        url: String,
    },
    /// The list of runs does not contain our own run.
    Behind,
    /// The title of our own run is not that of its session.
    Mislabelled,
    /// The history cannot be read. Why.
    Unknown(String),
}

/// Asks GitHub for the slot's history, and decides by its clock.
pub async fn admit(ticket: &Ticket, workflow: &Workflow) -> Decision {
    let past = match &ticket.input.item {
        Some(item) => item::past(ticket, item, workflow).await,
        None => past(ticket, workflow).await,
    };
    decide(ticket, past, workflow.server_time().unwrap_or_else(SystemTime::now))
}

/// The decision by the slot's sessions, oldest first, or by what stands in the way. Pure.
fn decide(ticket: &Ticket, past: Result<Vec<Run>, Skip>, now: SystemTime) -> Decision {
    if now >= ticket.expires_at {
        return Decision::Skip(Skip::Expired { since: ticket.expires_at });
    }
    let history = match past {
        Ok(history) => history,
        Err(skip) => return Decision::Skip(skip),
    };
    let session = ticket.slot.session_name(&ticket.fleet);
    let settings = ticket.input.backoff_settings();
    let hold = || backoff::hold(&session, &history, &settings, now);
    match (!ticket.input.by_hand).then(hold).flatten() {
        Some(hold) => Decision::Skip(Skip::Held(hold)),
        None => Decision::Go,
    }
}

/// The sessions of a role's slot, oldest first.
async fn past(ticket: &Ticket, workflow: &Workflow) -> Result<Vec<Run>, Skip> {
    let runs = runs(ticket, workflow).await?;
    if let Some(other) = runs.in_progress() {
        return Err(Skip::Taken { url: other.run.url.clone() });
    }
    let over = runs.recent(MAX_RUNS);
    let ids: Vec<String> = over.iter().map(|run| run.run.node_id.clone()).collect();
    let jobs: BTreeMap<String, Vec<WorkflowJob>> = workflow.jobs(&ids).await?;
    let mut history = runs.released(history(over, &jobs, Some(ticket.input.time_limit())));
    history.drain(..history.len().saturating_sub(HISTORY));
    Ok(history)
}

/// The other runs of the slot, as far back as they can hold it.
async fn runs(ticket: &Ticket, workflow: &Workflow) -> Result<SlotRuns, Error> {
    let mut seen: BTreeMap<u64, WorkflowRun> = BTreeMap::new();
    for page_number in 1..=MAX_PAGES {
        let page = workflow.runs(page_number).await?;
        let now = workflow.server_time().unwrap_or_else(SystemTime::now);
        let limit = now.checked_sub(reach(&ticket.input)).unwrap_or(SystemTime::UNIX_EPOCH);
        let is_enough =
            page.runs.last().is_none_or(|oldest| oldest.created_at < limit) || !page.has_next;
        seen.extend(page.runs.into_iter().map(|run| (run.id, run)));
        if is_enough || now >= ticket.expires_at {
            break;
        }
    }
    seen.remove(&ticket.run);
    let runs = seen.into_values().rev().collect();
    let mut sorted = sort(&ticket.fleet, workflow.file(), runs);
    Ok(sorted.slots.remove(&ticket.slot).unwrap_or_default())
}

/// A run that holds its slot ended within the longest wait; the streak that makes the wait the
/// longest took twice as much before.
fn reach(input: &SessionInput) -> Duration {
    let backoff = input.backoff_settings();
    let max_wait = backoff.backoff_cap.saturating_mul(3).max(backoff.min_interval);
    input.time_limit().saturating_add(max_wait)
}

impl SlotRuns {
    fn in_progress(&self) -> Option<&SlotRun> {
        self.holder().filter(|run| run.live().state == coordinator_core::fleet::State::Running)
    }
}

impl From<Error> for Skip {
    fn from(error: Error) -> Self {
        Self::Unknown(error.to_string())
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { since } => {
                let since = humantime::format_rfc3339_seconds(*since);
                write!(
                    f,
                    "its ticket expired at {since}: it waited too long for its turn, or for a \
                     runner"
                )
            }
            Self::Taken { url } => write!(f, "another run of the slot is in progress: {url}"),
            Self::Held(Hold { reason, until: Some(until), detail }) => {
                let until = humantime::format_rfc3339_seconds(*until);
                write!(f, "{} until {until}: {}", reason.word(), sentence(detail))
            }
            Self::Held(Hold { reason, until: None, detail }) => {
                write!(f, "{}: {}", reason.word(), sentence(detail))
            }
            Self::Superseded { generation, url } => write!(
                f,
                "superseded: session {generation} of the item ran since this start was planned, \
                 and the next cycle plans anew: {url}"
            ),
            Self::Behind => f.write_str(
                "the list of runs does not show this run yet, and may lack others; \
                 the next cycle tries again",
            ),
            Self::Mislabelled => f.write_str(
                "the title of this run does not name its session and work item; \
                 renew the session workflow with `coordinator init --github-actions`",
            ),
            Self::Unknown(why) => {
                write!(f, "the history of the slot is not known: {}", sentence(why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use coordinator_core::fleet::{HoldReason, Outcome, RoleKey};
    use coordinator_github::fake::{self, Journal, Reply, Sent};

    const INPUT: &str = r#"{"version":1,"command":["agent"],"prompt":"do it","time_limit_s":7200,
        "restraint":{"backoff_base_s":60,"backoff_cap_s":3600,"min_runtime_s":30,
        "min_interval_s":1800}}"#;

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).expect("a time")
    }

    /// Asks at noon with a ticket for five more minutes.
    fn ticket() -> Ticket {
        Ticket {
            fleet: FleetName::parse("demo").expect("a valid name"),
            slot: Slot::of_role(&RoleKey::parse("qa").expect("a valid key"), 0),
            generation: 4,
            run: 50,
            expires_at: at("2026-01-01T12:05:00Z"),
            input: SessionInput::read(INPUT).expect("a session input"),
        }
    }

    fn ended(outcome: Outcome, finished_at: &str) -> Run {
        Run {
            generation: 3,
            outcome,
            exit_code: None,
            detail: Some("the agent's job failed; https://github.com/x".to_owned()),
            started_at: at(finished_at) - Duration::from_secs(5),
            finished_at: at(finished_at),
            disrupted: false,
            stopped_by: None,
            result: None,
            item: None,
        }
    }

    fn decided(history: Vec<Run>, now: &str) -> Decision {
        decide(&ticket(), Ok(history), at(now))
    }

    #[test]
    fn a_session_goes_only_with_a_ticket_that_has_not_expired() {
        assert_eq!(decided(Vec::new(), "2026-01-01T12:04:59Z"), Decision::Go);
        let expired = Decision::Skip(Skip::Expired { since: at("2026-01-01T12:05:00Z") });
        assert_eq!(decided(Vec::new(), "2026-01-01T12:05:00Z"), expired);
        let unreadable = Err(Skip::Unknown("no".to_owned()));
        assert_eq!(
            decide(&ticket(), unreadable, at("2026-01-01T12:06:00Z")),
            expired,
            "and that comes first"
        );
    }

    #[test]
    fn what_the_platform_would_hold_is_not_admitted() {
        let Decision::Skip(Skip::Held(hold)) =
            decided(vec![ended(Outcome::Failed, "2026-01-01T11:59:30Z")], "2026-01-01T12:00:00Z")
        else {
            panic!("it backs off")
        };
        assert_eq!(hold.reason, HoldReason::Backoff);
        let Decision::Skip(Skip::Held(hold)) =
            decided(vec![ended(Outcome::Failed, "2026-01-01T11:50:00Z")], "2026-01-01T12:00:00Z")
        else {
            panic!("half an hour has not passed")
        };
        assert_eq!(hold.reason, HoldReason::Interval);
        let old = vec![ended(Outcome::Failed, "2026-01-01T11:00:00Z")];
        assert_eq!(decided(old, "2026-01-01T12:00:00Z"), Decision::Go);
    }

    #[test]
    fn whatever_stands_in_the_way_is_no_start() {
        let noon = at("2026-01-01T12:00:00Z");
        let url = "https://github.com/x".to_owned();
        for skip in [
            Skip::Taken { url: url.clone() },
            Skip::Superseded { generation: 4, url },
            Skip::Behind,
            Skip::Mislabelled,
            Skip::Unknown("no answer".to_owned()),
        ] {
            assert_eq!(decide(&ticket(), Err(skip.clone()), noon), Decision::Skip(skip));
        }
    }

    fn run(id: u64, title: &str, status: &str, time: &str) -> Value {
        json!({
            "id": id, "node_id": format!("WFR_{id}"), "display_title": title, "status": status,
            "conclusion": (status == "completed").then_some("success"), "created_at": time,
            "updated_at": time,
            "html_url": format!("https://github.com/octo/demo/actions/runs/{id}"),
        })
    }

    fn workflow(script: impl FnMut(&Sent) -> Reply + Send + 'static) -> (Workflow, Journal) {
        let (github, journal) = fake::github(script);
        (Workflow::new(github, "agent-session.yml", 20), journal)
    }

    fn page(runs: &[Value], date: &str) -> Reply {
        Reply::json(200, &json!({ "total_count": runs.len(), "workflow_runs": runs }))
            .with("date", date)
    }

    fn checks(sent: &Sent, of: impl Fn(&str) -> Value) -> Reply {
        let ids = sent.body["variables"]["ids"].as_array().expect("a list").clone();
        let node = |id: &Value| {
            let rows = of(id.as_str().expect("an id"));
            json!({ "__typename": "WorkflowRun", "id": id,
                "checkSuite": { "checkRuns": { "nodes": rows } } })
        };
        Reply::json(200, &json!({ "data": { "nodes": ids.iter().map(node).collect::<Vec<_>>() } }))
    }

    fn job(name: &str, conclusion: &str, time: &str) -> Value {
        json!({ "name": name, "status": "COMPLETED", "conclusion": conclusion, "startedAt": time,
            "completedAt": time })
    }

    const NOON: &str = "Thu, 01 Jan 2026 12:00:00 GMT";

    #[tokio::test]
    async fn the_run_itself_later_runs_and_other_fleets_do_not_block_an_admission() {
        let (workflow, journal) = workflow(|sent| match sent.url.as_str() {
            url if url.ends_with("/graphql") => checks(sent, |_| json!([])),
            _ => page(
                &[
                    run(52, "coord other qa-s0 g1 c1", "in_progress", "2026-01-01T11:59:00Z"),
                    run(51, "coord demo qa-s0 g5 c2", "pending", "2026-01-01T11:58:00Z"),
                    run(50, "coord demo qa-s0 g4 c1", "in_progress", "2026-01-01T11:57:00Z"),
                    run(49, "coord demo qa-s1 g4 c1", "in_progress", "2026-01-01T11:56:00Z"),
                ],
                NOON,
            ),
        });
        assert_eq!(admit(&ticket(), &workflow).await, Decision::Go);
        assert_eq!(journal.lock().expect("no test panics with the lock").len(), 1);
    }

    #[tokio::test]
    async fn another_run_of_the_slot_in_progress_is_seen() {
        let (workflow, _) = workflow(|_| {
            page(&[run(48, "coord demo qa-s0 g4 c1", "in_progress", "2026-01-01T11:56:00Z")], NOON)
        });
        let url = "https://github.com/octo/demo/actions/runs/48".to_owned();
        assert_eq!(admit(&ticket(), &workflow).await, Decision::Skip(Skip::Taken { url }));
    }

    #[tokio::test]
    async fn runs_that_were_not_admitted_do_not_hide_the_failure_before_them() {
        let skips: Vec<Value> = (10..30)
            .rev()
            .map(|id| run(id, "coord demo qa-s0 g4 c1", "completed", "2026-01-01T11:59:50Z"))
            .collect();
        let (workflow, _) = workflow(move |sent| {
            if sent.url.ends_with("/graphql") {
                return checks(sent, |id| match id {
                    "WFR_5" => json!([job("agent", "FAILURE", "2026-01-01T11:59:40Z")]),
                    _ => json!([
                        job("admit", "SUCCESS", "2026-01-01T11:59:50Z"),
                        job("agent", "SKIPPED", "2026-01-01T11:59:50Z")
                    ]),
                });
            }
            let failed = run(5, "coord demo qa-s0 g3 c1", "completed", "2026-01-01T11:59:30Z");
            page(&[skips.clone(), vec![failed]].concat(), NOON)
        });
        let Decision::Skip(Skip::Held(hold)) = admit(&ticket(), &workflow).await else {
            panic!("it backs off")
        };
        assert_eq!(hold.reason, HoldReason::Backoff);
    }

    #[tokio::test]
    async fn an_expired_ticket_is_seen_by_githubs_clock_and_costs_one_request() {
        let (workflow, journal) = workflow(|_| page(&[], "Thu, 01 Jan 2026 12:05:01 GMT"));
        assert!(matches!(admit(&ticket(), &workflow).await, Decision::Skip(Skip::Expired { .. })));
        assert_eq!(journal.lock().expect("no test panics with the lock").len(), 1);
    }

    #[tokio::test]
    async fn jobs_that_cannot_be_read_start_nothing() {
        let (workflow, _) = workflow(|sent| match sent.url.as_str() {
            url if url.ends_with("/graphql") => Reply::json(502, &Value::Null),
            _ => {
                page(&[run(5, "coord demo qa-s0 g3 c1", "completed", "2026-01-01T11:59:30Z")], NOON)
            }
        });
        assert!(matches!(admit(&ticket(), &workflow).await, Decision::Skip(Skip::Unknown(_))));
    }

    #[tokio::test]
    async fn an_admission_reads_a_bounded_number_of_pages() {
        let (workflow, journal) = workflow(|sent| {
            if sent.url.ends_with("/graphql") {
                return checks(sent, |_| json!([]));
            }
            let runs: Vec<Value> = (100..200)
                .rev()
                .map(|id| run(id, "coord demo qa-s1 g3 c1", "completed", "2026-01-01T11:59:30Z"))
                .collect();
            page(&runs, NOON)
        });
        assert_eq!(admit(&ticket(), &workflow).await, Decision::Go);
        assert_eq!(journal.lock().expect("no test panics with the lock").len(), MAX_PAGES);
    }

    #[test]
    fn every_reason_is_a_sentence() {
        let hold = Hold {
            reason: HoldReason::Backoff,
            until: Some(at("2026-01-01T12:01:00Z")),
            detail: "failed".to_owned(),
        };
        for (skip, words) in [
            (
                Skip::Expired { since: at("2026-01-01T12:05:00Z") },
                "its ticket expired at 2026-01-01T12:05:00Z",
            ),
            (
                Skip::Taken { url: "https://x".to_owned() },
                "another run of the slot is in progress: https://x",
            ),
            (
                Skip::Superseded { generation: 4, url: "https://x".to_owned() },
                "superseded: session 4 of the item ran since this start was planned",
            ),
            (Skip::Behind, "does not show this run yet"),
            (Skip::Mislabelled, "renew the session workflow"),
            (Skip::Held(hold), "backoff until 2026-01-01T12:01:00Z: failed"),
            (Skip::Unknown("no\u{1b} answer".to_owned()), "not known: no answer"),
        ] {
            assert!(skip.to_string().contains(words), "{skip}");
        }
    }
}
