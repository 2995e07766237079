//! Faults: their kinds, their routes and their order.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::pull::from_now;
use super::rest;
use super::server::{Ending, Reply};

/// Which requests a fault is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// The list of pull requests.
    List,
    /// Any other GraphQL request.
    Recheck,
    /// Any GraphQL request.
    GraphQl,
    /// The merge call of this pull request.
    Merge(u64),
    /// The file list of this pull request.
    Files(u64),
    /// The making of an installation token.
    AccessToken,
    /// A page of the list of runs.
    Runs,
    /// A look at a concurrency group.
    Group,
    /// A dispatch.
    Dispatch,
    /// The jobs of a run, over REST.
    RunJobs,
    /// The log of a job.
    JobLog,
    /// Any write of an issue.
    Issues,
    /// Every request.
    Any,
}

/// The fault of one request.
#[derive(Debug, Clone, Default)]
pub struct Fault {
    /// The request is carried out despite the fault.
    pub applied: bool,
    /// Instead of the world's answer.
    pub reply: Option<Reply>,
    /// Before the answer.
    pub delay: Duration,
    /// On the wire.
    pub ending: Ending,
}

impl Fault {
    /// No fault: fills a place in a script.
    pub fn none() -> Self {
        Self { applied: true, ..Self::default() }
    }

    /// This answer, and nothing is carried out.
    pub fn reply(reply: Reply) -> Self {
        Self { reply: Some(reply), ..Self::default() }
    }

    /// GitHub's form of an error.
    pub fn status(status: u16, message: &str) -> Self {
        Self::reply(rest::error(status, message))
    }

    /// An answer with status 200 and this body.
    pub fn json(body: &Value) -> Self {
        Self::reply(Reply::json(200, body))
    }

    /// The login page of a proxy.
    pub fn html() -> Self {
        let page = "<!DOCTYPE html><html><head><title>Sign in</title></head>\
            <body>Please sign in</body></html>";
        Self::reply(Reply::new(200, page).header("content-type", "text/html"))
    }

    /// A valid JSON body of this size without any information.
    pub fn huge(bytes: usize) -> Self {
        let body = format!("{{\"data\":\"{}\"}}", "x".repeat(bytes));
        Self::reply(Reply::new(200, body).header("content-type", "application/json"))
    }

    /// The answer comes late.
    pub fn late(delay: Duration) -> Self {
        Self { delay, ..Self::none() }
    }

    /// The request arrives and is not answered.
    pub fn never() -> Self {
        Self { delay: Duration::MAX, ..Self::default() }
    }

    /// The connection is reset, nothing is carried out.
    pub fn reset() -> Self {
        Self { ending: Ending::Reset, ..Self::default() }
    }

    /// The body ends too early.
    pub fn truncated() -> Self {
        Self { ending: Ending::Truncated, ..Self::none() }
    }

    /// Bytes that are no HTTP.
    pub fn garbage() -> Self {
        let bytes = b"\x00\x16\x03\x01 this is not HTTP \xff\xfe\r\n\r\n".to_vec();
        Self { ending: Ending::Garbage(bytes), ..Self::default() }
    }

    /// The request is carried out before the fault: applied, but the reply is lost.
    #[must_use]
    pub fn after_applying(self) -> Self {
        Self { applied: true, ..self }
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.reply = self.reply.map(|reply| reply.header(name, value));
        self
    }

    /// A used-up hour: status 403 or 429 with the time of reset, `seconds` from now.
    pub fn primary_rate_limit(status: u16, seconds: i64) -> Self {
        Self::status(status, "API rate limit exceeded for user ID 1.")
            .header("x-ratelimit-remaining", "0")
            .header("x-ratelimit-reset", epoch(seconds))
    }

    /// Too fast: status 403 or 429, with Retry-After.
    pub fn secondary_rate_limit(status: u16, retry_after_seconds: u64) -> Self {
        Self::secondary_rate_limit_without_time(status)
            .header("retry-after", retry_after_seconds.to_string())
    }

    /// Too fast, and no word about until when.
    pub fn secondary_rate_limit_without_time(status: u16) -> Self {
        let message = "You have exceeded a secondary rate limit. Please wait a few minutes before \
            you try again.";
        Self::status(status, message)
    }

    /// GraphQL's form of a used-up hour: status 200 with an error.
    pub fn graphql_rate_limit(seconds: i64) -> Self {
        let error =
            json!({"type": "RATE_LIMITED", "message": "API rate limit exceeded for user ID 1."});
        Self::json(&json!({"errors": [error]}))
            .header("x-ratelimit-remaining", "0")
            .header("x-ratelimit-reset", epoch(seconds))
    }
}

fn epoch(seconds: i64) -> String {
    let since = from_now(seconds).duration_since(std::time::UNIX_EPOCH);
    since.expect("the clock is past 1970").as_secs().to_string()
}

/// The faults to come, by route.
#[derive(Debug)]
pub struct Faults<R = Route, F = Fault> {
    once: Vec<(R, VecDeque<F>)>,
    always: Vec<(R, F)>,
}

impl<R, F> Default for Faults<R, F> {
    fn default() -> Self {
        Self { once: Vec::new(), always: Vec::new() }
    }
}

impl<R: PartialEq, F: Clone> Faults<R, F> {
    /// The next requests of this route go wrong in this order, later ones go well.
    pub fn script(&mut self, route: R, faults: impl IntoIterator<Item = F>) {
        self.once.push((route, faults.into_iter().collect()));
    }

    /// Every request of this route gets this fault.
    pub fn always(&mut self, route: R, fault: F) {
        self.always.push((route, fault));
    }

    /// The fault of a request that belongs to all these routes.
    pub fn take(&mut self, routes: &[R]) -> Option<F> {
        let scripted = self.once.iter_mut().filter(|(route, _)| routes.contains(route));
        let next = scripted.map(|(_, faults)| faults).find_map(VecDeque::pop_front);
        next.or_else(|| {
            let always = self.always.iter().find(|(route, _)| routes.contains(route));
            always.map(|(_, fault)| fault.clone())
        })
    }
}
