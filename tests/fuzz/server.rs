//! A server that answers by a function, and damages its answers.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{BoxError, Service};

use super::chance::Chance;
use super::damage::{damaged, written};

/// A secret that no output may contain.
pub(super) const TOKEN: &str = "ghp_0123456789secret";

/// The one place to which a request may go with the token.
const HOST: &str = "api.example.com";

/// Where a log is kept, which no token may reach.
const STORE: &str = "logs.example.com";

/// A request.
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) body: Value,
}

/// A good answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) location: Option<&'static str>,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn ok(body: Value) -> Self {
        Self { status: 200, location: None, body }
    }
}

/// A server; its bytes decide about the damage.
#[derive(Clone)]
pub(super) struct Server {
    chance: Arc<Mutex<Chance>>,
    answer: fn(&Asked) -> Answer,
}

impl Server {
    pub(super) fn new(bytes: &[u8], answer: fn(&Asked) -> Answer) -> Self {
        Self { chance: Arc::new(Mutex::new(Chance::of(bytes))), answer }
    }

    /// As GitHub. Only one host may get requests; every other host in an answer is a trap.
    pub(super) fn github<B>(
        &self,
    ) -> impl Service<
        http::Request<B>,
        Response = http::Response<Full<Bytes>>,
        Error = BoxError,
        Future: Send,
    > + Send
    + use<B>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let server = self.clone();
        tower::service_fn(move |request: http::Request<B>| {
            let server = server.clone();
            async move {
                let host = request.uri().host().unwrap_or_default().to_owned();
                let has_token = request.headers().contains_key(http::header::AUTHORIZATION);
                assert!(
                    (host == HOST && has_token) || (host == STORE && !has_token),
                    "a request to {host}, token: {has_token}"
                );
                server.respond(request).await
            }
        })
    }

    /// As an API server, whose client adds no host.
    pub(super) fn kubernetes(&self) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let server = server.clone();
            async move { server.respond(request).await }
        });
        kube::Client::new(service, "agents")
    }

    async fn respond<B>(
        &self,
        request: http::Request<B>,
    ) -> Result<http::Response<Full<Bytes>>, BoxError>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(Into::into)?.to_bytes();
        let asked = Asked {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let chance = &mut *self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        spoilt(chance, (self.answer)(&asked))
    }
}

fn spoilt(chance: &mut Chance, answer: Answer) -> Result<http::Response<Full<Bytes>>, BoxError> {
    let (status, document) = match chance.below(32) {
        30 => {
            let statuses =
                [301, 302, 307, 400, 401, 403, 404, 405, 409, 410, 422, 429, 500, 502, 503];
            let message = format!("{}{TOKEN}{}", chance.text(), chance.text());
            let status = *chance.one_of(&statuses);
            (
                status,
                json!({ "message": message, "reason": chance.text(), "code": status,
                    "status": "Failure" }),
            )
        }
        31 => return Err(BoxError::from(format!("connection reset {}", chance.text()))),
        _ => (answer.status, damaged(chance, answer.body)),
    };
    let mut response = http::Response::builder().status(status);
    if let Some(location) = answer.location {
        response = response.header("location", location);
    }
    for _ in 0..chance.below(3) {
        let (name, value) = *chance.one_of(&HEADERS);
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(written(chance, &document).into()))?)
}

/// Traps, and values that no clock has. No pause is short enough to be waited for.
const HEADERS: [(&str, &str); 16] = [
    ("link", "<https://evil.example/next>; rel=\"next\""),
    ("link", "<//evil.example/next>; rel=\"last\""),
    ("location", "https://evil.example/elsewhere"),
    ("location", "//evil.example/elsewhere"),
    ("location", "http://169.254.169.254/latest"),
    ("date", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("date", "soon"),
    ("retry-after", "18446744073709551615"),
    ("retry-after", "99999"),
    ("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ("x-ratelimit-remaining", "0"),
    ("x-ratelimit-reset", "18446744073709551615"),
    ("github-authentication-token-expiration", "9999-12-31 23:59:59 -2359"),
    ("x-oauth-scopes", "repo, \u{9}::error::"),
    ("content-encoding", "gzip"),
];
