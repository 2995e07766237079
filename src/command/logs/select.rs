//! Which sessions `coordinator logs` prints where it names no single one.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::platforms::AnyPlatform;
use crate::sources::ROSTER;
use coordinator_core::agent::Profile;
use coordinator_core::fleet::{
    ItemRun, Listing, LiveSession, Role, RoleKey, Run, Slot, SlotRecord, SlotSessions,
};
use coordinator_core::sanitize::one_line;
use coordinator_roster::Roster;

/// Characters of an item's id before a line.
const MAX_ID: usize = 40;

/// Which sessions are meant.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// Only these slots; none: all.
    pub(super) slots: Vec<Slot>,
    pub(super) role: Option<RoleKey>,
    pub(super) source: Option<String>,
    /// Also those that ended within this time.
    pub(super) since: Option<Duration>,
}

/// A session whose log is printed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) slot: Slot,
    /// `None`: the newest.
    pub(super) generation: Option<u64>,
    /// Before its lines: the slot's name, with the generation where a slot has several.
    pub(super) name: String,
    pub(super) profile: Profile,
    pub(super) is_live: bool,
    started_at: Option<SystemTime>,
}

/// What stands on standard error where no session is meant.
pub(super) fn none(filter: &Filter) -> &'static str {
    match filter.since {
        None => "no such session is live; `--since 12h` prints those that ended",
        Some(_) => "no such session was live in that time",
    }
}

/// The sessions, in the order of their starts.
pub(super) async fn sessions(
    platform: &AnyPlatform,
    roster: &Roster,
    filter: &Filter,
    now: SystemTime,
) -> anyhow::Result<Vec<Session>> {
    let mut found = platform.sessions().await?;
    for error in &found.unreadable {
        tracing::error!("{error:#}");
    }
    if let Some(since) = filter.since {
        let since = now.checked_sub(since).unwrap_or(SystemTime::UNIX_EPOCH);
        match platform.history(since).await {
            Ok(ended) => {
                for sentence in &ended.unreadable {
                    tracing::error!("{sentence}");
                }
                add(&mut found.slots, ended.runs);
            }
            Err(error) => tracing::warn!("some ended sessions may be missing: {error:#}"),
        }
    }
    Ok(chosen(&found.slots, &roster.roles, filter, found.as_of.unwrap_or(now)))
}

/// Adds the sessions that ended to their slots, each once.
fn add(slots: &mut Vec<SlotSessions>, runs: Vec<(Slot, Run)>) {
    for (slot, run) in runs {
        let place = slots.iter().position(|known| known.slot == slot).unwrap_or_else(|| {
            let listed = BTreeMap::from([(slot, SlotRecord::default())]);
            slots.extend(SlotSessions::of(Listing { slots: listed, ..Listing::default() }));
            slots.len() - 1
        });
        let history = &mut slots[place].history;
        if !history.iter().any(|known| known.generation == run.generation) {
            history.push(run);
        }
    }
}

/// Of all remembered sessions those that are meant, oldest first.
fn chosen(
    found: &[SlotSessions],
    roles: &[Role],
    filter: &Filter,
    now: SystemTime,
) -> Vec<Session> {
    let mut chosen = Vec::new();
    let is_meant = |slot: &Slot| filter.slots.is_empty() || filter.slots.contains(slot);
    for record in found.iter().filter(|record| is_meant(&record.slot)) {
        let ended = record.history.iter().filter(|run| filter.reaches(run, now));
        let ended = ended.map(|run| (run.item.as_ref(), Kept::Ended(run)));
        let live = record.live.iter().map(|live| (live.item.as_ref(), Kept::Live(live)));
        for (item, kept) in ended.chain(live) {
            if filter.means(&record.slot, item) {
                chosen.push(session(roles, filter, &record.slot, item, &kept));
            }
        }
    }
    chosen.sort_by_key(|session| (session.is_live, session.started_at));
    chosen
}

/// A session of either kind.
enum Kept<'a> {
    Ended(&'a Run),
    Live(&'a LiveSession),
}

fn session(
    roles: &[Role],
    filter: &Filter,
    slot: &Slot,
    item: Option<&ItemRun>,
    kept: &Kept<'_>,
) -> Session {
    let (generation, is_live, started_at) = match kept {
        Kept::Ended(run) => (Some(run.generation), false, Some(run.started_at)),
        Kept::Live(live) => (live.generation, true, live.started_at),
    };
    let name = match item {
        Some(item) => format!("{}/{}", slot.group, one_line(&item.item.id, MAX_ID)),
        None => slot.name(),
    };
    let name = match generation.filter(|_| filter.since.is_some()) {
        Some(generation) => format!("{name}-g{generation}"),
        None => name,
    };
    let profile = profile(roles, slot, item).unwrap_or_default();
    Session { slot: slot.clone(), generation, name, profile, is_live, started_at }
}

impl Filter {
    /// Whether the session ended within the time that is looked at.
    fn reaches(&self, run: &Run, now: SystemTime) -> bool {
        let ago = now.duration_since(run.finished_at).unwrap_or_default();
        self.since.is_some_and(|since| ago <= since)
    }

    fn means(&self, slot: &Slot, item: Option<&ItemRun>) -> bool {
        let role = item.map_or(slot.group.as_str(), |item| item.role.as_str());
        let source = if slot.index().is_some() { ROSTER } else { slot.group.as_str() };
        self.role.as_ref().is_none_or(|wanted| wanted.as_str() == role)
            && self.source.as_ref().is_none_or(|wanted| wanted == source)
    }
}

/// The form of the output of a session in this slot, where its role is in the roster.
pub(super) fn profile(roles: &[Role], slot: &Slot, item: Option<&ItemRun>) -> Option<Profile> {
    let key = item.map_or(slot.group.as_str(), |item| item.role.as_str());
    let role = roles.iter().find(|role| role.key.as_str() == key)?;
    Some(role.spec.agent)
}

/// What the newest session of the slot works on.
pub(super) fn item(record: &SlotSessions) -> Option<&ItemRun> {
    let live = record.live.as_ref().and_then(|live| live.item.as_ref());
    live.or_else(|| record.history.last()?.item.as_ref())
}

#[cfg(test)]
mod tests;
