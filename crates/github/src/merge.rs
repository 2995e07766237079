//! The one request that changes something: squash-merge a pull request at the head that was judged.

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use coordinator_core::pull::Sha;
use coordinator_core::report::RateLimit;

use super::{Error, Github};

/// What to merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeCall {
    /// Which pull request.
    pub number: u64,
    /// The head that was judged: GitHub refuses if it moved.
    pub head: Sha,
    /// First line of the commit; `None` leaves it to the repository's settings.
    pub title: Option<String>,
    /// The rest of it.
    pub message: Option<String>,
}

/// What came back from a merge call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeAnswer {
    /// An answer.
    Answered {
        /// The HTTP status.
        status: u16,
        /// GitHub's message, in one line, safe to show.
        message: String,
        /// The body, when it is one of a merge.
        merged: Option<Merged>,
    },
    /// A rate limit refused it.
    RateLimited(RateLimit),
    /// None: it may be merged. Why.
    Lost(String),
}

/// The body of a successful merge.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Merged {
    /// It is on the base.
    pub merged: bool,
    /// The commit on the base.
    #[serde(rename = "sha", default)]
    pub commit: Option<String>,
}

impl Github {
    /// Sends the merge call, once.
    pub async fn merge(&self, call: &MergeCall) -> MergeAnswer {
        let url = format!("{}/pulls/{}/merge", self.rest_url(), call.number);
        let mut body = Map::new();
        body.insert("sha".to_owned(), json!(call.head.0));
        body.insert("merge_method".to_owned(), json!("squash"));
        for (key, value) in [("commit_title", &call.title), ("commit_message", &call.message)] {
            if let Some(value) = value {
                body.insert(key.to_owned(), json!(value));
            }
        }
        match self.call(Method::PUT, &url, Some(&Value::Object(body))).await {
            Err(Error::RateLimited(limit)) => MergeAnswer::RateLimited(limit),
            Err(Error::Overloaded(why) | Error::Failed(why)) => MergeAnswer::Lost(why),
            Ok(answer) => match answer.rate_limit() {
                Some(limit) => MergeAnswer::RateLimited(limit),
                None => MergeAnswer::Answered {
                    status: answer.status.as_u16(),
                    message: answer.message(),
                    merged: serde_json::from_slice(&answer.body).ok(),
                },
            },
        }
    }
}
