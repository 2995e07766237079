//! A person who pauses the fleet and stops sessions. In the end one lets both go on with the
//! program itself.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::facts::JobPage;
use crate::scene::{Mutant, Scene};
use testkit::Reply;
use testkit::kubernetes::request::Asked;
use testkit::kubernetes::trouble::Call;
use testkit::kubernetes::witness::is_live_job;

/// The number of the program that the person runs.
pub(crate) const WHO: usize = 999;

/// The suspended Job that is the pause.
pub(crate) const PAUSE: &str = "demo-paused";

const STOPPED_BY: &str = "coordinator.dev/stopped-by";
const RESUMED: &str = "coordinator.dev/resumed";

/// `coordinator pause`, or where the fleet is paused `coordinator resume`, which leaves stopped
/// slots alone here.
pub(crate) fn pauses_or_resumes(scene: &mut Scene) -> &'static str {
    if scene.cluster.jobs().iter().any(|name| name == PAUSE) {
        scene.cluster.remove(PAUSE);
        return "a person lets a paused fleet go on";
    }
    let labels = json!({
        "app.kubernetes.io/name": "coordinator-pause",
        "app.kubernetes.io/managed-by": "coordinator",
        "coordinator.dev/fleet": "demo",
    });
    scene.cluster.add(PAUSE, &labels);
    scene.cluster.job(PAUSE)["spec"]["suspend"] = true.into();
    scene.cluster.touch(PAUSE);
    "a person pauses the fleet"
}

/// `coordinator stop SLOT`.
pub(crate) fn stops(scene: &mut Scene, name: &str) -> &'static str {
    let job = scene.cluster.job(name);
    job["metadata"]["annotations"][STOPPED_BY] = "alice".into();
    job["spec"]["ttlSecondsAfterFinished"] = Value::Null;
    scene.cluster.deadline_exceeded(name);
    "a person stops a session"
}

/// Whether it is the Job of a pause, which is not a session.
pub(crate) fn is_pause(job: &Value) -> bool {
    job["metadata"]["labels"]["app.kubernetes.io/name"] == "coordinator-pause"
}

/// Whether it keeps its slot empty.
fn is_stopped(job: &Value) -> bool {
    let annotations = &job["metadata"]["annotations"];
    annotations[STOPPED_BY].is_string() && annotations[RESUMED].is_null() && !is_live_job(job)
}

/// The sessions of a page of the list that a person stopped.
pub(crate) fn stopped(jobs: &[Value]) -> BTreeSet<String> {
    let stopped = jobs.iter().filter(|job| is_stopped(job));
    stopped.filter_map(|job| job["metadata"]["name"].as_str().map(str::to_owned)).collect()
}

/// Whether the fleet is paused, by an answer about the Job of the pause alone.
pub(crate) fn looked_up(asked: &Asked, reply: &Reply) -> Option<bool> {
    match (asked.call, asked.name(), reply.status) {
        (Call::Get, PAUSE, 200) => Some(true),
        (Call::Get, PAUSE, 404) => Some(false),
        _ => None,
    }
}

/// What a server answers that hides the pause, or who stopped a session.
pub(crate) fn hidden(mutant: Option<Mutant>, page: Option<&JobPage>, reply: Reply) -> Reply {
    let is_list = page.is_some();
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else { return reply };
    match mutant {
        Some(Mutant::HidesPause) if is_list => {
            if let Some(jobs) = body["items"].as_array_mut() {
                jobs.retain(|job| !is_pause(job));
            }
        }
        Some(Mutant::HidesStops) if is_list => {
            for job in body["items"].as_array_mut().into_iter().flatten() {
                if let Some(annotations) = job["metadata"]["annotations"].as_object_mut() {
                    annotations.remove(STOPPED_BY);
                }
            }
        }
        _ => return reply,
    }
    Reply { body: body.to_string().into(), ..reply }
}
