//! The inventory: one consistent, paged list of the fleet's Jobs, and their pods where some do not
//! run.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use super::Settings;
use super::answer::refusal;
use super::api::{Api, Ask};
use super::pause;
use super::record::{CONTROLLER_UID, Job, Pod, Pods};
use super::register::{self, Registers};
use super::stuck::{self, Events, Signs};
use crate::generated::{FLEET, SLOT};
use coordinator_core::fleet::{Listing, Pause, Run, Slot, SlotRecord, Unmanaged};

/// The page size of `kubectl`.
pub(super) const PAGE: &str = "500";

/// A list of the first page to the last, begun again when the server forgot it in between.
const MAX_RESTARTS: usize = 2;

/// More Jobs than a fleet can have, and an end for a server that always has a next page.
const MAX_PAGES: usize = 400;

/// Job uids in one label selector: the request's line stays well below the 8 KiB that proxies take.
const MAX_UIDS: usize = 100;

/// Why a session is stuck is worth this much of the inventory's time.
const MAX_EXPLAINING: Duration = Duration::from_secs(10);

/// The fleet's Jobs and pods by slot, as one list showed them.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// When the list was complete: what it does not show was gone by then.
    pub(super) at: Instant,
    pub(super) jobs: BTreeMap<Slot, Job>,
    pub(super) pods: Pods,
    /// `None` without work items.
    pub(super) registers: Option<Registers>,
    /// `None` where none were needed, or none could be read.
    events: Option<Events>,
    strangers: Vec<Job>,
    /// The Job that pauses the fleet.
    pause: Option<Job>,
}

/// A list, or a part of it.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) metadata: ListMeta,
    pub(super) items: Vec<T>,
}

/// The server refuses to list.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Refused {}

/// Asks for all Jobs of the fleet. A partial list is a failed list; `paused` has the pause all the
/// same where the Jobs were read.
pub(super) async fn view(
    api: &Api,
    settings: &Settings,
    paused: &RefCell<Option<Pause>>,
) -> anyhow::Result<Snapshot> {
    // Before the Jobs: what starts in between shows in the Jobs, or supersedes what is planned.
    let registers =
        if settings.has_items { Some(register::list(api, &settings.fleet).await?) } else { None };
    let selector = format!("{FLEET}={}", settings.fleet);
    let jobs: anyhow::Result<Vec<Job>> =
        pages(api, &api.jobs(), &[("labelSelector", &selector)]).await;
    let is_forbidden = |error: &anyhow::Error| {
        let refused = error.downcast_ref::<Refused>();
        refused.is_some_and(|refused| refused.status == StatusCode::FORBIDDEN)
    };
    if jobs.as_ref().err().is_some_and(is_forbidden) {
        api.note_refusal();
    }
    let jobs = jobs?;
    let pause_job = jobs.iter().find(|job| job.name() == pause::name(&settings.fleet));
    paused.replace(pause_job.map(pause::of));
    let (at, pods, strangers) = (Instant::now(), Pods::default(), Vec::new());
    let (events, pause) = (None, None);
    let mut view =
        Snapshot { at, jobs: BTreeMap::new(), pods, registers, events, strangers, pause };
    for job in jobs {
        if job.name() == pause::name(&settings.fleet) {
            view.pause = Some(job);
            continue;
        }
        match Slot::parse(&settings.fleet, job.name())
            .filter(|slot| slot.session_name(&settings.fleet) == job.name())
        {
            Some(slot) => {
                view.jobs.insert(slot, job);
            }
            None => view.strangers.push(job),
        }
    }
    let now = api.server_time();
    for (slot, register) in view.registers.iter_mut().flatten() {
        if let (Ok(register), Some(now)) = (register, now) {
            register.give_up(
                view.jobs.get(slot).map(Job::generation),
                settings.unseen_after(),
                now,
            );
        }
    }
    let is_late =
        |job: &&Job| now.is_some_and(|now| stuck::is_late(job, &settings.kubernetes, now));
    let late: Vec<&Job> = view.jobs.values().filter(is_late).collect();
    if late.len() > MAX_UIDS || view.jobs.values().any(|job| job.end().is_some()) {
        view.pods = self::pods(api, &selector).await;
    }
    if !late.is_empty() {
        let explained = timeout(MAX_EXPLAINING, explain(api, &late, &mut view.pods)).await;
        let explained =
            explained.unwrap_or_else(|_| anyhow::bail!("timed out after {MAX_EXPLAINING:?}"));
        view.events = explained.unwrap_or_else(|error| {
            tracing::warn!("some reasons why sessions are stuck are unknown: {error:#}");
            None
        });
    }
    Ok(view)
}

/// Reads the pods that were not read yet, which may run, and the events where neither Job nor pod
/// has the cause.
async fn explain(api: &Api, late: &[&Job], pods: &mut Pods) -> anyhow::Result<Option<Events>> {
    let without: Vec<&str> =
        late.iter().filter(|job| pods.of(job).is_none()).map(|job| job.uid()).collect();
    for uids in without.chunks(MAX_UIDS) {
        let selector = format!("{CONTROLLER_UID} in ({})", uids.join(","));
        pods.add(pages(api, &api.pods(), &[("labelSelector", &selector)]).await?);
    }
    if late.iter().all(|job| stuck::is_explained(pods.of(job))) {
        return Ok(None);
    }
    stuck::events(api).await.map(Some)
}

/// Pods have exit codes, last output, and the reason why a session does not start. A cycle works
/// without them.
async fn pods(api: &Api, selector: &str) -> Pods {
    let query = [("labelSelector", selector), ("fieldSelector", "status.phase!=Running")];
    let found: anyhow::Result<Vec<Pod>> = pages(api, &api.pods(), &query).await;
    match found {
        Ok(pods) => Pods::new(pods),
        Err(error) => {
            tracing::warn!("exit codes and last output are unknown: {error:#}");
            Pods::default()
        }
    }
}

/// Never with a resourceVersion: without one the list is consistent.
pub(super) async fn pages<T: DeserializeOwned>(
    api: &Api,
    path: &str,
    query: &[(&str, &str)],
) -> anyhow::Result<Vec<T>> {
    let mut restarts = 0;
    let mut items: Vec<T> = Vec::new();
    let mut next = String::new();
    for _ in 0..MAX_PAGES {
        let mut query = query.to_vec();
        query.push(("limit", PAGE));
        if !next.is_empty() {
            query.push(("continue", &next));
        }
        let ask = Ask { path: path.to_owned(), query: &query, ..Ask::default() };
        let answer = api.ask(&ask).await.map_err(|lost| anyhow::anyhow!(lost.0))?;
        match answer.status {
            StatusCode::OK => {
                let page: Page<T> = answer.parse().map_err(|lost| anyhow::anyhow!(lost.0))?;
                items.extend(page.items);
                next = page.metadata.continue_.unwrap_or_default();
                if next.is_empty() {
                    return Ok(items);
                }
            }
            // The token in the answer would continue an inconsistent list.
            StatusCode::GONE if restarts < MAX_RESTARTS => {
                restarts += 1;
                items.clear();
                next.clear();
            }
            status => anyhow::bail!(Refused { status, why: refusal(&answer) }),
        }
    }
    anyhow::bail!("the API server's list has more than {MAX_PAGES} pages")
}

/// One page of a list.
pub(super) async fn page<T: DeserializeOwned>(
    api: &Api,
    path: &str,
    query: &[(&str, &str)],
) -> anyhow::Result<Page<T>> {
    let ask = Ask { path: path.to_owned(), query, ..Ask::default() };
    let answer = api.ask(&ask).await.map_err(|lost| anyhow::anyhow!(lost.0))?;
    anyhow::ensure!(answer.status == StatusCode::OK, "{}", refusal(&answer));
    answer.parse().map_err(|lost| anyhow::anyhow!(lost.0))
}

impl Snapshot {
    /// The same in the terms of every platform, at `now` by the server's clock.
    pub(super) fn listing(&self, settings: &Settings, now: Option<SystemTime>) -> Listing {
        let remembered = self.registers.iter().flat_map(BTreeMap::keys);
        let slots: BTreeSet<&Slot> = self.jobs.keys().chain(remembered).collect();
        let slots = slots.into_iter().map(|slot| (slot.clone(), self.slot_record(slot)));
        let stuck = self.jobs.iter().filter_map(|(slot, job)| {
            let signs = Signs { pod: self.pods.of(job), events: self.events.as_ref() };
            stuck::stuck(slot, job, signs, &settings.kubernetes, now?)
        });
        let live = self.strangers.iter().filter(|job| job.end().is_none());
        let unmanaged = live.map(|job| Unmanaged {
            session: job.name().to_owned(),
            reason: format!(
                "it has the fleet's label, but {SLOT} does not name a slot of the fleet; \
                 it is neither counted nor touched"
            ),
        });
        Listing {
            slots: slots.collect(),
            unmanaged: unmanaged.collect(),
            stuck: stuck.collect(),
            leftovers: Vec::new(),
            paused: self.pause.as_ref().map(pause::of),
            as_of: now,
        }
    }

    /// The runs that ended Jobs and registers remember.
    pub(super) fn runs(&self) -> Vec<(Slot, Run)> {
        let registers = self.registers.iter().flatten();
        let registers =
            registers.filter_map(|(slot, register)| Some((slot, register.as_ref().ok()?)));
        let kept =
            registers.flat_map(|(slot, register)| register.runs().map(move |run| (slot, run)));
        let kept: Vec<(Slot, Run)> = kept.map(|(slot, run)| (slot.clone(), run.clone())).collect();
        let jobs = self.jobs.keys().flat_map(|slot| {
            let history = self.slot_record(slot).history;
            history.into_iter().map(|run| (slot.clone(), run))
        });
        jobs.chain(kept).collect()
    }

    /// Why registers cannot be read.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = &str> {
        let registers = self.registers.iter().flat_map(BTreeMap::values);
        registers.filter_map(|register| register.as_ref().err().map(String::as_str))
    }

    fn slot_record(&self, slot: &Slot) -> SlotRecord {
        let job = self.jobs.get(slot);
        let register =
            self.registers.as_ref().and_then(|registers| registers.get(slot)?.as_ref().ok());
        match (register, job) {
            (Some(register), job) => register.slot_record(job, &self.pods),
            (None, Some(job)) => job.slot_record(&self.pods),
            (None, None) => SlotRecord::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::stream;
    use http::Response;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;
    use kube::client::Body;

    use super::*;

    /// The error of a list from a server that answers like this; how often it was asked.
    async fn refused<B>(answer: impl Fn() -> Response<B> + Clone + Send + 'static) -> (String, u64)
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<tower::BoxError>,
    {
        let service = tower::service_fn(move |_: http::Request<Body>| {
            let answer = answer.clone();
            async move { Ok::<_, Infallible>(answer()) }
        });
        let until = Instant::now() + Duration::from_secs(60);
        let api = Api::new(kube::Client::new(service, "agents"), "agents".to_owned(), until);
        let listed: anyhow::Result<Vec<Job>> = pages(&api, &api.jobs(), &[]).await;
        (listed.expect_err("it is not a list").to_string(), api.requests())
    }

    fn json(status: u16, text: &'static str) -> Response<Full<Bytes>> {
        let response =
            Response::builder().status(status).header("retry-after", u64::MAX.to_string());
        response.body(Full::new(text.into())).expect("a good response")
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut_off() {
        const MIB: &[u8] = &[b' '; 1 << 20];
        let sent = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&sent);
        let endless = move || {
            let count = Arc::clone(&count);
            let frames = stream::repeat_with(move || {
                count.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(MIB)))
            });
            Response::new(StreamBody::new(frames))
        };
        let (error, _) = refused(endless).await;
        assert!(error.contains("length limit"), "{error}");
        assert!(sent.load(Ordering::Relaxed) <= 129, "{sent:?} MiB were read");
    }

    #[tokio::test]
    async fn a_list_that_always_has_a_next_page_ends() {
        let page = || json(200, r#"{"metadata":{"continue":"on"},"items":[]}"#);
        let (error, requests) = refused(page).await;
        assert!(error.contains("has more than"), "{error}");
        assert_eq!(requests, MAX_PAGES as u64);
    }

    #[tokio::test]
    async fn a_pause_of_more_years_than_a_clock_has_is_not_waited_for() {
        let (error, requests) = refused(|| json(429, "{}")).await;
        assert!(error.contains("overloaded"), "{error}");
        assert_eq!(requests, 1);
    }

    #[tokio::test]
    async fn what_is_told_of_an_answer_is_short_whatever_it_was() {
        let long: &'static str = format!(r#"{{"items":"{}"}}"#, "x".repeat(1 << 20)).leak();
        let (error, _) = refused(move || json(200, long)).await;
        assert!(error.len() < 5000, "{} bytes", error.len());
        let long: &'static str = format!(r#"{{"message":"{}"}}"#, "x".repeat(1 << 20)).leak();
        let (error, _) = refused(move || json(500, long)).await;
        assert!(error.len() < 5000, "{} bytes", error.len());
    }
}
