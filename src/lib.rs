//! `coordinator` keeps a fleet of coding agents at the size you declared, merges what is approved
//! and green, checks production, reports what it did, and exits.
//!
//! [`coordinator_core`] holds the idea: everything is a wanted session. This crate is the program
//! around it, from the command line to the report.
//!
//! # The five steps
//!
//! [`cycle::run`] runs [`steps::inventory`], [`steps::spawn`], [`steps::merge`], [`steps::health`]
//! and [`steps::report`]. No step can stop another.
//!
//! # The rooms
//!
//! [`cli`] parses, [`command`] has one file per command, [`sources`] and [`platforms`] are the two
//! matches over what a roster configures, [`render`] writes the report for people and programs.

#![deny(unsafe_code)]

pub mod alerts;
pub mod cli;
pub mod command;
pub mod cycle;
pub mod platforms;
pub mod render;
pub mod secrets;
pub mod sources;
pub mod steps;
pub mod workflow_commands;

pub use command::run;
