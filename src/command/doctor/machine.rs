//! What the roster alone says.

use coordinator_core::finding::Finding;
use coordinator_core::fleet::Role;
use coordinator_roster::{Missing, Problem, Roster};

pub(super) fn findings(roster: &Roster) -> Vec<Finding> {
    let mut findings = vec![agents(roster)];
    findings.extend(roster.missing.iter().map(|missing| unset(roster, missing)));
    findings
}

/// A roster that was read is valid, and so are its briefs.
fn agents(roster: &Roster) -> Finding {
    let (roles, agents) = (roster.roles.len(), roster.roles.iter().map(|role| role.count).sum::<u32>());
    let counted =
        |count: String, word| if count == "1" { format!("1 {word}") } else { format!("{count} {word}s") };
    let (some_roles, some_agents) =
        (counted(roles.to_string(), "role"), counted(agents.to_string(), "agent"));
    let what =
        format!("{} is valid: {some_roles}, {some_agents}, every brief is there", roster.path.display());
    if agents == 0 {
        Finding::warn(what, "nothing is started until some role has a `count`")
    } else {
        Finding::ok(what)
    }
}

/// A cycle that would start a session or a plugin without the variable does not run.
fn unset(roster: &Roster, missing: &Missing) -> Finding {
    let Problem { message, hint, .. } = &missing.problem;
    let hint = hint.as_deref().unwrap_or_default();
    if missing.plugin || running(roster).any(|role| missing.roles.contains(&role.key)) {
        Finding::fail(message, hint)
    } else {
        Finding::warn(message, hint)
    }
}

fn running(roster: &Roster) -> impl Iterator<Item = &Role> {
    roster.roles.iter().filter(|role| role.count > 0)
}
