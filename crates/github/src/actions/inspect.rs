//! What `doctor` asks about the workflow. Nothing here starts anything.

use http::StatusCode;
use serde::Deserialize;

use crate::Error;
use crate::request::shown;

use super::{Workflow, segment};

/// The state of a workflow's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkflowFile {
    /// It can be dispatched.
    Active,
    /// It is there and cannot be dispatched: GitHub's word for its state, safe to show.
    Inactive(String),
    /// There is none, or the token may not see it.
    Absent,
}

impl Workflow {
    /// Whether the workflow is there and active.
    pub async fn state(&self) -> Result<WorkflowFile, Error> {
        #[derive(Deserialize)]
        struct Body {
            state: String,
        }
        let answer = self.get(&format!("actions/workflows/{}", segment(self.file()))).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(WorkflowFile::Absent);
        }
        let answer = answer.succeeded("look for the session workflow")?;
        let body: Body = answer.json()?;
        Ok(match body.state.as_str() {
            "active" => WorkflowFile::Active,
            state => WorkflowFile::Inactive(shown(state)),
        })
    }

    /// Whether the repository has the branch.
    pub async fn has_branch(&self, name: &str) -> Result<bool, Error> {
        let answer = self.get(&format!("branches/{}", segment(name))).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        answer.succeeded("look for the branch")?;
        Ok(true)
    }
}
