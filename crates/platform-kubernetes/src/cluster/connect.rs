//! From a kubeconfig, or from inside a pod, to a client.
//!
//! The connector is not kube's own, which speaks HTTP/1.1 alone: there each of 32 starts at once
//! makes a handshake of its own, and no server can refuse a stream, which is certainly not carried
//! out. It is not the client of [`crate::client`] either, because reqwest has no `tls-server-name`.

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
use kube::config::{Config, KubeConfigOptions, KubeconfigError};
use tokio::time::{Instant, timeout};
use tower::{BoxError, ServiceBuilder};

use coordinator_core::sanitize::one_line;

/// A connection that is not there by then will not be.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A parser's words on a file that is not YAML may go on and on.
const MAX_PROBLEM: usize = 300;

/// How the API server's audit log and metrics name this program.
const AGENT: &str = concat!("coordinator/", env!("CARGO_PKG_VERSION"));

/// The client, and the namespace that its configuration names.
///
/// The kubeconfig is the one that `KUBECONFIG` names, else `~/.kube/config`; without any, the
/// service account of the pod that this program runs in. Fails, in one line, without either and
/// with a context that is not there. The program that a kubeconfig may name to fetch a token has
/// [`CONNECT_TIMEOUT`], or a quarter of what is left before `until`: the steps that need no cluster
/// wait for it.
pub(super) async fn client(
    context: Option<&str>,
    until: Instant,
) -> anyhow::Result<(kube::Client, String)> {
    let mut config = match context {
        Some(context) => named(context).await?,
        None => Config::infer().await.map_err(|error| {
            let why = problem(&error);
            anyhow::anyhow!(
                "no cluster: {why}; name a kubeconfig in KUBECONFIG, or run in a pod with a service account"
            )
        })?,
    };
    anyhow::ensure!(
        !config.accept_invalid_certs,
        "the kubeconfig says `insecure-skip-tls-verify`, and the token would go to whoever answers; give the \
         cluster's `certificate-authority-data` instead"
    );
    if let Some(proxy) = config.proxy_url.as_ref().and_then(http::Uri::host) {
        anyhow::bail!(
            "the cluster is to be reached by the proxy {proxy}, which is not supported; take `proxy-url` out of the \
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
            "the kubeconfig gave no credentials within {seconds:.1} s; does the program that it names for them hang?"
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
    // The handshake of TLS included.
    let mut connector = TimeoutConnector::new(tls.enable_all_versions().wrap_connector(tcp));
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let client = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(kube::Client::new(service, config.default_namespace))
}

async fn named(context: &str) -> anyhow::Result<Config> {
    let options =
        KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let config = Config::from_kubeconfig(&options).await;
    let config = config.map_err(|error| anyhow::anyhow!(problem(&error)));
    config.with_context(|| {
        format!("use the context {context:?} of the kubeconfig; `--context` names it")
    })
}

/// What is wrong with a configuration, with the file's name where there is one, in one line.
fn problem(error: &(dyn std::error::Error + 'static)) -> String {
    let kubeconfig = error.downcast_ref().or_else(|| error.source()?.downcast_ref());
    match kubeconfig {
        Some(KubeconfigError::ReadConfig(why, path)) => {
            format!("cannot read {}: {why}", path.display())
        }
        Some(KubeconfigError::FindPath) => {
            ".kube/config was not looked for: the home directory is unknown".to_owned()
        }
        _ => one_line(&innermost(error), MAX_PROBLEM),
    }
}

/// The outer errors repeat what the inner ones say.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
