//! Ends a cycle early.

use std::cell::Cell;
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use coordinator_core::report::Interrupt;

/// What an operation under way gets to end when a signal ends the cycle.
const GRACE: Duration = Duration::from_millis(700);

/// Once it is called nothing new begins, and what is under way gets a short grace.
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
    pub(super) fn interrupt(&self) -> Option<Interrupt> {
        self.interrupt.get()
    }

    pub(super) fn grace_over(&self) -> impl Future<Output = ()> + '_ {
        self.token.cancelled().then(|()| tokio::time::sleep(GRACE))
    }
}
