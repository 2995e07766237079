//! What holds merges back: the end of the run, its limits and, with `hold_when_down`, production
//! that is down; then only reverts are merged.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use coordinator_core::fleet::FleetPause;
use coordinator_core::merge::reason::{Reason, Skip};
use coordinator_core::pull::Pull;
use coordinator_core::report::{HealthReport, HealthVerdict, Step, StepOutcome};

use super::MergeRun;

/// Production, by the health step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Production {
    /// Every endpoint answered, also where the status is unexpected.
    Answers,
    /// An endpoint is down or does not answer: which, and how.
    Down(String),
    /// The health step did not run, or not to its end: why.
    Unknown(String),
}

impl Production {
    pub fn of(health: &Step<HealthReport>) -> Self {
        let endpoints = &health.body.endpoints;
        let is_down =
            |verdict| matches!(verdict, HealthVerdict::Down | HealthVerdict::PotentialOutage);
        if let Some(endpoint) = endpoints.iter().find(|endpoint| is_down(endpoint.verdict)) {
            return Self::Down(match endpoint.status {
                Some(status) => format!("{} answers {status}", endpoint.name),
                None => format!("{} does not answer", endpoint.name),
            });
        }
        match &health.outcome {
            StepOutcome::Ok => Self::Answers,
            StepOutcome::Failed(why) => Self::Unknown(format!("the health step failed: {why}")),
            StepOutcome::Skipped => Self::Unknown("the health step was skipped".to_owned()),
            StepOutcome::NotConfigured => Self::Unknown("the roster has no [[health]]".to_owned()),
        }
    }
}

/// Where the health step's verdict will come from: the two run at the same time.
#[derive(Debug, Clone)]
pub struct ProductionWatch(watch::Receiver<Option<Production>>);

impl ProductionWatch {
    /// A watch, and the sender of its verdict.
    pub fn new() -> (watch::Sender<Option<Production>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// Why a pull request that is not a revert is held, once production is known.
    async fn hold(&self) -> Option<Skip> {
        let mut receiver = self.0.clone();
        let known = receiver.wait_for(Option::is_some).await.ok().and_then(|known| known.clone());
        let why = match known {
            Some(Production::Answers) => return None,
            Some(Production::Down(why)) => format!("production is down: {why}"),
            Some(Production::Unknown(why)) => {
                format!("the state of production is unknown: {why}")
            }
            None => "the state of production is unknown: the health step ended without a verdict"
                .to_owned(),
        };
        let detail = format!("{why}; until then only reverts are merged (`hold_when_down`)");
        Some(Skip::new(Reason::Deferred, detail))
    }
}

/// Where the answer will come from whether the fleet is paused: the list of sessions shows it,
/// which is made at the same time.
#[derive(Debug, Clone)]
pub struct PauseWatch(watch::Receiver<Option<FleetPause>>);

impl PauseWatch {
    /// A watch, and the sender of its answer.
    pub fn new() -> (watch::Sender<Option<FleetPause>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// Why nothing is merged, once that is known. A platform that cannot be read holds no merge.
    async fn hold(&self) -> Option<Skip> {
        let mut receiver = self.0.clone();
        let known = receiver.wait_for(Option::is_some).await.ok().and_then(|known| known.clone());
        let pause = known.as_ref().and_then(FleetPause::known)?;
        let detail = format!("the fleet is {}", pause.sentence());
        Some(Skip::new(Reason::Paused, detail))
    }
}

impl MergeRun<'_> {
    /// Why this one is not merged now, whatever its verdict. Waits for the list of sessions, the
    /// health step and its turn: GitHub's documentation recommends a second between writes.
    pub(super) async fn hold(&self, pull: &Pull) -> Option<Skip> {
        if let Some(skip) = self.stop_reason() {
            return Some(skip);
        }
        if let Some(pause) = &self.context.pause {
            let held = tokio::select! {
                biased;
                () = self.context.stopped() => None,
                held = pause.hold() => held,
            };
            if held.is_some() {
                return held;
            }
        }
        if let Some(production) = self.context.production.as_ref().filter(|_| !is_revert(pull)) {
            let held = tokio::select! {
                held = production.hold() => held,
                () = self.context.stopped() => None,
            };
            if held.is_some() {
                return held;
            }
        }
        if let Some(time) = self.progress.not_before {
            tokio::select! {
                () = sleep_until(time) => {}
                () = self.context.stopped() => {}
            }
        }
        self.stop_reason()
    }

    /// Why no further merge starts.
    pub(super) fn stop_reason(&self) -> Option<Skip> {
        if let Some(skip) = &self.progress.over {
            return Some(skip.clone());
        }
        let max = self.policy.max_merges;
        let detail = if self.context.stop.is_cancelled() {
            "the run was interrupted".to_owned()
        } else if Instant::now() >= self.context.merge_until {
            "no merge starts in the last 20 s before the deadline; the next cycle continues"
                .to_owned()
        } else if max == 0 {
            "merging is paused: `max_merges` is 0".to_owned()
        } else if self.progress.merges >= max {
            format!("`max_merges` = {max} is reached; the next cycle continues")
        } else {
            return None;
        };
        Some(Skip::new(Reason::Deferred, detail))
    }
}

/// By the title that GitHub gives it, or by its label.
fn is_revert(pull: &Pull) -> bool {
    let is_labelled = pull.labels.items.iter().any(|label| label.eq_ignore_ascii_case("revert"));
    is_labelled || pull.title.trim_start().starts_with("Revert \"")
}
