//! The fake world: GitHub, a Kubernetes cluster and production over HTTP on 127.0.0.1, and the real
//! binary run against them.
//!
//! The world is stateful. A merge call changes what the next query answers, as on GitHub; every
//! request lands in a journal, and scripted [`Fault`]s decide which of them go wrong, and how.
//! GraphQL is executed by a real engine against the extract of GitHub's published schema in
//! `tests/contract/`, so that any valid document works and an unknown field is an error.

#![allow(
    clippy::missing_panics_doc,
    clippy::should_implement_trait,
    reason = "a test fails by a panic"
)]

pub mod clock;
pub mod state;
pub mod pull;
pub mod github;
pub mod graphql;
pub mod view;
pub mod objects;
pub mod rest;
pub mod issues;
pub mod actions;
pub mod fault;
pub mod journal;
pub mod server;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod limits;
pub mod plugin;
pub mod production;
pub mod workplace;
pub mod tasks;
#[cfg(feature = "kubernetes")]
pub mod item_fleet;
pub mod program;

pub use fault::{Fault, Route};
pub use github::GitHub;
pub use issues::Issue;
pub use journal::{Entry, Kind};
#[cfg(feature = "kubernetes")]
pub use kubernetes::Kubernetes;
pub use plugin::Plugin;
pub use production::Production;
pub use program::{Finished, Program};
pub use pull::{Author, Check, Maker, Pull, Review, commit_id};
pub use server::Reply;
pub use state::{Account, Repository, State};
pub use workplace::Workplace;

/// The credential of the world; no output may ever contain it.
pub const TOKEN: &str = "token-of-the-world-7c1e42d9";

/// The token of the coordinator's service account; no output may ever contain it.
pub const BEARER: &str = "service-account-token-of-the-world-51e0aa";
