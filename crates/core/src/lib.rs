//! The nouns of a fleet, and the rules that decide. Everything here is pure: no clock, no files, no
//! network, no process.
//!
//! # One idea
//!
//! Everything is a wanted session. A [`source`] lists the sessions that should exist, the
//! [`platform`] those that exist, and [`plan`] returns the difference. No state is kept between
//! runs.
//!
//! # The invariant
//!
//! At every instant each slot has at most one live session, and the coordinator never ends a live
//! session. It holds for any number of overlapping runs because the slot's fixed name is the lock
//! and the platform keeps it.

#![deny(unsafe_code)]

pub mod fleet;
pub mod agent;
pub mod backoff;
pub mod budget;
pub mod plan;
pub mod source;
pub mod platform;
pub mod environment;
pub mod placeholders;
pub mod prompt;
pub mod pull;
pub mod merge;
pub mod endpoint;
pub mod report;
pub mod finding;
pub mod sanitize;
pub mod secrets;
pub mod section;
pub mod timestamp;
