//! Whether the fault is on this machine: without a network, production cannot be judged.

use coordinator_core::report::{Cause, Contact, EndpointHealth, Report};

/// Nothing could be reached, by name or by route.
pub(super) struct Offline {
    /// What could not be reached, and what seems to be offline; for people.
    pub(super) reason: String,
    pub(super) action: String,
}

/// Found when everything that was tried is out of reach, and not production alone. A single server
/// that refuses may be down itself.
pub(super) fn offline(report: &Report) -> Option<Offline> {
    let endpoints = &report.health.body.endpoints;
    let (github, cluster) = (&report.contacts.github, &report.contacts.cluster);
    let is_reached = [github, cluster].contains(&&Contact::Reached);
    if is_reached || endpoints.iter().any(|endpoint| endpoint.reached) {
        return None;
    }
    let servers = [("GitHub", github), ("the cluster", cluster)];
    let servers: Vec<(&str, &Cause)> = servers
        .into_iter()
        .filter_map(|(name, contact)| Some((name, contact.failure()?)))
        .collect();
    let causes: Vec<&Cause> = servers
        .iter()
        .map(|(_, cause)| *cause)
        .chain(endpoints.iter().filter_map(|endpoint| endpoint.cause.as_ref()))
        .collect();
    if servers.is_empty() || causes == [&Cause::Refused] {
        return None;
    }
    let names = servers.iter().map(|(name, _)| (*name).to_owned()).chain(production(endpoints));
    let (who, what) = culprit(&causes);
    Some(Offline {
        reason: format!(
            "offline: {}; {who} seems to be offline",
            unreached(&names.collect::<Vec<_>>())
        ),
        action: format!("{what}; the state of production is unknown"),
    })
}

fn production(endpoints: &[EndpointHealth]) -> Option<String> {
    match endpoints {
        [] => None,
        [endpoint] => Some(endpoint.name.clone()),
        several => Some(format!("any of {} endpoints", several.len())),
    }
}

fn unreached(names: &[String]) -> String {
    match names {
        [name] => format!("{name} cannot be reached"),
        several => format!("neither {} can be reached", several.join(" nor ")),
    }
}

/// What seems to be offline, and what to do about it.
fn culprit(causes: &[&Cause]) -> (String, String) {
    let proxies = causes.iter().filter_map(|cause| match cause {
        Cause::Proxy(proxy) => Some(proxy.as_str()),
        _ => None,
    });
    let mut proxies: Vec<&str> = proxies.collect();
    let all_by_proxy = proxies.len() == causes.len();
    proxies.sort_unstable();
    proxies.dedup();
    match proxies.as_slice() {
        [] => (
            "this machine".to_owned(),
            "look at this machine's network and its name service, then run the cycle again"
                .to_owned(),
        ),
        [proxy] if all_by_proxy => (
            format!("the proxy {proxy}"),
            format!(
                "look at the proxy {proxy} and at this machine's network, then run the cycle again"
            ),
        ),
        several => {
            let proxies = several.join(" or ");
            (
                format!("this machine or its proxy {proxies}"),
                format!(
                    "look at this machine's network and at the proxy {proxies}, then run the \
                    cycle again"
                ),
            )
        }
    }
}
