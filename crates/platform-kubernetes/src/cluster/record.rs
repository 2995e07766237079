//! A session as its Job shows it, and the history that the Job carries on.

use std::collections::BTreeMap;
use std::time::SystemTime;

use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

use crate::generated::{AGENT, COUNTS, CYCLE, DISRUPTION, GENERATION, HISTORY, ITEM, ROLE};

use super::session::{RESUMED, STOPPED_BY};
use coordinator_core::agent::AgentEnd;
use coordinator_core::fleet::{
    ItemRun, LiveSession, Outcome, RoleKey, Run, SessionResult, SlotRecord, State, WorkItem,
};
use coordinator_core::sanitize::one_line;

/// Backoff up to an hour needs seven.
pub(super) const REMEMBERED: usize = 8;

/// All annotations of an object share 256 KiB, and every list carries them.
const MAX_HISTORY: usize = 4096;

/// In characters: the first with which the history fits is taken.
const REASON_LIMITS: [usize; 4] = [MAX_REASON, 160, 40, 0];

const MAX_REASON: usize = 320;

/// A pod's label with the uid of its Job, as the Job controller writes it (Kubernetes 1.27 and
/// later).
pub(super) const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";

/// The part of a Job that is read.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Job {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) spec: JobSpec,
    #[serde(default)]
    pub(super) status: JobStatus,
}

/// The part of an object's metadata that is read; its `managedFields` alone are larger than all
/// that is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: Option<String>,
    uid: Option<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    pub(super) finalizers: Option<Vec<String>>,
}

/// The part of a Pod that is read.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Pod {
    pub(super) metadata: Metadata,
    spec: Option<PodSpec>,
    pub(super) status: Option<PodStatus>,
}

/// The part of a Pod's spec that is read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    node_name: Option<String>,
}

/// The part of a Job's spec that is read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobSpec {
    #[serde(default)]
    pub(super) suspend: bool,
    pub(super) active_deadline_seconds: Option<u64>,
}

/// The last session of a slot, which the next one follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Predecessor {
    /// Of its terminal Job, which may be removed; `None` where only the ledger remembers it.
    pub(super) uid: Option<String>,
    pub(super) generation: u64,
    /// Its own run included, oldest first.
    pub(super) history: Vec<Run>,
}

/// A run in the annotation; the names are read by every later version.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    #[serde(rename = "gen")]
    generation: u64,
    outcome: String,
    exit: Option<i32>,
    reason: Option<String>,
    started: String,
    finished: String,
    /// For people; readers take the difference.
    runtime_s: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    disrupted: bool,
    /// Who stopped it, where that still holds the slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<SessionResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item: Option<ItemRun>,
}

impl Predecessor {
    /// From the ledger, for a slot without a Job; `None` for an empty history.
    pub(super) fn remembered(history: Vec<Run>) -> Option<Self> {
        let generation = history.last()?.generation;
        Some(Self { uid: None, generation, history })
    }
}

/// The annotation for this history: its last eight runs, their reasons cut until it fits.
pub(super) fn written(history: &[Run]) -> String {
    let newest = &history[history.len().saturating_sub(REMEMBERED)..];
    let attempts = REASON_LIMITS.iter().map(|longest| {
        let runs: Vec<Written> = newest.iter().map(|run| Written::of(run, *longest)).collect();
        // Numbers and texts can always be written.
        serde_json::to_string(&runs).unwrap_or_default()
    });
    let mut attempts = attempts.skip_while(|text| text.len() > MAX_HISTORY);
    attempts.next().unwrap_or_default()
}

impl Written {
    fn of(run: &Run, max_reason: usize) -> Self {
        let rfc3339 = |time| humantime::format_rfc3339_seconds(time).to_string();
        Self {
            generation: run.generation,
            outcome: run.outcome.word().to_owned(),
            exit: run.exit_code,
            reason: run.detail.as_deref().map(|reason| one_line(reason, max_reason)),
            started: rfc3339(run.started_at),
            finished: rfc3339(run.finished_at),
            runtime_s: run.runtime().as_secs(),
            disrupted: run.disrupted,
            stopped_by: run.stopped_by.clone(),
            result: run.result.as_ref().map(|result| cut(result, max_reason)),
            item: run.item.clone(),
        }
    }

    fn run(self) -> Option<Run> {
        Some(Run {
            generation: self.generation,
            outcome: Outcome::from_word(&self.outcome)?,
            exit_code: self.exit,
            detail: self.reason,
            started_at: humantime::parse_rfc3339(&self.started).ok()?,
            finished_at: humantime::parse_rfc3339(&self.finished).ok()?,
            disrupted: self.disrupted,
            stopped_by: self.stopped_by,
            result: self.result,
            item: self.item,
        })
    }
}

/// A result whose reason has at most so many characters.
pub(super) fn cut(result: &SessionResult, max: usize) -> SessionResult {
    SessionResult { reason: one_line(&result.reason, max), ..result.clone() }
}

/// The runs of an annotation. A garbled annotation is not a history: the slot then starts
/// without backoff, once.
fn read(annotation: &str) -> Vec<Run> {
    let runs: Vec<Written> = serde_json::from_str(annotation).unwrap_or_default();
    let runs: Vec<Run> = runs.into_iter().filter_map(Written::run).collect();
    runs[runs.len().saturating_sub(REMEMBERED)..].to_vec()
}

impl Job {
    pub(super) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    pub(super) fn generation(&self) -> u64 {
        let labels = self.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(GENERATION)?.parse().ok()).unwrap_or(1)
    }

    pub(super) fn cycle(&self) -> Option<&str> {
        self.annotation(CYCLE)
    }

    /// The work item's id, where the slot is a work item's.
    pub(super) fn item_run(&self) -> Option<ItemRun> {
        let id = self.annotation(ITEM)?.to_owned();
        let role = RoleKey::parse(self.metadata.labels.as_ref()?.get(ROLE)?).ok()?;
        let counts = self.annotation(COUNTS).and_then(|counts| serde_json::from_str(counts).ok());
        Some(ItemRun { role, item: WorkItem { id, counts: counts.unwrap_or_default() } })
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    pub(super) fn created_at(&self) -> Option<SystemTime> {
        self.metadata.creation_timestamp.as_ref().map(system_time)
    }

    /// Since when it is being deleted; a finalizer still keeps the name.
    pub(super) fn deleted_at(&self) -> Option<SystemTime> {
        self.metadata.deletion_timestamp.as_ref().map(system_time)
    }

    pub(super) fn condition(&self, name: &str) -> Option<&JobCondition> {
        let mut conditions = self.status.conditions.iter().flatten();
        conditions.find(|condition| condition.type_ == name && condition.status == "True")
    }

    /// Complete or Failed: no process of it runs, and nothing changes that any more (KEP-4368, from
    /// Kubernetes 1.31 on). Nothing else is proof, `active` 0 least of all.
    pub(super) fn end(&self) -> Option<&JobCondition> {
        self.condition("Complete").or_else(|| self.condition("Failed"))
    }

    /// `pods` hold this Job's pod, where it is known.
    pub(super) fn slot_record(&self, pods: &Pods) -> SlotRecord {
        match self.end() {
            Some(_) => SlotRecord::of(None, self.predecessor(pods).history),
            None => SlotRecord::of(Some(self.live()), self.earlier_runs()),
        }
    }

    fn earlier_runs(&self) -> Vec<Run> {
        self.annotation(HISTORY).map(read).unwrap_or_default()
    }

    fn live(&self) -> LiveSession {
        let state =
            if self.status.ready.unwrap_or(0) > 0 { State::Running } else { State::Starting };
        let started = self.status.start_time.as_ref().map(system_time);
        LiveSession {
            generation: Some(self.generation()),
            state,
            started_at: started.or_else(|| self.created_at()),
            item: self.item_run(),
        }
    }

    /// The part that a successor takes over; only for a terminal Job.
    pub(super) fn predecessor(&self, pods: &Pods) -> Predecessor {
        let mut history = self.earlier_runs();
        history.extend(self.end().map(|end| self.run(end, pods.of(self))));
        history.drain(..history.len().saturating_sub(REMEMBERED));
        Predecessor { uid: Some(self.uid().to_owned()), generation: self.generation(), history }
    }

    fn run(&self, end: &JobCondition, pod: Option<&Pod>) -> Run {
        let terminated = pod.and_then(terminated);
        let ended_at = end.last_transition_time.as_ref().map(system_time);
        let started = terminated
            .and_then(|state| state.started_at.as_ref())
            .or(self.status.start_time.as_ref());
        let finished = terminated.and_then(|state| state.finished_at.as_ref());
        let finished =
            finished.or(self.status.completion_time.as_ref()).map(system_time).or(ended_at);
        let finished_at = finished.or_else(|| self.created_at()).unwrap_or(SystemTime::UNIX_EPOCH);
        let stopped = self.annotation(STOPPED_BY).filter(|_| end.type_ == "Failed");
        let left = terminated.and_then(|state| AgentEnd::parse(state.message.as_deref()?));
        let stalled = left.as_ref().and_then(|left| left.stalled.clone());
        let (outcome, detail) = match (stopped, stalled) {
            (Some(by), _) => (Outcome::Stopped, Some(format!("stopped by {by}"))),
            (None, Some(stalled)) => {
                (Outcome::TimedOut, Some(one_line(&format!("stalled: {stalled}"), MAX_REASON)))
            }
            (None, None) => (outcome(end, pod), detail(end, pod, terminated)),
        };
        Run {
            generation: self.generation(),
            outcome,
            exit_code: terminated.map(|state| state.exit_code),
            detail,
            started_at: started
                .map(system_time)
                .or_else(|| self.created_at())
                .unwrap_or(finished_at),
            finished_at,
            disrupted: is_disruption(end) || pod.is_some_and(is_disrupted),
            stopped_by: stopped.filter(|_| self.annotation(RESUMED).is_none()).map(str::to_owned),
            result: left.and_then(AgentEnd::left),
            item: self.item_run(),
        }
    }
}

/// The pod's own deadline ends as an ordinary failure of the Job, so the pod counts, too.
fn outcome(end: &JobCondition, pod: Option<&Pod>) -> Outcome {
    const DEADLINE: &str = "DeadlineExceeded";
    let pod_reason = pod.and_then(|pod| pod.status.as_ref()?.reason.as_deref());
    match (end.type_.as_str(), end.reason.as_deref(), pod_reason) {
        ("Complete", _, _) => Outcome::Succeeded,
        (_, Some(DEADLINE), _) | (_, _, Some(DEADLINE)) => Outcome::TimedOut,
        _ => Outcome::Failed,
    }
}

/// Pods by the uid of the Job that they belong to, of each Job the newest. Not by its name: a Job's
/// pods are removed a while after it, and its successor has the same name.
#[derive(Debug, Clone, Default)]
pub(super) struct Pods(BTreeMap<String, Pod>);

impl Pods {
    pub(super) fn new(pods: Vec<Pod>) -> Self {
        let mut newest = Self::default();
        newest.add(pods);
        newest
    }

    pub(super) fn add(&mut self, pods: Vec<Pod>) {
        for pod in pods {
            let Some(owner) = pod.owner().map(str::to_owned) else { continue };
            if self.0.get(&owner).is_none_or(|known| known.created_at() <= pod.created_at()) {
                self.0.insert(owner, pod);
            }
        }
    }

    /// The Job's newest pod.
    pub(super) fn of(&self, job: &Job) -> Option<&Pod> {
        self.0.get(job.uid())
    }
}

impl Pod {
    /// The uid of its Job.
    fn owner(&self) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(CONTROLLER_UID).map(String::as_str)
    }

    pub(super) fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    fn created_at(&self) -> Option<SystemTime> {
        self.metadata.creation_timestamp.as_ref().map(system_time)
    }

    /// When its deletion was requested.
    pub(super) fn deleted_at(&self) -> Option<SystemTime> {
        self.metadata.deletion_timestamp.as_ref().map(system_time)
    }

    pub(super) fn node(&self) -> Option<&str> {
        self.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
    }

    /// Its containers have started, and not all of them have ended.
    pub(super) fn runs(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"))
    }

    pub(super) fn conditions(&self) -> impl Iterator<Item = &PodCondition> {
        self.status.iter().flat_map(|status| status.conditions.iter().flatten())
    }
}

pub(super) fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let mut containers = pod.status.as_ref()?.container_statuses.iter().flatten();
    containers.find(|container| container.name == AGENT)?.state.as_ref()?.terminated.as_ref()
}

/// An eviction, a preemption, a node that went away.
fn is_disrupted(pod: &Pod) -> bool {
    pod.conditions().any(|condition| condition.type_ == DISRUPTION && condition.status == "True")
}

/// The same where the pod is gone: the Job's only failure policy is about this condition.
fn is_disruption(end: &JobCondition) -> bool {
    end.reason.as_deref() == Some("PodFailurePolicy")
}

/// The platform's reason, and the agent's last words.
fn detail(
    end: &JobCondition,
    pod: Option<&Pod>,
    terminated: Option<&ContainerStateTerminated>,
) -> Option<String> {
    let pod_reason = pod.and_then(|pod| pod.status.as_ref()?.reason.as_deref());
    let end_reason = if is_disruption(end) {
        Some("the cluster removed its pod")
    } else {
        end.reason.as_deref()
    };
    let reason = pod_reason.or_else(|| terminated?.reason.as_deref()).or(end_reason);
    // They repeat the outcome.
    let reason =
        reason.filter(|reason| !["Completed", "Error", "CompletionsReached"].contains(reason));
    let message = terminated.and_then(|state| state.message.as_deref());
    // The wrapper's line is for programs: `SessionResult` has what it says.
    let message = message.filter(|message| AgentEnd::parse(message).is_none());
    let words = message.map(str::trim).filter(|words| !words.is_empty()).map(last_line);
    match (reason, words) {
        (Some(reason), Some(words)) => Some(format!("{reason}: {words}")),
        (reason, words) => reason.or(words).map(str::to_owned),
    }
    .map(|detail| one_line(&detail, MAX_REASON))
}

/// Where a log stands in for the message, its end matters.
fn last_line(words: &str) -> &str {
    words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(words).trim()
}

/// A time of the API. Its zero value, in the year 1, means that it is not set.
pub(super) fn system_time(time: &Time) -> SystemTime {
    SystemTime::from(time.0).max(SystemTime::UNIX_EPOCH)
}
