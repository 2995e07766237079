//! Sessions as Jobs on a Kubernetes cluster.
//!
//! The lock of a slot is the name of its Job: the API server lets one Job have it. A Job that is
//! not terminal holds the slot, whatever its pod does; a terminal one is replaced by a deletion
//! bound to its uid and a creation that fails when somebody else was first. The Job carries the
//! history of its slot from one generation to the next; while there is none, the ledger does. Of a
//! work item the register does, and its generation is compared and raised before anything else.

#[cfg(feature = "client")]
mod cluster;
#[cfg(feature = "client")]
mod merge;
pub mod section;

#[cfg(feature = "client")]
pub use cluster::{Kubernetes, Settings};
pub use section::{JobTemplate, KubernetesSettings, Toleration, Workspace};
