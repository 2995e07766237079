//! One request, one answer: sent once, counted, bounded in time and size.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use octocrab::OctoBody;
use serde::Deserialize;
use serde_json::Value;

use coordinator_core::report::{Cause, RateLimit};
use coordinator_core::sanitize::one_line;
use coordinator_http::{Attempt, Failure};

use super::credentials::{Credentials, bearer};
use super::{Error, Github};
use coordinator_core::timestamp;

/// For a whole exchange.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// No answer that we ask for is nearly as large.
const LARGEST_BODY_BYTES: usize = 32 * 1024 * 1024;

/// Of a message from GitHub, at most this much is shown.
const LONGEST_MESSAGE_CHARS: usize = 200;

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Github {
    /// Sends a request with the credentials.
    pub(super) async fn call(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        let authorization = self.authorization().await?;
        self.exchange(method, url, body, authorization).await.map_err(Error::Failed)
    }

    /// The answer, or in one line why none came.
    pub(super) async fn exchange(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
        authorization: HeaderValue,
    ) -> Result<Answer, String> {
        let body = body.map(Value::to_string);
        let request = http::Request::builder()
            .method(method)
            .uri(url)
            .header(AUTHORIZATION, authorization.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body.map_or_else(OctoBody::empty, OctoBody::from))
            .map_err(|error| format!("the address {url} is no address: {error}"))?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let attempt = Attempt::default();
        // The time comes first: a process that was stopped and goes on after it sends nothing by what it saw before.
        tokio::select! {
            biased;
            () = tokio::time::sleep(CALL_TIMEOUT) => {
                self.note(Some(&Failure::late(CALL_TIMEOUT, attempt.is_connecting()).cause));
                Err(format!("GitHub did not answer within {} s", CALL_TIMEOUT.as_secs()))
            }
            answer = attempt.of(self.transfer(request)) => answer.map(|answer| answer.without(&authorization)),
        }
    }

    /// Why the last request has no answer; `None` when it has one.
    pub(super) fn failure(&self) -> Option<Cause> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes whether GitHub was there.
    fn note(&self, failure: Option<&Cause>) {
        self.contact.lock().unwrap_or_else(PoisonError::into_inner).note(failure);
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure.cloned();
    }

    async fn transfer(&self, request: http::Request<OctoBody>) -> Result<Answer, String> {
        let url = request.uri().to_string().parse().ok();
        let response = self.octocrab.send(request).await.map_err(|error| {
            let failure = failure(&error, url.as_ref());
            self.note(Some(&failure.cause));
            said(&failure)
        })?;
        self.note(None);
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LARGEST_BODY_BYTES)
            .collect()
            .await
            .map_err(|error| format!("GitHub's answer broke off: {}", root_cause(error.as_ref())))?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    /// The header that every request carries.
    pub(super) async fn authorization(&self) -> Result<HeaderValue, Error> {
        match &self.credentials {
            Credentials::Token(header) => Ok(header.clone()),
            Credentials::App(_) => {
                self.installation.get_or_try_init(|| self.installation_header()).await.cloned()
            }
        }
    }

    async fn installation_header(&self) -> Result<HeaderValue, Error> {
        #[derive(Deserialize)]
        struct Token {
            token: String,
        }
        let Credentials::App(app) = &self.credentials else {
            return Err(Error::Failed("a token needs no installation".to_owned()));
        };
        let url = format!("{}/app/installations/{}/access_tokens", self.repository.api_url, app.installation);
        let header = app.header().map_err(|error| Error::Failed(format!("{error:#}")))?;
        let answer = self.exchange(Method::POST, &url, None, header).await.map_err(Error::Failed)?;
        let answer = answer.succeeded("sign in as the GitHub App")?;
        let token: Token = answer.json()?;
        bearer(&token.token).map_err(|_| Error::Failed("GitHub's installation token is no token".to_owned()))
    }
}

impl Answer {
    /// A server that quotes our own credentials brings them into no message. It is done before anything is cut: the
    /// half of a token would not be recognised any more.
    fn without(mut self, authorization: &HeaderValue) -> Self {
        let header = String::from_utf8_lossy(authorization.as_bytes());
        let token = header.rsplit(' ').next().unwrap_or_default();
        let scrubbed = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            (!token.is_empty() && text.contains(token)).then(|| text.replace(token, "***"))
        };
        if let Some(body) = scrubbed(&self.body) {
            self.body = body.into();
        }
        for value in self.headers.values_mut() {
            if let Some(text) = scrubbed(value.as_bytes()) {
                *value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("***"));
            }
        }
        self
    }

    /// The answer, unless its status says that the request failed.
    pub(super) fn succeeded(self, what: &str) -> Result<Self, Error> {
        if let Some(limit) = self.rate_limit() {
            return Err(Error::RateLimited(limit));
        }
        let said = match self.message().as_str() {
            "" => format!("could not {what}: GitHub answered {}", self.status.as_u16()),
            message => format!("could not {what}: GitHub answered {}: {message}", self.status.as_u16()),
        };
        match self.status.as_u16() {
            200..=299 => Ok(self),
            502 | 504 => Err(Error::Overloaded(said)),
            300..=399 => {
                Err(Error::Failed(format!("{said}{}; correct [repository] in the roster", self.moved_to())))
            }
            401 => Err(Error::Failed(format!("{said}; the token is wrong, expired or revoked"))),
            _ => Err(Error::Failed(said)),
        }
    }

    fn moved_to(&self) -> String {
        self.header(&LOCATION)
            .map_or_else(String::new, |url| format!(", moved to {}", one_line(url, LONGEST_MESSAGE_CHARS)))
    }

    /// The body.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // The error's text may quote the body.
            let place = format!("line {}, column {}", error.line(), error.column());
            let status = self.status.as_u16();
            Error::Failed(format!(
                "GitHub answered {status} with a body that is not what it documents ({place})"
            ))
        })
    }

    /// GitHub's `message`, in one line; empty when there is none.
    pub(super) fn message(&self) -> String {
        #[derive(Deserialize)]
        struct Body {
            message: String,
        }
        serde_json::from_slice::<Body>(&self.body).map(|body| shown(&body.message)).unwrap_or_default()
    }

    /// The server's clock.
    pub(super) fn date(&self) -> Option<SystemTime> {
        timestamp::date_header(self.header(&DATE)?)
    }

    /// When the token expires, where GitHub says so.
    pub(super) fn token_expires_at(&self) -> Option<SystemTime> {
        timestamp::parse(self.header(&HeaderName::from_static("github-authentication-token-expiration"))?)
    }

    /// The rate limit that refused the request: 429, or a 403 that says so in its headers or its text.
    pub(super) fn rate_limit(&self) -> Option<RateLimit> {
        let limited = match self.status {
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::FORBIDDEN => {
                let text = self.message().to_lowercase();
                self.headers.contains_key(RETRY_AFTER)
                    || self.is_used_up()
                    || text.contains("rate limit")
                    || text.contains("abuse detection")
            }
            _ => false,
        };
        limited.then(|| self.limit())
    }

    /// When requests are welcome again: by `Retry-After`, else by the reset of a used-up limit.
    pub(super) fn limit(&self) -> RateLimit {
        let after = self.header(&RETRY_AFTER).and_then(|text| {
            let now = self.date().unwrap_or_else(SystemTime::now);
            match text.trim().parse() {
                Ok(seconds) => now.checked_add(Duration::from_secs(seconds)).and_then(timestamp::writable),
                Err(_) => timestamp::http_date(text),
            }
        });
        let reset = || {
            let text = self.header(&HeaderName::from_static("x-ratelimit-reset"))?;
            timestamp::from_epoch(text).filter(|_| self.is_used_up())
        };
        RateLimit { resets_at: after.or_else(reset), said: self.message() }
    }

    fn is_used_up(&self) -> bool {
        self.header(&HeaderName::from_static("x-ratelimit-remaining")).is_some_and(|text| text.trim() == "0")
    }

    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A message of GitHub's, safe to show.
pub(super) fn shown(message: &str) -> String {
    one_line(message, LONGEST_MESSAGE_CHARS)
}

fn failure(error: &octocrab::Error, url: Option<&reqwest::Url>) -> Failure {
    match error {
        octocrab::Error::Service { source, .. } => Failure::of(source.as_ref(), url),
        other => Failure::of(other, url),
    }
}

/// Why a request had no answer, in one line.
pub(super) fn no_answer(error: &octocrab::Error) -> String {
    said(&failure(error, None))
}

/// The failure in one line, with what to do where the cause says it.
fn said(failure: &Failure) -> String {
    let why = shown(&failure.why);
    match failure.cause {
        Cause::Certificate(fault) => format!("no answer from GitHub: {why}; {}", fault.remedy()),
        _ => format!("no answer from GitHub: {why}"),
    }
}

/// What caused it in the end, in one line: libraries keep the telling part for the last.
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    shown(&root.to_string())
}
