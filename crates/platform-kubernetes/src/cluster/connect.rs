//! The HTTP client of the API server.
//!
//! The connector is not kube's own, which speaks HTTP/1.1 alone: there each of 32 starts at once
//! makes a handshake of its own. Over HTTP/2 they share one, and a stream that the server refuses
//! was certainly not processed. It is not reqwest either, which has no `tls-server-name`.

use std::time::Duration;

use anyhow::Context;
use http::HeaderValue;
use http::header::USER_AGENT;
use http::uri::Scheme;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt;
use kube::config::Config;
use tokio::time::{Instant, timeout};
use tower::{BoxError, ServiceBuilder};

use super::kubeconfig;

/// For the connection and its TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How the API server's audit log and metrics name this program.
const AGENT: &str = concat!("coordinator/", env!("CARGO_PKG_VERSION"));

/// The client, and the namespace that its configuration names. The error is one line.
///
/// The program that a kubeconfig may name to fetch a token has [`CONNECT_TIMEOUT`], or a quarter of
/// what is left before `until`: the steps that need no cluster wait for it.
pub(super) async fn client(
    context: Option<&str>,
    until: Instant,
) -> anyhow::Result<(kube::Client, String)> {
    let mut config = kubeconfig::configuration(context).await?;
    anyhow::ensure!(
        !config.accept_invalid_certs,
        "`insecure-skip-tls-verify` in the kubeconfig would send the token to any server; set the \
         cluster's `certificate-authority-data` instead"
    );
    if let Some(proxy) = config.proxy_url.as_ref().and_then(http::Uri::host) {
        anyhow::bail!(
            "a proxy to the API server is not supported ({proxy}); take `proxy-url` out of the \
             kubeconfig, or HTTPS_PROXY out of the environment"
        );
    }
    config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));
    let namespace = config.default_namespace.clone();
    let limit = CONNECT_TIMEOUT.min(until.saturating_duration_since(Instant::now()) / 4);
    let build = tokio::task::spawn_blocking(|| over_http(config));
    let seconds = limit.as_secs_f64();
    let client = match timeout(limit, build).await {
        Ok(Ok(built)) => built.map_err(|error| anyhow::anyhow!("{}", innermost(&*error))),
        Ok(Err(panicked)) => Err(panicked.into()),
        Err(_) => anyhow::bail!(
            "the program that the kubeconfig runs for credentials did not end \
             within {seconds:.1} s; run it by hand"
        ),
    };
    Ok((client.context("use the credentials of the kubeconfig")?, namespace))
}

/// Over HTTP/2 where the server speaks it: all requests share one connection, and one handshake.
/// Nothing is sent twice: the next cycle is the retry.
fn over_http(mut config: Config) -> anyhow::Result<kube::Client> {
    if config.cluster_url.scheme() == Some(&Scheme::HTTP) {
        // There is nothing to verify: without this, all the machine's root certificates would be
        // read.
        config.root_cert.get_or_insert_default();
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let mut tls = HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = name
            .clone()
            .try_into()
            .map_err(|why| anyhow::anyhow!("`tls-server-name` {name:?}: {why}"))?;
        tls = tls.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let auth = config.auth_layer().map_err(|error| {
        anyhow::anyhow!(kubeconfig::refused_credentials(&error, config.auth_info.exec.as_ref()))
    })?;
    // The timeout includes the TLS handshake.
    let mut connector = TimeoutConnector::new(tls.enable_all_versions().wrap_connector(tcp));
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let client = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(kube::Client::new(service, config.default_namespace))
}

/// The outer errors repeat the inner ones.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
