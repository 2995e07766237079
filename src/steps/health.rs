//! Step 4: one GET to each endpoint of production. Only status and headers of an answer are read.

use std::cell::Cell;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use reqwest::{Method, Request, Response, StatusCode, Url, header};

use coordinator_core::endpoint::{Endpoint, Redirects};
use coordinator_core::report::{Cause, EndpointHealth, HealthReport, HealthVerdict};
use coordinator_core::sanitize::one_line;
use coordinator_http::{Attempt, Client, Failure};

const MAX_REDIRECTS: usize = 8;

/// A longer address of a redirect is cut.
const MAX_LOCATION_CHARS: usize = 200;

/// Sends one request to each endpoint, all at once; redirects are followed here, not by the client.
/// `body` has the answers in roster order, each from the moment it came, so that a caller that
/// drops this future keeps them. `requests` counts one per endpoint, redirects included, and one
/// more where a dropped connection is tried again.
pub async fn run(
    body: &mut HealthReport,
    client: &Client,
    endpoints: &[Endpoint],
    requests: &Cell<u64>,
) {
    let mut answers: FuturesUnordered<_> =
        endpoints
            .iter()
            .enumerate()
            .map(|(position, endpoint)| async move {
                (position, check(client, endpoint, requests).await)
            })
            .collect();
    requests.set(requests.get() + endpoints.len() as u64);
    let mut positions = Vec::new();
    while let Some((position, health)) = answers.next().await {
        let at = positions.partition_point(|earlier| *earlier < position);
        positions.insert(at, position);
        body.endpoints.insert(at, health);
    }
}

/// What a status means for an endpoint that should answer with one of `expect`; empty: any 2xx. A
/// 5xx that is not expected is down, every other status is unexpected.
pub fn judge(status: u16, expect: &[u16]) -> HealthVerdict {
    let expected =
        if expect.is_empty() { (200..300).contains(&status) } else { expect.contains(&status) };
    match status {
        _ if expected => HealthVerdict::Up,
        500..600 => HealthVerdict::Down,
        _ => HealthVerdict::Unexpected,
    }
}

/// The URL without its credentials, which are before the `@` of its host.
pub fn without_credentials(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#', '\\']).map_or(url.len(), |at| start + at);
    match url[start..end].rfind('@') {
        Some(at) => format!("{}***{}", &url[..start], &url[start + at..]),
        None => url.to_owned(),
    }
}

/// The last answer, and why it is the last one where it redirects.
struct Answer {
    status: u16,
    stray: Option<String>,
}

/// What happened before the answer, also where none comes.
#[derive(Default)]
struct Progress {
    /// Some server answered.
    reached: Cell<bool>,
    /// The first connection that dropped.
    dropped: Cell<Option<Failure>>,
}

async fn check(client: &Client, endpoint: &Endpoint, requests: &Cell<u64>) -> EndpointHealth {
    let started = Instant::now();
    let (progress, attempt) = (Progress::default(), Attempt::default());
    let answer = attempt.of(follow(client, endpoint, requests, &progress));
    let answer = match tokio::time::timeout(endpoint.timeout, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::late(endpoint.timeout, attempt.is_connecting())),
    };
    let latency = started.elapsed();
    let (status, verdict, error, cause) = match answer {
        Ok(Answer { status, stray }) => {
            let verdict = judge(status, &endpoint.expect);
            let cause = stray.is_some().then_some(Cause::Redirect);
            (Some(status), verdict, stray, cause)
        }
        Err(Failure { cause: Cause::TooManyHeaders, sentence, .. }) => {
            (None, HealthVerdict::Unexpected, Some(sentence), Some(Cause::TooManyHeaders))
        }
        Err(Failure { cause, sentence, .. }) => {
            (None, HealthVerdict::PotentialOutage, Some(sentence), Some(cause))
        }
    };
    let reached = progress.reached.get() || !cause.as_ref().is_some_and(Cause::is_unreachable);
    let error = both(progress.dropped.take(), status, error);
    let url = without_credentials(&endpoint.url);
    EndpointHealth {
        name: endpoint.name.clone(),
        url,
        status,
        verdict,
        latency,
        error,
        cause,
        reached,
    }
}

/// Both answers, where the first connection dropped.
fn both(dropped: Option<Failure>, status: Option<u16>, error: Option<String>) -> Option<String> {
    let Some(first) = dropped else { return error };
    let second = match (status, error) {
        (Some(status), None) => status.to_string(),
        (Some(status), Some(error)) => format!("{status}, {error}"),
        (None, error) => error.unwrap_or_else(|| "no answer".to_owned()),
    };
    Some(format!("first {first}; tried again at once: {second}"))
}

/// Follows redirects by hand, because an endpoint may expect one: `expect = [301]`. A body is never
/// read: dropping the response ends the transfer.
async fn follow(
    client: &Client,
    endpoint: &Endpoint,
    requests: &Cell<u64>,
    progress: &Progress,
) -> Result<Answer, Failure> {
    let Ok(start) = Url::parse(&endpoint.url) else {
        return Err(Failure::of_url());
    };
    let mut visited = vec![start.clone()];
    loop {
        let url = visited.last().unwrap_or(&start);
        let response = get(client, url, requests, progress).await?;
        progress.reached.set(true);
        let status = response.status().as_u16();
        let next = next(&response).filter(|_| !endpoint.expect.contains(&status));
        match next {
            None => return Ok(Answer { status, stray: None }),
            Some(next) => match stray(&next, &visited, endpoint.redirects) {
                Some(why) => return Ok(Answer { status, stray: Some(why) }),
                None => visited.push(next),
            },
        }
    }
}

/// One GET. The first connection of an endpoint that drops before its answer is tried once more at
/// once: a server that restarts, or a middlebox, drops one now and then.
async fn get(
    client: &Client,
    url: &Url,
    requests: &Cell<u64>,
    progress: &Progress,
) -> Result<Response, Failure> {
    loop {
        let answer = client.send(Request::new(Method::GET, url.clone())).await;
        let failure = match answer {
            Ok(response) => return Ok(response),
            Err(error) => Failure::of(error.as_ref(), Some(url)),
        };
        let earlier = progress.dropped.take();
        let is_first = earlier.is_none() && failure.cause == Cause::Dropped;
        progress.dropped.set(if is_first { Some(failure.clone()) } else { earlier });
        if !is_first {
            return Err(failure);
        }
        requests.set(requests.get() + 1);
    }
}

/// Where the answer redirects to.
fn next(response: &Response) -> Option<Url> {
    let redirects = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let mut url = response.url().join(location).ok()?;
    // No request carries it, and two addresses that differ in it alone are one.
    url.set_fragment(None);
    redirects.contains(&response.status()).then_some(url)
}

/// Why a redirect to `next` is not followed. `visited` begins with the endpoint's own URL.
fn stray(next: &Url, visited: &[Url], redirects: Redirects) -> Option<String> {
    let to = shown(next);
    if !matches!(next.scheme(), "http" | "https") {
        return Some(format!("redirects to {to}, which is not http or https"));
    }
    match redirects {
        Redirects::None => {
            return Some(format!(
                "redirects to {to}, which `redirects = \"none\"` does not follow"
            ));
        }
        Redirects::SameHost if visited.first().is_some_and(|start| !is_same_host(start, next)) => {
            return Some(format!("redirects to another host: {to}"));
        }
        Redirects::SameHost | Redirects::Follow => {}
    }
    if visited.contains(next) {
        return Some(format!("redirects in a loop: back to {to}"));
    }
    (visited.len() > MAX_REDIRECTS)
        .then(|| format!("redirects more than {MAX_REDIRECTS} times, last to {to}"))
}

/// Compares hosts without scheme, port and a leading `www.`.
fn is_same_host(one: &Url, other: &Url) -> bool {
    let bare = |url: &Url| {
        let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_owned();
        host.strip_prefix("www.").map_or(host.clone(), str::to_owned)
    };
    bare(one) == bare(other)
}

/// The query may contain credentials.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    one_line(&without_credentials(url.as_str()), MAX_LOCATION_CHARS)
}

#[cfg(test)]
mod tests;
