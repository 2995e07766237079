//! Every open pull request of the repository, with what a verdict normally needs: one request per page.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::pull::{Listing, Pull, RepositoryFacts, Unreadable};

use super::graphql::{FieldError, Response};
use super::wire::{self, PageInfo};
use super::{Error, Github, documents};

const PAGE_SIZE: u32 = 50;

/// More open pull requests than anybody has, and an end for a server that always has a next page.
const MOST_PAGES: u32 = 400;

const WHAT: &str = "list the open pull requests";

/// A listing and when it was true.
#[derive(Debug)]
pub struct Snapshot {
    /// What is open.
    pub listing: Listing,
    /// Just before the first question.
    pub taken: Instant,
    /// What time the server has.
    pub clock: ServerClock,
    /// When the token expires, where GitHub says so.
    pub token_expires_at: Option<SystemTime>,
}

/// The server's clock: approvals are dated by it, and ours may be wrong.
#[derive(Debug, Clone, Copy)]
pub struct ServerClock {
    /// What it showed.
    pub time: SystemTime,
    /// When it showed that.
    pub read: Instant,
}

impl ServerClock {
    /// What it shows now.
    pub fn now(&self) -> SystemTime {
        self.time + self.read.elapsed()
    }
}

impl Github {
    /// All open pull requests, with the latest commits of the default branch and of each of `bases`. All pages or none:
    /// a part of the list is an error. A page that is too big for GitHub is asked for once more at half the size.
    pub async fn list(&self, bases: &[String]) -> Result<Snapshot, Error> {
        let taken = Instant::now();
        let document = documents::candidates(bases.len());
        let mut question = self.question(bases);
        let mut collected = Collected::default();
        let mut first: Option<First> = None;
        for _ in 0..MOST_PAGES {
            let response = match self.graphql(WHAT, &document, question.clone()).await {
                Err(Error::Overloaded(_)) if question["first"] == PAGE_SIZE => {
                    question["first"] = json!(PAGE_SIZE / 2);
                    self.graphql(WHAT, &document, question.clone()).await?
                }
                answer => answer?,
            };
            let next = self.read_page(&response, &mut collected)?;
            let first = first.get_or_insert_with(|| First {
                repository: wire::repository(&response.data["repository"], bases),
                clock: ServerClock {
                    time: response.date.unwrap_or_else(SystemTime::now),
                    read: Instant::now(),
                },
                token_expires_at: response.token_expires_at,
            });
            match next {
                None => {
                    return Ok(Snapshot {
                        listing: collected.into_listing(first.repository.clone()),
                        taken,
                        clock: first.clock,
                        token_expires_at: first.token_expires_at,
                    });
                }
                Some(cursor) if question["after"] == cursor.as_str() => break,
                Some(cursor) => question["after"] = json!(cursor),
            }
        }
        Err(failed("its pages do not end"))
    }

    fn question(&self, bases: &[String]) -> Value {
        let repository = self.repository();
        let mut variables = json!({
            "owner": repository.owner, "name": repository.name, "first": PAGE_SIZE, "after": null,
        });
        for (index, base) in bases.iter().enumerate() {
            variables[format!("base_{index}")] = json!(format!("refs/heads/{base}"));
        }
        variables
    }

    /// Adds a page; the cursor of the next one.
    fn read_page(&self, response: &Response, collected: &mut Collected) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct PullConnection {
            page_info: PageInfo,
            nodes: Vec<Value>,
        }
        let nodes_path = [json!("repository"), json!("pullRequests"), json!("nodes")];
        let outside = |error: &&FieldError| error.below(&nodes_path).is_none_or(<[Value]>::is_empty);
        let repository = &response.data["repository"];
        if let Some(error) = response.errors.iter().find(outside) {
            return Err(failed(&format!("GitHub says: {}", error.text())));
        }
        if repository.is_null() {
            let name = format!("{}/{}", self.repository().owner, self.repository().name);
            return Err(failed(&format!("{name} does not exist, or the token may not read it")));
        }
        let page = PullConnection::deserialize(&repository["pullRequests"])
            .map_err(|_| failed("GitHub's answer is not what it documents"))?;
        for (index, node) in page.nodes.iter().enumerate() {
            let [a, b, c] = nodes_path.clone();
            collected.add(wire::pull(node, &[a, b, c, json!(index)], &response.errors).map(|(pull, _)| pull));
        }
        match page.page_info {
            PageInfo { has_next_page: false, .. } => Ok(None),
            PageInfo { end_cursor: Some(cursor), .. } => Ok(Some(cursor)),
            PageInfo { end_cursor: None, .. } => {
                Err(failed("GitHub does not say where the next page starts"))
            }
        }
    }
}

/// What the first page says and the others repeat.
struct First {
    repository: RepositoryFacts,
    clock: ServerClock,
    token_expires_at: Option<SystemTime>,
}

/// Pull requests by number: one that moves between two pages is not judged twice.
#[derive(Default)]
struct Collected {
    pulls: BTreeMap<u64, Pull>,
    unreadable: Vec<Unreadable>,
}

impl Collected {
    fn add(&mut self, pull: Result<Pull, Unreadable>) {
        match pull {
            Ok(pull) => {
                self.pulls.insert(pull.number, pull);
            }
            Err(unreadable) => self.unreadable.push(unreadable),
        }
    }

    fn into_listing(mut self, repository: RepositoryFacts) -> Listing {
        for unreadable in &self.unreadable {
            self.pulls.remove(&unreadable.number);
        }
        Listing { repository, pulls: self.pulls.into_values().collect(), unreadable: self.unreadable }
    }
}

fn failed(why: &str) -> Error {
    Error::Failed(format!("could not {WHAT}: {why}"))
}
