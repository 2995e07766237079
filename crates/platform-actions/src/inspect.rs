//! What `doctor` asks. Nothing here starts anything.

use super::Actions;
use coordinator_github::Error;
use coordinator_github::actions::{RequestsLeft, WorkflowFile};

impl Actions {
    /// Whether the session workflow is there and active.
    pub(crate) async fn workflow_file(&self) -> Result<WorkflowFile, Error> {
        self.workflow.state().await
    }

    /// Whether the branch is there whose workflow file and code the sessions use.
    pub(crate) async fn has_branch(&self) -> Result<bool, Error> {
        self.workflow.has_branch(&self.settings.actions.git_ref).await
    }

    /// What GitHub's last answer said is left of the token's requests.
    pub(crate) fn requests_left(&self) -> Option<RequestsLeft> {
        self.workflow.requests_left()
    }
}
