//! A state of the whole, and how it is kept small.

use super::cluster::{Cluster, GONE, Phase, Uid, Write};
use super::cycle::{Cycle, Fate, Holder, Look, Task};
use super::design::Design;
use crate::planning::MAX_SLOTS;

/// The world, the cycles, and what is still on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub cluster: Cluster,
    pub cycles: Vec<Cycle>,
    pub late: Vec<Write>,
    pub faults: u8,
}

impl State {
    pub fn new(design: &Design) -> Self {
        Self {
            cluster: Cluster::default(),
            cycles: vec![Cycle::Waiting; usize::from(design.cycles)],
            late: Vec::new(),
            faults: design.faults,
        }
    }

    /// A list made now, as `start` keeps it.
    pub fn looks(&self, design: &Design) -> [Look; MAX_SLOTS] {
        self.cluster.slots.each_ref().map(|place| Look::at(place, design.naming))
    }

    /// The cycles that have begun and not ended, as bits.
    pub fn under_way(&self) -> u8 {
        let working = |cycle: &Cycle| matches!(cycle, Cycle::Working(_));
        (0..)
            .zip(&self.cycles)
            .filter(|(_, cycle)| working(cycle))
            .map(|(place, _)| 1 << place)
            .sum()
    }

    pub fn set(&mut self, cycle: u8, to: Cycle) {
        self.cycles[usize::from(cycle)] = to;
        if to == Cycle::Over {
            for job in self.cluster.slots.iter_mut().flat_map(|place| &mut place.jobs) {
                job.watchers &= !(1 << cycle);
            }
        }
    }

    pub fn advance(&mut self, cycle: u8, slot: u8, task: Task) {
        if let Cycle::Working(mut tasks) = self.cycles[usize::from(cycle)] {
            tasks[usize::from(slot)] = task;
            self.set(cycle, Cycle::Working(tasks).settled());
        }
    }

    pub fn delay(&mut self, write: Write) {
        self.faults -= 1;
        self.late.push(write);
    }

    /// A TTL, a collector or a person.
    pub fn remove(&mut self, slot: u8, job: usize, fate: Fate) {
        let jobs = &mut self.cluster.slots[usize::from(slot)].jobs;
        if let (Fate::Held, Phase::Ended(end)) = (fate, jobs[job].phase) {
            self.faults -= 1;
            jobs[job].phase = Phase::Leaving(end);
        } else {
            let gone = jobs.remove(job);
            self.cluster.slots[usize::from(slot)].orphans += u8::from(gone.runs);
        }
    }

    /// Numbers the Jobs that exist from 1, calls all others gone, and puts what has no order into
    /// one.
    pub fn compact(&mut self, symmetry: bool) {
        let known: [Vec<Uid>; MAX_SLOTS] = self
            .cluster
            .slots
            .each_ref()
            .map(|place| place.jobs.iter().map(|job| job.uid).collect());
        let renamed = |slot: usize, uid: &mut Uid| {
            let place = known[slot].iter().position(|known| known == uid);
            *uid = place.and_then(|place| Uid::try_from(place + 1).ok()).unwrap_or(GONE);
        };
        for (slot, place) in self.cluster.slots.iter_mut().enumerate() {
            place.jobs.iter_mut().for_each(|job| renamed(slot, &mut job.uid));
        }
        for write in &mut self.late {
            match write {
                Write::Delete { slot, uid } | Write::Record { slot, uid } => {
                    renamed(usize::from(*slot), uid);
                }
                Write::Create { .. } => {}
            }
        }
        for cycle in &mut self.cycles {
            match cycle {
                Cycle::Promised(looks) => {
                    for (slot, look) in looks.iter_mut().enumerate() {
                        if let Holder::Ended { uid, .. } = &mut look.holder {
                            renamed(slot, uid);
                        }
                    }
                }
                Cycle::Working(tasks) => {
                    for (slot, task) in tasks.iter_mut().enumerate() {
                        match task {
                            Task::Record(uid) | Task::Delete(uid) | Task::LookAgain(uid) => {
                                renamed(slot, uid);
                            }
                            Task::LookUp | Task::Create { .. } | Task::Over => {}
                        }
                    }
                }
                Cycle::Waiting | Cycle::Over => {}
            }
        }
        // The ledger keeps what is written twice once, and no step of this model reads the run of a
        // removed Job.
        self.late.retain(|write| !matches!(write, Write::Record { uid: GONE, .. }));
        self.late.sort_unstable();
        if symmetry {
            self.cycles.sort_unstable();
        }
    }
}
