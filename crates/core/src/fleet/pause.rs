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
