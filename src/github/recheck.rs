//! Pull requests read again, with every check row: one request for up to ten of them.

use std::collections::BTreeMap;
use std::mem;

use serde_json::{Value, json};

use crate::pull::{Checks, Pull, Rollup, Unreadable};

use super::wire::{self, PageInfo};
use super::{Error, Github, documents};

/// One question over 66 pull requests with 34 to 86 rows each was answered 504 at every size.
pub const MOST_PULLS: usize = 10;

/// A hundred rows a page: more than 500 rows are not read.
const MOST_PAGES: usize = 5;

/// One pull request, read again.
pub type Reread = Result<Pull, Unreadable>;

impl Github {
    /// Reads up to [`MOST_PULLS`] pull requests again, each answered in the order asked. More check rows than one page
    /// cost one more request per page for all of them together; rows that are not all read leave the checks undecided.
    pub async fn recheck(&self, pulls: &[Pull]) -> Result<Vec<Reread>, Error> {
        let mut answers = BTreeMap::new();
        let mut open: Vec<(usize, Option<String>)> = (0..pulls.len()).map(|index| (index, None)).collect();
        for _ in 0..MOST_PAGES {
            if open.is_empty() {
                break;
            }
            let page = self.recheck_page(pulls, &open).await?;
            let asked = mem::take(&mut open);
            for ((index, _), answer) in asked.into_iter().zip(page) {
                let (answer, more) = match answer {
                    Ok((pull, more)) => (Ok(pull), more),
                    Err(unreadable) => (Err(unreadable), None),
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
    ) -> Result<Vec<Result<(Pull, Option<PageInfo>), Unreadable>>, Error> {
        let mut variables = json!({});
        for (place, (index, after)) in asked.iter().enumerate() {
            variables[format!("id_{place}")] = json!(pulls[*index].id);
            variables[format!("after_{place}")] = json!(after);
        }
        let document = documents::recheck(asked.len());
        let response = self.graphql("read pull requests again", &document, variables).await?;
        let alias = |place: usize| format!("pull_{place}");
        let known: Vec<[Value; 1]> = (0..asked.len()).map(|place| [json!(alias(place))]).collect();
        let stray =
            response.errors.iter().find(|error| !known.iter().any(|path| error.below(path).is_some()));
        if let Some(error) = stray {
            let why = format!("could not read pull requests again: GitHub says: {}", error.text());
            return Err(Error::Failed(why));
        }
        let read = asked.iter().enumerate().map(|(place, (index, _))| {
            let node = &response.data[alias(place)];
            wire::pull(node, &[json!(alias(place))], &response.errors)
                .and_then(|(pull, more)| same(&pulls[*index], pull).map(|pull| (pull, more)))
                .map_err(|unreadable| named(&pulls[*index], unreadable))
        });
        Ok(read.collect())
    }
}

/// An answer about another pull request than the one that was asked for is none.
fn same(asked: &Pull, answer: Pull) -> Result<Pull, Unreadable> {
    if asked.number == answer.number {
        return Ok(answer);
    }
    let detail = format!("it could not be read: GitHub answered with #{}", answer.number);
    Err(Unreadable { number: asked.number, title: asked.title.clone(), detail })
}

fn named(asked: &Pull, unreadable: Unreadable) -> Unreadable {
    Unreadable { number: asked.number, title: asked.title.clone(), ..unreadable }
}

/// The newer facts with the rows of both pages. Pages of two commits, or of two states of one, do not add up: then the
/// number of rows is not the total, and the checks stay undecided.
fn join(earlier: Reread, newer: Reread) -> Reread {
    let (earlier, mut newer) = (earlier?, newer?);
    newer.checks = match (earlier.checks, newer.checks) {
        (Checks::Rollup(first), Checks::Rollup(second)) if first.commit == second.commit => {
            Checks::Rollup(joined(first, second))
        }
        (Checks::Unreadable(why), _) | (_, Checks::Unreadable(why)) => Checks::Unreadable(why),
        (Checks::Rollup(_) | Checks::None, Checks::Rollup(_) | Checks::None) => {
            Checks::Unreadable("the checks changed while they were read".to_owned())
        }
    };
    Ok(newer)
}

fn joined(mut first: Rollup, mut second: Rollup) -> Rollup {
    first.rows.items.append(&mut second.rows.items);
    second.rows.items = first.rows.items;
    second.rows.complete = second.rows.items.len() as u64 == second.total;
    second
}
