//! GraphQL with its two kinds of failure: of the whole document, and of single fields of the
//! answer.

use std::mem;
use std::time::SystemTime;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::request::{Answer, shown};
use super::{Error, Github, documents};
use coordinator_core::pull::GapCause;
use coordinator_core::report::RateLimit;

/// An answer; `errors` name the fields that are missing in `data`.
pub(super) struct Response {
    /// An object; single fields of it may be null because of `errors`.
    pub(super) data: Value,
    /// Why fields are missing.
    pub(super) errors: Vec<FieldError>,
    /// The server's clock.
    pub(super) date: Option<SystemTime>,
    /// When the token expires, where GitHub shows it.
    pub(super) token_expires_at: Option<SystemTime>,
    /// The scopes of a classic token.
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
    extensions: Option<Extensions>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Extensions {
    code: Option<String>,
    field_name: Option<String>,
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

    /// The object does not exist, or no longer.
    pub(super) fn is_not_found(&self) -> bool {
        self.kind.as_deref() == Some("NOT_FOUND")
    }

    /// The request was too large: a smaller one can be answered.
    pub(super) fn is_too_large(&self) -> bool {
        let text = self.message.to_lowercase();
        self.kind.as_deref().is_some_and(|kind| kind == "RESOURCE_LIMITS_EXCEEDED")
            || ["timeout", "timed out", "resource limits"].iter().any(|words| text.contains(words))
    }

    /// Why something could not be read.
    pub(super) fn cause(&self) -> GapCause {
        match self.kind.as_deref() {
            _ if self.is_too_large() => GapCause::TooLarge,
            Some("FORBIDDEN" | "INSUFFICIENT_SCOPES" | "UNAUTHORIZED") => GapCause::Refused,
            Some(_) | None => GapCause::Other,
        }
    }

    /// The field of the document that this server does not have.
    fn undefined_field(&self) -> Option<&str> {
        let extensions = self.extensions.as_ref();
        let named = extensions.filter(|it| it.code.as_deref() == Some("undefinedField"));
        named
            .and_then(|it| it.field_name.as_deref())
            .or_else(|| documents::undefined(&self.message))
    }

    fn is_rate_limit(&self) -> bool {
        let text = self.message.to_lowercase();
        self.kind.as_deref().is_some_and(|kind| kind == "RATE_LIMITED" || kind == "RATE_LIMIT")
            || text.contains("rate limit exceeded")
            || text.contains("secondary rate limit")
    }
}

impl Github {
    /// Sends a document; once more where an older GitHub Enterprise Server lacks fields that can be
    /// left out. `what` completes "could not ...".
    pub(super) async fn graphql(
        &self,
        what: &str,
        document: &str,
        variables: &Value,
    ) -> Result<Response, Error> {
        let mut may_repeat = true;
        loop {
            let body =
                json!({ "query": self.lacking.left_out_of(document), "variables": variables });
            let answer = self.call(Method::POST, &self.repository.graphql_url, Some(&body)).await;
            let answer = answer.map_err(|error| match error {
                Error::Failed(why) => Error::Failed(format!("could not {what}: {why}")),
                Error::Overloaded(_) | Error::RateLimited(_) => error,
            })?;
            let answer = answer.succeeded(what)?;
            match parse(what, &answer) {
                Err(error) if mem::take(&mut may_repeat) && self.lacks_fields(&answer) => {
                    tracing::debug!("{error}; sent again without that field");
                }
                parsed => return parsed,
            }
        }
    }

    /// Whether the document failed for fields alone that can be left out from now on.
    fn lacks_fields(&self, answer: &Answer) -> bool {
        let envelope: Result<Envelope, _> = answer.json();
        let errors = envelope.ok().and_then(|envelope| envelope.errors).unwrap_or_default();
        let lacking = errors.iter().map(|error| error.undefined_field());
        let Some(lacking) = lacking.collect::<Option<Vec<&str>>>() else { return false };
        let new = lacking.iter().filter(|field| self.lacking.add(field)).count();
        new > 0 && lacking.iter().all(|field| self.lacking.has(field))
    }
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    data: Value,
    #[serde(default)]
    errors: Option<Vec<FieldError>>,
}

fn parse(what: &str, answer: &Answer) -> Result<Response, Error> {
    let envelope: Envelope =
        answer.json().map_err(|error| Error::Failed(format!("could not {what}: {error}")))?;
    let errors = envelope.errors.unwrap_or_default();
    if let Some(error) = errors.iter().find(|error| error.is_rate_limit()) {
        return Err(Error::RateLimited(RateLimit { said: error.text(), ..answer.limit() }));
    }
    if !envelope.data.is_object() {
        let why =
            errors.first().map_or_else(|| "it answered without data".to_owned(), FieldError::text);
        let why = format!("could not {what}: GitHub answered: {why}");
        let is_too_large = errors.iter().any(FieldError::is_too_large);
        return Err(if is_too_large { Error::Overloaded(why) } else { Error::Failed(why) });
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
