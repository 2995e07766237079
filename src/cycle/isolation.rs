//! Keeps what happens in one step from reaching another.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::{Cycle, Stop};
use crate::steps::StepName;
use crate::steps::panic_message;
use coordinator_core::report::{Step, StepOutcome};
use coordinator_core::sanitize;

/// Runs one step so that nothing it does reaches another: its deadline, its error, its panic and a signal all end
/// here, and what it had done until then stays in its report.
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
    // The work comes last: a process that was stopped and goes on after its time sends nothing more.
    let outcome = tokio::select! {
        biased;
        () = stop.grace_over() => failed("interrupted"),
        () = tokio::time::sleep_until(limit) => {
            failed(&format!("did not end within {:.1} s", started.elapsed().as_secs_f64()))
        }
        ended = guarded => match ended {
            Ok(Ok(())) => StepOutcome::Ok,
            Ok(Err(error)) => failed(&format!("{error:#}")),
            Err(panic) => failed(&format!("panicked: {}", panic_message(&*panic))),
        },
    };
    if let StepOutcome::Failed(error) = &outcome {
        tracing::error!(step = name.word(), "{error}");
    }
    cycle.progress.step_ended(name.word(), &outcome);
    Step { outcome, duration: started.elapsed(), body }
}

fn failed(error: &str) -> StepOutcome {
    // Cutting is for the renderer, after secrets are masked: half a secret would not be recognised.
    StepOutcome::Failed(sanitize::one_line(error, usize::MAX))
}

/// An edge whose set-up failed says so in the step that needs it.
pub(super) fn usable<T>(edge: &anyhow::Result<T>) -> anyhow::Result<&T> {
    edge.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))
}
