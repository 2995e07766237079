//! What people do with one session: end it, read its agent's output.

use anyhow::{anyhow, bail};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{Method, StatusCode};
use http_body_util::BodyStream;
use serde_json::{Value, json};

use super::Kubernetes;
use super::answer::{no_stream, refusal};
use super::api::Ask;
use super::connect::innermost;
use super::ledger::Mode;
use super::list::Page;
use super::record::{Job, Pod, Pods};
use super::register::{self, Stored};
use crate::generated::AGENT;
use coordinator_core::fleet::Slot;
use coordinator_core::platform::StopAnswer;

/// The person who ended the session, if one did.
pub(super) const STOPPED_BY: &str = "coordinator.dev/stopped-by";

/// A person let the slot go on after that.
pub(super) const RESUMED: &str = "coordinator.dev/resumed";

impl Kubernetes {
    /// Ends the slot's live session on behalf of the person `by`. The Job's deadline is set to
    /// now, so that its controller ends the pod with its grace, and the ended Job is not removed:
    /// it holds its slot. It takes a permission that the coordinator's own Role lacks.
    pub async fn stop(&self, slot: &Slot, by: &str) -> anyhow::Result<StopAnswer> {
        let session = slot.session_name(&self.settings.fleet);
        let job = self.look_up(&session).await.map_err(|why| anyhow!(why))?;
        let Some(job) = job.filter(|job| job.end().is_none()) else {
            return Ok(StopAnswer::NotLive);
        };
        let patch = json!({
            // Another Job that took the name meanwhile is not meant.
            "metadata": { "uid": job.uid(), "annotations": { STOPPED_BY: by } },
            "spec": { "activeDeadlineSeconds": 1, "ttlSecondsAfterFinished": null },
        });
        let is_there = self.patch(&session, &patch).await?;
        Ok(if is_there {
            StopAnswer::Asked { generation: Some(job.generation()) }
        } else {
            StopAnswer::NotLive
        })
    }

    /// Lets a slot go on whose last session a person stopped; whether it was held. Its Job is then
    /// removed as any other.
    pub async fn release(&self, slot: &Slot) -> anyhow::Result<bool> {
        let session = slot.session_name(&self.settings.fleet);
        let by_job = self.release_job(&session).await?;
        let by_register = slot.index().is_none() && self.release_item(&session).await?;
        Ok(by_job || by_register)
    }

    async fn release_job(&self, session: &str) -> anyhow::Result<bool> {
        let job = self.look_up(session).await.map_err(|why| anyhow!(why))?;
        let is_held =
            |job: &Job| job.annotation(STOPPED_BY).is_some() && job.annotation(RESUMED).is_none();
        let Some(job) = job.filter(is_held) else { return Ok(false) };
        let ttl = self.settings.kubernetes.ttl.as_secs();
        let patch = json!({
            "metadata": { "uid": job.uid(), "annotations": { RESUMED: "true" } },
            "spec": { "ttlSecondsAfterFinished": ttl },
        });
        self.patch(session, &patch).await
    }

    /// The register of a work item remembers without a Job, too, that it was stopped.
    async fn release_item(&self, session: &str) -> anyhow::Result<bool> {
        let register = register::one(&self.api, session).await.map_err(|why| anyhow!(why))?;
        let Some(released) = register.released() else { return Ok(false) };
        match released.store(&self.api, &self.settings.fleet, session, Mode::Write).await {
            Stored::Yes => Ok(true),
            Stored::Superseded => bail!("a cycle wrote the register meanwhile; try again"),
            Stored::Refused(why) | Stored::Unknown(why) => bail!(why),
        }
    }

    /// Changes a Job in place; `false` where it does not exist.
    pub(super) async fn patch(&self, job: &str, patch: &Value) -> anyhow::Result<bool> {
        let path = format!("{}/{job}", self.api.jobs());
        let ask = Ask { method: Method::PATCH, path, body: Some(patch), ..Ask::default() };
        let answer = self.api.ask(&ask).await.map_err(|lost| anyhow!(lost.0))?;
        match answer.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => bail!("{}", refusal(&answer)),
        }
    }

    /// The log of a slot's newest session, as it comes; with `follow`, until the session ends.
    ///
    /// Fails when no session is remembered, when it is of another generation, and when its pod has
    /// not started or is gone.
    pub async fn logs(
        &self,
        slot: &Slot,
        generation: Option<u64>,
        follow: bool,
    ) -> anyhow::Result<impl Stream<Item = anyhow::Result<Bytes>> + use<>> {
        let session = slot.session_name(&self.settings.fleet);
        let job = self.look_up(&session).await.map_err(|why| anyhow!(why))?;
        let job = job.ok_or_else(|| {
            anyhow!("{} has not run yet; see `coordinator sessions`", slot.name())
        })?;
        if let Some(wanted) = generation.filter(|wanted| *wanted != job.generation()) {
            let newest = job.generation();
            bail!(
                "generation {wanted} has no log any more: a Job keeps that of its newest session, \
                 which is {newest}"
            );
        }
        let pods = self.pods_of(&session).await.map_err(|why| anyhow!(why))?;
        let pod = pods.of(&job).and_then(|pod| pod.metadata.name.as_deref());
        let pod = pod.ok_or_else(|| {
            anyhow!(
                "{session} has no pod: it has not started, or its pod was removed; \
                 `kubectl describe job {session}` shows more"
            )
        })?;
        self.stream(pod, follow).await
    }

    async fn stream(
        &self,
        pod: &str,
        follow: bool,
    ) -> anyhow::Result<impl Stream<Item = anyhow::Result<Bytes>> + use<>> {
        let query = [("container", AGENT), ("follow", "true")];
        let query = if follow { &query[..] } else { &query[..1] };
        let path = format!("{}/{pod}/log", self.api.pods());
        let response = self.api.open(&Ask { path, query, ..Ask::default() }).await;
        let response = response.map_err(|lost| anyhow!(lost.0))?;
        if response.status() != StatusCode::OK {
            bail!("no log of pod {pod}: {}", no_stream(response).await);
        }
        let frames = BodyStream::new(response.into_body());
        Ok(frames.filter_map(async |frame| match frame {
            Ok(frame) => frame.into_data().ok().map(Ok),
            Err(error) => Some(Err(anyhow!("the log broke off: {}", innermost(&error)))),
        }))
    }

    /// The pods of one session, running ones too. Else why they are not known.
    pub(super) async fn pods_of(&self, session: &str) -> Result<Pods, String> {
        let selector = format!("batch.kubernetes.io/job-name={session}");
        let query = [("labelSelector", selector.as_str())];
        let ask = Ask { path: self.api.pods(), query: &query, ..Ask::default() };
        let answer = self.api.ask(&ask).await.map_err(|lost| lost.0)?;
        match answer.status {
            StatusCode::OK => {
                answer.parse::<Page<Pod>>().map(|page| Pods::new(page.items)).map_err(|lost| lost.0)
            }
            _ => Err(refusal(&answer)),
        }
    }
}
