//! Eventually, as a property of every state.
//!
//! Stateright's `eventually` is about paths that end, and an adversary need not end. So: whatever
//! has happened so far, let all cycles die here and let the adversary rest; then one cycle on its
//! own, whose backoffs have passed, fills every slot, and the next one has nothing to do.

use stateright::Property;

use super::Kubernetes;
use super::cluster::{Cluster, Phase};
use super::cycle::{Cycle, Fate, Look, Task};
use super::state::State;
use crate::planning::{MAX_SLOTS, eager};

pub fn property() -> Property<Kubernetes> {
    Property::always(
        "from here one undisturbed cycle fills every slot, with a list and without",
        |model: &Kubernetes, state: &State| {
            [List::Works, List::Fails].into_iter().all(|list| recovers(model, state, list))
        },
    )
}

#[derive(Debug, Clone, Copy)]
enum List {
    Works,
    Fails,
}

fn recovers(model: &Kubernetes, state: &State, list: List) -> bool {
    let design = &model.design;
    let mut cluster = state.cluster.clone();
    // A finalizer holds a name as long as it likes: that is the platform's.
    for place in &mut cluster.slots {
        place.jobs.retain(|job| !matches!(job.phase, Phase::Leaving(_)));
    }
    let looks = looks(model, &cluster);
    let list = match list {
        List::Works => Some(looks),
        List::Fails => None,
    };
    let plan = eager(list.map(|looks| looks.map(Look::seen)), design.slots);
    if let Cycle::Working(tasks) = Cycle::begun(design, list, plan) {
        for (slot, task) in (0..).zip(tasks) {
            finish(model, &mut cluster, slot, task);
        }
    }
    let is_full =
        cluster.slots.iter().take(usize::from(design.slots)).all(|place| place.processes() == 1);
    let seen = self::looks(model, &cluster).map(Look::seen);
    let is_at_rest = eager(Some(seen), design.slots).iter().all(|starts| !starts);
    is_full && is_at_rest
}

fn looks(model: &Kubernetes, cluster: &Cluster) -> [Look; MAX_SLOTS] {
    cluster.slots.each_ref().map(|place| Look::at(place, model.design.naming))
}

fn finish(model: &Kubernetes, cluster: &mut Cluster, slot: u8, mut task: Task) {
    while task != Task::Over {
        let look = Look::at(&cluster.slots[usize::from(slot)], model.design.naming);
        task = match task.write(slot) {
            Some(write) => {
                task.after(&model.design, Fate::Answered, cluster.apply(&model.design, write, 0))
            }
            None if task == Task::LookUp => look.decide(&model.design, true),
            None => Task::looked_again(look),
        };
    }
}
