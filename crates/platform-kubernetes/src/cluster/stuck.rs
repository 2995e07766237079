//! Which live sessions are stuck, and why: by their Jobs, pods and events.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use serde::Deserialize;

use super::api::Api;
use super::list::{self, PAGE, Page};
use super::record::{Job, Pod, system_time, terminated};
use crate::KubernetesSettings;
use crate::generated::{AGENT, DISRUPTION};
use coordinator_core::fleet::{Slot, Stuck, StuckReason};
use coordinator_core::sanitize::one_line;

/// A deleted pod has its grace period, and this much more.
const TERMINATION: Duration = Duration::from_secs(30 + 300);

/// How late the Job controller may act on a deadline.
const CONTROLLER: Duration = Duration::from_secs(120);

const MAX_DETAIL_CHARS: usize = 400;

/// The facts about a session beside its Job.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signs<'a> {
    /// The Job's newest pod, where it was read.
    pub(super) pod: Option<&'a Pod>,
    /// The namespace's warnings, where they were read.
    pub(super) events: Option<&'a Events>,
}

/// Whether the Job alone shows that its session is stuck. Its pod and its events are worth a
/// request then.
pub(super) fn is_late(job: &Job, settings: &KubernetesSettings, now: SystemTime) -> bool {
    let ends_too_long = job.end().is_none() && is_past(ending_since(job), TERMINATION, now);
    ends_too_long || is_pending_too_long(job, settings, now)
}

/// Whether the pod has a message about the fault, so that no event is needed.
pub(super) fn is_explained(pod: Option<&Pod>) -> bool {
    pod.and_then(waiting).is_some_and(|waiting| waiting.message.is_some())
}

/// The Job has no ready pod, and the start timeout has passed since it began to wait.
fn is_pending_too_long(job: &Job, settings: &KubernetesSettings, now: SystemTime) -> bool {
    let waits = job.end().is_none() && !job.spec.suspend && job.status.ready.unwrap_or(0) == 0;
    waits && job.deleted_at().is_none() && is_past(waiting_since(job), settings.start_timeout, now)
}

/// A Job that Kueue held back begins to wait when it is resumed.
fn waiting_since(job: &Job) -> Option<SystemTime> {
    job.status.start_time.as_ref().map(system_time).or_else(|| job.created_at())
}

/// Since when the Job is being deleted, or has failed while its pod still ends.
fn ending_since(job: &Job) -> Option<SystemTime> {
    let target = job
        .condition("FailureTarget")
        .and_then(|condition| condition.last_transition_time.as_ref());
    job.deleted_at().or_else(|| target.map(system_time))
}

fn is_past(since: Option<SystemTime>, wait: Duration, now: SystemTime) -> bool {
    since.is_some_and(|since| since + wait < now)
}

/// Why the session of a live Job is stuck; `None` when it is not.
pub(super) fn stuck(
    slot: &Slot,
    job: &Job,
    signs: Signs<'_>,
    settings: &KubernetesSettings,
    now: SystemTime,
) -> Option<Stuck> {
    if job.end().is_some() {
        return None;
    }
    let (reason, since, detail) = terminating(job, signs, now)
        .or_else(|| suspended(job, settings, now))
        .or_else(|| over_deadline(job, now))
        .or_else(|| pending(job, signs, settings, now))?;
    Some(Stuck { slot: slot.clone(), reason, since, detail: one_line(&detail, MAX_DETAIL_CHARS) })
}

type Finding = (StuckReason, Option<SystemTime>, String);

fn terminating(job: &Job, signs: Signs<'_>, now: SystemTime) -> Option<Finding> {
    let since = ending_since(job).or_else(|| signs.pod?.deleted_at());
    is_past(since, TERMINATION, now).then(|| {
        let finalizers = job.metadata.finalizers.as_deref().unwrap_or_default();
        let detail = match signs.pod {
            Some(pod) => {
                let sentence = format!("its pod{} does not terminate", place(pod));
                with_facts(sentence, pod, signs.events, now)
            }
            None if job.deleted_at().is_some() && !finalizers.is_empty() => {
                format!("it is being deleted and has finalizers: {}", finalizers.join(", "))
            }
            None => {
                "its pod does not terminate; `kubectl get pods -o wide` shows its node".to_owned()
            }
        };
        (StuckReason::Terminating, since, detail)
    })
}

fn suspended(job: &Job, settings: &KubernetesSettings, now: SystemTime) -> Option<Finding> {
    let since = job.created_at();
    let detail = match &settings.queue_name {
        _ if !job.spec.suspend => return None,
        // To wait for admission is normal; a long wait means that the queue is too small.
        Some(_) if !is_past(since, settings.start_timeout, now) => return None,
        Some(queue) => {
            format!("queue {queue:?} has not admitted it; `kubectl describe workload` shows why")
        }
        None => "it is suspended, and not by a queue; set `suspend: false` in its Job to resume it"
            .to_owned(),
    };
    Some((StuckReason::Suspended, since, detail))
}

fn over_deadline(job: &Job, now: SystemTime) -> Option<Finding> {
    let started = job.status.start_time.as_ref().map(system_time)?;
    let limit = Duration::from_secs(job.spec.active_deadline_seconds?);
    is_past(Some(started), limit + CONTROLLER, now).then(|| {
        let shown = humantime::format_duration(limit);
        let detail = format!(
            "its deadline of {shown} has passed; check that the cluster's controller manager runs"
        );
        (StuckReason::OverDeadline, Some(started + limit), detail)
    })
}

fn pending(
    job: &Job,
    signs: Signs<'_>,
    settings: &KubernetesSettings,
    now: SystemTime,
) -> Option<Finding> {
    is_pending_too_long(job, settings, now).then(|| {
        let waiting = waiting_since(job);
        let (since, detail) = match signs.pod {
            None => (waiting, without_pod(job, signs.events)),
            Some(pod) if pod.runs() => {
                (not_ready_since(pod).or(waiting), not_ready(pod, signs.events, now))
            }
            Some(pod) => (waiting, not_started(pod, signs.events)),
        };
        (StuckReason::Pending, since, detail)
    })
}

fn without_pod(job: &Job, events: Option<&Events>) -> String {
    match events.map(|events| events.of(job.uid())) {
        Some(Some(said)) => format!("it has no pod: {}", without_pod_names(said, job.name())),
        Some(None) => {
            "it has no pod, and no event explains it; `kubectl get events` may show more".to_owned()
        }
        None => {
            "it has no pod; `kubectl get events` shows the reason (quota, admission)".to_owned()
        }
    }
}

/// Drops the name of the pod that the Job controller tried to create: sessions with one cause have
/// one text, and the report folds them.
fn without_pod_names(said: &str, job: &str) -> String {
    let (before, after) = match said.split_once(&format!(" \"{job}-")) {
        Some((before, rest)) => (before, rest.split_once('"').map_or("", |(_, after)| after)),
        None => (said, ""),
    };
    format!("{before}{after}")
}

/// The pod waits for a node, an image, a volume or an init container.
fn not_started(pod: &Pod, events: Option<&Events>) -> String {
    let waiting = waiting(pod);
    let is_explained = waiting.as_ref().is_some_and(|waiting| waiting.message.is_some());
    let event = events.and_then(|events| events.of(pod.uid())).filter(|_| !is_explained);
    match (waiting.map(Waiting::said), event) {
        (Some(said), Some(event)) => format!("{said}: {event}"),
        (Some(said), None) => said,
        (None, Some(event)) => event.to_owned(),
        (None, None) => "its agent has not started".to_owned(),
    }
}

fn not_ready(pod: &Pod, events: Option<&Events>, now: SystemTime) -> String {
    with_facts(format!("its pod runs{} and is not ready", place(pod)), pod, events, now)
}

fn with_facts(sentence: String, pod: &Pod, events: Option<&Events>, now: SystemTime) -> String {
    let facts = facts(pod, events, now).join("; ");
    if facts.is_empty() { sentence } else { format!("{sentence}: {facts}") }
}

fn place(pod: &Pod) -> String {
    pod.node().map(|node| format!(" on node {node}")).unwrap_or_default()
}

fn not_ready_since(pod: &Pod) -> Option<SystemTime> {
    let ready = pod.conditions().find(|condition| condition.type_ == "Ready")?;
    ready.last_transition_time.as_ref().map(system_time)
}

/// The facts about a running pod: its conditions, its containers, its newest warning.
fn facts(pod: &Pod, events: Option<&Events>, now: SystemTime) -> Vec<String> {
    let mut facts: Vec<String> = conditions(pod).into_iter().map(condition).collect();
    if let Some(since) = pod.deleted_at() {
        // Whole minutes: sessions with one cause have one text, and the report folds them.
        let minutes = now.duration_since(since).unwrap_or_default().as_secs() / 60;
        let age = humantime::format_duration(Duration::from_secs(minutes * 60));
        facts.push(format!("its deletion was requested {age} ago"));
    }
    if let Some(agent) = terminated(pod) {
        facts.push(format!(
            "its agent exited with {}, and another container still runs",
            agent.exit_code
        ));
    }
    facts.extend(
        waiting(pod).map(|waiting| {
            format!("container {}: {}", waiting.of.unwrap_or(AGENT), waiting.said())
        }),
    );
    facts.extend(events.and_then(|events| events.of(pod.uid())).map(str::to_owned));
    facts
}

/// The conditions that show a fault, `Ready` first. `ContainersReady` is left out where it repeats
/// `Ready`.
fn conditions(pod: &Pod) -> Vec<&PodCondition> {
    let is_bad =
        |condition: &&PodCondition| (condition.status == "True") == (condition.type_ == DISRUPTION);
    let mut found: Vec<&PodCondition> = pod.conditions().filter(is_bad).collect();
    found.sort_by_key(|condition| condition.type_ != "Ready");
    found.dedup_by(|one, before| {
        one.type_ == "ContainersReady"
            && (&one.reason, &one.message) == (&before.reason, &before.message)
    });
    found
}

/// `Ready is False (ContainersNotReady: containers with unready status: [proxy])`.
fn condition(condition: &PodCondition) -> String {
    let PodCondition { type_, status, reason, message, .. } = condition;
    match said(text(reason.as_ref()), text(message.as_ref())) {
        Some(why) => format!("{type_} is {status} ({why})"),
        None => format!("{type_} is {status}"),
    }
}

/// Why a pod waits, in the words of the kubelet or of the scheduler.
#[derive(Debug, Clone, Copy)]
struct Waiting<'a> {
    /// The container; `None` for the whole pod.
    of: Option<&'a str>,
    reason: Option<&'a str>,
    message: Option<&'a str>,
}

impl<'a> Waiting<'a> {
    fn new(
        of: Option<&'a str>,
        reason: Option<&'a String>,
        message: Option<&'a String>,
    ) -> Option<Self> {
        let (reason, message) = (text(reason), text(message));
        (reason.is_some() || message.is_some()).then_some(Self { of, reason, message })
    }

    /// `ImagePullBackOff: Back-off pulling image ..`, `Unschedulable: 0/3 nodes are available ..`.
    fn said(self) -> String {
        said(self.reason, self.message).unwrap_or_default()
    }
}

fn said(reason: Option<&str>, message: Option<&str>) -> Option<String> {
    match (reason, message) {
        (Some(reason), Some(message)) => Some(format!("{reason}: {message}")),
        (reason, message) => reason.or(message).map(str::to_owned),
    }
}

/// The most specific reason: a waiting container with a message, the agent first; the node that the
/// pod waits for; a waiting container without a message.
fn waiting(pod: &Pod) -> Option<Waiting<'_>> {
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    let is_agent = |container: &&ContainerStatus| container.name == AGENT;
    let (agent, others): (Vec<_>, Vec<_>) = containers.partition(is_agent);
    let init = status.init_container_statuses.iter().flatten();
    let containers = agent.into_iter().chain(init).chain(others).filter_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        Waiting::new(Some(&container.name), waiting.reason.as_ref(), waiting.message.as_ref())
    });
    let unscheduled = |condition: &&PodCondition| {
        condition.type_ == "PodScheduled" && condition.status == "False"
    };
    let node = pod.conditions().find(unscheduled);
    let node =
        node.and_then(|node| Waiting::new(None, node.reason.as_ref(), node.message.as_ref()));
    let all: Vec<Waiting<'_>> = containers.chain(node).collect();
    all.iter().find(|waiting| waiting.message.is_some()).or_else(|| all.first()).copied()
}

fn text(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// A namespace that others share may have many; what none of these explains is left to `kubectl
/// describe`.
const MAX_PAGES: usize = 4;

/// The newest warning about each object, by the object's uid.
#[derive(Debug, Clone, Default)]
pub(super) struct Events(BTreeMap<String, (SystemTime, String)>);

/// The part of an event that is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    involved_object: Object,
    reason: Option<String>,
    message: Option<String>,
    last_timestamp: Option<Time>,
    #[serde(rename = "eventTime")]
    first_time: Option<MicroTime>,
    series: Option<Series>,
}

#[derive(Debug, Deserialize)]
struct Object {
    uid: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Series {
    last_observed_time: Option<MicroTime>,
}

/// The namespace's warnings: one request per 500 of them.
pub(super) async fn events(api: &Api) -> anyhow::Result<Events> {
    let path = format!("/api/v1/namespaces/{}/events", api.namespace());
    let mut events = Events::default();
    let mut next = String::new();
    for _ in 0..MAX_PAGES {
        let mut query = vec![("fieldSelector", "type=Warning"), ("limit", PAGE)];
        if !next.is_empty() {
            query.push(("continue", next.as_str()));
        }
        let page: Page<Event> = list::page(api, &path, &query).await?;
        let token = page.metadata.continue_.unwrap_or_default();
        page.items.into_iter().for_each(|event| events.add(event));
        next = token;
        if next.is_empty() {
            break;
        }
    }
    Ok(events)
}

impl Events {
    pub(super) fn add(&mut self, event: Event) {
        let Some((uid, at, text)) = event.read() else { return };
        if self.0.get(&uid).is_none_or(|(known, _)| *known <= at) {
            self.0.insert(uid, (at, text));
        }
    }

    /// `FailedCreate: Error creating: pods "demo-qa-s0-x7f2k" is forbidden: exceeded quota ..`.
    pub(super) fn of(&self, uid: &str) -> Option<&str> {
        self.0.get(uid).map(|(_, text)| text.as_str())
    }
}

impl Event {
    fn read(self) -> Option<(String, SystemTime, String)> {
        let uid = self.involved_object.uid.filter(|uid| !uid.is_empty())?;
        let micro = |time: MicroTime| SystemTime::from(time.0);
        let observed = self.series.and_then(|series| series.last_observed_time).map(micro);
        let last = self.last_timestamp.as_ref().map(system_time);
        let at = observed.or(last).or(self.first_time.map(micro)).unwrap_or(SystemTime::UNIX_EPOCH);
        let text = match (self.reason, self.message) {
            (Some(reason), Some(message)) => format!("{reason}: {message}"),
            (reason, message) => reason.or(message)?,
        };
        Some((uid, at, text))
    }
}
