//! Pull requests read again, with every check row: one request for as many as GitHub can show at
//! once.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::time::Instant;

use coordinator_core::pull::{Checks, Gap, GapCause, Pull, Unreadable};
use coordinator_core::report::RateLimit;

use super::graphql::FieldError;
use super::list::{read_at, said, too_large};
use super::pull::{self, PageInfo, Torn};
use super::{Error, Github, documents};

/// Pull requests per request; halved, down to one, where GitHub cannot answer that many.
pub const MAX_PULLS: usize = 50;

/// A hundred rows a page: more than 500 rows are not read.
const MAX_PAGES: usize = 5;

const WHAT: &str = "read pull requests again";

/// Pull requests that were read again.
#[derive(Debug, Default)]
pub struct Rereads {
    /// The current state of each, and when it was read.
    pub read: Vec<(Pull, Instant)>,
    /// Pull requests that GitHub cannot show even alone.
    pub unreadable: Vec<Unreadable>,
    /// Pull requests without an answer, and why.
    pub unanswered: Option<(Vec<Pull>, Error)>,
}

impl Rereads {
    /// The rate limit that refused the rest, if that is why.
    pub fn rate_limit(&self) -> Option<&RateLimit> {
        self.unanswered.as_ref().and_then(|(_, error)| error.rate_limit())
    }
}

/// Pull requests per request: halved where that is too many, and kept for the rest of the cycle.
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

/// A pull request that is read again, as far as that has come.
struct Open {
    asked: Pull,
    /// What its pages have shown so far, and when the first was read.
    shown: Option<(Pull, Instant)>,
    /// Where the next page of its checks starts.
    after: Option<String>,
    pages: usize,
}

impl Github {
    /// How many pull requests one request reads again at present.
    pub fn reread_size(&self) -> usize {
        self.rereads.get()
    }

    /// Reads pull requests again. More check rows than one page cost one more request per page for
    /// all of them together; rows that are not all read leave the checks undecided. No further
    /// request starts once `is_stopped`.
    pub async fn recheck(&self, pulls: Vec<Pull>, is_stopped: impl Fn() -> bool) -> Rereads {
        let mut rereads = Rereads::default();
        let open = |asked| Open { asked, shown: None, after: None, pages: 0 };
        let mut left: Vec<Open> = pulls.into_iter().map(open).collect();
        while !left.is_empty() {
            let size = self.rereads.get().min(left.len());
            let rest = left.split_off(size);
            let sent = Instant::now();
            let answers = if is_stopped() {
                Err(Error::Failed(format!("could not {WHAT}: the cycle ended first")))
            } else {
                self.recheck_page(&left).await
            };
            match answers {
                Ok(answers) => left = self.sort(left, answers, sent, &mut rereads),
                Err(Error::Overloaded(_)) if size > 1 => self.rereads.halve(size),
                Err(Error::Overloaded(why)) => {
                    let gap = Gap { cause: GapCause::TooLarge, sentence: said(WHAT, &why) };
                    rereads
                        .unreadable
                        .extend(left.drain(..).map(|open| unreadable(open.asked, gap.clone())));
                }
                Err(error) => {
                    let left = left.into_iter().chain(rest).map(|open| open.asked);
                    rereads.unanswered = Some((left.collect(), error));
                    break;
                }
            }
            left.extend(rest);
        }
        rereads
    }

    /// One request for all of them; the answers come in their order, each with the start of
    /// the next page of its checks.
    async fn recheck_page(&self, asked: &[Open]) -> Result<Vec<Answered>, Error> {
        let aliases: Vec<[Value; 1]> =
            (0..asked.len()).map(|at| [json!(format!("pull_{at}"))]).collect();
        let mut variables = json!({});
        for (at, open) in asked.iter().enumerate() {
            variables[format!("id_{at}")] = json!(open.asked.id);
            variables[format!("after_{at}")] = json!(open.after);
        }
        let response = self.graphql(WHAT, &documents::recheck(asked.len()), &variables).await?;
        let is_known =
            |error: &FieldError| aliases.iter().any(|alias| error.below(alias).is_some());
        if let Some(error) = response.errors.iter().find(|error| !is_known(error)) {
            let why = format!("could not {WHAT}: GitHub answered: {}", error.text());
            let is_too_large = error.cause() == GapCause::TooLarge;
            return Err(if is_too_large { Error::Overloaded(why) } else { Error::Failed(why) });
        }
        let answers = asked.iter().zip(&aliases).enumerate().map(|(at, (open, alias))| {
            let node = &response.data[format!("pull_{at}")];
            let answer = pull::read(node, alias, &response.errors, &self.lacking)?;
            if answer.0.number == open.asked.number {
                return Ok(answer);
            }
            let sentence = format!("GitHub answered with #{}", answer.0.number);
            let gap = Gap { cause: GapCause::Other, sentence };
            Err(Torn { number: Some(open.asked.number), title: String::new(), gap, is_gone: false })
        });
        Ok(answers.collect())
    }

    /// Keeps what was shown whole; returns what must be read again or has a next page.
    fn sort(
        &self,
        asked: Vec<Open>,
        answers: Vec<Answered>,
        sent: Instant,
        rereads: &mut Rereads,
    ) -> Vec<Open> {
        let size = asked.len();
        let mut again = Vec::new();
        let mut was_too_large = false;
        for (mut open, answer) in asked.into_iter().zip(answers) {
            let (pull, more) = match answer {
                answer
                    if size > 1 && too_large(answer.as_ref().map(|(pull, _)| pull)).is_some() =>
                {
                    was_too_large = true;
                    again.push(open);
                    continue;
                }
                Ok(answer) => answer,
                Err(torn) => {
                    rereads.unreadable.push(unreadable(open.asked, torn.gap));
                    continue;
                }
            };
            let (pull, read_at) = match open.shown.take() {
                Some((earlier, first)) => (join(earlier, pull), first),
                None => (pull, read_at(sent)),
            };
            open.after = more.and_then(|info| info.end_cursor);
            open.pages += 1;
            if open.after.is_some() && open.pages < MAX_PAGES {
                again.push(Open { shown: Some((pull, read_at)), ..open });
            } else {
                rereads.read.push((pull, read_at));
            }
        }
        if was_too_large {
            self.rereads.halve(size);
        }
        again
    }
}

type Answered = Result<(Pull, Option<PageInfo>), Torn>;

fn unreadable(asked: Pull, gap: Gap) -> Unreadable {
    Unreadable { number: asked.number, title: asked.title, gap }
}

/// The newer facts with the rows of both pages. Pages of two commits, or of two states of one, do
/// not add up: then the number of rows is not the total, and the checks stay undecided.
fn join(mut earlier: Pull, mut newer: Pull) -> Pull {
    newer.checks = match (earlier.checks, newer.checks) {
        (Checks::Rollup(mut first), Checks::Rollup(mut second))
            if first.commit == second.commit =>
        {
            first.rows.items.append(&mut second.rows.items);
            second.rows.complete = first.rows.items.len() as u64 == second.total;
            second.rows.items = first.rows.items;
            Checks::Rollup(second)
        }
        (Checks::Unreadable(why), _) | (_, Checks::Unreadable(why)) => Checks::Unreadable(why),
        (Checks::Rollup(_) | Checks::None, Checks::Rollup(_) | Checks::None) => {
            Checks::Unreadable("the checks changed while they were read".to_owned())
        }
    };
    newer.gaps.append(&mut earlier.gaps);
    newer
}
