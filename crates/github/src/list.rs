//! Every open pull request of the repository, with what a verdict normally needs: one request per
//! page. A page that is too much for GitHub is requested again at half the size, down to a single
//! pull request.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use coordinator_core::pull::{Gap, GapCause, Pull, Repository, Unreadable};

use super::graphql::{FieldError, Response};
use super::pull::{self, PageInfo, Torn};
use super::repository::{self, ListHead, ServerClock};
use super::{Error, Github, documents, issues};

const PAGE_SIZE: usize = 50;

/// Stops at a server that always has a next page. No repository has 400 pages of the full size.
const MAX_REQUESTS: u32 = 2_000;

const WHAT: &str = "list the open pull requests";

/// A page of the list.
#[derive(Debug)]
pub struct PullPage {
    /// Pull requests that can be judged.
    pub pulls: Vec<Pull>,
    /// Pull requests that cannot.
    pub unreadable: Vec<Unreadable>,
    /// Pull requests that cannot, and whose number GitHub does not show either.
    pub unnamed: Vec<Gap>,
    pub read_at: Instant,
}

/// The pages of the list, oldest pull requests first.
#[derive(Debug)]
pub struct Pages<'g> {
    github: &'g Github,
    bases: Vec<String>,
    document: String,
    /// The variables of the next request.
    variables: Value,
    size: PageSize,
    requests: u32,
    head: Option<ListHead>,
    is_over: bool,
    /// GitHub does not show numbers alone either: they are not requested again.
    hides_numbers: bool,
}

impl Github {
    /// All open pull requests, with the latest commits of the default branch and of each of
    /// `bases`.
    pub fn pages(&self, bases: &[String]) -> Pages<'_> {
        let Repository { owner, name, .. } = &self.repository;
        let mut variables = json!({ "owner": owner, "name": name, "after": null });
        for (index, base) in bases.iter().enumerate() {
            variables[format!("base_{index}")] = json!(format!("refs/heads/{base}"));
        }
        Pages {
            github: self,
            bases: bases.to_vec(),
            document: if self.reads_alerts() {
                documents::candidates_and_alerts(bases.len())
            } else {
                documents::candidates(bases.len())
            },
            variables,
            size: PageSize::new(),
            requests: 0,
            head: None,
            is_over: false,
            hides_numbers: false,
        }
    }
}

impl Pages<'_> {
    /// Known once a page has been read.
    pub fn head(&self) -> Option<&ListHead> {
        self.head.as_ref()
    }

    /// The next page; `None` after the last one. After an error, throw away the pages read so far.
    pub async fn next(&mut self) -> Result<Option<PullPage>, Error> {
        while !self.is_over {
            self.requests += 1;
            if self.requests > MAX_REQUESTS {
                return Err(failed("its pages do not end"));
            }
            let sent = Instant::now();
            self.variables["first"] = json!(self.size.now);
            let response = self.github.graphql(WHAT, &self.document, &self.variables).await;
            match response.and_then(|response| self.read(&response)) {
                Ok((rows, next)) => return self.take(rows, next, sent).await.map(Some),
                Err(Error::Overloaded(_)) if self.size.now > 1 => self.size.halve(),
                Err(Error::Overloaded(why)) => return self.pass_by(why, sent).await.map(Some),
                Err(error) => return Err(error),
            }
        }
        match self.head {
            Some(_) => Ok(None),
            None => Err(failed("GitHub returned none of them, even one at a time")),
        }
    }

    /// The page in an answer, and where the next one starts. A single pull request is taken as it
    /// is; of more, each must have been shown: else the page is too large.
    fn read(&mut self, response: &Response) -> Result<(Vec<Row>, Option<String>), Error> {
        let [a, b, c] = ["repository", "pullRequests", "nodes"].map(Value::from);
        let is_outside = |error: &&FieldError| {
            !issues::is_of_alerts(error)
                && error.below(&[a.clone(), b.clone(), c.clone()]).is_none_or(<[Value]>::is_empty)
        };
        let repository = &response.data["repository"];
        if let Some(error) = response.errors.iter().find(is_outside) {
            let why = format!("GitHub answered: {}", error.text());
            return Err(match error.cause() {
                GapCause::TooLarge => Error::Overloaded(why),
                GapCause::Refused | GapCause::Other => failed(&why),
            });
        }
        if repository.is_null() {
            let name = self.github.repository.full_name();
            return Err(failed(&format!("{name} does not exist, or the token cannot read it")));
        }
        let page = PullConnection::deserialize(&repository["pullRequests"])
            .map_err(|_| failed("GitHub's answer is not what it documents"))?;
        let rows = page.nodes.iter().enumerate().map(|(index, node)| {
            let place = [a.clone(), b.clone(), c.clone(), json!(index)];
            pull::read(node, &place, &response.errors, &self.github.lacking).map(|(pull, _)| pull)
        });
        let rows: Vec<Row> = rows.collect();
        if self.size.now > 1
            && let Some(why) = rows.iter().find_map(|row| too_large(row.as_ref()))
        {
            return Err(Error::Overloaded(why));
        }
        self.note_head(response);
        Ok((rows, next_page(&page.page_info)?))
    }

    fn note_head(&mut self, response: &Response) {
        if self.head.is_some() {
            return;
        }
        let repository = &response.data["repository"];
        self.github.note_name(&repository["nameWithOwner"]);
        self.github.note_alerts(response);
        self.document = documents::candidates(self.bases.len());
        self.head = Some(ListHead {
            repository: repository::facts(repository, &self.bases),
            clock: ServerClock {
                time: response.date.unwrap_or_else(SystemTime::now),
                read: Instant::now(),
            },
            token_expires_at: response.token_expires_at,
        });
    }

    async fn take(
        &mut self,
        rows: Vec<Row>,
        next: Option<String>,
        sent: Instant,
    ) -> Result<PullPage, Error> {
        let mut page = PullPage::read_at(sent);
        let is_too_large =
            self.size.now == 1 && rows.iter().any(|row| too_large(row.as_ref()).is_some());
        let mut nameless = Vec::new();
        for (index, row) in rows.into_iter().enumerate() {
            match row {
                Ok(pull) => page.pulls.push(pull),
                Err(Torn { number: Some(number), title, gap, .. }) => {
                    page.unreadable.push(Unreadable { number, title, gap });
                }
                Err(Torn { number: None, gap, .. }) => nameless.push((index, gap)),
            }
        }
        if !nameless.is_empty() {
            let known = self.numbers().await?.map(|(nodes, _)| nodes).unwrap_or_default();
            for (index, gap) in nameless {
                page.add(known.get(index).cloned().flatten(), gap);
            }
        }
        if is_too_large {
            self.size.was_not_to_blame();
        } else {
            self.size.worked();
        }
        self.go_on(next)?;
        Ok(page)
    }

    /// A single pull request that GitHub cannot show: its number and the place of the next one are
    /// requested alone.
    async fn pass_by(&mut self, why: String, sent: Instant) -> Result<PullPage, Error> {
        let Some((nodes, next)) = self.numbers().await? else {
            return Err(Error::Overloaded(format!("{why}, even for a single pull request")));
        };
        let mut page = PullPage::read_at(sent);
        if let Some(known) = nodes.into_iter().next() {
            page.add(known, Gap { cause: GapCause::TooLarge, sentence: said(WHAT, &why) });
        }
        self.size.was_not_to_blame();
        self.go_on(next)?;
        Ok(page)
    }

    fn go_on(&mut self, next: Option<String>) -> Result<(), Error> {
        match next {
            None => self.is_over = true,
            Some(cursor) if self.variables["after"] == cursor => {
                return Err(failed("its pages do not end"));
            }
            Some(cursor) => self.variables["after"] = Value::String(cursor),
        }
        Ok(())
    }

    /// Numbers and titles of the page that was just requested, and where the next one starts;
    /// `None` where GitHub does not show them.
    async fn numbers(&mut self) -> Result<Option<Numbers>, Error> {
        if self.hides_numbers {
            return Ok(None);
        }
        let response = match self.github.graphql(WHAT, documents::NUMBERS, &self.variables).await {
            Ok(response) => response,
            Err(error @ Error::RateLimited(_)) => return Err(error),
            Err(Error::Overloaded(_) | Error::Failed(_)) => {
                self.hides_numbers = true;
                return Ok(None);
            }
        };
        let connection = &response.data["repository"]["pullRequests"];
        let title = |node: &Value| node["title"].as_str().unwrap_or_default().to_owned();
        let nodes = connection["nodes"].as_array().into_iter().flatten();
        let nodes: Vec<Option<Name>> =
            nodes.map(|node| Some((node["number"].as_u64()?, title(node)))).collect();
        self.hides_numbers = !nodes.iter().any(Option::is_some);
        let info = PageInfo::deserialize(&connection["pageInfo"]).ok();
        Ok(info.and_then(|info| Some((nodes, next_page(&info).ok()?))))
    }
}

impl PullPage {
    fn read_at(sent: Instant) -> Self {
        let (pulls, unreadable, unnamed) = Default::default();
        Self { pulls, unreadable, unnamed, read_at: read_at(sent) }
    }

    fn add(&mut self, known: Option<Name>, gap: Gap) {
        match known {
            Some((number, title)) => self.unreadable.push(Unreadable { number, title, gap }),
            None => self.unnamed.push(gap),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PullConnection {
    page_info: PageInfo,
    nodes: Vec<Value>,
}

type Row = Result<Pull, Torn>;

/// Number and title.
type Name = (u64, String);

/// In the order of the page, and where the next one starts.
type Numbers = (Vec<Option<Name>>, Option<String>);

/// A part that the token may see and GitHub left out: a smaller request may show it.
pub(super) fn too_large(row: Result<&Pull, &Torn>) -> Option<String> {
    let gap = match row {
        Ok(pull) => pull.gaps.values().find(|gap| gap.cause == GapCause::TooLarge)?,
        Err(torn) => match torn.gap.cause {
            GapCause::TooLarge => &torn.gap,
            GapCause::Other if torn.number.is_none() && !torn.is_gone => &torn.gap,
            GapCause::Refused | GapCause::Other => return None,
        },
    };
    Some(gap.sentence.clone())
}

/// When the data of an answer was current: when its request was sent or, where GitHub took long, so
/// little before the answer that it can still be used.
pub(super) fn read_at(sent: Instant) -> Instant {
    const MAX_AGE: std::time::Duration = std::time::Duration::from_millis(2_500);
    let now = Instant::now();
    now.checked_sub(MAX_AGE).map_or(sent, |latest| sent.max(latest))
}

fn next_page(info: &PageInfo) -> Result<Option<String>, Error> {
    match info {
        PageInfo { has_next_page: false, .. } => Ok(None),
        PageInfo { end_cursor: Some(cursor), .. } => Ok(Some(cursor.clone())),
        PageInfo { end_cursor: None, .. } => {
            Err(failed("GitHub does not show where the next page starts"))
        }
    }
}

/// Pull requests per page. A size that worked is kept.
#[derive(Debug)]
struct PageSize {
    now: usize,
    /// The largest that worked.
    largest: Option<usize>,
    /// The full size was tried again once.
    tried_again: bool,
}

impl PageSize {
    fn new() -> Self {
        Self { now: PAGE_SIZE, largest: None, tried_again: false }
    }

    fn halve(&mut self) {
        self.now = (self.now / 2).max(1);
    }

    fn worked(&mut self) {
        self.largest = self.largest.max(Some(self.now));
    }

    /// A pull request cannot be shown even alone: the pages that it was on may have been small
    /// enough.
    fn was_not_to_blame(&mut self) {
        if self.now > 1 {
            return self.worked();
        }
        self.now = match self.largest {
            Some(largest) => largest,
            None if self.tried_again => 1,
            None => PAGE_SIZE,
        };
        self.tried_again = true;
    }
}

/// The server's part of an error's text.
pub(super) fn said(what: &str, why: &str) -> String {
    let prefix = format!("could not {what}: ");
    why.strip_prefix(&prefix).unwrap_or(why).to_owned()
}

fn failed(why: &str) -> Error {
    Error::Failed(format!("could not {WHAT}: {why}"))
}
