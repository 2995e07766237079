//! What keeps a step within bounds: its deadline, a signal, and the end of its own errors and
//! panics.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Cycle;
use crate::steps::StepName;
use crate::steps::panic_message;
use coordinator_core::endpoint::Endpoint;
use coordinator_core::report::{Interrupt, Step, StepOutcome};
use coordinator_core::sanitize;

/// Time for an operation under way when a signal ends the cycle.
const GRACE: Duration = Duration::from_millis(700);
/// What is left of the deadline for the report.
const REPORT_RESERVE: Duration = Duration::from_millis(500);
/// No inventory takes longer, however long the deadline is, nor more than a quarter of a short one.
const MAX_INVENTORY: Duration = Duration::from_secs(30);
/// No session starts in the last part of the deadline, nor in the last quarter of a short one.
const SPAWN_RESERVE: Duration = Duration::from_secs(10);
/// No merge starts in the last part of the deadline, so that its answer still arrives.
pub const MERGE_RESERVE: Duration = Duration::from_secs(20);
/// What is left of the deadline when the last endpoint's time is up.
const HEALTH_RESERVE: Duration = Duration::from_millis(100);

/// How long the inventory of a run with this deadline may take.
pub fn inventory_limit(deadline: Duration) -> Duration {
    MAX_INVENTORY.min(deadline / 4)
}

/// When the steps of a cycle must have ended.
pub(super) struct Deadlines {
    pub(super) started_at: SystemTime,
    pub(super) started: Instant,
    /// Every step has ended by then.
    pub(super) end: Instant,
    deadline: Duration,
}

impl Deadlines {
    pub(super) fn start(deadline: Duration, started_at: SystemTime) -> Self {
        let started = Instant::now();
        let end = started + deadline.saturating_sub(REPORT_RESERVE);
        Self { started_at, started, end, deadline }
    }

    pub(super) fn inventory_until(&self) -> Instant {
        self.started + inventory_limit(self.deadline)
    }

    /// As long as the inventory may take, and a quarter of that more where the list took all of it.
    pub(super) fn sources_until(&self) -> Instant {
        self.inventory_until().max(Instant::now() + inventory_limit(self.deadline) / 4)
    }

    pub(super) fn spawn_until(&self) -> Instant {
        self.end - SPAWN_RESERVE.min(self.deadline / 4)
    }

    pub(super) fn merge_until(&self) -> Instant {
        self.started + self.deadline.saturating_sub(MERGE_RESERVE)
    }

    /// An endpoint that is slower than the whole run is an outage, not a step that timed out.
    pub(super) fn in_time(&self, endpoints: &[Endpoint]) -> Vec<Endpoint> {
        let left = (self.end - HEALTH_RESERVE).saturating_duration_since(Instant::now());
        let sooner = |endpoint: &Endpoint| Endpoint {
            timeout: endpoint.timeout.min(left),
            ..endpoint.clone()
        };
        endpoints.iter().map(sooner).collect()
    }
}

/// Ends a cycle early: after [`Stop::now`] nothing new begins, and operations under way get a short
/// grace.
#[derive(Debug, Default)]
pub struct Stop {
    pub(super) token: CancellationToken,
    interrupt: Cell<Option<Interrupt>>,
}

impl Stop {
    /// The first signal counts.
    pub fn now(&self, interrupt: Interrupt) {
        if self.interrupt.get().is_none() {
            self.interrupt.set(Some(interrupt));
        }
        self.token.cancel();
    }

    /// What ended the cycle early, if anything did.
    pub(crate) fn interrupt(&self) -> Option<Interrupt> {
        self.interrupt.get()
    }

    pub(crate) fn grace_over(&self) -> impl Future<Output = ()> + '_ {
        self.token.cancelled().then(|()| sleep(GRACE))
    }
}

/// Runs one step so that nothing in it reaches another: its deadline, its error, its panic and a
/// signal all end here, and its report keeps everything done until then.
pub(super) async fn isolated<P, S, T: Default>(
    cycle: &Cycle<'_, P, S>,
    name: StepName,
    limit: Instant,
    stop: &Stop,
    work: impl AsyncFnOnce(&mut T) -> anyhow::Result<()>,
) -> Step<T> {
    let started = Instant::now();
    cycle.progress.step_started(name.word());
    let mut body = T::default();
    let guarded = AssertUnwindSafe(work(&mut body)).catch_unwind();
    // Poll the work last: after SIGSTOP and SIGCONT beyond the deadline it must not act on stale
    // data.
    let outcome = tokio::select! {
        biased;
        () = stop.grace_over() => failed("interrupted"),
        () = sleep_until(limit) => {
            failed(&format!("timed out after {:.1} s", started.elapsed().as_secs_f64()))
        }
        ended = guarded => match ended {
            Ok(Ok(())) => StepOutcome::Ok,
            Ok(Err(error)) => failed(&format!("{error:#}")),
            Err(panic) => failed(&format!("panicked: {}", panic_message(&*panic))),
        },
    };
    if let StepOutcome::Failed(error) = &outcome {
        // The report has the error: on stderr it would be there twice.
        tracing::debug!(step = name.word(), "{error}");
    }
    cycle.progress.step_ended(name.word());
    Step { outcome, duration: started.elapsed(), body }
}

fn failed(error: &str) -> StepOutcome {
    // Cutting is for the renderer, after secrets are masked: half a secret would not be recognised.
    StepOutcome::Failed(sanitize::one_line(error, usize::MAX))
}

/// Turns a failed client setup into an error of the step that uses it.
pub(crate) fn usable<T>(client: &anyhow::Result<T>) -> anyhow::Result<&T> {
    client.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))
}
