//! The two requests that change something: one starts a run of the workflow, one cancels a run.
//!
//! GitHub has no key that would make a second start harmless, so a request without an answer is
//! never repeated.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::request::{Answer, shown};
use coordinator_core::report::RateLimit;

use super::{Short, Workflow, segment};

/// The parameter for an answer that names the run; GitHub Enterprise Server may not have it.
const RUN_DETAILS: &str = "return_run_details";

/// Whether the request has the parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunDetails {
    Wanted,
    /// It refused a request because of the parameter.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatch {
    /// The branch whose workflow file and code the run uses.
    pub git_ref: String,
    /// The workflow's inputs by name.
    pub inputs: BTreeMap<&'static str, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DispatchAnswer {
    /// A run exists.
    Accepted {
        /// Its page, where GitHub shows it; safe to show.
        url: Option<String>,
    },
    /// No run was started.
    Refused {
        status: u16,
        /// GitHub's message, in one line, safe to show.
        message: String,
    },
    /// No run was started: a rate limit refused it.
    RateLimited(RateLimit),
    /// No clear answer: a run may have been started. Why.
    Lost(String),
}

impl Workflow {
    /// Starts a run. The caller has reserved the request; the repetition without a
    /// parameter that the server does not support reserves its own.
    ///
    /// <https://docs.github.com/rest/actions/workflows#create-a-workflow-dispatch-event>
    pub async fn dispatch(&self, dispatch: &Dispatch) -> DispatchAnswer {
        let details = self.run_details.get();
        let answer = match self.post(dispatch, details).await {
            Ok(answer) => answer,
            Err(lost) => return lost,
        };
        if details == RunDetails::Unknown || !refuses_run_details(&answer) {
            return classify(&answer);
        }
        self.run_details.set(RunDetails::Unknown);
        match self.reserve(1) {
            Ok(()) => match self.post(dispatch, RunDetails::Unknown).await {
                Ok(answer) => classify(&answer),
                Err(lost) => lost,
            },
            Err(Short::RateLimited(limit)) => DispatchAnswer::RateLimited(limit),
            Err(Short::Budget(_)) => classify(&answer),
        }
    }

    /// Requests the run's cancellation, for a person; `false` when it is over already.
    ///
    /// <https://docs.github.com/rest/actions/workflow-runs#cancel-a-workflow-run>
    pub async fn cancel(&self, run: u64) -> Result<bool, Error> {
        self.reserve(1)?;
        let answer = self.send(Method::POST, &format!("actions/runs/{run}/cancel"), None).await?;
        if answer.status == StatusCode::CONFLICT {
            return Ok(false);
        }
        answer.succeeded("cancel the run; it takes a token with `actions: write`").map(|_| true)
    }

    async fn post(
        &self,
        dispatch: &Dispatch,
        details: RunDetails,
    ) -> Result<Answer, DispatchAnswer> {
        let mut body = json!({ "ref": dispatch.git_ref, "inputs": dispatch.inputs });
        if details == RunDetails::Wanted {
            body[RUN_DETAILS] = Value::Bool(true);
        }
        let path = format!("actions/workflows/{}/dispatches", segment(self.file()));
        self.send(Method::POST, &path, Some(&body)).await.map_err(|error| match error {
            Error::RateLimited(limit) => DispatchAnswer::RateLimited(limit),
            Error::Overloaded(why) | Error::Failed(why) => DispatchAnswer::Lost(why),
        })
    }
}

fn refuses_run_details(answer: &Answer) -> bool {
    matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY)
        && String::from_utf8_lossy(&answer.body).contains(RUN_DETAILS)
}

fn classify(answer: &Answer) -> DispatchAnswer {
    #[derive(Deserialize)]
    struct Started {
        html_url: String,
    }
    if let Some(limit) = answer.rate_limit() {
        return DispatchAnswer::RateLimited(limit);
    }
    let status = answer.status.as_u16();
    match status {
        200..=299 => {
            let started: Option<Started> = serde_json::from_slice(&answer.body).ok();
            DispatchAnswer::Accepted { url: started.map(|started| shown(&started.html_url)) }
        }
        // A server that ran out of time waiting may have begun.
        408 => DispatchAnswer::Lost(said(status, answer)),
        300..=499 => DispatchAnswer::Refused { status, message: answer.message() },
        _ => DispatchAnswer::Lost(said(status, answer)),
    }
}

fn said(status: u16, answer: &Answer) -> String {
    match answer.message().as_str() {
        "" => format!("GitHub answered {status}"),
        message => format!("GitHub answered {status}: {message}"),
    }
}
