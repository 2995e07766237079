//! Events without the program: sessions end, quotas are set, and those of `pulls.rs`.

use crate::scene::{Mutant, Scene};
use crate::table::Place;
use crate::{person, protection, pulls, queue};
use testkit::kubernetes::cluster::Nodes;
use testkit::kubernetes::witness::{has_condition, is_live_job};

/// One random event, or none.
pub(crate) fn happen(scene: &mut Scene) {
    let has_items = scene.items.is_some();
    let name = if has_items && scene.dice.percent(30) {
        queue::happen(scene)
    } else if scene.dice.percent(50) {
        on_the_cluster(scene)
    } else {
        Some(pulls::happen(scene))
    };
    protection::enforce(scene);
    if let Some(name) = name {
        scene.fault(Place::World, name);
    }
    scene.inspect();
}

fn on_the_cluster(scene: &mut Scene) -> Option<&'static str> {
    if scene.dice.percent(12) {
        return Some(to_the_cluster(scene));
    }
    if scene.dice.percent(6) {
        return Some(person::pauses_or_resumes(scene));
    }
    let mut jobs = scene.cluster.jobs();
    jobs.retain(|name| name != person::PAUSE);
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
    if scene.cluster.missing_key(name).is_some() {
        scene.cluster.deadline_exceeded(name);
        return Some("a session that may not start reaches the deadline of its Job");
    }
    Some(match scene.dice.between(0, 10) {
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
        9 => person::stops(scene, name),
        _ => {
            scene.cluster.suspend(name);
            "a person suspends a Job"
        }
    })
}

fn to_an_ended_job(scene: &mut Scene, name: &str) -> Option<&'static str> {
    let job = scene.cluster.job(name).clone();
    Some(match scene.dice.between(0, 9) {
        // It is there for the next cycle, which writes down what came of it.
        0..=6 if queue::is_unrecorded(&mut scene.cluster, &job) => return None,
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
            "a person deletes an ended Job, a finalizer keeps it"
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
            "the nodes fill up, or have room again; the Job controller stops, or works again"
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

/// Ends all faults and obstacles, so that the program can finish its work.
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
            if is_live_job(&job) && scene.cluster.missing_key(&name).is_some() {
                scene.cluster.deadline_exceeded(&name);
            }
        }
    }
    scene.cluster.run_all();
    let repository = scene.github.repository();
    repository.archived = false;
    repository.strict = false;
    for pull in repository.pulls.values_mut().filter(|pull| pull.mergeable == "UNKNOWN") {
        "MERGEABLE".clone_into(&mut pull.mergeable);
    }
    if scene.mutant == Some(Mutant::NeverDecides) {
        for pull in scene.github.repository().pulls.values_mut() {
            "UNKNOWN".clone_into(&mut pull.mergeable);
        }
    }
    protection::enforce(scene);
}
