//! From a kubeconfig, or from inside a pod, to a client.

use std::time::Duration;

use anyhow::Context;
use http::HeaderValue;
use http::header::USER_AGENT;
use kube::client::ClientBuilder;
use kube::config::{Config, KubeConfigOptions, KubeconfigError};
use tokio::time::{Instant, timeout};

use crate::untrusted::one_line;

/// A connection that is not there by then will not be.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A parser's words on a file that is no YAML may go on and on.
const LONGEST_PROBLEM: usize = 300;

/// How the API server's audit log and metrics name this program.
const AGENT: &str = concat!("coordinator/", env!("CARGO_PKG_VERSION"));

/// The client, and the namespace that its configuration names.
///
/// The kubeconfig is the one that `KUBECONFIG` names, else `~/.kube/config`; without any, the service account of the
/// pod that this program runs in. Fails, in one line, without either and with a context that is not there.
/// The program that a kubeconfig may name to fetch a token has [`CONNECT_TIMEOUT`], or a quarter of what is left
/// before `until`: the steps that need no cluster wait for it.
pub(super) async fn client(context: Option<&str>, until: Instant) -> anyhow::Result<(kube::Client, String)> {
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
    // The next cycle is the retry: kube would go on for up to an hour, and write by an old list.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = None;
    config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));
    let namespace = config.default_namespace.clone();
    let limit = CONNECT_TIMEOUT.min(until.saturating_duration_since(Instant::now()) / 4);
    let build = tokio::task::spawn_blocking(|| ClientBuilder::try_from(config).map(ClientBuilder::build));
    let seconds = limit.as_secs_f64();
    let client = match timeout(limit, build).await {
        Ok(Ok(built)) => built.map_err(|error| anyhow::anyhow!("{}", innermost(&error))),
        Ok(Err(panicked)) => Err(panicked.into()),
        Err(_) => anyhow::bail!(
            "the kubeconfig gave no credentials within {seconds:.1} s; does the program that it names for them hang?"
        ),
    };
    Ok((client.context("use the credentials of the kubeconfig")?, namespace))
}

async fn named(context: &str) -> anyhow::Result<Config> {
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let config = Config::from_kubeconfig(&options).await;
    let config = config.map_err(|error| anyhow::anyhow!(problem(&error)));
    config.with_context(|| format!("use the context {context:?} of the kubeconfig; `--context` names it"))
}

/// What is wrong with a configuration, with the file's name where there is one, in one line.
fn problem(error: &(dyn std::error::Error + 'static)) -> String {
    let kubeconfig = error.downcast_ref().or_else(|| error.source()?.downcast_ref());
    match kubeconfig {
        Some(KubeconfigError::ReadConfig(why, path)) => format!("cannot read {}: {why}", path.display()),
        Some(KubeconfigError::FindPath) => "there is no home directory with a .kube/config".to_owned(),
        _ => one_line(&innermost(error), LONGEST_PROBLEM),
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
