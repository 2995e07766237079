//! What the sessions of some time used, per role. Unknown cost is counted, and is never 0.

use std::collections::BTreeMap;

use super::PastSession;
use coordinator_core::fleet::Usd;

/// Sessions and their known cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) sessions: u64,
    pub(super) cost_usd: Usd,
    /// Sessions whose cost is unknown: it is not in the sum.
    pub(super) unknown_cost: u64,
}

impl Total {
    fn add(&mut self, cost: Option<Usd>) {
        self.sessions += 1;
        match cost {
            Some(cost) => self.cost_usd = self.cost_usd + cost,
            None => self.unknown_cost += 1,
        }
    }
}

/// Of all sessions, and of each role.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) all: Total,
    pub(super) by_role: BTreeMap<String, Total>,
}

impl Totals {
    pub(super) fn of(sessions: &[PastSession]) -> Self {
        let mut totals = Self::default();
        for session in sessions {
            let cost = session.run.result.as_ref().and_then(|result| result.usage.cost_usd);
            totals.all.add(cost);
            totals.by_role.entry(session.role.clone()).or_default().add(cost);
        }
        totals
    }
}
