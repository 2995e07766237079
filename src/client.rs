//! The HTTP client of a run, for GitHub and for production alike.

use anyhow::Context;

use crate::roots;

/// [`client`], for a run that is going to ask these addresses.
///
/// Fails as it does.
pub fn client_for<'a>(mut urls: impl Iterator<Item = &'a str>) -> anyhow::Result<reqwest::Client> {
    if cfg!(target_os = "linux") && urls.any(|url| url.starts_with("https:")) {
        roots::read_ahead();
    }
    client()
}

/// A client that verifies certificates, follows no redirect and repeats nothing. It waits for ever: whoever asks bounds
/// the whole exchange.
///
/// Fails where TLS cannot be set up.
pub fn client() -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("coordinator/", env!("CARGO_PKG_VERSION")))
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
