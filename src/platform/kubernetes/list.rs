//! The inventory: one consistent, paged list of the fleet's Jobs, and their pods where some do not run.

use std::collections::BTreeMap;
use std::time::SystemTime;

use http::{Method, StatusCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Settings;
use super::answer::refusal;
use super::api::{Api, Ask};
use super::job::{FLEET, SLOT};
use super::record::{Job, Pod, Pods};
use super::stuck;
use crate::fleet::{Listing, Slot, Unmanaged};

/// What `kubectl` asks for, too.
const PAGE: &str = "500";

/// A list of the first page to the last, begun again when the server forgot it in between.
const MOST_RESTARTS: usize = 2;

/// The fleet's Jobs and pods by slot, as one list showed them.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) jobs: BTreeMap<Slot, Job>,
    pub(super) pods: Pods,
    strangers: Vec<Job>,
}

/// A list, or a part of it.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    metadata: ListMeta,
    pub(super) items: Vec<T>,
}

/// Asks for all Jobs of the fleet. A partial list is a failed list.
pub(super) async fn view(api: &Api, settings: &Settings) -> anyhow::Result<View> {
    let selector = format!("{FLEET}={}", settings.fleet);
    let jobs: Vec<Job> = pages(api, &api.jobs(), &[("labelSelector", &selector)]).await?;
    let mut view = View::default();
    for job in jobs {
        match Slot::parse(&settings.fleet, job.name())
            .filter(|slot| slot.session_name(&settings.fleet) == job.name())
        {
            Some(slot) => {
                view.jobs.insert(slot, job);
            }
            None => view.strangers.push(job),
        }
    }
    let is_late = |job: &Job| {
        api.server_time().is_some_and(|now| stuck::is_pending_too_long(job, &settings.kubernetes, now))
    };
    let wants_pods = |job: &Job| job.end().is_some() || is_late(job);
    if view.jobs.values().any(wants_pods) {
        view.pods = pods(api, &selector).await;
    }
    Ok(view)
}

/// Pods tell exit codes, last words, and why a session does not start. The fleet can be kept without.
async fn pods(api: &Api, selector: &str) -> Pods {
    let query = [("labelSelector", selector), ("fieldSelector", "status.phase!=Running")];
    let found: anyhow::Result<Vec<Pod>> = pages(api, &api.pods(), &query).await;
    match found {
        Ok(pods) => Pods::new(pods),
        Err(error) => {
            tracing::warn!("exit codes and last words are unknown: {error:#}");
            Pods::default()
        }
    }
}

/// Never with a resourceVersion: without one the list is consistent.
async fn pages<T: DeserializeOwned>(api: &Api, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Vec<T>> {
    let mut restarts = 0;
    let mut items: Vec<T> = Vec::new();
    let mut next = String::new();
    loop {
        let mut query = query.to_vec();
        query.push(("limit", PAGE));
        if !next.is_empty() {
            query.push(("continue", &next));
        }
        let ask = Ask { method: Method::GET, path: path.to_owned(), query: &query, body: None };
        let answer = api.ask(&ask).await.map_err(|lost| anyhow::anyhow!("{}", unreachable(&lost.0)))?;
        match answer.status {
            StatusCode::OK => {
                let page: Page<T> = answer.parse().map_err(|lost| anyhow::anyhow!("{}", lost.0))?;
                items.extend(page.items);
                next = page.metadata.continue_.unwrap_or_default();
                if next.is_empty() {
                    return Ok(items);
                }
            }
            // The token that comes with the answer would go on with an inconsistent list.
            StatusCode::GONE if restarts < MOST_RESTARTS => {
                restarts += 1;
                items.clear();
                next.clear();
            }
            _ => anyhow::bail!("{}", refusal(&answer)),
        }
    }
}

/// What to do when there was no answer.
pub(super) fn unreachable(why: &str) -> String {
    format!("no answer from the API server (is the cluster up, and does the kubeconfig name it?): {why}")
}

impl View {
    /// The same in the terms of every platform, at `now` by the server's clock.
    pub(super) fn listing(&self, settings: &Settings, now: Option<SystemTime>) -> Listing {
        let slots = self.jobs.iter().map(|(slot, job)| (slot.clone(), job.slot_record(&self.pods)));
        let stuck = self
            .jobs
            .iter()
            .filter_map(|(slot, job)| stuck::stuck(slot, job, self.pods.of(job), &settings.kubernetes, now?));
        let live = self.strangers.iter().filter(|job| job.end().is_none());
        let unmanaged = live.map(|job| Unmanaged {
            session: job.name().to_owned(),
            reason: format!(
                "carries the fleet's label but {SLOT} names no slot of it; nothing counts or touches it"
            ),
        });
        Listing { slots: slots.collect(), unmanaged: unmanaged.collect(), stuck: stuck.collect(), as_of: now }
    }
}
