//! The roster as a source: `count` interchangeable sessions for each role. It reads nothing and
//! writes nothing.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::SystemTime;

use coordinator_core::fleet::{Inventory, Role, RoleKey, Slot};
use coordinator_core::source::{Effect, EffectReport, Source, SourcePlan};

/// Its name, and the word of its kind.
pub const ROSTER: &str = "roster";

/// `[[role]]`, in the order of the file.
#[derive(Debug)]
pub struct RosterSource<'a> {
    roles: &'a [Role],
    known: BTreeSet<&'a str>,
    only: &'a [RoleKey],
    serves: bool,
}

impl<'a> RosterSource<'a> {
    /// The roles of a roster. It wants sessions of those in `only`, of all where that is empty, and
    /// of none unless it `serves`. It claims the slots of all of them.
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
