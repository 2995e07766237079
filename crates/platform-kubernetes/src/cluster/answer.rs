//! The meaning of the API server's answers.

use http::{Response, StatusCode};
use kube::client::Body;

use super::api::Answer;

/// The result of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Created {
    /// The Job is there, and this request made it.
    Yes,
    /// A Job has the name.
    NameTaken,
    /// A Job that is being deleted has the name until its last finalizer is gone.
    NameHeld,
    /// The namespace's quota is used up.
    QuotaFull(String),
    /// The server did not do it: why, and what to do.
    Refused(String),
    /// It may have been done.
    Unknown(String),
    /// The same, without any answer of the server: it restarts, or the connection broke.
    Lost(String),
}

/// The result of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deleted {
    /// The Job is gone, or going.
    Yes,
    /// Another Job has the name by now, or none: another cycle was first.
    SomebodyElse,
    /// The server did not do it: why, and what to do.
    Refused(String),
    /// It may have been done.
    Unknown(String),
    /// The same, without any answer of the server: it restarts, or the connection broke.
    Lost(String),
}

impl Created {
    pub(super) fn of(answer: &Answer) -> Self {
        let error = answer.error();
        match (answer.status, error.reason.as_str()) {
            (status, _) if status.is_success() && answer.is_object() => Self::Yes,
            (StatusCode::CONFLICT, "AlreadyExists")
                if error.message.starts_with("object is being deleted") =>
            {
                Self::NameHeld
            }
            (StatusCode::CONFLICT, "AlreadyExists") => Self::NameTaken,
            (StatusCode::FORBIDDEN, _) if error.message.contains("exceeded quota") => {
                Self::QuotaFull(error.message)
            }
            (status, _) if is_definite(status) || answer.is_busy() => {
                Self::Refused(refusal(answer))
            }
            _ => Self::Unknown(refusal(answer)),
        }
    }
}

impl Deleted {
    pub(super) fn of(answer: &Answer) -> Self {
        match answer.status {
            status if status.is_success() && answer.is_object() => Self::Yes,
            // 404: gone already; 409: the uid is another.
            StatusCode::NOT_FOUND | StatusCode::CONFLICT => Self::SomebodyElse,
            status if is_definite(status) || answer.is_busy() => Self::Refused(refusal(answer)),
            _ => Self::Unknown(refusal(answer)),
        }
    }
}

/// After a 5xx the server may still carry out the request; after a 4xx it does not.
fn is_definite(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT
}

/// An answer that is not a success, in one line: what happened, why, and what to do.
pub(super) fn refusal(answer: &Answer) -> String {
    let error = answer.error();
    let status = answer.status;
    let said = if error.message.is_empty() { status.to_string() } else { error.message.clone() };
    let remedy = match status {
        status if status.is_success() => {
            return format!(
                "the answer ({status}) is not from an API server; look for a proxy in between"
            );
        }
        StatusCode::UNAUTHORIZED => {
            return "not authenticated to the API server (401); a token may have expired: renew the \
                    kubeconfig, or the service account's token"
                .to_owned();
        }
        StatusCode::FORBIDDEN if said.contains("\" cannot ") => {
            "grant it in the coordinator's Role"
        }
        StatusCode::NOT_FOUND if said.starts_with("namespaces ") => {
            "create the namespace, or set `namespace` in [platform.kubernetes]"
        }
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => {
            "correct [platform.kubernetes], the role's settings or the template"
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            return format!(
                "the API server is overloaded ({status}): {said}; the next cycle tries again"
            );
        }
        _ => return format!("the API server answered {status}: {said}"),
    };
    format!("{said}; {remedy}")
}

/// The same for an answer that was to be a stream.
pub(super) async fn no_stream(response: Response<Body>) -> String {
    match Answer::of(response).await {
        // The container has not started: there is nothing to mend.
        Ok(answer) if answer.status == StatusCode::BAD_REQUEST => answer.error().message,
        Ok(answer) => refusal(&answer),
        Err(lost) => lost.0,
    }
}
