//! The HTTP service of production: one reqwest client.

use std::time::Duration;

use anyhow::Context;
use octocrab::OctoBody;
use tower::{BoxError, Service};

/// To connect, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two pieces of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// A client that follows no redirect and repeats nothing.
///
/// Fails where TLS cannot be set up.
pub fn client() -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("coordinator/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build()
        .context("set up the HTTP client")
}

/// The client as the service that [`super::Github::new`] wants.
pub fn over(
    client: reqwest::Client,
) -> impl Service<
    http::Request<OctoBody>,
    Response = http::Response<reqwest::Body>,
    Error = BoxError,
    Future = impl Future<Output = Result<http::Response<reqwest::Body>, BoxError>> + Send + 'static,
> + Send
+ 'static {
    tower::service_fn(move |request: http::Request<OctoBody>| {
        let client = client.clone();
        async move {
            let request = reqwest::Request::try_from(request.map(reqwest::Body::wrap))?;
            Ok(http::Response::from(client.execute(request).await?))
        }
    })
}
