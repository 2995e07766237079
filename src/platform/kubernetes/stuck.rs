//! Which live sessions do not get on, and why. Pure.

use std::time::{Duration, SystemTime};

use super::job::AGENT;
use super::record::{Job, Pod, system_time};
use crate::fleet::{Slot, Stuck, StuckReason};
use crate::roster::KubernetesSettings;
use crate::untrusted::one_line;

/// A pod that was told to end has its grace period, and this much more.
const TERMINATION: Duration = Duration::from_secs(30 + 300);

/// What the Job controller may take to act on a deadline.
const CONTROLLER: Duration = Duration::from_secs(120);

const LONGEST_DETAIL: usize = 300;

/// No pod of the Job was ready within the start timeout.
pub(super) fn is_pending_too_long(job: &Job, settings: &KubernetesSettings, now: SystemTime) -> bool {
    let waits = job.end().is_none() && !job.spec.suspend && job.status.ready.unwrap_or(0) == 0;
    waits && job.deleted_at().is_none() && is_past(waiting_since(job), settings.start_timeout, now)
}

/// A Job that Kueue held back begins to wait when it is resumed.
fn waiting_since(job: &Job) -> Option<SystemTime> {
    job.status.start_time.as_ref().map(system_time).or_else(|| job.created_at())
}

fn is_past(since: Option<SystemTime>, wait: Duration, now: SystemTime) -> bool {
    since.is_some_and(|since| since + wait < now)
}

/// Why the session of a live Job does not get on; `pod` is the Job's pod where it does not run.
pub(super) fn stuck(
    slot: &Slot,
    job: &Job,
    pod: Option<&Pod>,
    settings: &KubernetesSettings,
    now: SystemTime,
) -> Option<Stuck> {
    if job.end().is_some() {
        return None;
    }
    let (reason, since, detail) = terminating(job, now)
        .or_else(|| suspended(job, settings, now))
        .or_else(|| over_deadline(job, now))
        .or_else(|| pending(job, pod, settings, now))?;
    Some(Stuck { slot: slot.clone(), reason, since, detail: one_line(&detail, LONGEST_DETAIL) })
}

type Finding = (StuckReason, Option<SystemTime>, String);

/// The Job is being deleted, or has failed while its pod still ends.
fn terminating(job: &Job, now: SystemTime) -> Option<Finding> {
    let target = job.condition("FailureTarget").and_then(|condition| condition.last_transition_time.as_ref());
    let since = job.deleted_at().or_else(|| target.map(system_time));
    is_past(since, TERMINATION, now).then(|| {
        let name = job.name();
        let detail = format!(
            "its pod does not end; is its node alive? `kubectl get pods -l batch.kubernetes.io/job-name={name} -o wide`"
        );
        (StuckReason::Terminating, since, detail)
    })
}

fn suspended(job: &Job, settings: &KubernetesSettings, now: SystemTime) -> Option<Finding> {
    let since = job.created_at();
    let detail = match &settings.queue_name {
        _ if !job.spec.suspend => return None,
        // To wait for admission is what a queue is for; to wait for long says that it is too small.
        Some(_) if !is_past(since, settings.start_timeout, now) => return None,
        Some(queue) => format!("queue {queue:?} has not admitted it; `kubectl describe workload` tells why"),
        None => format!("somebody suspended it; `kubectl edit job {}` resumes it", job.name()),
    };
    Some((StuckReason::Suspended, since, detail))
}

fn over_deadline(job: &Job, now: SystemTime) -> Option<Finding> {
    let started = job.status.start_time.as_ref().map(system_time)?;
    let limit = Duration::from_secs(job.spec.active_deadline_seconds?);
    is_past(Some(started), limit + CONTROLLER, now).then(|| {
        let shown = humantime::format_duration(limit);
        let detail = format!("its deadline of {shown} has passed; is the cluster's controller manager up?");
        (StuckReason::OverDeadline, Some(started + limit), detail)
    })
}

fn pending(job: &Job, pod: Option<&Pod>, settings: &KubernetesSettings, now: SystemTime) -> Option<Finding> {
    is_pending_too_long(job, settings, now).then(|| {
        let name = job.name();
        let detail = pod.map_or_else(
            || format!("no pod of it waits; `kubectl describe job {name}` shows what refuses one (quota, admission)"),
            |pod| waiting(pod).unwrap_or_else(|| "its agent has not started".to_owned()),
        );
        (StuckReason::Pending, waiting_since(job), detail)
    })
}

/// `ImagePullBackOff: Back-off pulling image ..`, `Unschedulable: 0/3 nodes are available ..`.
fn waiting(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let said = |reason: &Option<String>, message: &Option<String>| match (reason, message) {
        (Some(reason), Some(message)) => Some(format!("{reason}: {message}")),
        (reason, message) => reason.clone().or_else(|| message.clone()),
    };
    let containers = status.container_statuses.iter().flatten().filter(|container| container.name == AGENT);
    let others = status.init_container_statuses.iter().flatten();
    let mut waiting =
        containers.chain(others).filter_map(|container| container.state.as_ref()?.waiting.as_ref());
    let container = waiting.find_map(|waiting| said(&waiting.reason, &waiting.message));
    let mut conditions = status.conditions.iter().flatten();
    let unscheduled =
        conditions.find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    container.or_else(|| unscheduled.and_then(|condition| said(&condition.reason, &condition.message)))
}
