//! One request, one answer: sent once, counted, bounded in time and size.

use std::fmt;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER,
};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use octocrab::OctoBody;
use serde::Deserialize;
use serde_json::Value;
use tower::BoxError;

use coordinator_core::report::{Cause, RateLimit};
use coordinator_core::sanitize::one_line;
use coordinator_core::timestamp;
use coordinator_http::{Attempt, Failure};

use super::Github;
use super::credentials::{App, Credentials, bearer};

/// For a whole exchange.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Far more than any answer that we read.
const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// A longer message from GitHub is cut.
const MAX_MESSAGE_CHARS: usize = 200;

/// A read that failed. Its text is one line, safe to show, and carries no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// GitHub accepts no further request before the time it names.
    RateLimited(RateLimit),
    /// 502, 504, or a 200 with such an error: the request was too large, or GitHub too slow.
    Overloaded(String),
    Failed(String),
}

impl Error {
    /// The rate limit, if that is why.
    pub fn rate_limit(&self) -> Option<&RateLimit> {
        match self {
            Self::RateLimited(limit) => Some(limit),
            Self::Overloaded(_) | Self::Failed(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimited(limit) => {
                f.write_str("GitHub's rate limit is used up")?;
                if let Some(time) = limit.resets_at {
                    write!(f, " until {}", humantime::format_rfc3339_seconds(time))?;
                }
                if limit.said.is_empty() {
                    Ok(())
                } else {
                    write!(f, "; GitHub answered: {}", limit.said)
                }
            }
            Self::Overloaded(why) | Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

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
        let authorization = match &self.credentials {
            Credentials::Token(header) => header,
            Credentials::App(app) => {
                self.installation.get_or_try_init(|| self.sign_in(app)).await?
            }
        };
        self.exchange(method, url, body, authorization).await.map_err(Error::Failed)
    }

    async fn sign_in(&self, app: &App) -> Result<HeaderValue, Error> {
        #[derive(Deserialize)]
        struct Token {
            token: String,
        }
        let url = format!(
            "{}/app/installations/{}/access_tokens",
            self.repository.api_url, app.installation
        );
        let header = app.header().map_err(|error| Error::Failed(format!("{error:#}")))?;
        let answer =
            self.exchange(Method::POST, &url, None, &header).await.map_err(Error::Failed)?;
        let token: Token = answer.succeeded("sign in as the GitHub App")?.json()?;
        bearer(&token.token).map_err(|_| {
            Error::Failed("GitHub answered with an invalid installation token".to_owned())
        })
    }

    /// The answer, or in one line why none came.
    async fn exchange(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
        authorization: &HeaderValue,
    ) -> Result<Answer, String> {
        let request = http::Request::builder()
            .method(method)
            .uri(url)
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/json")
            .body(body.map_or_else(OctoBody::empty, |body| OctoBody::from(body.to_string())))
            .map_err(|error| format!("invalid URL {url}: {error}"))?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let attempt = Attempt::default();
        let transfer = async {
            let url = request.uri().to_string().parse().ok();
            let response = self.octocrab.send(request).await.map_err(|error| {
                let failure = failure(&error, url.as_ref());
                self.note(Some(&failure.cause));
                said(&failure)
            })?;
            self.note(None);
            Answer::read(response, authorization).await
        };
        // Check the time first: after SIGSTOP and SIGCONT nothing is sent that rests on stale data.
        tokio::select! {
            biased;
            () = tokio::time::sleep(CALL_TIMEOUT) => {
                self.note(Some(&Failure::late(CALL_TIMEOUT, attempt.is_connecting()).cause));
                Err(format!("GitHub did not answer within {} s", CALL_TIMEOUT.as_secs()))
            }
            answer = attempt.of(transfer) => answer,
        }
    }

    /// Why the last request has no answer; `None` when it has one.
    pub(super) fn failure(&self) -> Option<Cause> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, failure: Option<&Cause>) {
        self.contact.lock().unwrap_or_else(PoisonError::into_inner).note(failure);
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure.cloned();
    }
}

impl Answer {
    /// Reads the whole body. Our own credentials are masked in it, in case the server quotes them,
    /// and before anything is cut: half a token would not be recognized.
    async fn read<B>(
        response: http::Response<B>,
        authorization: &HeaderValue,
    ) -> Result<Self, String>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|error| {
            format!("GitHub's answer broke off: {}", root_cause(error.as_ref()))
        })?;
        let header = String::from_utf8_lossy(authorization.as_bytes());
        let token = header.rsplit(' ').next().unwrap_or_default();
        let scrubbed = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            (!token.is_empty() && text.contains(token)).then(|| text.replace(token, "***"))
        };
        for value in head.headers.values_mut() {
            if let Some(text) = scrubbed(value.as_bytes()) {
                *value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("***"));
            }
        }
        let body = body.to_bytes();
        let body = scrubbed(&body).map_or(body, Bytes::from);
        Ok(Self { status: head.status, headers: head.headers, body })
    }

    /// The answer, unless its status is an error.
    pub(super) fn succeeded(self, what: &str) -> Result<Self, Error> {
        if let Some(limit) = self.rate_limit() {
            return Err(Error::RateLimited(limit));
        }
        let said = match self.message().as_str() {
            "" => format!("could not {what}: GitHub answered {}", self.status.as_u16()),
            message => {
                format!("could not {what}: GitHub answered {}: {message}", self.status.as_u16())
            }
        };
        match self.status.as_u16() {
            200..=299 => Ok(self),
            502 | 504 => Err(Error::Overloaded(said)),
            300..=399 => Err(Error::Failed(format!(
                "{said}{}; correct [repository] in the roster",
                self.moved_to()
            ))),
            401 => Err(Error::Failed(format!("{said}; the token is wrong, expired or revoked"))),
            _ => Err(Error::Failed(said)),
        }
    }

    fn moved_to(&self) -> String {
        self.header(&LOCATION).map_or_else(String::new, |url| {
            format!(", moved to {}", one_line(url, MAX_MESSAGE_CHARS))
        })
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // The error's text may quote the body.
            let place = format!("line {}, column {}", error.line(), error.column());
            let status = self.status.as_u16();
            Error::Failed(format!("GitHub answered {status} with an undocumented body ({place})"))
        })
    }

    /// GitHub's `message`, in one line; empty when there is none.
    pub(super) fn message(&self) -> String {
        #[derive(Deserialize)]
        struct Body {
            message: String,
        }
        serde_json::from_slice::<Body>(&self.body)
            .map(|body| shown(&body.message))
            .unwrap_or_default()
    }

    pub(super) fn date(&self) -> Option<SystemTime> {
        timestamp::date_header(self.header(&DATE)?)
    }

    /// When the token expires, where GitHub shows it.
    pub(super) fn token_expires_at(&self) -> Option<SystemTime> {
        timestamp::parse(
            self.header(&HeaderName::from_static("github-authentication-token-expiration"))?,
        )
    }

    /// The rate limit that refused the request: 429, or a 403 with its headers or its text.
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

    /// When requests are accepted again: by `Retry-After`, else by the reset of a used-up limit.
    pub(super) fn limit(&self) -> RateLimit {
        let after = self.header(&RETRY_AFTER).and_then(|text| {
            let now = self.date().unwrap_or_else(SystemTime::now);
            match text.trim().parse() {
                Ok(seconds) => {
                    now.checked_add(Duration::from_secs(seconds)).and_then(timestamp::writable)
                }
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
        self.header(&HeaderName::from_static("x-ratelimit-remaining"))
            .is_some_and(|text| text.trim() == "0")
    }

    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A message of GitHub's, safe to show.
pub(super) fn shown(message: &str) -> String {
    one_line(message, MAX_MESSAGE_CHARS)
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

/// The failure in one line, with the remedy where the cause has one.
fn said(failure: &Failure) -> String {
    let why = shown(&failure.why);
    match failure.cause {
        Cause::Certificate(fault) => format!("no answer from GitHub: {why}; {}", fault.remedy()),
        _ => format!("no answer from GitHub: {why}"),
    }
}

/// The innermost cause, in one line.
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    shown(&root.to_string())
}
