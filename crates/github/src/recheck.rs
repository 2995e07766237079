//! Pull requests read again, with every check row: one request for as many as GitHub can show at
//! once.

use std::collections::BTreeMap;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::time::Instant;

use coordinator_core::pull::{Checks, Gap, GapCause, Pull, Rollup, Unreadable};
use coordinator_core::report::RateLimit;

use super::list::{read_at, said, too_large};
use super::wire::{self, PageInfo, Torn};
use super::{Error, Github, documents};

/// The most that one request asks for. Where that is too much, half as many are asked for, down to
/// a single one.
pub const MAX_PULLS: usize = 50;

/// A hundred rows a page: more than 500 rows are not read.
const MAX_PAGES: usize = 5;

const WHAT: &str = "read pull requests again";

/// Pull requests that were read again.
#[derive(Debug, Default)]
pub struct Rereads {
    /// As they are, and when that was true.
    pub read: Vec<(Pull, Instant)>,
    /// Those that cannot be shown even alone.
    pub unreadable: Vec<Unreadable>,
    /// Those that were not answered, and why.
    pub unanswered: Option<(Vec<Pull>, Error)>,
}

impl Rereads {
    /// The rate limit that refused the rest, if that is why.
    pub fn rate_limit(&self) -> Option<&RateLimit> {
        self.unanswered.as_ref().and_then(|(_, error)| error.rate_limit())
    }
}

/// How many pull requests one request asks for: it shrinks, and what worked is kept for the rest of
/// the cycle.
#[derive(Debug)]
pub(super) struct RereadSize(AtomicUsize);

impl Default for RereadSize {
    fn default() -> Self {
        Self(AtomicUsize::new(MAX_PULLS))
    }
}

impl RereadSize {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// `size` was too large.
    fn halve(&self, size: usize) {
        self.0.fetch_min((size / 2).max(1), Ordering::Relaxed);
    }
}

type Reread = Result<Pull, Torn>;

impl Github {
    /// How many pull requests one request reads again by now.
    pub fn reread_size(&self) -> usize {
        self.rereads.get()
    }

    /// Reads pull requests again. More check rows than one page cost one more request per page for
    /// all of them together; rows that are not all read leave the checks undecided. No further
    /// request starts once `is_stopped`.
    pub async fn recheck(&self, pulls: Vec<Pull>, is_stopped: impl Fn() -> bool) -> Rereads {
        let mut rereads = Rereads::default();
        let mut left = pulls;
        while !left.is_empty() {
            if is_stopped() {
                let why = format!("could not {WHAT}: the run ended before that");
                rereads.unanswered = Some((left, Error::Failed(why)));
                break;
            }
            let size = self.rereads.get().min(left.len());
            let rest = left.split_off(size);
            let asked = mem::replace(&mut left, rest);
            let sent = Instant::now();
            match self.recheck_at_once(&asked).await {
                Ok(answers) => {
                    let again = self.sort(asked, answers, sent, &mut rereads);
                    left.splice(0..0, again);
                }
                Err(Error::Overloaded(_)) if size > 1 => {
                    self.rereads.halve(size);
                    left.splice(0..0, asked);
                }
                Err(Error::Overloaded(why)) => {
                    let gap = Gap { cause: GapCause::TooLarge, sentence: said(WHAT, &why) };
                    rereads.unreadable.extend(asked.iter().map(|pull| unreadable(pull, gap.clone())));
                }
                Err(error) => {
                    left.splice(0..0, asked);
                    rereads.unanswered = Some((left, error));
                    break;
                }
            }
        }
        rereads
    }

    /// Keeps what was shown; what smaller questions may bring to light comes back.
    fn sort(
        &self,
        asked: Vec<Pull>,
        answers: Vec<Reread>,
        sent: Instant,
        rereads: &mut Rereads,
    ) -> Vec<Pull> {
        let size = asked.len();
        let mut again = Vec::new();
        for (pull, answer) in asked.into_iter().zip(answers) {
            match answer {
                _ if size > 1 && too_large(&answer).is_some() => again.push(pull),
                Ok(fresh) => rereads.read.push((fresh, read_at(sent))),
                Err(torn) => rereads.unreadable.push(unreadable(&pull, torn.gap)),
            }
        }
        if !again.is_empty() {
            self.rereads.halve(size);
        }
        again
    }

    /// Each in the order asked.
    async fn recheck_at_once(&self, pulls: &[Pull]) -> Result<Vec<Reread>, Error> {
        let mut answers = BTreeMap::new();
        let mut open: Vec<(usize, Option<String>)> = (0..pulls.len()).map(|index| (index, None)).collect();
        for _ in 0..MAX_PAGES {
            if open.is_empty() {
                break;
            }
            let page = self.recheck_page(pulls, &open).await?;
            let asked = mem::take(&mut open);
            for ((index, _), answer) in asked.into_iter().zip(page) {
                let (answer, more) = match answer {
                    Ok((pull, more)) => (Ok(pull), more),
                    Err(torn) => (Err(torn), None),
                };
                let whole = match answers.remove(&index) {
                    Some(earlier) => join(earlier, answer),
                    None => answer,
                };
                answers.insert(index, whole);
                if let Some(cursor) = more.and_then(|info: PageInfo| info.end_cursor) {
                    open.push((index, Some(cursor)));
                }
            }
        }
        Ok(answers.into_values().collect())
    }

    async fn recheck_page(
        &self,
        pulls: &[Pull],
        asked: &[(usize, Option<String>)],
    ) -> Result<Vec<Result<(Pull, Option<PageInfo>), Torn>>, Error> {
        let mut variables = json!({});
        for (place, (index, after)) in asked.iter().enumerate() {
            variables[format!("id_{place}")] = json!(pulls[*index].id);
            variables[format!("after_{place}")] = json!(after);
        }
        let document = documents::recheck(asked.len());
        let response = self.graphql(WHAT, &document, variables).await?;
        let alias = |place: usize| format!("pull_{place}");
        let known: Vec<[Value; 1]> = (0..asked.len()).map(|place| [json!(alias(place))]).collect();
        let stray =
            response.errors.iter().find(|error| !known.iter().any(|path| error.below(path).is_some()));
        if let Some(error) = stray {
            let why = format!("could not {WHAT}: GitHub says: {}", error.text());
            let is_too_large = error.cause() == GapCause::TooLarge;
            return Err(if is_too_large { Error::Overloaded(why) } else { Error::Failed(why) });
        }
        let read = asked.iter().enumerate().map(|(place, (index, _))| {
            let node = &response.data[alias(place)];
            wire::pull(node, &[json!(alias(place))], &response.errors, &self.lacking)
                .and_then(|(pull, more)| same(&pulls[*index], pull).map(|pull| (pull, more)))
        });
        Ok(read.collect())
    }
}

/// An answer about another pull request than the one that was asked for is none.
fn same(asked: &Pull, answer: Pull) -> Reread {
    if asked.number == answer.number {
        return Ok(answer);
    }
    let sentence = format!("GitHub answered with #{}", answer.number);
    let gap = Gap { cause: GapCause::Other, sentence };
    Err(Torn { number: Some(asked.number), title: asked.title.clone(), gap, is_gone: false })
}

fn unreadable(asked: &Pull, gap: Gap) -> Unreadable {
    Unreadable { number: asked.number, title: asked.title.clone(), gap }
}

/// The newer facts with the rows of both pages. Pages of two commits, or of two states of one, do
/// not add up: then the number of rows is not the total, and the checks stay undecided.
fn join(earlier: Reread, newer: Reread) -> Reread {
    let (mut earlier, mut newer) = (earlier?, newer?);
    newer.checks = match (earlier.checks, newer.checks) {
        (Checks::Rollup(first), Checks::Rollup(second)) if first.commit == second.commit => {
            Checks::Rollup(joined(first, second))
        }
        (Checks::Unreadable(why), _) | (_, Checks::Unreadable(why)) => Checks::Unreadable(why),
        (Checks::Rollup(_) | Checks::None, Checks::Rollup(_) | Checks::None) => {
            Checks::Unreadable("the checks changed while they were read".to_owned())
        }
    };
    newer.gaps.append(&mut earlier.gaps);
    Ok(newer)
}

fn joined(mut first: Rollup, mut second: Rollup) -> Rollup {
    first.rows.items.append(&mut second.rows.items);
    second.rows.items = first.rows.items;
    second.rows.complete = second.rows.items.len() as u64 == second.total;
    second
}
