//! `coordinator` keeps a fleet of coding agents at the size you declared, merges what is approved and green,
//! checks production, tells you what it did, and exits.
//!
//! # One idea
//!
//! Everything is a wanted session. A *source* (the roster) says which sessions should exist, the *platform* says
//! which exist, a pure `plan` gives the difference, `apply` closes it. Nothing is remembered between runs.
//!
//! # The five steps
//!
//! [`cycle::run`] runs [`steps::inventory`], [`steps::spawn`], [`steps::merge`], [`steps::health`] and
//! [`steps::report`]. No step can stop another.
//!
//! # The invariant
//!
//! At every instant each slot has at most one live session, and the coordinator never ends a live session. It holds
//! for any number of overlapping runs because the slot's fixed name is the lock and the [`platform`] keeps it.

#![deny(unsafe_code)]

pub mod cli;
pub mod fleet;
pub mod backoff;
pub mod plan;
pub mod source;
pub mod sources;
pub mod section;
pub mod roster;
pub mod prompt;
pub mod cycle;
pub mod steps;
pub mod platform;
pub mod platforms;
pub mod client;
pub mod pull;
pub mod github;
pub mod report;
pub mod finding;
pub mod render;
pub mod command;
pub mod secrets;
pub mod untrusted;
pub mod runner;

mod roots;
mod timestamp;
