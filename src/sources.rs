//! Which sources a roster configures: the one match over them, and the roster itself as a source.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::SystemTime;

use coordinator_core::fleet::{Inventory, Role, RoleKey, Slot};
use coordinator_core::source::{Effect, EffectReport, Source, SourcePlan};
use coordinator_roster::Roster;

pub use coordinator_core::source::ROSTER;

#[derive(Debug)]
pub enum AnySource<'a> {
    Roster(RosterSource<'a>),
}

/// The sources of a roster, finite work first: under a cap the pipeline comes before the queues,
/// and they before roles.
///
/// `only_roles` and `only_sources` name what is served; both empty: everything.
pub fn configured<'a>(
    roster: &'a Roster,
    only_roles: &'a [RoleKey],
    only_sources: &[String],
) -> Vec<AnySource<'a>> {
    let serves_all = only_roles.is_empty() && only_sources.is_empty();
    let serves_roles =
        serves_all || !only_roles.is_empty() || only_sources.iter().any(|name| name == ROSTER);
    vec![AnySource::Roster(RosterSource::new(&roster.roles, only_roles, serves_roles))]
}

/// Whether any source beside the roster is configured: work items.
pub fn has_items(roster: &Roster) -> bool {
    configured(roster, &[], &[]).iter().any(|source| source.name() != ROSTER)
}

impl Source for AnySource<'_> {
    type State = ();
    type Change = Infallible;

    fn name(&self) -> &str {
        match self {
            Self::Roster(roster) => roster.name(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Roster(roster) => roster.kind(),
        }
    }

    fn claims(&self, slot: &Slot) -> bool {
        match self {
            Self::Roster(roster) => roster.claims(slot),
        }
    }

    async fn observe(&self, now: SystemTime) -> anyhow::Result<Self::State> {
        match self {
            Self::Roster(roster) => roster.observe(now).await,
        }
    }

    fn plan(
        &self,
        state: &Self::State,
        sessions: &Inventory,
        now: SystemTime,
    ) -> SourcePlan<Self::Change> {
        match self {
            Self::Roster(roster) => roster.plan(state, sessions, now),
        }
    }

    async fn commit(&self, effects: Vec<Effect<Self::Change>>) -> Vec<EffectReport> {
        match self {
            Self::Roster(roster) => roster.commit(effects).await,
        }
    }
}

/// `[[role]]`: `count` interchangeable sessions for each role, in the order of the file. It reads
/// nothing and writes nothing.
#[derive(Debug)]
pub struct RosterSource<'a> {
    roles: &'a [Role],
    known: BTreeSet<&'a str>,
    only: &'a [RoleKey],
    serves: bool,
}

impl<'a> RosterSource<'a> {
    /// The roles of a roster. Sessions are planned for those in `only`, or for all where `only` is
    /// empty, and for none unless it `serves`. The source owns the slots of all roles.
    pub fn new(roles: &'a [Role], only: &'a [RoleKey], serves: bool) -> Self {
        let known = roles.iter().map(|role| role.key.as_str()).collect();
        Self { roles, known, only, serves }
    }

    fn is_served(&self, role: &RoleKey) -> bool {
        self.serves && (self.only.is_empty() || self.only.contains(role))
    }
}

impl Source for RosterSource<'_> {
    type State = ();
    type Change = Infallible;

    fn name(&self) -> &str {
        ROSTER
    }

    fn kind(&self) -> &'static str {
        ROSTER
    }

    fn claims(&self, slot: &Slot) -> bool {
        slot.index().is_some() && self.known.contains(slot.group.as_str())
    }

    async fn observe(&self, _now: SystemTime) -> anyhow::Result<()> {
        Ok(())
    }

    fn plan(&self, (): &(), _sessions: &Inventory, _now: SystemTime) -> SourcePlan<Infallible> {
        let served = self.roles.iter().filter(|role| self.is_served(&role.key));
        SourcePlan { wants: served.flat_map(Role::wants).collect(), ..SourcePlan::default() }
    }

    async fn commit(&self, _effects: Vec<Effect<Infallible>>) -> Vec<EffectReport> {
        Vec::new()
    }
}
