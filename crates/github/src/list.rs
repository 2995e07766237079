//! Every open pull request of the repository, with what a verdict normally needs: one request per
//! page. A page that is too much for GitHub is asked for again at half the size, down to a single
//! pull request.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use coordinator_core::pull::{Gap, GapCause, Pull, RepositoryFacts, Unreadable};

use super::graphql::{FieldError, Response};
use super::wire::{self, PageInfo, Torn};
use super::{Error, Github, documents};

const PAGE_SIZE: usize = 50;

/// An end for a server that always has a next page. 400 pages of the full size are more than
/// anybody has.
const MAX_REQUESTS: u32 = 2_000;

const WHAT: &str = "list the open pull requests";

/// A page of the list.
#[derive(Debug)]
pub struct PullPage {
    /// Those that can be judged.
    pub pulls: Vec<Pull>,
    /// Those that cannot.
    pub unreadable: Vec<Unreadable>,
    /// Those that cannot, and of which GitHub does not even show the number.
    pub unnamed: Vec<Gap>,
    /// When it was true.
    pub read_at: Instant,
}

/// What every page says of the repository around its pull requests.
#[derive(Debug, Clone)]
pub struct ListHead {
    /// The repository.
    pub repository: RepositoryFacts,
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

/// The pages of the list, oldest pull requests first.
#[derive(Debug)]
pub struct Pages<'g> {
    github: &'g Github,
    bases: Vec<String>,
    after: Option<String>,
    size: PageSize,
    requests: u32,
    head: Option<ListHead>,
    is_over: bool,
    /// GitHub does not show numbers alone either: it is not asked again.
    hides_numbers: bool,
}

impl Github {
    /// All open pull requests, with the latest commits of the default branch and of each of
    /// `bases`.
    pub fn pages(&self, bases: &[String]) -> Pages<'_> {
        Pages {
            github: self,
            bases: bases.to_vec(),
            after: None,
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
        let document = documents::candidates(self.bases.len());
        while !self.is_over {
            self.count()?;
            let sent = Instant::now();
            let page = match self.github.graphql(WHAT, &document, self.question()).await {
                Ok(response) => self.read(&response),
                Err(Error::Overloaded(why)) => Err(Unread::TooLarge(why)),
                Err(error) => return Err(error),
            };
            match page {
                Ok(read) => return self.take(read, sent).await.map(Some),
                Err(Unread::Failed(error)) => return Err(error),
                Err(Unread::TooLarge(_)) if self.size.now > 1 => self.size.halve(),
                Err(Unread::TooLarge(why)) => return self.pass_by(why, sent).await.map(Some),
            }
        }
        match self.head {
            Some(_) => Ok(None),
            None => Err(failed("GitHub does not show a single one, however little is asked for")),
        }
    }

    fn count(&mut self) -> Result<(), Error> {
        self.requests += 1;
        if self.requests > MAX_REQUESTS { Err(failed("its pages do not end")) } else { Ok(()) }
    }

    fn question(&self) -> Value {
        let repository = self.github.repository();
        let mut variables = json!({
            "owner": repository.owner, "name": repository.name, "first": self.size.now, "after": self.after,
        });
        for (index, base) in self.bases.iter().enumerate() {
            variables[format!("base_{index}")] = json!(format!("refs/heads/{base}"));
        }
        variables
    }

    /// The page in an answer. A single pull request is taken as it is; of more, each must have been
    /// shown.
    fn read(&mut self, response: &Response) -> Result<ReadPage, Unread> {
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
            let why = format!("GitHub says: {}", error.text());
            return Err(match error.cause() {
                GapCause::TooLarge => Unread::TooLarge(why),
                GapCause::Refused | GapCause::Other => Unread::Failed(failed(&why)),
            });
        }
        if repository.is_null() {
            let name = self.github.repository().full_name();
            let why = format!("{name} does not exist, or the token may not read it");
            return Err(Unread::Failed(failed(&why)));
        }
        let page = PullConnection::deserialize(&repository["pullRequests"])
            .map_err(|_| Unread::Failed(failed("GitHub's answer is not what it documents")))?;
        let rows: Vec<Result<Pull, Torn>> = page
            .nodes
            .iter()
            .enumerate()
            .map(|(index, node)| {
                let [a, b, c] = nodes_path.clone();
                let place = [a, b, c, json!(index)];
                wire::pull(node, &place, &response.errors, &self.github.lacking).map(|(pull, _)| pull)
            })
            .collect();
        if self.size.now > 1
            && let Some(why) = rows.iter().find_map(too_large)
        {
            return Err(Unread::TooLarge(why));
        }
        self.note_head(response);
        Ok(ReadPage { rows, next: next_page(&page.page_info)? })
    }

    fn note_head(&mut self, response: &Response) {
        if self.head.is_some() {
            return;
        }
        let repository = &response.data["repository"];
        self.github.note_name(&repository["nameWithOwner"]);
        self.head = Some(ListHead {
            repository: wire::repository(repository, &self.bases),
            clock: ServerClock { time: response.date.unwrap_or_else(SystemTime::now), read: Instant::now() },
            token_expires_at: response.token_expires_at,
        });
    }

    async fn take(&mut self, read: ReadPage, sent: Instant) -> Result<PullPage, Error> {
        let mut page = PullPage {
            pulls: Vec::new(),
            unreadable: Vec::new(),
            unnamed: Vec::new(),
            read_at: read_at(sent),
        };
        let size = self.size.now;
        let is_too_large = size == 1 && read.rows.iter().any(|row| too_large(row).is_some());
        let mut nameless = Vec::new();
        for (index, row) in read.rows.into_iter().enumerate() {
            match row {
                Ok(pull) => page.pulls.push(pull),
                Err(Torn { number: Some(number), title, gap, .. }) => {
                    page.unreadable.push(Unreadable { number, title, gap });
                }
                Err(Torn { number: None, gap, .. }) => nameless.push((index, gap)),
            }
        }
        if !nameless.is_empty() {
            let known = self.numbers(size).await?.map(|(nodes, _)| nodes).unwrap_or_default();
            for (index, gap) in nameless {
                match known.get(index).cloned().flatten() {
                    Some((number, title)) => page.unreadable.push(Unreadable { number, title, gap }),
                    None => page.unnamed.push(gap),
                }
            }
        }
        if is_too_large {
            self.size.was_not_to_blame();
        } else {
            self.size.worked();
        }
        self.go_on(read.next)?;
        Ok(page)
    }

    /// A single pull request that GitHub cannot show: its number and the place of the next one are
    /// asked for alone.
    async fn pass_by(&mut self, why: String, sent: Instant) -> Result<PullPage, Error> {
        let Some((nodes, next)) = self.numbers(1).await? else {
            return Err(Error::Overloaded(format!("{why}, also where a single one was asked for")));
        };
        let gap = Gap { cause: GapCause::TooLarge, sentence: said(WHAT, &why) };
        let mut page = PullPage {
            pulls: Vec::new(),
            unreadable: Vec::new(),
            unnamed: Vec::new(),
            read_at: read_at(sent),
        };
        match nodes.into_iter().next() {
            Some(Some((number, title))) => page.unreadable.push(Unreadable { number, title, gap }),
            Some(None) => page.unnamed.push(gap),
            None => {}
        }
        self.size.was_not_to_blame();
        self.go_on(next)?;
        Ok(page)
    }

    fn go_on(&mut self, next: Option<String>) -> Result<(), Error> {
        match next {
            None => self.is_over = true,
            Some(cursor) if self.after.as_deref() == Some(&cursor) => {
                return Err(failed("its pages do not end"));
            }
            Some(cursor) => self.after = Some(cursor),
        }
        Ok(())
    }

    /// Numbers and titles of the page at this place, and where the next one starts; `None` where
    /// GitHub does not show them.
    async fn numbers(&mut self, size: usize) -> Result<Option<Numbers>, Error> {
        if self.hides_numbers {
            return Ok(None);
        }
        let mut variables = self.question();
        variables["first"] = json!(size);
        let response = match self.github.graphql(WHAT, documents::NUMBERS, variables).await {
            Ok(response) => response,
            Err(error @ Error::RateLimited(_)) => return Err(error),
            Err(Error::Overloaded(_) | Error::Failed(_)) => {
                self.hides_numbers = true;
                return Ok(None);
            }
        };
        let connection = &response.data["repository"]["pullRequests"];
        let nodes: Vec<Option<(u64, String)>> = connection["nodes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|node| {
                Some((node["number"].as_u64()?, node["title"].as_str().unwrap_or_default().to_owned()))
            })
            .collect();
        self.hides_numbers = !nodes.iter().any(Option::is_some);
        let info = PageInfo::deserialize(&connection["pageInfo"]).ok();
        Ok(info.and_then(|info| Some((nodes, next_page(&info).ok()?))))
    }
}

type Numbers = (Vec<Option<(u64, String)>>, Option<String>);

struct ReadPage {
    rows: Vec<Result<Pull, Torn>>,
    /// Where the next page starts.
    next: Option<String>,
}

/// Why an answer has no page.
enum Unread {
    /// Less of it may be readable.
    TooLarge(String),
    Failed(Error),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What asking for less may bring to light: a part that GitHub left out, and that the token may
/// see.
pub(super) fn too_large(row: &Result<Pull, Torn>) -> Option<String> {
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

/// When an answer that has just come was true: as its request was sent, or where GitHub took long,
/// so little ago that it can still be used.
pub(super) fn read_at(sent: Instant) -> Instant {
    const MAX_AGE: std::time::Duration = std::time::Duration::from_millis(2_500);
    let now = Instant::now();
    now.checked_sub(MAX_AGE).map_or(sent, |latest| sent.max(latest))
}

fn next_page(info: &PageInfo) -> Result<Option<String>, Error> {
    match info {
        PageInfo { has_next_page: false, .. } => Ok(None),
        PageInfo { end_cursor: Some(cursor), .. } => Ok(Some(cursor.clone())),
        PageInfo { end_cursor: None, .. } => Err(failed("GitHub does not say where the next page starts")),
    }
}

/// How many pull requests a page asks for. What worked is kept.
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
