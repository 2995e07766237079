//! Behaviour of the whole program, seen from outside.

#[path = "../world/world.rs"]
mod world;

mod backoff;
mod contract;
mod github_app;
mod hostile;
mod isolation;
mod doctor;
mod health;
mod merge_cases;
mod merging;
mod plan;
mod restraint;
#[cfg(target_os = "linux")]
mod process_faults;
#[cfg(target_os = "linux")]
mod process_fleet;
#[cfg(target_os = "linux")]
mod process_logs;
#[cfg(target_os = "linux")]
mod process_overlap;
#[cfg(target_os = "linux")]
mod process_restraint;
#[cfg(target_os = "linux")]
mod process_sessions;
mod rendering;
mod roster;

use std::path::Path;

use world::{Program, Workplace};

/// The real binary in a workplace.
fn coordinator(workplace: &Workplace) -> Program {
    Program::new(Path::new(env!("CARGO_BIN_EXE_coordinator")), workplace)
}
