//! `hold_when_down`: while production is down, reverts alone are merged.

use tokio::sync::watch;

use coordinator_core::pull::Pull;
use coordinator_core::report::{HealthReport, HealthVerdict, Step, StepOutcome};

use coordinator_core::merge::reason::{Reason, Skip};

/// What the health step found out about production.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Production {
    /// Every endpoint answered, though perhaps oddly.
    Answers,
    /// An endpoint is down or does not answer: which, and how.
    Down(String),
    /// The health step did not run, or not to its end: why.
    Unknown(String),
}

impl Production {
    /// What the step's result says.
    pub fn of(health: &Step<HealthReport>) -> Self {
        let endpoints = &health.body.endpoints;
        let is_down = |verdict| matches!(verdict, HealthVerdict::Down | HealthVerdict::PotentialOutage);
        if let Some(endpoint) = endpoints.iter().find(|endpoint| is_down(endpoint.verdict)) {
            return Self::Down(match endpoint.status {
                Some(status) => format!("{} answers {status}", endpoint.name),
                None => format!("{} does not answer", endpoint.name),
            });
        }
        match &health.outcome {
            StepOutcome::Ok => Self::Answers,
            StepOutcome::Failed(why) => Self::Unknown(format!("the health step failed: {why}")),
            StepOutcome::Skipped => Self::Unknown("the health step is left out of this run".to_owned()),
            StepOutcome::NotConfigured => Self::Unknown("the roster has no [[health]]".to_owned()),
        }
    }

    /// Why a pull request that is not a revert is held.
    pub(super) fn hold(&self) -> Option<Skip> {
        let why = match self {
            Self::Answers => return None,
            Self::Down(why) => format!("production is down: {why}"),
            Self::Unknown(why) => format!("whether production is down is unknown: {why}"),
        };
        let detail = format!("{why}; with `hold_when_down` only reverts are merged meanwhile");
        Some(Skip::new(Reason::Deferred, detail))
    }
}

/// Where the health step's verdict will come from: the two run at the same time.
#[derive(Debug, Clone)]
pub struct ProductionWatch(watch::Receiver<Option<Production>>);

impl ProductionWatch {
    /// A watch, and what tells it.
    pub fn new() -> (watch::Sender<Option<Production>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    pub(super) async fn verdict(&self) -> Production {
        let mut receiver = self.0.clone();
        let known = receiver.wait_for(Option::is_some).await.ok().and_then(|known| known.clone());
        known.unwrap_or_else(|| Production::Unknown("the health step ended without a verdict".to_owned()))
    }
}

/// By the title that GitHub gives it, or by its label.
pub(super) fn is_revert(pull: &Pull) -> bool {
    let is_labelled = pull.labels.items.iter().any(|label| label.eq_ignore_ascii_case("revert"));
    is_labelled || pull.title.trim_start().starts_with("Revert \"")
}
