//! The HTTP client of a run, for GitHub and for production alike.

use std::env;

use anyhow::Context;
use reqwest::{Request, Response};
use tower::BoxError;

pub use connecting::Attempt;
pub use failure::{Failure, cause};
pub use proxy::{Proxy, proxy_for};

mod connecting;
mod failure;
mod proxy;
mod roots;

/// hyper's default is 100; some applications and their proxies send more.
const MAX_RESPONSE_HEADERS: usize = 1000;

/// The same for HTTP/2, which counts bytes. hyper's own limit for HTTP/1 is 400 KiB.
const MAX_RESPONSE_HEADER_BYTES: u32 = 400 * 1024;

/// [`client`], for a run that is going to ask these addresses.
///
/// Fails as it does.
pub fn client_for<'a>(mut urls: impl Iterator<Item = &'a str>) -> anyhow::Result<reqwest::Client> {
    if cfg!(target_os = "linux") && urls.any(|url| url.starts_with("https:")) {
        roots::read_ahead();
    }
    client()
}

/// A client that verifies certificates, follows no redirect and repeats nothing. No timeout of its
/// own: callers set one around the whole request.
///
/// Fails where TLS cannot be set up.
pub fn client() -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("coordinator/", env!("CARGO_PKG_VERSION")))
        .http1_max_headers(MAX_RESPONSE_HEADERS)
        .http2_max_header_list_size(MAX_RESPONSE_HEADER_BYTES)
        .connector_layer(connecting::Layer)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never());
    // Elsewhere the system has a say in what it trusts, and reqwest asks it.
    let builder = if cfg!(target_os = "linux") {
        builder.tls_backend_preconfigured(roots::tls().context("set up TLS")?)
    } else {
        builder
    };
    builder.build().context("set up the HTTP client")
}

/// Sends one request.
///
/// Fails with a [`Failure`] where the environment names a proxy that cannot be used, and else with
/// a [`reqwest::Error`]; [`Failure::of`] reads both.
pub async fn send(client: &reqwest::Client, request: Request) -> Result<Response, BoxError> {
    proxy_for(request.url(), &variable).map_err(|why| Failure::of_proxy(&why))?;
    Ok(client.execute(request).await?)
}

/// A variable of the environment, for [`proxy_for`].
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}
