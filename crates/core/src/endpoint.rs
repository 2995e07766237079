//! Production, as it is watched.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[[health]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// For people.
    pub name: String,
    /// What to GET; http or https.
    pub url: String,
    /// Empty: any 2xx.
    pub expect: Vec<u16>,
    /// For the whole answer's head, redirects included.
    pub timeout: Duration,
    /// Which redirects are followed.
    pub redirects: Redirects,
}

/// `redirects`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Redirects {
    /// Those that stay on the endpoint's host.
    #[default]
    SameHost,
    /// All.
    Follow,
    /// None.
    None,
}
