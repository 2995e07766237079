//! The shipped design, and unsafe variants.

/// The parts of a Job's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Of the slot alone. Shipped.
    Slot,
    /// Of slot and generation.
    Generation,
    /// A new name each time, so that no creation is ever refused.
    Unique,
}

/// How a cycle removes the ended predecessor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// By its uid, pods included. Shipped.
    ByUid,
    /// Any Job with the name, pods included.
    ByName,
    /// Any Job with the name; its pods stay, which is the API's default.
    ByNameOrphaning,
    /// Never: the name is free when something else removes the record.
    Never,
}

/// When the platform calls a session over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// When its process is gone. Kubernetes 1.31 and later.
    ProcessGone,
    /// When its process has received SIGTERM.
    ProcessLeaving,
}

/// Which ended records a TTL, a garbage collector or a person may remove, at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collector {
    /// Any. The shipped design holds.
    Anything,
    /// None, ever.
    Nothing,
    /// All but the newest of a slot.
    AllButNewest,
    /// All but the newest, and but what was made while a cycle ran that has not ended yet.
    OldAndUnwatched,
}

/// How old a list may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    /// Made while the cycle runs. A cycle may sleep as long as it likes after it, so that this is
    /// any past list, too.
    Fresh,
    /// Made before the cycle began.
    Stale,
}

/// How a cycle treats a slot when the list has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blind {
    /// Look the slot up by its name. Shipped.
    LookUp,
    /// Assume that it is empty.
    AssumeEmpty,
    /// Nothing.
    Rest,
}

/// When a cycle writes the runs of an ended session into the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ledger {
    /// Before the session's Job is deleted. Shipped.
    BeforeDelete,
    /// After it.
    AfterDelete,
    /// Never: the next Job alone takes the history over.
    Never,
}

/// A design, and the size of the world in which it is searched.
#[derive(Debug, Clone, Copy)]
pub struct Design {
    pub naming: Naming,
    pub removal: Removal,
    pub ending: Ending,
    pub collector: Collector,
    pub lists: Lists,
    pub blind: Blind,
    pub ledger: Ledger,
    pub slots: u8,
    pub cycles: u8,
    /// Lost replies, late writes, doubled writes, finalizers.
    pub faults: u8,
}

impl Design {
    /// The design of `crates/platform-kubernetes/src/cluster/start.rs`.
    pub fn shipped(slots: u8, cycles: u8, faults: u8) -> Self {
        Self {
            naming: Naming::Slot,
            removal: Removal::ByUid,
            ending: Ending::ProcessGone,
            collector: Collector::Anything,
            lists: Lists::Fresh,
            blind: Blind::LookUp,
            ledger: Ledger::BeforeDelete,
            slots,
            cycles,
            faults,
        }
    }

    /// The generation in the name, with records that this collector removes.
    pub fn generations(collector: Collector) -> Self {
        Self {
            naming: Naming::Generation,
            removal: Removal::Never,
            collector,
            blind: Blind::Rest,
            ledger: Ledger::Never,
            ..Self::shipped(1, 3, 0)
        }
    }
}
