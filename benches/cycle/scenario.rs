//! A state of the world before a cycle, and what no cycle can do without.

use std::time::Duration;

use crate::world::{Check, Pull, Review};

/// Pull requests that one request can read without being too big for GitHub.
const PULLS_A_PAGE: u64 = 50;
/// Jobs that one request can read without being too big for an API server.
const JOBS_A_PAGE: u64 = 500;
/// Starts that are under way at once, to a cluster far away.
const STARTS_AT_ONCE: u64 = 32;

/// A state of the world before a cycle.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// In the table.
    pub(crate) name: &'static str,
    /// Who should run.
    pub(crate) roster: Wanted,
    /// Live agents.
    pub(crate) running: u64,
    /// Finished Jobs of other owners in the same namespace.
    pub(crate) strangers: u64,
    /// Open pull requests.
    pub(crate) open: u64,
    /// Those of them that are approved and green.
    pub(crate) eligible: u64,
}

/// Who should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The shipped roster: 25 roles, 38 agents.
    Shipped,
    /// So many roles of one agent each.
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

impl Wanted {
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

    /// A list of everything, and one request for each change.
    pub(crate) fn fewest(&self, place: Place) -> Counts {
        Counts {
            github: self.pulls_pages() + self.eligible,
            production: 1,
            platform: self.list_pages(place) + self.ledgers(place) + self.spawns(),
        }
    }

    /// The longest chain of requests that wait for each other: pages and then merges, with a
    /// `pause` between one's answer and the next; or pages, the ledger and then starts, 32 at a
    /// time. What happens on this machine is no request.
    pub(crate) fn floor(&self, place: Place, latency: Duration, pause: Duration) -> Duration {
        let times =
            |count: u64, each: Duration| each.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
        let merging = times(self.pulls_pages() + self.eligible, latency)
            + times(self.eligible.saturating_sub(1), pause);
        let spawning = match place {
            Place::Here => Duration::ZERO,
            Place::Cluster => {
                let starts = self.spawns().div_ceil(STARTS_AT_ONCE);
                times(self.list_pages(place) + self.ledgers(place) + starts, latency)
            }
        };
        merging.max(spawning).max(latency)
    }

    /// The eligible ones are spread over the list; the others are held for three different reasons.
    pub(crate) fn pulls(&self) -> impl Iterator<Item = Pull> {
        (1..=self.open).map(|number| {
            let pull = Pull::eligible(number).titled(&format!("Rename the settings of module {number}"));
            let is_eligible = number * self.eligible / self.open > (number - 1) * self.eligible / self.open;
            if is_eligible { pull } else { held(pull) }
        })
    }
}

fn held(pull: Pull) -> Pull {
    match pull.number % 3 {
        0 => Pull { reviews: Vec::new(), ..pull },
        1 => Pull { checks: vec![Check::run("build", 1, "FAILURE")], ..pull },
        _ => {
            let review = Review::approval("bob", &pull.head);
            let asked = Review { state: "CHANGES_REQUESTED".to_owned(), ..review };
            Pull { reviews: vec![pull.reviews[0].clone(), asked], ..pull }
        }
    }
}
