//! What the cluster's events say of sessions that are stuck.

use std::collections::BTreeMap;
use std::time::SystemTime;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use serde::Deserialize;

use super::api::Api;
use super::list::{self, PAGE, Page};
use super::record::system_time;

/// A namespace that others share may have many; what none of these explains is left to `kubectl
/// describe`.
const MAX_PAGES: usize = 4;

/// The newest warning about each object, by the object's uid.
#[derive(Debug, Clone, Default)]
pub(super) struct Events(BTreeMap<String, (SystemTime, String)>);

/// The part of an event that is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    involved_object: Object,
    reason: Option<String>,
    message: Option<String>,
    last_timestamp: Option<Time>,
    #[serde(rename = "eventTime")]
    first_time: Option<MicroTime>,
    series: Option<Series>,
}

#[derive(Debug, Deserialize)]
struct Object {
    uid: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Series {
    last_observed_time: Option<MicroTime>,
}

/// The namespace's warnings: one request per 500 of them.
pub(super) async fn read(api: &Api) -> anyhow::Result<Events> {
    let path = format!("/api/v1/namespaces/{}/events", api.namespace());
    let mut events = Events::default();
    let mut next = String::new();
    for _ in 0..MAX_PAGES {
        let mut query = vec![("fieldSelector", "type=Warning"), ("limit", PAGE)];
        if !next.is_empty() {
            query.push(("continue", next.as_str()));
        }
        let page: Page<Event> = list::page(api, &path, &query).await?;
        let token = page.metadata.continue_.unwrap_or_default();
        page.items.into_iter().for_each(|event| events.add(event));
        next = token;
        if next.is_empty() {
            break;
        }
    }
    Ok(events)
}

impl Events {
    pub(super) fn add(&mut self, event: Event) {
        let Some((uid, at, text)) = event.read() else { return };
        if self.0.get(&uid).is_none_or(|(known, _)| *known <= at) {
            self.0.insert(uid, (at, text));
        }
    }

    /// `FailedCreate: Error creating: pods "demo-qa-s0-x7f2k" is forbidden: exceeded quota ..`.
    pub(super) fn of(&self, uid: &str) -> Option<&str> {
        self.0.get(uid).map(|(_, text)| text.as_str())
    }
}

impl Event {
    fn read(self) -> Option<(String, SystemTime, String)> {
        let uid = self.involved_object.uid.filter(|uid| !uid.is_empty())?;
        let micro = |time: MicroTime| SystemTime::from(time.0);
        let observed = self.series.and_then(|series| series.last_observed_time).map(micro);
        let last = self.last_timestamp.as_ref().map(system_time);
        let at = observed.or(last).or(self.first_time.map(micro)).unwrap_or(SystemTime::UNIX_EPOCH);
        let text = match (self.reason, self.message) {
            (Some(reason), Some(message)) => format!("{reason}: {message}"),
            (reason, message) => reason.or(message)?,
        };
        Some((uid, at, text))
    }
}
