//! A state of the world before a cycle, and what no cycle can do without.

use std::time::Duration;

use crate::stage::Pace;
use testkit::{Check, Pull, Review};

/// Pull requests that one request can read without being too big for GitHub.
const PULLS_A_PAGE: u64 = 50;
/// Jobs that one request can read without being too big for an API server.
const JOBS_A_PAGE: u64 = 500;
/// Starts that are under way at once, to a cluster far away.
const STARTS_AT_ONCE: u64 = 32;
/// Data older than this is read again before a merge.
const FRESH: Duration = Duration::from_secs(5);

/// A state of the world before a cycle.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// In the table.
    pub(crate) name: &'static str,
    /// The roster.
    pub(crate) roster: Roster,
    /// Live agents.
    pub(crate) running: u64,
    /// Finished Jobs of other owners in the same namespace.
    pub(crate) strangers: u64,
    /// Open pull requests.
    pub(crate) open: u64,
    /// How many of them are approved and green.
    pub(crate) eligible: u64,
}

/// The roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Roster {
    /// The shipped roster: 25 roles, 38 agents.
    Shipped,
    /// This many roles of one agent each.
    Roles(u64),
}

/// Where sessions run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// As processes of this machine.
    Here,
    /// As Jobs on a fake cluster.
    Cluster,
}

/// Requests per API.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// To GitHub.
    pub(crate) github: u64,
    /// To production.
    pub(crate) production: u64,
    /// Listing the sessions, and starting one.
    pub(crate) platform: u64,
}

impl Roster {
    /// Agents in all.
    pub(crate) fn agents(self) -> u64 {
        match self {
            Self::Shipped => 38,
            Self::Roles(roles) => roles,
        }
    }
}

impl Place {
    /// In the table.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Here => "processes",
            Self::Cluster => "Jobs",
        }
    }
}

impl Scenario {
    fn pulls_pages(&self) -> u64 {
        self.open.div_ceil(PULLS_A_PAGE)
    }

    /// Queries for the single checks of pull requests whose verdict depends on them.
    fn row_pages(&self) -> u64 {
        let needing = self.pulls().filter(needs_rows).count() as u64;
        needing.div_ceil(PULLS_A_PAGE)
    }

    /// How often what is left to be merged is read again: no merge goes by what is older than five
    /// seconds.
    fn rereads(&self, pace: Pace) -> u64 {
        let (mut rereads, mut age) = (0, Duration::ZERO);
        for _ in 0..self.eligible {
            if age > FRESH {
                rereads += 1;
                age = pace.latency;
            }
            age += pace.latency + pace.pause;
        }
        rereads
    }

    fn spawns(&self) -> u64 {
        self.roster.agents() - self.running
    }

    fn list_pages(&self, place: Place) -> u64 {
        match place {
            Place::Here => 1,
            Place::Cluster => self.running.div_ceil(JOBS_A_PAGE).max(1),
        }
    }

    /// Slots without a Job have a history in the ledger, if anywhere.
    fn ledgers(&self, place: Place) -> u64 {
        u64::from(place == Place::Cluster && self.spawns() > 0)
    }

    /// A list of everything, what must be read in detail, and one request for each change.
    pub(crate) fn fewest(&self, place: Place, pace: Pace) -> Counts {
        Counts {
            github: self.pulls_pages() + self.row_pages() + self.eligible + self.rereads(pace),
            production: 1,
            platform: self.list_pages(place) + self.ledgers(place) + self.spawns(),
        }
    }

    /// The longest chain of requests that wait for each other: pages, the last query for
    /// single checks (the others are sent at the same time as the pages), and then merges, with a
    /// `pause` between one's answer and the next, and a reread every five seconds; or pages, the
    /// ledger and then starts, 32 at a time. Work on this machine does not count.
    pub(crate) fn floor(&self, place: Place, pace: Pace) -> Duration {
        let times = |count: u64, each: Duration| {
            each.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
        };
        let Pace { latency, pause } = pace;
        let reading = self.pulls_pages() + self.row_pages().min(1) + self.rereads(pace);
        let merging =
            times(reading + self.eligible, latency) + times(self.eligible.saturating_sub(1), pause);
        let spawning = match place {
            Place::Here => Duration::ZERO,
            Place::Cluster => {
                let starts = self.spawns().div_ceil(STARTS_AT_ONCE);
                times(self.list_pages(place) + self.ledgers(place) + starts, latency)
            }
        };
        merging.max(spawning).max(latency)
    }

    /// The eligible ones are spread over the list; the others are held for different reasons.
    pub(crate) fn pulls(&self) -> impl Iterator<Item = Pull> {
        (1..=self.open).map(|number| {
            let pull =
                Pull::eligible(number).titled(&format!("Rename the settings of module {number}"));
            let is_eligible =
                number * self.eligible / self.open > (number - 1) * self.eligible / self.open;
            if is_eligible { green(pull) } else { held(pull) }
        })
    }
}

/// Green at once, after a rerun, or beside a check that was skipped.
fn green(pull: Pull) -> Pull {
    let build = |id, conclusion| Check::run("build", id, conclusion);
    let checks = match pull.number % 3 {
        0 => vec![build(1, "SUCCESS"), Check::run("e2e", 2, "SUCCESS")],
        1 => vec![build(1, "CANCELLED"), build(2, "SUCCESS")],
        _ => vec![build(1, "SUCCESS"), Check::run("docs", 2, "SKIPPED")],
    };
    Pull { checks, ..pull }
}

/// Held by a check that is red, pending or red after a rerun, beside one that was skipped; or by
/// its reviews, whatever its checks.
fn held(pull: Pull) -> Pull {
    let build = |id, conclusion| Check::run("build", id, conclusion);
    let (green, skipped) = (Check::run("e2e", 3, "SUCCESS"), Check::run("docs", 4, "SKIPPED"));
    let checks = match pull.number % 6 {
        0 | 1 => vec![build(1, "FAILURE"), green, skipped],
        2 | 3 => vec![running("build", 1), green, skipped],
        4 => vec![build(1, "SUCCESS"), build(2, "FAILURE"), skipped],
        _ => vec![build(1, "FAILURE")],
    };
    let reviews = match pull.number % 6 {
        0 => Vec::new(),
        2 => {
            let requested = Review::approval("bob", &pull.head);
            vec![
                pull.reviews[0].clone(),
                Review { state: "CHANGES_REQUESTED".to_owned(), ..requested },
            ]
        }
        _ => pull.reviews,
    };
    Pull { reviews, checks, ..pull }
}

fn running(name: &str, id: u64) -> Check {
    let mut check = Check::run(name, id, "SUCCESS");
    if let Check::CheckRun { status, conclusion, .. } = &mut check {
        "IN_PROGRESS".clone_into(status);
        *conclusion = None;
    }
    check
}

/// Whether it is approved, and the counts of its checks do not decide.
fn needs_rows(pull: &Pull) -> bool {
    let is_approved =
        !pull.reviews.is_empty() && pull.reviews.iter().all(|review| review.state == "APPROVED");
    let states: Vec<&str> = pull.checks.iter().map(Check::counted_state).collect();
    let all = |wanted: &[&str]| states.iter().all(|state| wanted.contains(state));
    is_approved && !all(&["SUCCESS", "SKIPPED"]) && !all(&["FAILURE"]) && !all(&["IN_PROGRESS"])
}
