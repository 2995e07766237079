//! An independent eye on the invariant: at every instant at most one session of a slot is admitted,
//! and no request ends one.

use super::{Actions, Run};

impl Actions {
    /// Looks at the slot of a run whose agent has just got on.
    pub(super) fn witness(&mut self, id: u64) {
        let slot =
            |run: &Run| run.slot().map(|(fleet, slot)| format!("{fleet}-{slot}").to_lowercase());
        let Some(of) = slot(self.run(id)) else { return };
        let live: Vec<u64> = self
            .runs
            .values()
            .filter(|run| run.is_admitted() && slot(run).as_ref() == Some(&of))
            .map(|run| run.id)
            .collect();
        if live.len() > 1 {
            self.breaches.push(format!("{of} has {} admitted sessions: {live:?}", live.len()));
        }
    }

    /// The violations so far; the fake forgets them.
    pub fn take_breaches(&mut self) -> Vec<String> {
        std::mem::take(&mut self.breaches)
    }
}
