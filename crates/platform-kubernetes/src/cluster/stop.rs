//! Ends a live session because a person says so. The Job's deadline is set to now, so that its
//! controller ends the pod with its grace and the record stays. It takes a permission that the
//! coordinator's own Role lacks.

use http::{Method, StatusCode};
use serde_json::json;

use super::Kubernetes;
use super::answer::refusal;
use super::api::Ask;
use super::list::unreachable;
use coordinator_core::fleet::Slot;
use coordinator_core::platform::StopAnswer;

/// Who ended the session, where a person did.
pub(super) const STOPPED_BY: &str = "coordinator.dev/stopped-by";

impl Kubernetes {
    /// Asks the Job controller to end the slot's live session; `by` is recorded with it.
    pub async fn stop(&self, slot: &Slot, by: &str) -> anyhow::Result<StopAnswer> {
        let session = slot.session_name(&self.settings.fleet);
        let job = self.look_up(&session).await.map_err(|why| anyhow::anyhow!(why))?;
        let Some(job) = job.filter(|job| job.end().is_none()) else { return Ok(StopAnswer::NotLive) };
        let patch = json!({
            // Another Job that took the name meanwhile is not meant.
            "metadata": { "uid": job.uid(), "annotations": { STOPPED_BY: by } },
            "spec": { "activeDeadlineSeconds": 1 },
        });
        let path = format!("{}/{session}", self.api.jobs());
        let ask = Ask { method: Method::PATCH, path, query: &[], body: Some(&patch) };
        let answer = self.api.ask(&ask).await.map_err(|lost| anyhow::anyhow!("{}", unreachable(&lost.0)))?;
        match answer.status {
            StatusCode::OK => Ok(StopAnswer::Asked { generation: Some(job.generation()) }),
            StatusCode::NOT_FOUND => Ok(StopAnswer::NotLive),
            _ => anyhow::bail!("{}", refusal(&answer)),
        }
    }
}
