//! When the steps of a cycle must have ended.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use coordinator_core::endpoint::Endpoint;

/// What is left of the deadline for the report.
const REPORT_RESERVE: Duration = Duration::from_millis(500);
/// No inventory takes longer, however long the deadline is, nor more than a quarter of a short one.
const INVENTORY_LIMIT: Duration = Duration::from_secs(30);
/// No session starts in the last part of the deadline, nor in the last quarter of a short one.
const SPAWN_RESERVE: Duration = Duration::from_secs(10);
/// No merge starts in the last part of the deadline, so that its answer is still heard.
pub const MERGE_RESERVE: Duration = Duration::from_secs(20);
/// What is left of the deadline when the last endpoint's time is up.
const HEALTH_RESERVE: Duration = Duration::from_millis(100);

/// How long the inventory of a run with this deadline may take.
pub fn inventory_limit(deadline: Duration) -> Duration {
    INVENTORY_LIMIT.min(deadline / 4)
}

/// The times of one cycle.
pub(super) struct Clock {
    pub(super) started_at: SystemTime,
    pub(super) started: Instant,
    /// Every step has ended by then.
    pub(super) end: Instant,
    deadline: Duration,
}

impl Clock {
    pub(super) fn start(deadline: Duration, started_at: SystemTime) -> Self {
        let started = Instant::now();
        let end = started + deadline.saturating_sub(REPORT_RESERVE);
        Self { started_at, started, end, deadline }
    }

    pub(super) fn inventory_until(&self) -> Instant {
        self.started + inventory_limit(self.deadline)
    }

    /// As long as the inventory may take, and a while more where the list took all of it.
    pub(super) fn sources_until(&self) -> Instant {
        self.inventory_until().max(Instant::now() + inventory_limit(self.deadline) / 4)
    }

    pub(super) fn spawn_until(&self) -> Instant {
        self.end - SPAWN_RESERVE.min(self.deadline / 4)
    }

    pub(super) fn merge_until(&self) -> Instant {
        self.started + self.deadline.saturating_sub(MERGE_RESERVE)
    }

    /// An endpoint that is slower than the whole run is an outage, too, and not a step that did not end.
    pub(super) fn in_time(&self, endpoints: &[Endpoint]) -> Vec<Endpoint> {
        let left = (self.end - HEALTH_RESERVE).saturating_duration_since(Instant::now());
        let sooner =
            |endpoint: &Endpoint| Endpoint { timeout: endpoint.timeout.min(left), ..endpoint.clone() };
        endpoints.iter().map(sooner).collect()
    }
}
