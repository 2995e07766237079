//! `[budget]`: what sessions may cost, what counts against it, and whether one more may start.
//!
//! A live session counts as the most that one of its role may cost, so that what is under way can
//! never break a cap. What is not known counts as that, too, and where the history is not known at
//! all nothing starts under a cap.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::fleet::{Hold, HoldReason, Listing, RoleKey, Run, Slot, Target, Usd};
use crate::plan::Order;
use crate::platform::Ended;

/// A session counts for so long after its end.
pub const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// `sessions_per_hour` counts the starts of this time.
pub const RATE_WINDOW: Duration = Duration::from_secs(60 * 60);

/// The name of the roster among sources.
const ROSTER: &str = "roster";

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
        let role = session.item.as_ref().map(|item| item.role.to_string());
        let role = role.unwrap_or_else(|| slot.group.to_string());
        let known = session.generation.and_then(|number| charges.remove(&(slot, number)));
        let usd = budget.session(&role).max(known.map(|known| known.usd).unwrap_or_default());
        let (source, started_at) = (source(slot), session.started_at);
        live.push(Charge { role, source, usd, ended_at: None, started_at });
    }
    let damaged = ended.damaged.iter().map(|damaged| {
        let role = damaged.slot.group.to_string();
        let (usd, at) = (budget.session(&role), Some(damaged.at));
        Charge { usd, source: source(&damaged.slot), role, ended_at: at, started_at: at }
    });
    Spending::Known(charges.into_values().chain(live).chain(damaged).collect())
}

fn of_run(budget: &Budget, slot: &Slot, run: &Run) -> Charge {
    let role = run.item.as_ref().map(|item| item.role.to_string());
    let role = role.unwrap_or_else(|| slot.group.to_string());
    Charge {
        usd: budget.cost(&role, run),
        role,
        source: source(slot),
        ended_at: Some(run.finished_at),
        started_at: Some(run.started_at),
    }
}

fn source(slot: &Slot) -> String {
    slot.index().map_or_else(|| slot.group.to_string(), |_| ROSTER.to_owned())
}

/// What a cap is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    Fleet,
    Role(String),
    Source(String),
}

impl Scope {
    fn covers(&self, role: &str, of_source: &str) -> bool {
        match self {
            Self::Fleet => true,
            Self::Role(key) => key == role,
            Self::Source(name) => name == of_source,
        }
    }
}

/// One cap, and what is left of it.
#[derive(Debug, Clone)]
struct Cap {
    scope: Scope,
    state: CapState,
    /// What ended sessions free, and when, soonest first.
    frees: Vec<(SystemTime, Usd)>,
}

impl Cap {
    fn new(name: String, limit: Usd, scope: Scope, charges: &[Charge], now: SystemTime) -> Self {
        let covered = charges.iter().filter(|of| scope.covers(&of.role, &of.source));
        let mut frees = Vec::new();
        let (mut spent, mut reserved) = (Usd::default(), Usd::default());
        for charge in covered {
            match charge.ended_at {
                None => reserved = reserved + charge.usd,
                Some(ended_at) => {
                    // A record of the future counts until 24 h after its own time.
                    let Some(leaves) = ended_at.checked_add(WINDOW).filter(|at| *at > now) else {
                        continue;
                    };
                    spent = spent + charge.usd;
                    frees.push((leaves, charge.usd));
                }
            }
        }
        frees.sort_unstable();
        let state = CapState { cap: name, limit, spent, reserved, is_held: false, free_at: None };
        Self { scope, state, frees }
    }

    /// Why a session of this price does not fit.
    fn hold(&self, price: Usd) -> Option<Hold> {
        let CapState { cap, limit, spent, reserved, .. } = &self.state;
        if *spent + *reserved + price <= *limit {
            return None;
        }
        let mut left = *spent;
        let until = self.frees.iter().find_map(|(at, usd)| {
            left = left.less(*usd);
            (left + *reserved + price <= *limit).then_some(*at)
        });
        let detail = format!(
            "{cap} = {limit} has no room for {price}: {spent} spent in 24 h, {reserved} reserved \
             for live sessions"
        );
        Some(Hold { reason: HoldReason::Budget, until, detail })
    }
}

/// What a cap was when its cycle planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapState {
    /// As the roster writes it: `per_day_usd`, `per_role.builder`.
    pub cap: String,
    /// The cap itself.
    pub limit: Usd,
    /// By sessions that ended within 24 h.
    pub spent: Usd,
    /// For live sessions, those that the cycle starts included.
    pub reserved: Usd,
    /// It held a session back.
    pub is_held: bool,
    /// When it has room for the first session that it held back, where that is known.
    pub free_at: Option<SystemTime>,
}

/// How far back a budget looks from a list that was made at `clock`, or by its own clock.
pub fn since(listing: &Listing, clock: SystemTime) -> SystemTime {
    let now = listing.as_of.unwrap_or(clock);
    now.checked_sub(WINDOW).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// What is left of a budget while a cycle plans.
#[derive(Debug, Clone)]
pub struct Purse {
    budget: Budget,
    caps: Vec<Cap>,
    /// When the sessions of the last hour started, oldest first.
    starts: Vec<SystemTime>,
    now: SystemTime,
    unknown: Option<String>,
    costs: BTreeMap<String, Usd>,
}

impl Purse {
    /// The budget after this spending, at `now` by the clock that wrote the times in it.
    pub fn new(budget: &Budget, spending: &Spending, now: SystemTime) -> Self {
        let (charges, unknown) = match spending {
            Spending::Known(charges) => (charges.as_slice(), None),
            Spending::Unknown(why) => (&[][..], Some(why.clone())),
        };
        let cap = |name, limit: &Usd, scope| Cap::new(name, *limit, scope, charges, now);
        let day =
            budget.per_day.iter().map(|limit| cap("per_day_usd".to_owned(), limit, Scope::Fleet));
        let roles = budget.per_role.iter().map(|(role, limit)| {
            cap(format!("per_role.{role}"), limit, Scope::Role(role.to_string()))
        });
        let sources = budget.per_source.iter().map(|(source, limit)| {
            cap(format!("per_source.{source}"), limit, Scope::Source(source.clone()))
        });
        let caps: Vec<Cap> = day.chain(roles).chain(sources).collect();
        let is_recent =
            |at: &SystemTime| at.checked_add(RATE_WINDOW).is_none_or(|leaves| leaves > now);
        let started = |charge: &Charge| match charge.ended_at {
            None => Some(charge.started_at.unwrap_or(now)),
            Some(_) => charge.started_at,
        };
        let mut starts: Vec<SystemTime> =
            charges.iter().filter_map(started).filter(is_recent).collect();
        starts.sort_unstable();
        let mut costs: BTreeMap<String, Usd> = BTreeMap::new();
        for charge in charges.iter().filter(|charge| counts_at(charge, now)) {
            let cost = costs.entry(charge.role.clone()).or_default();
            *cost = *cost + charge.usd;
        }
        Self { budget: budget.clone(), caps, starts, now, unknown, costs }
    }

    /// The same by a list of the platform, and the sessions that [`Platform::ended`] gave since
    /// [`since`]; or why it did not. `clock` is this machine's.
    ///
    /// [`Platform::ended`]: crate::platform::Platform::ended
    pub fn read(
        budget: &Budget,
        listing: &Listing,
        ended: Result<Ended, String>,
        clock: SystemTime,
    ) -> Self {
        let spending =
            ended.map_or_else(Spending::Unknown, |ended| spending(budget, listing, &ended));
        Self::new(budget, &spending, listing.as_of.unwrap_or(clock))
    }

    /// Why this session may not start now.
    pub fn hold(&self, target: &Target) -> Option<Hold> {
        self.cap_hold(target).or_else(|| self.rate_hold())
    }

    /// It starts.
    pub fn take(&mut self, target: &Target) {
        let (role, source) = (target.role.as_str(), source(&target.slot));
        let price = self.budget.session(role);
        for cap in self.caps.iter_mut().filter(|cap| cap.scope.covers(role, &source)) {
            cap.state.reserved = cap.state.reserved + price;
        }
        self.starts.push(self.now);
    }

    /// The cap that has room for it last, of those that have none now.
    fn cap_hold(&self, target: &Target) -> Option<Hold> {
        let (role, source) = (target.role.as_str(), source(&target.slot));
        let price = self.budget.session(role);
        let mut covering =
            self.caps.iter().filter(|cap| cap.scope.covers(role, &source)).peekable();
        if let (Some(why), Some(_)) = (&self.unknown, covering.peek()) {
            let detail = format!("what the sessions of 24 h cost is unknown: {why}");
            return Some(Hold { reason: HoldReason::Budget, until: None, detail });
        }
        let holds = covering.filter_map(|cap| cap.hold(price));
        let holds = holds.chain(self.item_hold(target, &source, price));
        holds.reduce(|a, b| {
            let frees = |hold: &Hold| (hold.until.is_none(), hold.until);
            if frees(&b) > frees(&a) { b } else { a }
        })
    }

    /// All sessions of an item together; what it cost before comes with it.
    fn item_hold(&self, target: &Target, source: &str, price: Usd) -> Option<Hold> {
        let limit = *self.budget.per_item.get(source)?;
        let spent = target.item.as_ref()?.counts.cost_usd;
        let detail = format!(
            "per_item.{source} = {limit} has no room for {price}: the item has cost {spent}; a \
             person must raise it, or take the item over"
        );
        (spent + price > limit).then_some(Hold { reason: HoldReason::Budget, until: None, detail })
    }

    fn rate_hold(&self) -> Option<Hold> {
        let limit = self.budget.sessions_per_hour?;
        let held = |until, detail| Some(Hold { reason: HoldReason::Rate, until, detail });
        if let Some(why) = &self.unknown {
            return held(
                None,
                format!("how many sessions started in the last hour is unknown: {why}"),
            );
        }
        let surplus = self.starts.len().checked_sub(limit as usize)?;
        let until = self.starts.get(surplus).and_then(|at| at.checked_add(RATE_WINDOW));
        held(until, format!("sessions_per_hour = {limit} is reached"))
    }

    /// Each cap that has no room for it holds it back.
    fn note(&mut self, target: &Target) {
        let (role, source) = (target.role.as_str(), source(&target.slot));
        let price = self.budget.session(role);
        for cap in self.caps.iter_mut().filter(|cap| cap.scope.covers(role, &source)) {
            let Some(hold) = cap.hold(price).filter(|_| !cap.state.is_held) else { continue };
            (cap.state.is_held, cap.state.free_at) = (true, hold.until);
        }
    }

    /// The state after these orders, which were planned with it.
    pub fn after(mut self, orders: &[Order]) -> BudgetReport {
        let mut started = Usd::default();
        for order in orders {
            match order {
                Order::Start(want) => {
                    started = started + self.budget.session(want.role.as_str());
                    self.take(&want.target());
                }
                Order::Hold { target, hold } if hold.reason == HoldReason::Budget => {
                    self.note(target);
                }
                Order::Hold { .. } => {}
            }
        }
        BudgetReport {
            caps: self.caps.into_iter().map(|cap| cap.state).collect(),
            sessions_per_hour: self.budget.sessions_per_hour,
            sessions_in_hour: u32::try_from(self.starts.len()).unwrap_or(u32::MAX),
            cost_by_role: self.costs,
            unknown: self.unknown,
            overshoot: started,
        }
    }
}

/// Whether it counts in the window that ends at `now`.
fn counts_at(charge: &Charge, now: SystemTime) -> bool {
    let leaves = charge.ended_at.and_then(|ended_at| ended_at.checked_add(WINDOW));
    charge.ended_at.is_none() || leaves.is_some_and(|leaves| leaves > now)
}

/// The budget in a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BudgetReport {
    /// The caps of 24 h, as the roster orders them.
    pub caps: Vec<CapState>,
    /// The limit of starts in an hour.
    pub sessions_per_hour: Option<u32>,
    /// Starts in the last hour, those of this cycle included.
    pub sessions_in_hour: u32,
    /// What counts in 24 h, by role; live sessions and unknown costs as the most that they may be.
    pub cost_by_role: BTreeMap<String, Usd>,
    /// Why what was spent is unknown: nothing starts under a cap.
    pub unknown: Option<String>,
    /// What this cycle starts: a cycle that overlaps it may exceed a cap by so much, because
    /// neither sees the other's starts.
    pub overshoot: Usd,
}
