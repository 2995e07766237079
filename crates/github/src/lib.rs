//! The GitHub client: octocrab in, our types out.
//!
//! The HTTP service is a parameter, so that production, tests and simulations differ in it only.
//! Nothing is retried, and no redirect is followed: the token goes to the two addresses of the
//! roster only.
//!
//! octocrab builds and sends the requests through that service, and signs the token of a GitHub
//! App. Its typed calls are not used: they hide the errors of single GraphQL fields and the status
//! and headers of an answer, which the verdict and the outcome of a merge call depend on.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::Context;
use bytes::Bytes;
use http::header::{ACCEPT, HeaderName, HeaderValue, USER_AGENT};
use octocrab::service::middleware::extra_headers::ExtraHeadersLayer;
use octocrab::{AuthState, OctoBody, Octocrab, OctocrabBuilder};
use serde_json::Value;
use tokio::sync::OnceCell;
use tower::{BoxError, Service};

use coordinator_core::pull::Repository;
use coordinator_core::report::{Cause, Contact};
use coordinator_http::Client;

pub use credentials::Credentials;
pub use identity::Account;
pub use issues::{ALERT_LABEL, AlertIssue, AlertIssues, NewIssue};
pub use list::{Pages, PullPage};
pub use merge::MergeOutcome;
pub use merged::MergedPull;
pub use recheck::{MAX_PULLS, Rereads};
pub use repository::{ListHead, ServerClock};
pub use request::Error;

pub mod actions;
mod checks;
mod credentials;
mod diagnose;
pub mod documents;
mod graphql;
mod identity;
mod issues;
mod list;
mod merge;
mod merged;
mod pull;
mod recheck;
mod repository;
mod request;

#[cfg(any(test, feature = "fake"))]
pub mod fake;
#[cfg(test)]
mod tests;

/// A client for one repository.
pub struct Github {
    octocrab: Octocrab,
    repository: Repository,
    credentials: Credentials,
    /// The header of an App's installation, requested once: it outlives every run.
    installation: OnceCell<HeaderValue>,
    requests: AtomicU64,
    contact: Mutex<Contact>,
    /// Why the last request that failed has no answer.
    failure: Mutex<Option<Cause>>,
    /// Fields that this server, an older GitHub Enterprise Server, does not have.
    lacking: documents::LackingFields,
    rereads: recheck::RereadSize,
    /// The repository's present name, where it was renamed.
    renamed: OnceLock<Repository>,
    /// Whether the list of pull requests also reads the issues of alerts.
    reads_alerts: bool,
    /// What it showed of them.
    alerts: OnceLock<Result<AlertIssues, Error>>,
}

impl Github {
    /// A client that sends every request through `service`. Must be called within a tokio runtime.
    ///
    /// Fails where an address of the roster is not a valid URL.
    pub fn new<S, B>(
        service: S,
        repository: &Repository,
        credentials: Credentials,
    ) -> anyhow::Result<Self>
    where
        S: Service<http::Request<OctoBody>, Response = http::Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        for (key, url) in
            [("api_url", &repository.api_url), ("graphql_url", &repository.graphql_url)]
        {
            let uri: http::Uri =
                url.parse().with_context(|| format!("read `{key}` of [repository]: {url}"))?;
            anyhow::ensure!(
                uri.authority().is_some(),
                "`{key}` of [repository] names no host: {url}"
            );
        }
        let built = OctocrabBuilder::new_empty()
            .with_service(service)
            .with_layer(&ExtraHeadersLayer::new(Arc::new(headers())))
            .with_auth(AuthState::None)
            .build();
        let octocrab = match built {
            Ok(octocrab) => octocrab,
            Err(never) => match never {},
        };
        Ok(Self {
            octocrab,
            repository: repository.clone(),
            credentials,
            installation: OnceCell::new(),
            requests: AtomicU64::new(0),
            contact: Mutex::default(),
            failure: Mutex::default(),
            lacking: documents::LackingFields::default(),
            rereads: recheck::RereadSize::default(),
            renamed: OnceLock::new(),
            reads_alerts: false,
            alerts: OnceLock::new(),
        })
    }

    /// A client over the HTTP client of the run.
    ///
    /// Fails as [`Self::new`] does.
    pub fn over(
        client: Client,
        repository: &Repository,
        credentials: Credentials,
    ) -> anyhow::Result<Self> {
        let service = tower::service_fn(move |request: http::Request<OctoBody>| {
            let client = client.clone();
            async move {
                let request = reqwest::Request::try_from(request.map(reqwest::Body::wrap))?;
                let response = client.send(request).await?;
                Ok::<http::Response<reqwest::Body>, BoxError>(response.into())
            }
        });
        Self::new(service, repository, credentials)
    }

    /// Requests sent so far, those for an App's token included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether it could be reached until now.
    pub fn contact(&self) -> Contact {
        self.contact.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The repository that it works on, by the name in the roster.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The repository's present name, where an answer showed that it was renamed.
    pub fn renamed_to(&self) -> Option<String> {
        self.renamed.get().map(Repository::full_name)
    }

    /// What this GitHub does not have, one sentence each.
    pub fn unavailable(&self) -> Vec<String> {
        self.lacking.sentences()
    }

    /// Compares the name in an answer with the roster's: GraphQL accepts both, REST the new one
    /// only.
    fn note_name(&self, name_with_owner: &Value) {
        let Repository { api_url, graphql_url, .. } = &self.repository;
        let own = self.repository.full_name();
        let name = name_with_owner.as_str().filter(|name| !name.eq_ignore_ascii_case(&own));
        let found = name.and_then(|name| Repository::named(name, api_url, graphql_url).ok());
        if let Some(found) = found {
            // The name of the first answer is kept for the cycle.
            let _ = self.renamed.set(found);
        }
    }

    /// The address of the repository in REST.
    fn rest_url(&self) -> String {
        let Repository { owner, name, api_url, .. } =
            self.renamed.get().unwrap_or(&self.repository);
        format!("{api_url}/repos/{owner}/{name}")
    }
}

impl fmt::Debug for Github {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Github").field("repository", &self.repository).finish_non_exhaustive()
    }
}

/// `merge-info` is the preview that some hosts require to show `mergeStateStatus`. The
/// version is the last one whose merge answers carry what we read.
fn headers() -> Vec<(HeaderName, HeaderValue)> {
    let agent = concat!("coordinator/", env!("CARGO_PKG_VERSION"));
    let accept = "application/vnd.github.merge-info-preview+json, application/vnd.github+json";
    vec![
        (USER_AGENT, HeaderValue::from_static(agent)),
        (ACCEPT, HeaderValue::from_static(accept)),
        (HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28")),
    ]
}
