//! The requests to the world, in order, with its answers.

use http::{HeaderMap, Method};
use serde_json::Value;

/// The purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// GraphQL that reads the list of pull requests.
    List,
    /// Anything else that only reads.
    Detail,
    /// A merge call.
    Merge,
    /// An installation token is made.
    AccessToken,
    /// Anything else that writes.
    Write,
}

/// One request and its answer.
#[derive(Debug, Clone)]
pub struct Entry {
    pub kind: Kind,
    pub method: Method,
    /// With its query.
    pub path: String,
    /// Of a GraphQL request.
    pub operation: Option<String>,
    pub headers: HeaderMap,
    /// Null where there was none.
    pub body: Value,
    /// The world's answer, before faults on the wire.
    pub status: u16,
    pub reply: Value,
    /// The answer came from the script, not from the world.
    pub scripted: bool,
}

impl Entry {
    /// The pull request of a merge call.
    pub fn pull(&self) -> Option<u64> {
        let path = self.path.strip_suffix("/merge")?;
        path.rsplit('/').next()?.parse().ok()
    }

    /// A header as text, empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
