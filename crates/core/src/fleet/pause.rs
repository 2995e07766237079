//! A fleet that a person paused.

use std::time::SystemTime;

/// While it lasts, no session starts and no pull request is merged. The platform keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pause {
    /// Who paused the fleet; `None` where the platform does not keep it.
    pub by: Option<String>,
    /// When; `None` where the platform does not keep it.
    pub since: Option<SystemTime>,
    /// Why, in the person's words.
    pub reason: Option<String>,
}

impl Pause {
    /// `paused by alice: the demo is on`, without the time.
    pub fn sentence(&self) -> String {
        let by = self.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("paused{by}{reason}")
    }
}

/// Whether the fleet is paused, as far as a cycle knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FleetPause {
    /// It is not.
    #[default]
    Off,
    /// It is.
    On(Pause),
    /// The platform could not be read: why.
    Unknown(String),
}

impl FleetPause {
    /// The pause, where the fleet is known to be paused.
    pub fn known(&self) -> Option<&Pause> {
        match self {
            Self::On(pause) => Some(pause),
            Self::Off | Self::Unknown(_) => None,
        }
    }
}

impl From<Option<Pause>> for FleetPause {
    fn from(pause: Option<Pause>) -> Self {
        pause.map_or(Self::Off, Self::On)
    }
}
