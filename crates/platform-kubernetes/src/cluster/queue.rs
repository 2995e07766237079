//! Kueue: without it, the label that asks for admission means nothing, and Jobs would start uncounted.

use http::{Method, StatusCode};

use super::Kubernetes;
use super::answer::refusal;
use super::api::Ask;
use super::list::unreachable;

impl Kubernetes {
    /// Whether Jobs may be created: with a queue in the roster, only where Kueue runs. Asked once per run.
    pub(crate) async fn queue_is_there(&self) -> anyhow::Result<()> {
        let Some(queue) = &self.settings.kubernetes.queue_name else { return Ok(()) };
        let known = self.queue.get_or_init(|| self.ask_for_kueue(queue)).await;
        known.clone().map_err(|why| anyhow::anyhow!(why))
    }

    async fn ask_for_kueue(&self, queue: &str) -> Result<(), String> {
        let path = "/apis/kueue.x-k8s.io".to_owned();
        let ask = Ask { method: Method::GET, path, query: &[], body: None };
        let answer = self.api.ask(&ask).await.map_err(|lost| unreachable(&lost.0))?;
        match answer.status {
            StatusCode::OK => Ok(()),
            StatusCode::NOT_FOUND => Err(format!(
                "queue_name is {queue:?}, but this cluster has no Kueue; install it, or take `queue_name` out of [platform.kubernetes]"
            )),
            _ => Err(refusal(&answer)),
        }
    }
}
