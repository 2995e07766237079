//! The shipped design, and unsafe variants.

/// Which processes of a session hold the slot's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inherit {
    /// The shim, the agent, and those of its children that keep its descriptors. Shipped.
    Everyone,
    /// The shim alone: the agent gets it close-on-exec.
    Shim,
    /// No process: the coordinator releases the lock when it has started the session.
    NoProcess,
}

/// How a start treats processes of a session whose shim was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    /// Looks for them, and holds the slot while there are any. Shipped.
    LookedFor,
    Ignored,
}

/// Which process unlinks the lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlink {
    /// The file is never unlinked. Shipped.
    Never,
    /// The shim, as its last step, while it still holds the lock.
    ByShim,
    /// A person, at any time.
    ByPerson,
}

/// Whether the file that was locked must still have the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The coordinator checks after locking, and the shim again. Shipped.
    Checked,
    Ignored,
}

/// Which ended records a person may remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Records of sessions of which no process is left.
    OfEnded,
    /// Also those of sessions whose shim was killed and whose children still run.
    OfOrphaned,
}

/// A design, and how many cycles try it.
#[derive(Debug, Clone, Copy)]
pub struct Design {
    pub inherit: Inherit,
    pub orphans: Orphans,
    pub unlink: Unlink,
    pub place: Place,
    pub removal: Removal,
    pub cycles: u8,
}

impl Design {
    /// The design of `{start,shim,exec,supervision}.rs` in `crates/platform-local/src/process/` and
    /// `crates/platform-local/src/lock.rs` do.
    pub fn shipped(cycles: u8) -> Self {
        Self {
            inherit: Inherit::Everyone,
            orphans: Orphans::LookedFor,
            unlink: Unlink::Never,
            place: Place::Checked,
            removal: Removal::OfEnded,
            cycles,
        }
    }
}
