//! Behaviour of the whole program, seen from outside.

#[path = "../fuzz/fuzz.rs"]
mod fuzz;

mod actions;
#[cfg(target_os = "linux")]
mod alerts;
#[cfg(target_os = "linux")]
mod budget;
mod commands;
mod contract;
mod cycle;
mod documents;
mod doctor;
mod environment;
#[cfg(target_os = "linux")]
mod exec_commands;
#[cfg(target_os = "linux")]
mod exec_cycle;
#[cfg(target_os = "linux")]
mod exec_items;
#[cfg(target_os = "linux")]
mod exec_overlap;
#[cfg(target_os = "linux")]
mod exec_trouble;
mod fuzzed;
mod github_app;
mod health;
mod hostile;
mod isolation;
#[cfg(target_os = "linux")]
mod items;
mod kubeconfig;
mod kubernetes_answers;
mod kubernetes_commands;
mod kubernetes_cycle;
mod kubernetes_faults;
mod kubernetes_fleet;
mod kubernetes_history;
mod kubernetes_items;
mod kubernetes_ledger;
mod kubernetes_names;
mod kubernetes_recorded;
mod kubernetes_repeats;
mod kubernetes_stuck;
mod kubernetes_world;
#[cfg(target_os = "linux")]
mod logs;
mod manual;
mod operate;
mod merge_cases;
mod merging;
mod monitoring;
#[cfg(target_os = "linux")]
mod plugin_test;
#[cfg(target_os = "linux")]
mod process_faults;
#[cfg(target_os = "linux")]
mod process_fleet;
mod process_leftovers;
#[cfg(target_os = "linux")]
mod process_logs;
#[cfg(target_os = "linux")]
mod process_overlap;
#[cfg(target_os = "linux")]
mod process_restraint;
#[cfg(target_os = "linux")]
mod process_sessions;
#[cfg(target_os = "linux")]
mod questions;
mod rendering;
mod restraint;
mod roster;
mod security;
mod session_agent;
mod session_wrap;
#[cfg(target_os = "linux")]
mod stop;
#[cfg(target_os = "linux")]
mod terminal;
mod workflow_run;

use std::path::Path;

use testkit::{Program, Workplace};

/// The real binary in a workplace.
fn coordinator(workplace: &Workplace) -> Program {
    Program::new(Path::new(env!("CARGO_BIN_EXE_coordinator")), workplace)
}
