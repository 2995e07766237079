//! Whether the names of production are known. Nothing is requested from it.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Url;

use coordinator_core::endpoint::Endpoint;
use coordinator_core::finding::Finding;
use coordinator_http::{proxy_for, variable};

/// A name service that takes longer would cost every health check as much.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn findings(endpoints: &[Endpoint]) -> Vec<Finding> {
    if endpoints.is_empty() {
        return vec![Finding::ok("health checks are not configured: the roster has no [[health]]")];
    }
    join_all(endpoints.iter().map(resolve)).await
}

async fn resolve(Endpoint { name, url, .. }: &Endpoint) -> Finding {
    let Ok(url) = Url::parse(url) else {
        return Finding::fail(format!("the URL of {name} cannot be read"), "correct it in [[health]]");
    };
    let host = url.host_str().unwrap_or_default().to_owned();
    match proxy_for(&url, &variable) {
        Ok(None) => {}
        // The proxy looks the name up.
        Ok(Some(proxy)) => {
            return Finding::ok(format!("{name} is reached through the proxy {proxy}: {host}"));
        }
        Err(why) => return Finding::fail(format!("{name}: {why}"), "correct the variable"),
    }
    let lookup = tokio::task::spawn_blocking(move || url.socket_addrs(|| None));
    let remedy = "correct `url` in [[health]], or let this machine know the name";
    match tokio::time::timeout(LOOKUP_TIMEOUT, lookup).await {
        Ok(Ok(Ok(addresses))) if !addresses.is_empty() => {
            Finding::ok(format!("the address of {name} is known: {host}"))
        }
        Ok(Ok(Err(error))) => Finding::fail(format!("no address of {name}: {host}: {error}"), remedy),
        Ok(Ok(Ok(_)) | Err(_)) => Finding::fail(format!("no address of {name}: {host}"), remedy),
        Err(_) => {
            let seconds = LOOKUP_TIMEOUT.as_secs();
            Finding::fail(format!("no address of {name}: {host} was not found within {seconds} s"), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coordinator_core::endpoint::Redirects;
    use coordinator_core::finding::Grade;

    async fn check(url: &str) -> Finding {
        let endpoint = Endpoint {
            name: "production".to_owned(),
            url: url.to_owned(),
            expect: Vec::new(),
            timeout: Duration::from_secs(1),
            redirects: Redirects::default(),
        };
        findings(&[endpoint]).await.pop().expect("one finding per endpoint")
    }

    #[tokio::test]
    async fn a_known_name_is_fine_and_its_credentials_are_not_shown() {
        let finding = check("http://user:hunter22@127.0.0.1:9/healthz").await;
        assert_eq!(finding, Finding::ok("the address of production is known: 127.0.0.1"));
    }

    #[tokio::test]
    async fn an_unknown_name_is_a_failure_with_a_remedy() {
        // Too long for a question to a name server: it fails without the network.
        let host = "a".repeat(64) + ".invalid";
        let finding = check(&format!("http://{host}/")).await;
        assert_eq!(finding.grade, Grade::Fail);
        assert!(finding.what.starts_with(&format!("no address of production: {host}")), "{finding:?}");
        assert!(finding.remedy.is_some_and(|remedy| remedy.contains("[[health]]")));
    }

    #[tokio::test]
    async fn without_endpoints_that_is_said() {
        assert!(findings(&[]).await[0].what.contains("not configured"));
    }
}
