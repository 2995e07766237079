//! How many requests a cycle with nothing to do may send, as docs/benchmarks.md counts them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::eligible::{self, Rules};
use crate::scene::Scene;
use crate::table::Place;
use crate::time;
use testkit::kubernetes::witness::is_live_job;

/// How many pull requests one query rereads.
const TOGETHER: u64 = 50;

/// The same in every roster.
const START_TIMEOUT: Duration = Duration::from_secs(600);

/// The grace period of a pod, and five minutes.
const TERMINATION: Duration = Duration::from_secs(330);

/// The cycle reads the server's clock a little later than this.
const TOLERANCE: Duration = Duration::from_secs(60);

/// The requests of a cycle, by their purpose.
pub(crate) type Sent = BTreeMap<(Place, &'static str), u64>;

/// The most requests that a cycle by these rules sends to the world as it is.
pub(crate) fn most(scene: &mut Scene, rules: &Rules) -> Sent {
    let mut most = Sent::from([((Place::GitHub, "list"), 1), ((Place::Kubernetes, "Jobs"), 1)]);
    most.insert((Place::Kubernetes, "registers"), u64::from(scene.items.is_some()));
    let now = time::seconds();
    // One list of pods shows how all sessions ended; one more shows why others are stuck.
    let clock = scene.cluster.now();
    let jobs = &scene.cluster.namespace().jobs;
    let has_ended = jobs.values().any(|job| !is_live_job(job));
    let is_stuck = jobs.values().any(|job| is_live_job(job) && is_stuck(job, clock));
    most.insert((Place::Kubernetes, "pods"), u64::from(has_ended) + u64::from(is_stuck));
    most.insert((Place::Kubernetes, "events"), u64::from(is_stuck));
    let repository = scene.github.repository();
    let on_base = eligible::recently_on_base(repository);
    let others = repository.pulls.values().filter(|pull| !on_base.contains(&pull.number));
    let is_due = |since: Option<i64>| since.is_some_and(|since| since <= now);
    let approved: Vec<_> =
        others.filter(|pull| is_due(eligible::approved_since(pull, rules))).collect();
    let unclear = approved.iter().filter(|pull| eligible::needs_rows(pull, rules)).count() as u64;
    if unclear > 0 {
        most.insert((Place::GitHub, "second look"), unclear.div_ceil(TOGETHER));
    }
    let for_people = approved.iter().filter(|pull| {
        rules.protects && eligible::is_protected(pull) && is_due(eligible::since(pull, rules))
    });
    let for_people = for_people.count() as u64;
    if for_people > 0 {
        most.insert((Place::GitHub, "files"), for_people);
    }
    most
}

/// Whether a live session has not become ready in time, or does not end.
fn is_stuck(job: &Value, now: SystemTime) -> bool {
    let (metadata, status) = (&job["metadata"], &job["status"]);
    let is_past = |since: &Value, wait: Duration| {
        let since = since.as_str().and_then(|since| humantime::parse_rfc3339(since).ok());
        since.is_some_and(|since| since + wait <= now + TOLERANCE)
    };
    let began = if status["startTime"].is_null() {
        &metadata["creationTimestamp"]
    } else {
        &status["startTime"]
    };
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let failing = conditions.find(|condition| condition["type"] == "FailureTarget");
    (status["ready"] != 1 && is_past(began, START_TIMEOUT))
        || is_past(&metadata["deletionTimestamp"], TERMINATION)
        || failing.is_some_and(|failing| is_past(&failing["lastTransitionTime"], TERMINATION))
}

/// The requests, when they are more than that or lack one of the lists.
pub(crate) fn excess(sent: &Sent, most: &Sent) -> Option<String> {
    let allowed = |key: &(Place, &'static str)| most.get(key).copied().unwrap_or_default();
    let is_thrifty = sent.iter().all(|(key, times)| *times <= allowed(key));
    let lists = [(Place::GitHub, "list"), (Place::Kubernetes, "Jobs")];
    let is_whole = lists.iter().all(|list| sent.get(list) == Some(&1));
    (!is_thrifty || !is_whole).then(|| format!("{sent:?}, where {most:?} is enough"))
}
