//! What happens to the world by itself: sessions end, people and other programs do as they like.

use crate::eligible;
use crate::scene::Scene;
use crate::table::Place;
use crate::time;
use crate::world::kubernetes::cluster::Nodes;
use crate::world::kubernetes::witness::{has_condition, is_live_job};
use crate::world::{Author, Check, Pull, Review};

/// As many open pull requests, and as many others that GitHub still knows: a big repository is slow to show.
const MOST_PULLS: usize = 6;

/// One thing happens; mostly something.
pub(crate) fn happen(scene: &mut Scene) {
    let name = if scene.dice.percent(50) { on_the_cluster(scene) } else { Some(on_github(scene)) };
    if let Some(name) = name {
        scene.fault(Place::World, name);
    }
    scene.inspect();
}

fn on_the_cluster(scene: &mut Scene) -> Option<&'static str> {
    if scene.dice.percent(12) {
        return Some(to_the_cluster(scene));
    }
    let jobs = scene.cluster.jobs();
    if jobs.is_empty() {
        return None;
    }
    let name = scene.dice.pick(&jobs).clone();
    let job = scene.cluster.job(&name).clone();
    if job["metadata"]["labels"]["coordinator.dev/slot"].is_null() {
        scene.cluster.remove(&name);
        return Some("a stranger's Job goes");
    }
    if !job["metadata"]["deletionTimestamp"].is_null() {
        scene.cluster.remove(&name);
        return Some("a finalizer lets a Job go");
    }
    if is_live_job(&job) { to_a_live_job(scene, &name) } else { to_an_ended_job(scene, &name) }
}

fn to_a_live_job(scene: &mut Scene, name: &str) -> Option<&'static str> {
    let job = scene.cluster.job(name).clone();
    if has_condition(&job, "FailureTarget") {
        scene.cluster.deadline_exceeded(name);
        return Some("a session that was ending has ended");
    }
    if scene.cluster.pods_of(name).is_empty() {
        return None;
    }
    Some(match scene.dice.between(0, 9) {
        0..=3 => {
            scene.cluster.finish(name, 0, "done");
            "a session succeeds"
        }
        4..=5 => {
            scene.cluster.finish(name, 1, "error: no credit");
            "a session fails"
        }
        6 => {
            scene.cluster.time_out(name);
            "a session reaches its time limit"
        }
        7 => {
            scene.cluster.evict(name);
            "a session is evicted"
        }
        8 => {
            scene.cluster.failing(name);
            "a session is ending: failed, and its pod still runs"
        }
        _ => {
            scene.cluster.suspend(name);
            "somebody suspends a Job"
        }
    })
}

fn to_an_ended_job(scene: &mut Scene, name: &str) -> Option<&'static str> {
    Some(match scene.dice.between(0, 9) {
        0..=3 => {
            scene.cluster.remove(name);
            "the TTL, or a person, removes an ended Job"
        }
        4..=5 => {
            scene.cluster.lose_pod(name);
            "the pods of an ended Job are lost"
        }
        6 => {
            scene.cluster.terminate(name);
            "somebody deletes an ended Job, a finalizer keeps it"
        }
        7 => {
            scene.cluster.hold(name);
            "a finalizer is put on an ended Job"
        }
        _ => return None,
    })
}

fn to_the_cluster(scene: &mut Scene) -> &'static str {
    match scene.dice.between(0, 4) {
        0 => {
            scene.cluster.nodes = *scene.dice.pick(&[Nodes::Ready, Nodes::Full, Nodes::Asleep]);
            if scene.cluster.nodes == Nodes::Ready {
                scene.cluster.run_all();
            }
            "the nodes fill up, or have room again; the Job controller stops, or goes on"
        }
        1 => {
            let hard = scene.dice.between(0, 6);
            scene.cluster.limit_jobs(hard);
            "a quota is set"
        }
        2 => {
            scene.cluster.namespace().quota = None;
            "a quota is lifted"
        }
        3 => {
            scene.cluster.recount();
            "a quota is counted again"
        }
        _ => {
            let name = format!("demo-builder-s{}", scene.dice.between(0, 3));
            if !scene.cluster.jobs().contains(&name) {
                scene.cluster.add(&name, &serde_json::json!({}));
            }
            "a stranger's Job takes a slot's name"
        }
    }
}

fn on_github(scene: &mut Scene) -> &'static str {
    scene.remember();
    let repository = scene.github.repository();
    let open: Vec<u64> =
        repository.pulls.values().filter(|pull| pull.state == "OPEN").map(|pull| pull.number).collect();
    let over = repository.pulls.values().filter(|pull| pull.state != "OPEN").map(|pull| pull.number);
    let over: Vec<u64> = over.collect();
    for number in over.iter().take(over.len().saturating_sub(MOST_PULLS)) {
        repository.pulls.remove(number);
    }
    if open.is_empty() || scene.dice.percent(if open.len() < MOST_PULLS { 25 } else { 5 }) {
        return to_the_repository(scene);
    }
    let number = *scene.dice.pick(&open);
    let serial = scene.dice.throw();
    let choice = scene.dice.between(0, 15);
    let pull = scene.github.repository().pulls.get_mut(&number).expect("it is listed");
    to_a_pull(pull, choice, serial)
}

fn to_a_pull(pull: &mut Pull, choice: u64, serial: u64) -> &'static str {
    let review = |state: &str, login: &str, head: &str| Review {
        author: Some(Author::user(login)),
        state: state.to_owned(),
        at: time::seconds(),
        ..Review::approval(login, head)
    };
    match choice {
        0..=1 => {
            pull.head = format!("{}-{:x}", pull.number, serial & 0xFFFF);
            pull.checks = vec![Check::run("build", 1, "SUCCESS")];
            "a push moves a head"
        }
        2..=5 => {
            let head = pull.head.clone();
            pull.reviews.push(review(
                "APPROVED",
                if serial.is_multiple_of(3) { "bob" } else { "alice" },
                &head,
            ));
            "a review approves"
        }
        6 => {
            if let Some(last) = pull.reviews.last_mut() {
                "DISMISSED".clone_into(&mut last.state);
            }
            "a review is dismissed"
        }
        7 => {
            let head = pull.head.clone();
            pull.reviews.push(review("CHANGES_REQUESTED", "bob", &head));
            "a review asks for changes"
        }
        8 => {
            rerun(pull, "FAILURE");
            "a check is run again and fails"
        }
        9..=10 => {
            rerun(pull, "SUCCESS");
            "a check is run again and succeeds"
        }
        11 => {
            toggle(&mut pull.labels);
            "a blocking label comes or goes"
        }
        12 => {
            pull.draft = !pull.draft;
            "a pull request becomes a draft, or ready"
        }
        13 => {
            let unknown = pull.mergeable == "UNKNOWN";
            if unknown { "MERGEABLE" } else { "UNKNOWN" }.clone_into(&mut pull.mergeable);
            "GitHub works mergeability out, or anew"
        }
        14 => {
            "CLOSED".clone_into(&mut pull.state);
            "a pull request is closed"
        }
        _ => {
            let base = if pull.base == "main" { "release" } else { "main" };
            base.clone_into(&mut pull.base);
            "a pull request gets another base"
        }
    }
}

fn rerun(pull: &mut Pull, conclusion: &str) {
    let id = u64::try_from(pull.checks.len()).expect("few") + 1;
    pull.checks.push(Check::run("build", id, conclusion));
}

fn toggle(labels: &mut Vec<String>) {
    if labels.pop().is_none() {
        labels.push("hold".to_owned());
    }
}

fn to_the_repository(scene: &mut Scene) -> &'static str {
    let choice = scene.dice.between(0, 9);
    let serial = scene.dice.between(1_000, 9_999);
    scene.numbers += 1;
    let number = scene.numbers;
    let repository = scene.github.repository();
    match choice {
        0..=3 => {
            repository.pulls.insert(number, pull(number));
            "a pull request is opened"
        }
        4..=5 => {
            repository.commit("main", &format!("Direct change {serial}"), 0);
            "the base moves"
        }
        6..=7 => {
            let open =
                repository.pulls.values().find(|pull| pull.state == "OPEN" && pull.mergeable == "MERGEABLE");
            let found = open.map(|pull| (pull.number, pull.title.clone(), pull.head.clone()));
            // A person would see that the commit is there already.
            if let Some((number, title, _)) =
                found.filter(|(number, ..)| !eligible::on_base(repository).contains_key(number))
            {
                repository.squash_merge(number, &format!("{title} (#{number})"));
            }
            "somebody else merges"
        }
        8 => {
            repository.strict = !repository.strict;
            "the base demands up-to-date heads, or not any more"
        }
        _ => {
            repository.archived = !repository.archived;
            "the repository is archived, or opened again"
        }
    }
}

/// An eligible pull request of this moment.
pub(crate) fn pull(number: u64) -> Pull {
    let mut pull = Pull::eligible(number).titled(&format!("Change {number}"));
    for review in &mut pull.reviews {
        review.at = time::seconds();
    }
    pull
}

/// Nothing keeps the program from its work any more, and nothing else happens.
pub(crate) fn calm_down(scene: &mut Scene) {
    scene.fault_rate = 0;
    scene.remember();
    scene.cluster.namespace().quota = None;
    scene.cluster.nodes = Nodes::Ready;
    for name in scene.cluster.jobs() {
        let job = scene.cluster.job(&name).clone();
        let metadata = &job["metadata"];
        let is_strange = metadata["labels"]["coordinator.dev/slot"].is_null();
        if is_strange || !metadata["deletionTimestamp"].is_null() {
            scene.cluster.remove(&name);
        } else {
            scene.cluster.job(&name)["metadata"]["finalizers"] = serde_json::Value::Null;
        }
    }
    scene.cluster.run_all();
    let repository = scene.github.repository();
    repository.archived = false;
    repository.strict = false;
    for pull in repository.pulls.values_mut().filter(|pull| pull.mergeable == "UNKNOWN") {
        "MERGEABLE".clone_into(&mut pull.mergeable);
    }
}
