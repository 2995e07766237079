//! The HTTP service of production.

use octocrab::OctoBody;
use tower::{BoxError, Service};

use coordinator_http::Client;

/// The client as the service that [`super::Github::new`] wants.
pub fn over(
    client: Client,
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
            Ok(http::Response::from(client.send(request).await?))
        }
    })
}
