//! What a cycle may ask that has nothing to do: as README.md counts it.

use std::collections::BTreeMap;

use crate::eligible::{self, Rules};
use crate::scene::Scene;
use crate::table::Place;
use crate::time;
use crate::world::kubernetes::witness::is_live_job;

/// How many pull requests one question reads again.
const TOGETHER: u64 = 50;

/// The requests of a cycle, by what they are for.
pub(crate) type Sent = BTreeMap<(Place, &'static str), u64>;

/// The most that a cycle by these rules asks of the world as it is.
pub(crate) fn most(scene: &mut Scene, rules: &Rules) -> Sent {
    let mut most = Sent::from([((Place::GitHub, "list"), 1), ((Place::Kubernetes, "Jobs"), 1)]);
    // Whose sessions have ended, or do not start, is asked how and why.
    if scene.cluster.namespace().jobs.values().any(|job| !is_live_job(job) || job["status"]["ready"] != 1) {
        most.insert((Place::Kubernetes, "pods"), 1);
    }
    let now = time::seconds();
    let repository = scene.github.repository();
    let on_base = eligible::recently_on_base(repository);
    let others = repository.pulls.values().filter(|pull| !on_base.contains(&pull.number));
    let is_due = |since: Option<i64>| since.is_some_and(|since| since <= now);
    let approved: Vec<_> = others.filter(|pull| is_due(eligible::approved_since(pull, rules))).collect();
    let unclear = approved.iter().filter(|pull| eligible::needs_rows(&pull.checks, rules)).count() as u64;
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

/// What is more than that, or less than the one list of each.
pub(crate) fn excess(sent: &Sent, most: &Sent) -> Option<String> {
    let allowed = |key: &(Place, &'static str)| most.get(key).copied().unwrap_or_default();
    let is_thrifty = sent.iter().all(|(key, times)| *times <= allowed(key));
    let lists = [(Place::GitHub, "list"), (Place::Kubernetes, "Jobs")];
    let is_whole = lists.iter().all(|list| sent.get(list) == Some(&1));
    (!is_thrifty || !is_whole).then(|| format!("{sent:?}, where {most:?} is enough"))
}
