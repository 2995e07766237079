//! Step 4: asks production how it is, and changes nothing (R1-050 to R1-053). Only status lines are read.

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use reqwest::{Client, Response, StatusCode, Url, header};

use crate::report::{EndpointHealth, HealthReport, HealthVerdict};
use crate::roster::Endpoint;
use crate::untrusted::one_line;

const MAX_REDIRECTS: usize = 3;

/// Asks all endpoints at once; redirects are followed here, not by the client. `body` has the answers in roster order,
/// each from the moment it came, so that whoever drops this future keeps them; `requests` counts one per endpoint,
/// redirects included.
pub async fn run(body: &mut HealthReport, client: &Client, endpoints: &[Endpoint], requests: &Cell<u64>) {
    let mut answers: FuturesUnordered<_> = endpoints
        .iter()
        .enumerate()
        .map(|(position, endpoint)| async move { (position, ask(client, endpoint).await) })
        .collect();
    requests.set(requests.get() + endpoints.len() as u64);
    let mut positions = Vec::new();
    while let Some((position, health)) = answers.next().await {
        let at = positions.partition_point(|earlier| *earlier < position);
        positions.insert(at, position);
        body.endpoints.insert(at, health);
    }
}

/// What a status means for an endpoint that should answer one of `expect`; empty is any 2xx (R1-051).
pub fn judge(status: u16, expect: &[u16]) -> HealthVerdict {
    let expected = if expect.is_empty() { (200..300).contains(&status) } else { expect.contains(&status) };
    match status {
        _ if expected => HealthVerdict::Up,
        500..600 => HealthVerdict::Down,
        _ => HealthVerdict::Unexpected,
    }
}

/// The URL as people may see it: what stands before the `@` of its host is a credential.
pub fn without_credentials(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#', '\\']).map_or(url.len(), |at| start + at);
    match url[start..end].rfind('@') {
        Some(at) => format!("{}***{}", &url[..start], &url[start + at..]),
        None => url.to_owned(),
    }
}

/// The head of the last answer, and whether it was one redirect too many.
struct Answer {
    status: u16,
    redirected_too_often: bool,
}

async fn ask(client: &Client, endpoint: &Endpoint) -> EndpointHealth {
    let started = Instant::now();
    let answer = tokio::time::timeout(endpoint.timeout, follow(client, endpoint)).await;
    let latency = started.elapsed();
    let (status, verdict, error) = match answer {
        Ok(Ok(Answer { status, redirected_too_often })) => {
            let error = redirected_too_often.then(|| format!("redirected more than {MAX_REDIRECTS} times"));
            (Some(status), judge(status, &endpoint.expect), error)
        }
        Ok(Err(error)) => (None, HealthVerdict::PotentialOutage, Some(explain(&error))),
        Err(_) => (None, HealthVerdict::PotentialOutage, Some(too_slow(endpoint.timeout))),
    };
    let url = without_credentials(&endpoint.url);
    EndpointHealth { name: endpoint.name.clone(), url, status, verdict, latency, error }
}

/// Follows redirects by hand, because an endpoint may expect one: `expect = [301]`. A body is never read: dropping
/// the response ends the transfer.
async fn follow(client: &Client, endpoint: &Endpoint) -> reqwest::Result<Answer> {
    let mut response = client.get(&endpoint.url).send().await?;
    for _ in 0..MAX_REDIRECTS {
        let status = response.status().as_u16();
        match next(&response) {
            Some(url) if !endpoint.expect.contains(&status) => response = client.get(url).send().await?,
            _ => return Ok(Answer { status, redirected_too_often: false }),
        }
    }
    let status = response.status().as_u16();
    let redirected_too_often = next(&response).is_some() && !endpoint.expect.contains(&status);
    Ok(Answer { status, redirected_too_often })
}

fn next(response: &Response) -> Option<Url> {
    let redirects = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let url = response.url().join(location).ok()?;
    (redirects.contains(&response.status()) && matches!(url.scheme(), "http" | "https")).then_some(url)
}

fn too_slow(timeout: Duration) -> String {
    format!("no answer within {}", humantime::format_duration(timeout))
}

/// The innermost cause in words for people. The outer ones name the URL, which may carry credentials.
fn explain(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let cause = match cause.downcast_ref::<io::Error>() {
        Some(error) if error.raw_os_error().is_some() => error.kind().to_string(),
        Some(error) => error.to_string(),
        None if cause.is::<reqwest::Error>() => "the request could not be built".to_owned(),
        None => cause.to_string(),
    };
    let what = if error.is_connect() { "no connection" } else { "no HTTP answer" };
    one_line(&format!("{what}: {cause}"), 300)
}

#[cfg(test)]
mod tests;
