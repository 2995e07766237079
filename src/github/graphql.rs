//! GraphQL with its two kinds of failure: of the whole question, and of single fields of the answer.

use std::time::SystemTime;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::request::{Answer, shown};
use super::{Error, Github};

/// What came back: data, perhaps with holes.
pub(super) struct Response {
    /// An object; single fields of it may be null because of `errors`.
    pub(super) data: Value,
    /// Every hole, and why.
    pub(super) errors: Vec<FieldError>,
    /// The server's clock.
    pub(super) date: Option<SystemTime>,
    /// When the token expires, where GitHub says so.
    pub(super) token_expires_at: Option<SystemTime>,
    /// What a classic token may do, where GitHub says so.
    pub(super) scopes: Option<String>,
}

/// An entry of `errors`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct FieldError {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: String,
    path: Option<Vec<Value>>,
}

impl FieldError {
    /// One line, safe to show.
    pub(super) fn text(&self) -> String {
        match (shown(&self.message), &self.kind) {
            (message, _) if !message.is_empty() => message,
            (_, Some(kind)) => shown(kind),
            (_, None) => "an error without a text".to_owned(),
        }
    }

    /// The rest of the path below `prefix`, when the error is at it or below it.
    pub(super) fn below(&self, prefix: &[Value]) -> Option<&[Value]> {
        self.path.as_deref()?.strip_prefix(prefix)
    }

    /// What was asked for is gone, or never was.
    pub(super) fn is_not_found(&self) -> bool {
        self.kind.as_deref() == Some("NOT_FOUND")
    }

    fn is_rate_limit(&self) -> bool {
        let text = self.message.to_lowercase();
        self.kind.as_deref().is_some_and(|kind| kind == "RATE_LIMITED" || kind == "RATE_LIMIT")
            || text.contains("rate limit exceeded")
            || text.contains("secondary rate limit")
    }
}

impl Github {
    /// Asks once. `what` completes "could not ...".
    pub(super) async fn graphql(
        &self,
        what: &str,
        document: &str,
        variables: Value,
    ) -> Result<Response, Error> {
        let body = json!({ "query": document, "variables": variables });
        let answer = self
            .call(Method::POST, &self.repository().graphql_url, Some(&body))
            .await
            .map_err(|error| match error {
                Error::Failed(why) => Error::Failed(format!("could not {what}: {why}")),
                Error::Overloaded(_) | Error::RateLimited(_) => error,
            })?
            .succeeded(what)?;
        parse(what, &answer)
    }
}

fn parse(what: &str, answer: &Answer) -> Result<Response, Error> {
    #[derive(Deserialize)]
    struct Envelope {
        #[serde(default)]
        data: Value,
        #[serde(default)]
        errors: Option<Vec<FieldError>>,
    }
    let envelope: Envelope =
        answer.json().map_err(|error| Error::Failed(format!("could not {what}: {error}")))?;
    let errors = envelope.errors.unwrap_or_default();
    if errors.iter().any(FieldError::is_rate_limit) {
        return Err(Error::RateLimited(answer.limit()));
    }
    if !envelope.data.is_object() {
        let why = errors.first().map_or_else(|| "it answered without data".to_owned(), FieldError::text);
        return Err(Error::Failed(format!("could not {what}: GitHub says: {why}")));
    }
    let rate = &envelope.data["rateLimit"];
    tracing::debug!(cost = %rate["cost"], remaining = %rate["remaining"], "GraphQL points");
    Ok(Response {
        data: envelope.data,
        errors,
        date: answer.date(),
        token_expires_at: answer.token_expires_at(),
        scopes: answer.header(&http::HeaderName::from_static("x-oauth-scopes")).map(shown),
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use proptest::prelude::*;

    use super::*;

    fn answer(body: String) -> Answer {
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: body.into() }
    }

    #[test]
    fn a_rate_limit_hides_in_a_200() {
        for error in [
            json!({ "type": "RATE_LIMITED", "message": "API rate limit exceeded for user" }),
            json!({ "message": "You have exceeded a secondary rate limit." }),
            json!({ "type": "RATE_LIMITED", "message": "API rate limit exceeded", "path": null }),
        ] {
            let body = json!({ "data": null, "errors": [error] }).to_string();
            let error = parse("ask", &answer(body)).err().expect("a rate limit is an error");
            assert!(error.rate_limit().is_some(), "{error}");
        }
    }

    #[test]
    fn a_page_that_is_not_json_is_an_error_that_does_not_quote_it() {
        let error = parse("ask", &answer("<html>secret</html>".to_owned())).err().expect("no JSON");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    proptest! {
        #[test]
        fn no_body_panics(body in ".*") {
            let parsed = parse("ask", &answer(body.clone()));
            prop_assert!(parsed.is_err() || body.contains("data"));
        }
    }
}
