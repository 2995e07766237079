//! The HTTP client of a run, for GitHub and for production alike.

use std::env;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use reqwest::{Request, Response};
use rustls::ClientConfig;
use tower::BoxError;

pub use connecting::Attempt;
pub use failure::{Failure, cause};
pub use proxy::{Proxy, proxy_for};

mod connecting;
mod failure;
mod proxy;
mod tls;

/// hyper's default is 100; some applications and their proxies send more.
const MAX_RESPONSE_HEADERS: usize = 1000;

/// The same for HTTP/2, which counts bytes. hyper's own limit for HTTP/1 is 400 KiB.
const MAX_RESPONSE_HEADER_BYTES: u32 = 400 * 1024;

/// A client that verifies certificates, follows no redirect and repeats nothing. No timeout of its
/// own: callers set one around the whole request.
///
/// The root certificates are read at the first request that may need TLS.
#[derive(Debug, Clone)]
pub struct Client {
    plain: reqwest::Client,
    secure: Arc<OnceLock<reqwest::Client>>,
}

impl Client {
    /// Fails where the system's network cannot be set up.
    pub fn new() -> anyhow::Result<Self> {
        let plain = build(tls::trusting_none()).context("set up the HTTP client")?;
        Ok(Self { plain, secure: Arc::default() })
    }

    /// Sends one request.
    ///
    /// Fails with a [`Failure`] where the environment names a proxy that cannot be used, and else
    /// with a [`reqwest::Error`]; [`Failure::of`] reads both.
    pub async fn send(&self, request: Request) -> Result<Response, BoxError> {
        let proxy = proxy_for(request.url(), &variable).map_err(|why| Failure::of_proxy(&why))?;
        // A proxy may speak TLS as well.
        let may_need_tls = request.url().scheme() == "https" || proxy.is_some();
        let client = if may_need_tls { self.secure()? } else { &self.plain };
        Ok(client.execute(request).await?)
    }

    fn secure(&self) -> reqwest::Result<&reqwest::Client> {
        if let Some(client) = self.secure.get() {
            return Ok(client);
        }
        let client = build(tls::trusting_the_machine())?;
        Ok(self.secure.get_or_init(|| client))
    }
}

fn build(tls: ClientConfig) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("coordinator/", env!("CARGO_PKG_VERSION")))
        .http1_max_headers(MAX_RESPONSE_HEADERS)
        .http2_max_header_list_size(MAX_RESPONSE_HEADER_BYTES)
        .connector_layer(connecting::Layer)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .tls_backend_preconfigured(tls)
        .build()
}

/// A variable of the environment, for [`proxy_for`].
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}
