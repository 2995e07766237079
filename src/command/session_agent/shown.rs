//! The agent's output as people read it.

use crate::render::transcript::Rendering;
use coordinator_core::agent::Profile;
use coordinator_core::secrets::Secrets;

/// Renders output as it comes; its memory is bounded.
#[derive(Debug)]
pub(super) struct Rendered(Rendering<'static>);

impl Rendered {
    /// `color` is for a terminal. The wrapper has no secret to mask: the pane is the agent's.
    pub(super) fn new(profile: Profile, color: bool) -> Self {
        let none: &'static Secrets = Box::leak(Box::default());
        Self(Rendering::readable(profile, color, none))
    }

    pub(super) fn read(&mut self, bytes: &[u8], each: impl FnMut(&[u8])) {
        self.0.read(bytes, each);
    }

    pub(super) fn finish(&mut self, each: impl FnMut(&[u8])) {
        self.0.finish(each);
    }
}
