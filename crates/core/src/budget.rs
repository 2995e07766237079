//! `[budget]`: what sessions may cost, what counts against it, and whether one more may start.
//!
//! A live session counts as the most that one of its role may cost, so that what is under way can
//! never break a cap. What is not known counts as that, too, and where the history is not known at
//! all nothing starts under a cap.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::fleet::{ItemRun, Listing, RoleKey, Run, Slot, Usd};
use crate::platform::Ended;
use crate::source::ROSTER;

pub use purse::{BudgetReport, CapState, Purse};

mod purse;

/// A session counts for so long after its end.
pub const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// `sessions_per_hour` counts the starts of this time.
pub const RATE_WINDOW: Duration = Duration::from_secs(60 * 60);

/// `[budget]` of a roster, and what one session of each role may cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budget {
    /// Of the whole fleet in 24 h.
    pub per_day: Option<Usd>,
    /// Of each role in 24 h.
    pub per_role: BTreeMap<RoleKey, Usd>,
    /// Of each source in 24 h; the roster is one.
    pub per_source: BTreeMap<String, Usd>,
    /// Of all sessions of one work item, by the name of its source.
    pub per_item: BTreeMap<String, Usd>,
    /// Starts in an hour, whatever they cost.
    pub sessions_per_hour: Option<u32>,
    /// The most that one session may cost, by role.
    pub session: BTreeMap<RoleKey, Usd>,
}

impl Budget {
    /// Whether anything is bounded.
    pub fn is_set(&self) -> bool {
        self.sessions_per_hour.is_some() || self.has_caps()
    }

    fn has_caps(&self) -> bool {
        self.per_day.is_some()
            || [self.per_source.len(), self.per_item.len(), self.per_role.len()] != [0, 0, 0]
    }

    /// What a session of the role is counted as until more is known: of a role that is not in the
    /// roster any more, the most of all.
    fn session(&self, role: &str) -> Usd {
        let known = self.session.iter().find(|(key, _)| key.as_str() == role);
        let most = || self.session.values().copied().max();
        known.map(|(_, usd)| *usd).or_else(most).unwrap_or_default()
    }

    /// What a session that ended counts as. Only a cost that the agent's program itself printed
    /// can be less than the role's most.
    pub fn cost(&self, role: &str, run: &Run) -> Usd {
        let most = self.session(role);
        let usage = run.result.as_ref().map(|result| result.usage).unwrap_or_default();
        match usage.cost_usd {
            Some(cost) if usage.measured => cost,
            Some(cost) => cost.max(most),
            None => most,
        }
    }
}

/// One session, as it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Its role's key.
    pub role: String,
    /// `roster`, or the source of its item.
    pub source: String,
    /// What it cost, or may still cost.
    pub usd: Usd,
    /// `None` while it is live.
    pub ended_at: Option<SystemTime>,
    /// As far as it is known.
    pub started_at: Option<SystemTime>,
}

/// What counts against the budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spending {
    /// Every session that is live or ended within [`WINDOW`].
    Known(Vec<Charge>),
    /// Not known: why.
    Unknown(String),
}

/// The live sessions of the list, and those that ended, each once. A session that the list shows
/// as live and the history as ended counts as what is more.
pub fn spending(budget: &Budget, listing: &Listing, ended: &Ended) -> Spending {
    if let Some(why) = ended.unreadable.first() {
        return Spending::Unknown(why.clone());
    }
    let mut charges: BTreeMap<(&Slot, u64), Charge> = BTreeMap::new();
    let mut live = Vec::new();
    let listed = listing
        .slots
        .iter()
        .flat_map(|(slot, record)| record.history.iter().map(move |run| (slot, run)));
    for (slot, run) in listed.chain(ended.runs.iter().map(|(slot, run)| (slot, run))) {
        let charge = of_run(budget, slot, run);
        let known = charges.entry((slot, run.generation)).or_insert_with(|| charge.clone());
        // The later one, of two that differ, frees its money later.
        known.usd = known.usd.max(charge.usd);
        known.ended_at = known.ended_at.max(charge.ended_at);
    }
    for (slot, record) in &listing.slots {
        let Some(session) = &record.live else { continue };
        let role = role(slot, session.item.as_ref());
        let known = session.generation.and_then(|number| charges.remove(&(slot, number)));
        let usd = budget.session(&role).max(known.map(|known| known.usd).unwrap_or_default());
        let (source, started_at) = (source(slot), session.started_at);
        live.push(Charge { role, source, usd, ended_at: None, started_at });
    }
    let damaged = ended.damaged.iter().map(|damaged| {
        let role = role(&damaged.slot, None);
        let (usd, at) = (budget.session(&role), Some(damaged.at));
        Charge { usd, source: source(&damaged.slot), role, ended_at: at, started_at: at }
    });
    Spending::Known(charges.into_values().chain(live).chain(damaged).collect())
}

fn of_run(budget: &Budget, slot: &Slot, run: &Run) -> Charge {
    let role = role(slot, run.item.as_ref());
    Charge {
        usd: budget.cost(&role, run),
        role,
        source: source(slot),
        ended_at: Some(run.finished_at),
        started_at: Some(run.started_at),
    }
}

/// Of a role's own slot, the role; of an item's, the recipe that it ran.
fn role(slot: &Slot, item: Option<&ItemRun>) -> String {
    item.map_or_else(|| slot.group.to_string(), |item| item.role.to_string())
}

fn source(slot: &Slot) -> String {
    slot.index().map_or_else(|| slot.group.to_string(), |_| ROSTER.to_owned())
}

/// How far back a budget looks from a list that was made at `clock`, or by its own clock.
pub fn since(listing: &Listing, clock: SystemTime) -> SystemTime {
    let now = listing.as_of.unwrap_or(clock);
    now.checked_sub(WINDOW).unwrap_or(SystemTime::UNIX_EPOCH)
}
