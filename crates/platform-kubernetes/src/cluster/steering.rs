//! How a person steers the fleet on a cluster, and looks back at it. It takes permissions that
//! people have, and the coordinator's own Role lacks.

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{anyhow, bail};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::answer::refusal;
use super::api::Ask;
use super::list::{self, Page};
use super::{Kubernetes, pause};
use crate::generated::AGENT;
use coordinator_core::budget::WINDOW;
use coordinator_core::fleet::{Pause, Run, Slot};
use coordinator_core::platform::{Attach, Ended};

/// The label of the coordinator's own `CronJob`, as `coordinator init --kubernetes` writes it.
const OWN_CRON_JOB: &str = "app.kubernetes.io/name=coordinator";

impl Kubernetes {
    /// Pauses the fleet for every cycle to come. A second pause replaces the first one.
    pub async fn pause(&self, pause: &Pause) -> anyhow::Result<()> {
        let body = pause::job(&self.settings.fleet, pause);
        let path = self.api.jobs();
        let ask = Ask { method: Method::POST, path, body: Some(&body), ..Ask::default() };
        let answer = self.api.ask(&ask).await.map_err(|lost| anyhow!(lost.0))?;
        match answer.status {
            status if status.is_success() => Ok(()),
            StatusCode::CONFLICT => {
                let patch = json!({ "metadata": { "annotations": pause::annotations(pause) } });
                let name = pause::name(&self.settings.fleet);
                if !self.patch(&name, &patch).await? {
                    bail!("the pause was ended meanwhile; pause again");
                }
                Ok(())
            }
            _ => bail!("{}", refusal(&answer)),
        }
    }

    /// Ends the pause; without one it does nothing.
    pub async fn resume(&self) -> anyhow::Result<()> {
        let path = format!("{}/{}", self.api.jobs(), pause::name(&self.settings.fleet));
        let query = [("propagationPolicy", "Background")];
        let ask = Ask { method: Method::DELETE, path, query: &query, ..Ask::default() };
        let answer = self.api.ask(&ask).await.map_err(|lost| anyhow!(lost.0))?;
        match answer.status {
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            _ => bail!("{}", refusal(&answer)),
        }
    }

    /// The sessions that ended since then: those of Jobs that are still there, and those of the
    /// ledger.
    pub async fn history(&self, since: SystemTime) -> anyhow::Result<Ended> {
        let view = list::view(&self.api, &self.settings, &self.paused).await?;
        let mut runs: BTreeMap<(Slot, u64), Run> = BTreeMap::new();
        let mut ended = Ended::default();
        match self.ledger.ended(&self.api, since).await {
            Ok(kept) => {
                let fleet = &self.settings.fleet;
                let kept = kept.into_iter().filter_map(|(session, run)| {
                    let slot = Slot::parse(fleet, &session)?;
                    (slot.session_name(fleet) == session).then_some(((slot, run.generation), run))
                });
                runs.extend(kept);
            }
            Err(why) => ended.unreadable.push(why),
        }
        // A Job has more of its session than the ledger.
        let listed = view.runs().into_iter().filter(|(_, run)| run.finished_at >= since);
        runs.extend(listed.map(|(slot, run)| ((slot, run.generation), run)));
        ended.runs = runs.into_iter().map(|((slot, _), run)| (slot, run)).collect();
        Ok(ended)
    }

    /// The sessions that ended since then and whose Job was replaced: the list shows the others.
    /// Fails where a Job may go before its session has left the window of a budget.
    pub(super) async fn ended_since(&self, since: SystemTime) -> anyhow::Result<Ended> {
        let ttl = self.settings.kubernetes.ttl;
        if ttl < WINDOW {
            let ttl = humantime::format_duration(ttl);
            bail!("`ttl` in [platform.kubernetes] is {ttl}, and a budget looks back 24 h");
        }
        let kept = self.ledger.ended(&self.api, since).await.map_err(|why| anyhow!(why))?;
        let fleet = &self.settings.fleet;
        let slot = |(session, run): (String, Run)| {
            let slot = Slot::parse(fleet, &session)?;
            (slot.session_name(fleet) == session).then_some((slot, run))
        };
        let mut ended =
            Ended { runs: kept.into_iter().filter_map(slot).collect(), ..Ended::default() };
        // Registers remember more sessions of a work item than a list shows.
        if let Some(view) = &*self.view.borrow() {
            ended.unreadable.extend(view.unreadable().map(str::to_owned));
            ended.runs.extend(view.runs().into_iter().filter(|(_, run)| run.finished_at >= since));
        }
        Ok(ended)
    }

    /// When the coordinator's `CronJob` last started a cycle; `None` where these credentials may
    /// not read it, or there is none.
    pub async fn last_cycle_at(&self) -> anyhow::Result<Option<SystemTime>> {
        let path = format!("/apis/batch/v1/namespaces/{}/cronjobs", self.api.namespace());
        let query = [("labelSelector", OWN_CRON_JOB)];
        let ask = Ask { path, query: &query, ..Ask::default() };
        let answer = self.api.ask(&ask).await.map_err(|lost| anyhow!(lost.0))?;
        if answer.status != StatusCode::OK {
            return Ok(None);
        }
        let page: Page<CronJob> = answer.parse().map_err(|lost| anyhow!(lost.0))?;
        let times = page.items.into_iter().filter_map(|job| job.status?.last_schedule_time);
        Ok(times.filter_map(|time| humantime::parse_rfc3339(&time).ok()).max())
    }

    /// A shell beside the agent of the slot's live session.
    pub async fn attach(&self, slot: &Slot) -> anyhow::Result<Attach> {
        let (session, name) = (slot.session_name(&self.settings.fleet), slot.name());
        let job = self.look_up(&session).await.map_err(|why| anyhow!(why))?;
        let Some(job) = job.filter(|job| job.end().is_none()) else {
            bail!("{name} has no live session; `coordinator logs {name}` prints the last one");
        };
        let pods = self.pods_of(&session).await.map_err(|why| anyhow!(why))?;
        let Some(pod) = pods.of(&job).and_then(|pod| pod.metadata.name.as_deref()) else {
            bail!("{name} has no pod yet; `kubectl describe job {session}` shows more");
        };
        let words =
            ["kubectl", "-n", self.namespace(), "exec", "-it", pod, "-c", AGENT, "--", "sh"];
        Ok(Attach { argv: words.map(str::to_owned).to_vec(), directory: None })
    }

    /// Whether the fleet is paused: as it is now, or where that cannot be read, as the Jobs of a
    /// list that failed later showed it.
    pub(super) async fn read_pause(&self) -> anyhow::Result<Option<Pause>> {
        let name = pause::name(&self.settings.fleet);
        match (self.look_up(&name).await, self.paused.borrow().clone()) {
            (Ok(job), _) => Ok(job.as_ref().map(pause::of)),
            (Err(_), Some(pause)) => Ok(Some(pause)),
            (Err(why), None) => Err(anyhow!(why)),
        }
    }
}

/// The part of a `CronJob` that is read.
#[derive(Deserialize)]
struct CronJob {
    status: Option<CronJobStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CronJobStatus {
    last_schedule_time: Option<String>,
}
