//! What is read beside runs: the workflow's file, a branch, and a concurrency group, which is the
//! state of a slot's lock as GitHub keeps it.

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

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

/// Whether something holds a concurrency group or waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Nothing: GitHub has no such group, or none that is active.
    Free,
    /// A run runs or waits in it.
    Taken,
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

    /// Enables or disables the workflow, for a person.
    ///
    /// <https://docs.github.com/rest/actions/workflows#disable-a-workflow>
    pub async fn enable(&self, enable: bool) -> Result<(), Error> {
        let verb = if enable { "enable" } else { "disable" };
        self.reserve(1)?;
        let path = format!("actions/workflows/{}/{verb}", segment(self.file()));
        let answer = self.send(Method::PUT, &path, None).await?;
        let what = format!("{verb} the session workflow; it takes a token with `actions: write`");
        if answer.status == StatusCode::NOT_FOUND {
            return Err(Error::Failed(self.absent(&what)));
        }
        answer.succeeded(&what).map(|_| ())
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

    /// Whether the group is free. The caller has reserved the request.
    ///
    /// <https://docs.github.com/rest/actions/concurrency-groups>
    pub async fn group(&self, name: &str) -> Result<Group, Error> {
        #[derive(Deserialize)]
        struct Body {
            group_members: Vec<Value>,
        }
        let path = format!("actions/concurrency_groups/{}", segment(name));
        let answer = self.send(Method::GET, &path, None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(Group::Free);
        }
        let answer = answer.succeeded("read the slot's concurrency group")?;
        let body: Body = answer.json()?;
        Ok(if body.group_members.is_empty() { Group::Free } else { Group::Taken })
    }
}
