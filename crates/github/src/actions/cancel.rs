//! Cancels a run, for a person.

use http::{Method, StatusCode};

use crate::Error;

use super::Workflow;

impl Workflow {
    /// Asks GitHub to cancel the run; `false` when it is over already.
    ///
    /// <https://docs.github.com/rest/actions/workflow-runs#cancel-a-workflow-run>
    pub async fn cancel(&self, run: u64) -> Result<bool, Error> {
        self.reserve(1)?;
        let answer = self.send(Method::POST, &format!("actions/runs/{run}/cancel"), None).await?;
        if answer.status == StatusCode::CONFLICT {
            return Ok(false);
        }
        answer.succeeded("cancel the run; it takes a token with `actions: write`").map(|_| true)
    }
}
