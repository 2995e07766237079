//! A concurrency group: the state of a slot's lock, as GitHub keeps it.

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;

use super::{Workflow, segment};

/// Whether something holds a concurrency group or waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Nothing: GitHub knows no such group, or none that is active.
    Free,
    /// A run runs or waits in it.
    Taken,
}

impl Workflow {
    /// Asks who is in the group. The budget must have been asked for the request.
    ///
    /// <https://docs.github.com/rest/actions/concurrency-groups>
    pub async fn group(&self, name: &str) -> Result<Group, Error> {
        #[derive(Deserialize)]
        struct Body {
            group_members: Vec<Value>,
        }
        let path = format!("actions/concurrency_groups/{}", segment(name));
        let answer = self.send(http::Method::GET, &path, None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(Group::Free);
        }
        let answer = answer.succeeded("ask for the slot's concurrency group")?;
        let body: Body = answer.json()?;
        Ok(if body.group_members.is_empty() { Group::Free } else { Group::Taken })
    }
}
