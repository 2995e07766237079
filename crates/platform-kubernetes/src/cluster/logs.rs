//! What an agent wrote, as its node keeps it.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{Method, StatusCode};
use http_body_util::BodyStream;

use super::Kubernetes;
use super::answer::{no_stream, refusal};
use super::api::Ask;
use super::connect::innermost;
use super::list::{Page, unreachable};
use super::record::{Pod, Pods};
use crate::generated::AGENT;
use coordinator_core::fleet::Slot;

impl Kubernetes {
    /// The log of a slot's newest session, as it comes; with `follow`, until the session ends.
    ///
    /// Fails when no session is remembered, when it is of another generation, and when its pod has not started or is
    /// gone.
    pub async fn logs(
        &self,
        slot: &Slot,
        generation: Option<u64>,
        follow: bool,
    ) -> anyhow::Result<impl Stream<Item = anyhow::Result<Bytes>> + use<>> {
        let session = slot.session_name(&self.settings.fleet);
        let job = self.look_up(&session).await.map_err(|why| anyhow::anyhow!(why))?;
        let job = job.ok_or_else(|| {
            anyhow::anyhow!("no session of {} is remembered; see `coordinator sessions`", slot.name())
        })?;
        if let Some(wanted) = generation.filter(|wanted| *wanted != job.generation()) {
            let newest = job.generation();
            anyhow::bail!(
                "generation {wanted} has no log any more: a Job keeps that of its newest session, which is {newest}"
            );
        }
        let pods = self.pods_of(&session).await.map_err(|why| anyhow::anyhow!(why))?;
        let pod = pods.of(&job).and_then(|pod| pod.metadata.name.as_deref());
        let pod = pod.ok_or_else(|| {
            anyhow::anyhow!("{session} has no pod: it has not started, or its pod was removed; `kubectl describe job {session}` tells more")
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
        let response = self.api.open(&Ask { method: Method::GET, path, query, body: None }).await;
        let response = response.map_err(|lost| anyhow::anyhow!("{}", unreachable(&lost.0)))?;
        if response.status() != StatusCode::OK {
            anyhow::bail!("no log of pod {pod}: {}", no_stream(response).await);
        }
        let frames = BodyStream::new(response.into_body());
        Ok(frames.filter_map(async |frame| match frame {
            Ok(frame) => frame.into_data().ok().map(Ok),
            Err(error) => Some(Err(anyhow::anyhow!("the log broke off: {}", innermost(&error)))),
        }))
    }

    /// The pods of one session, running ones too. Else why they are not known.
    pub(super) async fn pods_of(&self, session: &str) -> Result<Pods, String> {
        let selector = format!("batch.kubernetes.io/job-name={session}");
        let query = [("labelSelector", selector.as_str())];
        let ask = Ask { method: Method::GET, path: self.api.pods(), query: &query, body: None };
        let answer = self.api.ask(&ask).await.map_err(|lost| unreachable(&lost.0))?;
        match answer.status {
            StatusCode::OK => {
                answer.parse::<Page<Pod>>().map(|page| Pods::new(page.items)).map_err(|lost| lost.0)
            }
            _ => Err(refusal(&answer)),
        }
    }
}
