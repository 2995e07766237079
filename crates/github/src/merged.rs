//! What the repository took in some time: `coordinator history`.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::graphql::FieldError;
use super::request::shown;
use super::{Error, Github, documents};
use coordinator_core::timestamp;

/// Pages of 50. A repository that merges more in the time has its newest 1,000 listed.
const MAX_PAGES: u32 = 20;

/// A pull request that was merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedPull {
    /// Its number.
    pub number: u64,
    /// Untrusted text.
    pub title: String,
    /// The branch that it came from: untrusted text.
    pub branch: String,
    /// The commit on the base, where GitHub shows it.
    pub commit: Option<String>,
    /// When it was merged.
    pub merged_at: SystemTime,
}

impl Github {
    /// The pull requests that were merged since then, newest first. Costs one request per 50 of
    /// them.
    pub async fn merged_since(&self, since: SystemTime) -> Result<Vec<MergedPull>, Error> {
        let repository = self.repository();
        let mut variables =
            json!({ "owner": repository.owner, "name": repository.name, "after": null });
        let mut merged = Vec::new();
        for _ in 0..MAX_PAGES {
            let what = "list the merged pull requests";
            let response = self.graphql(what, documents::MERGED, &variables).await?;
            let page = &response.data["repository"]["pullRequests"];
            let Some(nodes) = page["nodes"].as_array() else {
                let why = response.errors.first().map(FieldError::text).unwrap_or_default();
                return Err(Error::Failed(format!("GitHub shows no merged pull requests: {why}")));
            };
            merged.extend(nodes.iter().filter_map(pull).filter(|pull| pull.merged_at >= since));
            let oldest = nodes.last().and_then(|node| time(&node["updatedAt"]));
            let has_next = page["pageInfo"]["hasNextPage"] == true;
            if !has_next || oldest.is_none_or(|oldest| oldest < since) {
                break;
            }
            variables["after"] = page["pageInfo"]["endCursor"].clone();
        }
        merged.sort_by_key(|pull| std::cmp::Reverse((pull.merged_at, pull.number)));
        merged.dedup_by_key(|pull| pull.number);
        Ok(merged)
    }
}

fn pull(node: &Value) -> Option<MergedPull> {
    Some(MergedPull {
        number: node["number"].as_u64()?,
        title: node["title"].as_str().map(shown).unwrap_or_default(),
        branch: node["headRefName"].as_str().unwrap_or_default().to_owned(),
        commit: node["mergeCommit"]["oid"].as_str().map(str::to_owned),
        merged_at: time(&node["mergedAt"])?,
    })
}

fn time(value: &Value) -> Option<SystemTime> {
    timestamp::parse(value.as_str()?)
}
