//! The HTTP client of a run, for GitHub and for production alike: setting up TLS reads every root certificate of the
//! machine, which once is enough.

use anyhow::Context;

/// A client that verifies certificates, follows no redirect and repeats nothing. It waits for ever: whoever asks bounds
/// the whole exchange.
///
/// Fails where TLS cannot be set up.
pub fn client() -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("coordinator/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .build()
        .context("set up the HTTP client")
}
