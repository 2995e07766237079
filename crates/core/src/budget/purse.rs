//! What is left of a budget while a cycle plans: its caps, and the report of them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::{Budget, Charge, RATE_WINDOW, Spending, WINDOW, source, spending};
use crate::fleet::{Hold, HoldReason, Listing, Target, Usd};
use crate::plan::Order;
use crate::platform::Ended;

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
    /// `charges` are those that count.
    fn new(name: String, limit: Usd, scope: Scope, charges: &[&Charge]) -> Self {
        let covered = charges.iter().filter(|of| scope.covers(&of.role, &of.source));
        let mut frees = Vec::new();
        let (mut spent, mut reserved) = (Usd::default(), Usd::default());
        for charge in covered {
            if charge.ended_at.is_none() {
                reserved = reserved + charge.usd;
                continue;
            }
            spent = spent + charge.usd;
            frees.extend(leaves(charge).map(|at| (at, charge.usd)));
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
        let charges: Vec<&Charge> = charges.iter().filter(|of| counts_at(of, now)).collect();
        let mut costs: BTreeMap<String, Usd> = BTreeMap::new();
        for charge in &charges {
            let cost = costs.entry(charge.role.clone()).or_default();
            *cost = *cost + charge.usd;
        }
        let (caps, starts) = (caps(budget, &charges), recent_starts(&charges, now));
        Self { budget: budget.clone(), caps, starts, now, unknown, costs }
    }

    /// The same by a list of the platform, and the sessions that [`Platform::ended`] gave since
    /// [`since`]; or why it did not. `clock` is this machine's.
    ///
    /// [`since`]: super::since
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

/// The caps of 24 h, after these charges.
fn caps(budget: &Budget, charges: &[&Charge]) -> Vec<Cap> {
    let cap = |name, limit: &Usd, scope| Cap::new(name, *limit, scope, charges);
    let day = budget.per_day.iter();
    let day = day.map(|limit| cap("per_day_usd".to_owned(), limit, Scope::Fleet));
    let roles = budget
        .per_role
        .iter()
        .map(|(role, limit)| cap(format!("per_role.{role}"), limit, Scope::Role(role.to_string())));
    let sources = budget.per_source.iter().map(|(source, limit)| {
        cap(format!("per_source.{source}"), limit, Scope::Source(source.clone()))
    });
    day.chain(roles).chain(sources).collect()
}

/// When the sessions of the last hour started, oldest first. Of a live one whose start is unknown,
/// now; what ended and has left [`WINDOW`] has left the hour, too.
fn recent_starts(charges: &[&Charge], now: SystemTime) -> Vec<SystemTime> {
    let started = |charge: &&Charge| match charge.ended_at {
        None => Some(charge.started_at.unwrap_or(now)),
        Some(_) => charge.started_at,
    };
    let is_recent = |at: &SystemTime| at.checked_add(RATE_WINDOW).is_none_or(|leaves| leaves > now);
    let mut starts: Vec<SystemTime> =
        charges.iter().filter_map(started).filter(is_recent).collect();
    starts.sort_unstable();
    starts
}

/// Whether it counts in the window that ends at `now`. A record of the future counts until 24 h
/// after its own time, and one after all times always.
fn counts_at(charge: &Charge, now: SystemTime) -> bool {
    charge.ended_at.is_none() || leaves(charge).is_none_or(|leaves| leaves > now)
}

/// When a session that ended leaves the window, where that can be told.
fn leaves(charge: &Charge) -> Option<SystemTime> {
    charge.ended_at?.checked_add(WINDOW)
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
