//! Which sources a roster configures: the one match over them.

use std::convert::Infallible;
use std::time::SystemTime;

use coordinator_core::fleet::{Inventory, RoleKey, Slot};
use coordinator_core::source::{Effect, EffectReport, Source, SourcePlan};
use coordinator_roster::Roster;

mod roster;

pub use self::roster::{ROSTER, RosterSource};

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
    let serves_roles = serves_all || !only_roles.is_empty() || only_sources.iter().any(|name| name == ROSTER);
    vec![AnySource::Roster(RosterSource::new(&roster.roles, only_roles, serves_roles))]
}

/// Whether anything beside the roster wants sessions: work items.
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

    fn plan(&self, state: &Self::State, sessions: &Inventory, now: SystemTime) -> SourcePlan<Self::Change> {
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
