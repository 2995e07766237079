//! What an agent's output shows of its session: usage, the agent's own session id, and why it ended.

use super::Profile;
use crate::fleet::SessionResult;

/// Reads an agent's output as it comes and keeps what counts; its memory is bounded.
#[derive(Debug)]
pub struct Tally {
    #[expect(dead_code, reason = "not written yet")]
    profile: Profile,
}

impl Tally {
    /// For the output of an agent of this profile.
    pub fn new(profile: Profile) -> Self {
        Self { profile }
    }

    /// Reads the next bytes, split anywhere.
    pub fn read(&mut self, _bytes: &[u8]) {}

    /// The agent's own session id, as soon as it is known.
    pub fn agent_session(&self) -> Option<&str> {
        None
    }

    /// What the output showed; `None` where that is nothing.
    pub fn finish(self) -> Option<SessionResult> {
        None
    }
}
