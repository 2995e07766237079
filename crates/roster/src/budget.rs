//! `[budget]`: what sessions may cost.

use std::collections::BTreeMap;
use std::ops::Range;

use coordinator_core::budget::Budget;
use coordinator_core::fleet::{Role, RoleKey, Usd};
use coordinator_core::section::{Count, DnsLabel, Dollars, Placed, Problem, Table};
use coordinator_core::source::ROSTER;

coordinator_core::section! {
    /// What the fleet may cost. Each cap counts the sessions that ended within 24 h, and every live
    /// one as its `session_usd`; one whose cost is unknown counts as that, too. A start that has no
    /// room waits. 0 bounds nothing. Each cap needs a `session_usd` of the roles that it covers.
    pub(super) struct Section {
        /// Of the whole fleet in 24 h, in US dollars.
        per_day_usd: Placed<Dollars> = Placed::default(),
        /// Of single roles in 24 h: `{ builder = 5.0 }`.
        per_role: Table<RoleKey, Placed<Dollars>> = Table::default(),
        /// Of single sources in 24 h, by name; all roles together are `roster`.
        per_source: Table<DnsLabel, Placed<Dollars>> = Table::default(),
        /// Of all sessions of one work item, by the name of its source.
        per_item: Table<DnsLabel, Placed<Dollars>> = Table::default(),
        /// Starts in an hour, whatever they cost.
        sessions_per_hour: Count = Count::of(0),
    }
}

impl Section {
    /// The budget of these roles.
    pub(super) fn budget(&self, roles: &[Role], problems: &mut Vec<Problem>) -> Budget {
        let session = roles.iter().map(|role| (role.key.clone(), role.spec.session_usd)).collect();
        let budget = Budget {
            per_day: self.per_day_usd.cap(),
            per_role: caps(&self.per_role, RoleKey::clone),
            per_source: caps(&self.per_source, ToString::to_string),
            per_item: caps(&self.per_item, ToString::to_string),
            sessions_per_hour: Some(self.sessions_per_hour.get()).filter(|limit| *limit > 0),
            session,
        };
        self.check_names(roles, problems);
        self.check_sessions(&budget, roles, problems);
        budget
    }

    fn check_names(&self, roles: &[Role], problems: &mut Vec<Problem>) {
        for (key, cap) in &self.per_role.0 {
            if !roles.iter().any(|role| role.key == *key) {
                let message = format!("`per_role` names `{key}`, which is not a role");
                problems
                    .push(Problem::new(message, cap.span.clone()).hint("name a [[role]]'s key"));
            }
        }
        for (name, cap) in self.per_source.0.iter().filter(|(name, _)| &***name != ROSTER) {
            let message = format!("`per_source` names `{name}`, which is not a source");
            problems.push(Problem::new(message, cap.span.clone()).hint("name `roster`"));
        }
        for (name, cap) in &self.per_item.0 {
            let message = format!("`per_item` names `{name}`, which is not a source of work items");
            problems.push(Problem::new(message, cap.span.clone()).hint("remove it"));
        }
    }

    /// Without a price nothing could be reserved for a live session.
    fn check_sessions(&self, budget: &Budget, roles: &[Role], problems: &mut Vec<Problem>) {
        for role in roles.iter().filter(|role| role.spec.session_usd == Usd::default()) {
            let Some((cap, span)) = self.cap_of(budget, &role.key) else { continue };
            let message = format!("`{cap}` needs a `session_usd` of `{}`", role.key);
            let problem = Problem::new(message, span);
            problems.push(
                problem.hint("set `session_usd` in [defaults]: the most that one session may cost"),
            );
            return;
        }
    }

    fn cap_of(
        &self,
        budget: &Budget,
        role: &RoleKey,
    ) -> Option<(&'static str, Option<Range<usize>>)> {
        if budget.per_day.is_some() {
            return Some(("per_day_usd", self.per_day_usd.span.clone()));
        }
        if budget.per_role.contains_key(role) {
            return Some(("per_role", self.per_role.0.get(role)?.span.clone()));
        }
        let of_source = self.per_source.0.values().chain(self.per_item.0.values());
        of_source
            .into_iter()
            .find(|cap| cap.cap().is_some())
            .map(|cap| ("per_source", cap.span.clone()))
    }
}

fn caps<K: Ord, N: Ord>(
    table: &Table<K, Placed<Dollars>>,
    name: impl Fn(&K) -> N,
) -> BTreeMap<N, Usd> {
    table.0.iter().filter_map(|(key, cap)| Some((name(key), cap.cap()?))).collect()
}
