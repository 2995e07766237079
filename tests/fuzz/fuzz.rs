//! The edges of the program under arbitrary bytes: one body per edge, for property tests
//! (`tests/it/fuzzed.rs`) and for the fuzz targets (`fuzz/`) alike.
//!
//! The bytes are decisions: what in a valid document is damaged, and how. Without bytes nothing is
//! damaged, and the edge must accept the document. A body panics where a promise is broken.

mod chance;
mod damage;
mod documents;
mod server;
mod shown;
mod stage;

mod actions;
mod kubernetes;
mod merge;
mod plugin;
mod records;
mod report;
mod roster;

pub(crate) use actions::actions;
pub(crate) use kubernetes::kubernetes;
pub(crate) use merge::merge;
pub(crate) use plugin::plugin;
pub(crate) use records::records;
pub(crate) use report::report;
pub(crate) use roster::roster;

/// The effect of a document on an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// It could be read.
    Taken,
    /// It could not, with a reason.
    Refused,
}

impl Verdict {
    fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Taken } else { Self::Refused }
    }
}
