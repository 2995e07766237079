//! Sessions by a plugin: a program of anybody's that starts, lists and shows sessions wherever they run.
//!
//! The [`protocol`] is one process per operation, JSON in and JSON out. The lock of a slot is the plugin's: what it says
//! of itself in `capabilities` decides how far the coordinator may go without an inventory. An [`operation`] never
//! outlives its deadline, and nothing that it started in its process group outlives it.

pub mod operation;
pub mod protocol;

pub use operation::{Failure, Plugin};
