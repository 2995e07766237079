//! Sessions as Jobs on a Kubernetes cluster.
//!
//! The lock of a slot is the name of its Job: the API server lets one Job have it. A Job that is
//! not terminal holds the slot, whatever its pod does; a terminal one is replaced by a deletion
//! bound to its uid and a creation that fails when another cycle was first. The Job carries the
//! history of its slot from one generation to the next; without a Job, the ledger has it. A work
//! item's history is in its register, whose generation is compared and raised before anything else.

use std::time::Duration;

use coordinator_core::fleet::FleetName;

#[cfg(feature = "client")]
mod cluster;
mod generated;
mod merge;
pub mod section;

#[cfg(feature = "client")]
pub use cluster::Kubernetes;
pub use section::{JobTemplate, KubernetesSettings, Toleration, Workspace};

/// The part of the roster that the platform needs.
#[derive(Debug, Clone)]
pub struct Settings {
    pub fleet: FleetName,
    /// `owner/repo`, in the environment of every session.
    pub repository: Option<String>,
    pub kubernetes: KubernetesSettings,
    /// There are sources of work items, so an inventory reads their registers, too.
    pub has_items: bool,
    /// How long a cycle may take.
    pub deadline: Duration,
}
