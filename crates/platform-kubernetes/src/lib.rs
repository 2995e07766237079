//! Sessions as Jobs on a Kubernetes cluster.
//!
//! The lock of a slot is the name of its Job: the API server lets one Job have it. A Job that is
//! not terminal holds the slot, whatever its pod does; a terminal one is replaced by a deletion
//! bound to its uid and a creation that fails when somebody else was first. The Job carries the
//! history of its slot from one generation to the next; while there is none, the ledger does. Of a
//! work item the register does, and its generation is compared and raised before anything else.

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

/// What the platform needs to know of the roster.
#[derive(Debug, Clone)]
pub struct Settings {
    pub fleet: FleetName,
    /// `owner/repo`, told to every session.
    pub repository: Option<String>,
    pub kubernetes: KubernetesSettings,
    /// Something beside the roster wants sessions, so that an inventory reads the registers of work
    /// items, too.
    pub has_items: bool,
    /// How long a cycle may take.
    pub deadline: Duration,
}
