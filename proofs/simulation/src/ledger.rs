//! What each coordinator has read and sent, and what it must not send after that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::time::Instant;

use crate::eligible::Rules;
use crate::facts::{Facts, JobPage, Shown};
use crate::money::{self, Sessions};
use crate::table::Place;
use crate::{time, titles};

/// How old an answer may be when a merge is decided by it; older ones are read again.
const FRESH: Duration = Duration::from_secs(5);
/// How long a call may take, and so how long after the decision it may be sent by a coordinator
/// that was frozen in between.
const CALL: Duration = Duration::from_secs(20);
const BASE_SETTLES: Duration = Duration::from_secs(2);

/// After SIGTERM, requests in flight have this long to end.
const GRACE: Duration = Duration::from_millis(700);

/// The end of a cycle in which no merge starts.
const MERGE_RESERVE: Duration = Duration::from_secs(20);

/// The merge calls for one pull request.
#[derive(Debug, Default)]
struct Calls {
    sent: u32,
    allowed: u32,
}

/// One coordinator.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) bounds: Bounds,
    pub(crate) started: Instant,
    pub(crate) interrupted: Option<Instant>,
    /// It was stopped for a while: what it had decided before may be sent after.
    pub(crate) was_frozen: bool,
    shown: BTreeMap<u64, (Shown, Instant)>,
    on_base: BTreeSet<u64>,
    files: BTreeMap<u64, bool>,
    calls: BTreeMap<u64, Calls>,
    /// Which, and when.
    last_call: Option<(u64, Instant)>,
    rate_limited: bool,
    pub(crate) merged: BTreeSet<u64>,
    /// The newest generation of each slot that coordinators had removed when it began.
    removed: BTreeMap<String, u64>,
    /// Sessions whose creation it requested.
    pub(crate) requested: BTreeSet<String>,
    pub(crate) writes: u32,
    /// Its requests, by their purpose.
    pub(crate) sent: BTreeMap<(Place, &'static str), u64>,
    /// The pages of the list that it reads, so far.
    paged: JobPage,
    /// The fleet is paused, by the last list that it read to the end, or a look after that.
    paused: bool,
    /// When the server made the first page of that list, in seconds of the world.
    listed_at: Option<i64>,
    /// The sessions that a person stopped, by that list.
    stopped: BTreeSet<String>,
    /// Live Jobs in the last list that it read to the end.
    pub(crate) listed: Option<u32>,
}

/// The limits of a coordinator's cycle.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub(crate) rules: Rules,
    pub(crate) deadline: Duration,
    pub(crate) dry_run: bool,
    pub(crate) max_merges: usize,
    pub(crate) max_spawns: usize,
    pub(crate) max_running: Option<u32>,
    pub(crate) pause: Duration,
    /// The commit gets the title and no body.
    pub(crate) names_commits: bool,
    /// The sessions of the roster's slots.
    pub(crate) slots: BTreeSet<String>,
    /// How many sessions of 24 h the budget has room for.
    pub(crate) affordable: Option<usize>,
    /// It serves the items of the world's store, too.
    pub(crate) items: bool,
}

impl Watched {
    pub(crate) fn new(bounds: Bounds, removed: BTreeMap<String, u64>) -> Self {
        Self {
            bounds,
            removed,
            started: Instant::now(),
            interrupted: None,
            was_frozen: false,
            shown: BTreeMap::new(),
            on_base: BTreeSet::new(),
            files: BTreeMap::new(),
            calls: BTreeMap::new(),
            last_call: None,
            rate_limited: false,
            merged: BTreeSet::new(),
            requested: BTreeSet::new(),
            writes: 0,
            sent: BTreeMap::new(),
            paged: JobPage::default(),
            paused: false,
            listed_at: None,
            stopped: BTreeSet::new(),
            listed: None,
        }
    }

    /// A whole answer has arrived.
    pub(crate) fn record(&mut self, facts: Facts) {
        if let Some(on_base) = facts.on_base {
            self.on_base = on_base;
        }
        for shown in facts.pulls {
            self.shown.insert(shown.number, (shown, Instant::now()));
        }
        if let Some((number, protected)) = facts.files {
            *self.files.entry(number).or_default() |= protected;
        }
        self.rate_limited |= facts.rate_limited;
        if let (true, Some((number, _))) = (facts.base_moved, self.last_call) {
            self.calls.entry(number).or_default().allowed = 2;
        }
        self.merged.extend(facts.merged);
        if let Some(page) = facts.jobs {
            self.turn(page);
        }
        self.paused = facts.paused.unwrap_or(self.paused);
    }

    /// One more page of the list.
    fn turn(&mut self, page: JobPage) {
        if page.is_first {
            self.paged = JobPage { at: page.at, ..JobPage::default() };
        }
        self.paged.live += page.live;
        self.paged.paused |= page.paused;
        self.paged.stopped.extend(page.stopped);
        self.listed = page.is_last.then_some(self.paged.live);
        if page.is_last {
            self.paused = self.paged.paused;
            self.listed_at = Some(self.paged.at);
            self.stopped.clone_from(&self.paged.stopped);
        }
    }

    /// How many sessions `max_running` lets it start where so many are live.
    pub(crate) fn room(&self, live: u32) -> usize {
        self.bounds.max_running.map_or(usize::MAX, |cap| cap.saturating_sub(live) as usize)
    }

    /// The violation in any request at this moment.
    pub(crate) fn request(&self) -> Result<(), String> {
        let now = Instant::now();
        let end = self.started + self.bounds.deadline;
        if now > end {
            return Err(format!("a request {:?} after its deadline", now - end));
        }
        if let Some(interrupted) = self.interrupted.filter(|at| now > *at + GRACE) {
            return Err(format!("a request {:?} after it was interrupted", now - interrupted));
        }
        Ok(())
    }

    /// The violation in a request to GitHub at this moment.
    pub(crate) fn github_request(&self) -> Result<(), String> {
        if self.rate_limited {
            return Err("a request to GitHub after its rate limit refused one".to_owned());
        }
        self.request()
    }

    /// This long, for one that was frozen.
    fn frozen(&self, most: Duration) -> Duration {
        if self.was_frozen { most } else { Duration::ZERO }
    }

    /// The violation in merging this head of this pull request.
    pub(crate) fn merge_call(&mut self, number: u64, call: &Value) -> Result<(), String> {
        let head = call["sha"].as_str().unwrap_or_default();
        let now = Instant::now();
        self.writes += 1;
        let wrong = |why: String| Err(format!("it sends a merge call for #{number}, {why}"));
        if self.bounds.dry_run {
            return wrong("in a dry run".to_owned());
        }
        let Some((shown, seen)) = self.shown.get(&number) else {
            return wrong("which it was never shown".to_owned());
        };
        if shown.head != head {
            return wrong(format!("head {head}, and was shown {}", shown.head));
        }
        match shown.eligible_since {
            None => return wrong("which was not eligible in the last answer".to_owned()),
            Some(since) if since > time::seconds() => {
                return wrong(format!("{} s too early", since - time::seconds()));
            }
            Some(_) => {}
        }
        if let Err(flaw) = titles::flaw(call, number, &shown.title, self.bounds.names_commits) {
            return wrong(flaw);
        }
        if self.paused {
            return wrong("and read that the fleet is paused".to_owned());
        }
        if self.on_base.contains(&number) {
            return wrong("whose commit it saw on the base".to_owned());
        }
        if self.bounds.rules.protects && self.files.get(&number) != Some(&false) {
            return wrong("before it has read that no protected path is in it".to_owned());
        }
        let calls = self.calls.entry(number).or_default();
        calls.sent += 1;
        let calls_sent = calls.sent;
        if calls_sent > calls.allowed.max(1) {
            return wrong(format!("for the {calls_sent}. time"));
        }
        if self.merged.len() >= self.bounds.max_merges {
            return wrong("which is more than max_merges".to_owned());
        }
        let age = now - *seen;
        if age > FRESH + self.frozen(CALL) {
            return wrong(format!("which it saw {age:?} ago"));
        }
        if now > self.started + self.bounds.deadline - MERGE_RESERVE + self.frozen(CALL) {
            return wrong("in the last 20 s of its deadline".to_owned());
        }
        if self.interrupted.is_some_and(|at| now > at) {
            return wrong("after it was interrupted".to_owned());
        }
        let pause = if calls_sent > 1 { BASE_SETTLES } else { self.bounds.pause };
        if self.last_call.is_some_and(|(_, last)| now < last + pause) {
            return wrong("without a pause after the last".to_owned());
        }
        self.last_call = Some((number, now));
        Ok(())
    }

    /// The violation in creating this session; `items` are the sessions of all items that ever
    /// existed.
    pub(crate) fn create_call(
        &mut self,
        session: &str,
        items: &BTreeSet<String>,
    ) -> Result<(), String> {
        self.writes += 1;
        self.requested.insert(session.to_owned());
        if self.bounds.dry_run {
            return Err(format!("it creates {session} in a dry run"));
        }
        if self.paused {
            return Err(format!("it creates {session}, and read that the fleet is paused"));
        }
        if self.stopped.contains(session) {
            return Err(format!("it creates {session}, and read that a person stopped it"));
        }
        let is_item = self.bounds.items && items.contains(session);
        if !self.bounds.slots.contains(session) && !is_item {
            return Err(format!("it creates {session}, which is not in its roster"));
        }
        if self.requested.len() > self.bounds.max_spawns {
            return Err(format!("it creates {session}, which is more than max_spawns"));
        }
        if self.requested.len() > self.room(0) {
            return Err(format!("it creates {session}, which is more than max_running"));
        }
        Ok(())
    }

    /// The violation in creating this session by what all sessions cost that it must have counted.
    /// What overlapping cycles start after its list it cannot see.
    pub(crate) fn affords(&self, session: &str, sessions: &Sessions) -> Result<(), String> {
        let Some(most) = self.bounds.affordable else { return Ok(()) };
        let Some(listed_at) = self.listed_at else {
            return Err(format!("it creates {session} under a budget and without a list"));
        };
        let counted = money::counted(sessions, listed_at);
        if counted.len() + self.requested.len() > most {
            let own = self.requested.len();
            let counted = counted.join(" ");
            return Err(format!(
                "it creates {session}, which the budget cannot afford: {counted} count, and \
                 {own} of its own, of {most}"
            ));
        }
        Ok(())
    }

    /// The violation in creating this session as this generation: a coordinator that dies between
    /// a removal and a creation must not reset a slot.
    pub(crate) fn generation(&self, session: &str, generation: u64) -> Result<(), String> {
        match self.removed.get(session) {
            Some(removed) if generation <= *removed => Err(format!(
                "it creates generation {generation} of {session}, and generation {removed} was \
                 removed before it began"
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// The violation in any other write.
    pub(crate) fn other_write(&mut self, method: &Method, name: &str) -> Result<(), String> {
        self.writes += 1;
        if self.bounds.dry_run {
            return Err(format!("{method} of {name} in a dry run"));
        }
        Ok(())
    }

    /// The pull requests for which it sent a merge call.
    pub(crate) fn called(&self) -> impl Iterator<Item = u64> + '_ {
        self.calls.iter().filter(|(_, calls)| calls.sent > 0).map(|(number, _)| *number)
    }
}
