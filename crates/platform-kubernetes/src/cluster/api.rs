//! The API server: one request at a time, its answer as it came.
//!
//! Answers keep their status and headers, which the SDK's own calls drop: `Retry-After`, and
//! `Date`, the time where the records are written.

use std::cell::{Cell, RefCell};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use kube::core::Status;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::connect::innermost;
use super::pace::{self, Pace, Pauses};
use coordinator_core::report::{Access, Cause, CertificateFault, Contact};
use coordinator_core::sanitize::one_line;
use coordinator_core::timestamp;
use coordinator_http::cause;

/// The server cuts a request at 60 s; a list that takes half as long is not worth waiting for.
const MAX_REQUEST: Duration = Duration::from_secs(30);

/// A server that restarted has not read accounts and rights in its first seconds.
const RECOVERY: Duration = Duration::from_secs(15);

/// A page of 500 Jobs, each with the longest prompt that a roster may have, is half as large.
const MAX_BODY_BYTES: usize = 128 << 20;

/// Long enough that no secret is cut before it is masked; reports cut the text later.
const MAX_MESSAGE: usize = 4096;

const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// The API server of one namespace.
pub(super) struct Api {
    client: kube::Client,
    namespace: String,
    /// No request begins, and none is waited for, after this.
    until: Instant,
    requests: Cell<u64>,
    /// The server's time, and when we received it.
    clock: Cell<Option<(SystemTime, Instant)>>,
    /// When a connection to a server that had answered before was last lost, or not to be had.
    lost: Cell<Option<Instant>>,
    pace: RefCell<Pace>,
    contact: Cell<Contact>,
    access: Cell<Option<Access>>,
    /// The server does not let us list our Jobs.
    may_not_list: Cell<bool>,
}

/// A request; the default is GET.
#[derive(Debug, Default)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// See [`Api::jobs`] and [`Api::pods`].
    pub(super) path: String,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Option<&'a Value>,
    /// Only the metadata of an object: for a Secret that must exist, and whose content is not our
    /// business.
    pub(super) metadata_only: bool,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// `Retry-After`.
    pub(super) retry_after: Option<Duration>,
    body: Bytes,
}

/// No complete answer: why, and what to do. Whether the request was carried out is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoAnswer(pub(super) String);

/// How one attempt at a request ended without an answer.
#[derive(Debug)]
enum Lost {
    /// The server did not process the request: it is safe to send it again.
    Unprocessed(NoAnswer),
    /// It may have been carried out.
    Unknown(NoAnswer),
}

impl Api {
    pub(super) fn new(client: kube::Client, namespace: String, until: Instant) -> Self {
        Self {
            client,
            namespace,
            until,
            requests: Cell::new(0),
            clock: Cell::default(),
            lost: Cell::default(),
            pace: RefCell::default(),
            contact: Cell::default(),
            access: Cell::default(),
            may_not_list: Cell::default(),
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// The time by the server's clock, to a second; `None` before its first answer.
    pub(super) fn server_time(&self) -> Option<SystemTime> {
        self.clock.get().map(|(date, at)| date + at.elapsed())
    }

    /// Whether the server could be reached until now.
    pub(super) fn contact(&self) -> Contact {
        let contact = self.contact.take();
        self.contact.set(contact.clone());
        contact
    }

    /// Whether the server answers, and accepts us, by its latest answer.
    pub(super) fn access(&self) -> Access {
        if self.may_not_list.get() {
            return Access::Refused;
        }
        let unanswered = if self.requests.get() > 0 { Access::NoAnswer } else { Access::Granted };
        self.access.get().unwrap_or(unanswered)
    }

    /// The server refuses to list our Jobs.
    pub(super) fn note_refusal(&self) {
        self.may_not_list.set(true);
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The path of the namespace's Jobs.
    pub(super) fn jobs(&self) -> String {
        format!("/apis/batch/v1/namespaces/{}/jobs", self.namespace)
    }

    /// The path of the namespace's `ConfigMaps`.
    pub(super) fn config_maps(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps", self.namespace)
    }

    /// The path of the namespace's Pods.
    pub(super) fn pods(&self) -> String {
        format!("/api/v1/namespaces/{}/pods", self.namespace)
    }

    /// Whether a request may still begin after this wait.
    pub(super) fn has_time_for(&self, wait: Duration) -> bool {
        Instant::now().checked_add(wait).is_some_and(|end| end < self.until)
    }

    fn is_recovering(&self) -> bool {
        self.lost.get().is_some_and(|lost| lost.elapsed() < RECOVERY)
    }

    /// The number of starts at once that suits the server's load.
    pub(super) fn starts_at_once(&self) -> usize {
        self.pace.borrow().at_once()
    }

    /// Sends the request, and again, until the deadline, for as long as the server certainly did
    /// nothing:
    ///
    /// * 429, and 503 with `Retry-After`, after the pause in the answer;
    /// * 409 with the reason `Conflict` to a creation: the lock of a quota, or of a name, was lost
    ///   to another request;
    /// * a connection that cannot be made, where this run has reached the server before, and a
    ///   stream that the server refused: it restarts, or closes its connections one by one;
    /// * 401, and 403 of the authorizer, from a server that was away just now and has not read
    ///   accounts and rights yet.
    ///
    /// No other request is sent twice.
    pub(super) async fn ask(&self, ask: &Ask<'_>) -> Result<Answer, NoAnswer> {
        let mut pauses = Pauses::of(ask);
        loop {
            let attempt = self.ask_once(ask).await;
            let pause = match &attempt {
                Ok(answer) if answer.is_busy() => {
                    answer.retry_after.unwrap_or_else(|| pauses.next())
                }
                Ok(answer) if ask.method == Method::POST && answer.is_conflict() => pauses.next(),
                Ok(answer) if self.is_recovering() && answer.is_premature() => pauses.next(),
                Err(Lost::Unprocessed(_)) if self.clock.get().is_some() => pauses.next(),
                Ok(_) | Err(Lost::Unprocessed(_) | Lost::Unknown(_)) => Duration::MAX,
            };
            if !self.has_time_for(pause) {
                return attempt.map_err(|(Lost::Unprocessed(lost) | Lost::Unknown(lost))| lost);
            }
            tracing::debug!(
                method = %ask.method,
                path = ask.path,
                ?pause,
                "the server did nothing; once more"
            );
            tokio::time::sleep(pause).await;
        }
    }

    async fn ask_once(&self, ask: &Ask<'_>) -> Result<Answer, Lost> {
        let request = request(ask).map_err(Lost::Unknown)?;
        self.requests.set(self.requests.get() + 1);
        let begun = Instant::now();
        let end = self.until.min(begun + MAX_REQUEST);
        let exchange = async {
            let response = self.client.send(request).await.map_err(|error| {
                let is_unprocessed = pace::is_unprocessed(&error);
                let lost = self.no_answer(&error);
                if self.clock.get().is_some() {
                    self.lost.set(Some(Instant::now()));
                }
                if is_unprocessed { Lost::Unprocessed(lost) } else { Lost::Unknown(lost) }
            })?;
            self.note_contact(None);
            self.access.set(Some(match response.status() {
                StatusCode::UNAUTHORIZED => Access::Refused,
                _ => Access::Granted,
            }));
            self.note_time(response.headers());
            tracing::debug!(
                status = response.status().as_u16(),
                over = ?response.version(),
                "the API server answered"
            );
            Answer::of(response).await.map_err(Lost::Unknown)
        };
        let late = || {
            let seconds = begun.elapsed().as_secs();
            Err(Lost::Unknown(NoAnswer(format!(
                "no answer from the API server within {seconds} s"
            ))))
        };
        let answer = timeout_at(end, exchange).await.unwrap_or_else(|_| late())?;
        let mut pace = self.pace.borrow_mut();
        if answer.is_busy() {
            pace.refused();
        } else {
            pace.answered(begun.elapsed());
        }
        Ok(answer)
    }

    /// Sends a request whose answer is read as it comes, without a limit in time.
    pub(super) async fn open(&self, ask: &Ask<'_>) -> Result<Response<Body>, NoAnswer> {
        let request = request(ask)?;
        self.requests.set(self.requests.get() + 1);
        self.client.send(request).await.map_err(|error| self.no_answer(&error))
    }

    fn no_answer(&self, error: &kube::Error) -> NoAnswer {
        let cause = cause(error);
        self.note_contact(Some(&cause));
        // A connection that breaks off proves a server that answers.
        if matches!(cause, Cause::Dropped | Cause::NotHttp | Cause::TooManyHeaders) {
            self.access.set(self.access.get().or(Some(Access::Granted)));
        }
        NoAnswer(unreachable(&cause, &innermost(error)))
    }

    /// Notes whether the server was there.
    fn note_contact(&self, failure: Option<&Cause>) {
        let mut contact = self.contact.take();
        contact.note(failure);
        self.contact.set(contact);
    }

    fn note_time(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| timestamp::date_header(date.to_str().ok()?));
        if let Some(date) = date {
            self.clock.set(Some((date, Instant::now())));
        }
    }
}

/// The error of a request without an answer: `why`, and what to do.
fn unreachable(cause: &Cause, why: &str) -> String {
    let remedy = match cause {
        Cause::Certificate(CertificateFault::UnknownIssuer | CertificateFault::NoRoots) => {
            "set `certificate-authority` of the cluster in the kubeconfig to the authority that \
             issued it"
        }
        Cause::Certificate(CertificateFault::OtherName) => {
            "correct `server` of the cluster in the kubeconfig, or set `tls-server-name` there"
        }
        Cause::Certificate(fault) => fault.remedy(),
        _ => {
            return format!(
                "no answer from the API server: {why}; check that the cluster is up, and `server` \
                 in the kubeconfig"
            );
        }
    };
    format!("the API server's certificate is not trusted: {why}; {remedy}")
}

fn request(ask: &Ask<'_>) -> Result<Request<Body>, NoAnswer> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(ask.query);
    let query = query.finish();
    let uri = if query.is_empty() { ask.path.clone() } else { format!("{}?{query}", ask.path) };
    let mut request = Request::builder().method(ask.method.clone()).uri(uri);
    if ask.metadata_only {
        request = request.header(ACCEPT, METADATA_ONLY);
    }
    if ask.body.is_some() {
        let is_patch = ask.method == Method::PATCH;
        let form = if is_patch { "application/merge-patch+json" } else { "application/json" };
        request = request.header(CONTENT_TYPE, form);
    }
    let body = ask.body.map(ToString::to_string).unwrap_or_default();
    request.body(Body::from(body.into_bytes())).map_err(|error| NoAnswer(error.to_string()))
}

/// Kubernetes writes seconds, never a date. No pause at all would be a storm.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.max(1)))
}

impl Answer {
    /// The answer when all of it has come.
    pub(super) async fn of(response: Response<Body>) -> Result<Self, NoAnswer> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
        let body = body.map_err(|error| NoAnswer(innermost(error.as_ref())))?.to_bytes();
        Ok(Self { status: head.status, retry_after: retry_after(&head.headers), body })
    }

    /// The server had no time for the request, and did nothing.
    pub(super) fn is_busy(&self) -> bool {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::SERVICE_UNAVAILABLE => self.retry_after.is_some(),
            _ => false,
        }
    }

    /// The server lost an optimistic lock on the way, and did nothing. A name that is taken has
    /// another reason.
    pub(super) fn is_conflict(&self) -> bool {
        self.status == StatusCode::CONFLICT && self.error().reason == "Conflict"
    }

    /// Refused for the account or its rights.
    fn is_premature(&self) -> bool {
        match self.status {
            StatusCode::UNAUTHORIZED => true,
            StatusCode::FORBIDDEN => self.error().message.contains("\" cannot "),
            _ => false,
        }
    }

    /// Whether it is an object of the API: a proxy's page is not.
    pub(super) fn is_object(&self) -> bool {
        #[derive(Deserialize)]
        struct Object {
            kind: String,
        }
        serde_json::from_slice(&self.body).is_ok_and(|Object { kind }| !kind.is_empty())
    }

    /// The body as this type, or what is wrong with it.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, NoAnswer> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // The error's text may quote the body.
            let why = one_line(&error.to_string(), MAX_MESSAGE);
            NoAnswer(format!("cannot read the API server's answer: {why}"))
        })
    }

    /// The server's description of an error; empty fields where it has none.
    pub(super) fn error(&self) -> Status {
        let said: Status = serde_json::from_slice(&self.body).unwrap_or_default();
        Status { message: one_line(&said.message, MAX_MESSAGE), ..said }
    }
}
