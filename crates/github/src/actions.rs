//! One workflow of the repository and its runs, read within a budget of requests.
//!
//! Its budget is for one run of the coordinator: GitHub gives the token of a workflow 1,000
//! requests an hour for the whole repository (GitHub Docs, "Rate limits for the REST API"), and
//! all workflows there share them.

use std::cell::Cell;
use std::fmt::Write;
use std::time::SystemTime;

use http::{HeaderName, Method};
use serde_json::Value;
use tokio::time::Instant;

use coordinator_core::report::{Contact, RateLimit};
use coordinator_core::timestamp;

use super::request::Answer;
use super::{Credentials, Error, Github, Repository, ServerClock};

pub use dispatch::{Dispatch, DispatchAnswer};
pub use inspect::{Group, WorkflowFile};
pub use log::{JobLog, RunJob};
pub use runs::{Conclusion, PAGE_SIZE, RunPage, RunStatus, WorkflowRun};
pub use workflow_jobs::{END_TITLE, WorkflowJob};

mod dispatch;
mod inspect;
mod log;
mod runs;
#[cfg(test)]
mod tests;
mod workflow_jobs;

/// One workflow of the repository.
#[derive(Debug)]
pub struct Workflow {
    github: Github,
    /// Its file below `.github/workflows/`.
    file: String,
    max_requests: u32,
    /// Sent, or reserved.
    spent: Cell<u32>,
    left: Cell<Option<RequestsLeft>>,
    clock: Cell<Option<ServerClock>>,
    run_details: Cell<dispatch::RunDetails>,
}

/// What is left of the token's requests in this hour, by GitHub's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestsLeft {
    pub requests: u64,
    /// The limit per hour, where GitHub shows it.
    pub limit: Option<u64>,
    /// When the limit resets.
    pub resets_at: Option<SystemTime>,
}

/// Why no request may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Short {
    /// The run has sent as many requests as it may: how many that is.
    Budget(u32),
    /// GitHub accepts no more requests.
    RateLimited(RateLimit),
}

impl From<Short> for Error {
    fn from(short: Short) -> Self {
        match short {
            Short::RateLimited(limit) => Self::RateLimited(limit),
            Short::Budget(most) => Self::Failed(used_up(most)),
        }
    }
}

/// What became of the budget, and what to do.
pub fn used_up(max_requests: u32) -> String {
    format!(
        "max_requests = {max_requests} is reached; \
         raise it in [platform.github-actions], or wait for the next cycle"
    )
}

impl Workflow {
    /// The workflow in this `file`; a run of the coordinator sends at most `max_requests` requests
    /// about it.
    pub fn new(github: Github, file: &str, max_requests: u32) -> Self {
        // An App requests its token first.
        let spent = match github.credentials {
            Credentials::App(_) => 1,
            Credentials::Token(_) => 0,
        };
        Self {
            github,
            file: file.to_owned(),
            max_requests,
            spent: Cell::new(spent),
            left: Cell::new(None),
            clock: Cell::new(None),
            run_details: Cell::new(dispatch::RunDetails::Wanted),
        }
    }

    /// Where the workflow is.
    pub fn repository(&self) -> &Repository {
        self.github.repository()
    }

    /// Its file below `.github/workflows/`.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Whether GitHub could be reached until now.
    pub fn contact(&self) -> Contact {
        self.github.contact()
    }

    /// Requests sent so far, those for an App's token included.
    pub fn requests(&self) -> u64 {
        self.github.requests()
    }

    /// The time by GitHub's clock; `None` before its first answer.
    pub fn server_time(&self) -> Option<SystemTime> {
        self.clock.get().map(|clock| clock.now())
    }

    /// What was left of the token's requests at its last answer.
    pub fn requests_left(&self) -> Option<RequestsLeft> {
        self.left.get()
    }

    /// Sets so many requests aside, all or none. What is not sent is given back.
    pub fn reserve(&self, requests: u32) -> Result<(), Short> {
        if let Some(left) = self.left.get().filter(|left| left.requests < u64::from(requests)) {
            return Err(Short::RateLimited(RateLimit {
                resets_at: left.resets_at,
                said: String::new(),
            }));
        }
        let spent = self.spent.get().saturating_add(requests);
        if spent > self.max_requests {
            return Err(Short::Budget(self.max_requests));
        }
        self.spent.set(spent);
        Ok(())
    }

    /// Gives back what [`Self::reserve`] set aside and was not sent.
    pub fn give_back(&self, requests: u32) {
        self.spent.set(self.spent.get().saturating_sub(requests));
    }

    /// Reads something below the repository's part of the API, within the budget.
    async fn get(&self, path: &str) -> Result<Answer, Error> {
        self.reserve(1)?;
        self.send(Method::GET, path, None).await
    }

    /// Sends a request that was reserved.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        let Repository { owner, name, api_url, .. } = self.repository();
        let url = format!("{api_url}/repos/{}/{}/{path}", segment(owner), segment(name));
        let answer = self.github.call(method, &url, body).await?;
        self.note(&answer);
        Ok(answer)
    }

    fn note(&self, answer: &Answer) {
        if let Some(time) = answer.date() {
            self.clock.set(Some(ServerClock { time, read: Instant::now() }));
        }
        let left = requests_left(answer);
        let refused = answer.rate_limit().map(|limit| RequestsLeft {
            requests: 0,
            limit: left.and_then(|left| left.limit),
            resets_at: limit.resets_at,
        });
        if let Some(left) = refused.or(left) {
            self.left.set(Some(left));
        }
    }
}

/// GraphQL and searches have limits of their own.
fn requests_left(answer: &Answer) -> Option<RequestsLeft> {
    let header = |name: &'static str| answer.header(&HeaderName::from_static(name)).map(str::trim);
    if header("x-ratelimit-resource").is_some_and(|resource| resource != "core") {
        return None;
    }
    Some(RequestsLeft {
        requests: header("x-ratelimit-remaining")?.parse().ok()?,
        limit: header("x-ratelimit-limit").and_then(|text| text.parse().ok()),
        resets_at: header("x-ratelimit-reset").and_then(timestamp::from_epoch),
    })
}

/// A text as one segment of a path.
fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
