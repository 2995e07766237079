//! A plugin's list, sorted into slots.

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::bail;

use super::protocol::{Listed, Session, SessionEnd, State};
use super::stopped::HeldSlots;
use coordinator_core::agent::AgentEnd;
use coordinator_core::fleet::{
    self, FleetName, HISTORY, Listing, LiveSession, Run, Slot, SlotRecord, Unmanaged,
};
use coordinator_core::sanitize::one_line;

/// Characters of a plugin's text that are shown.
const MAX_QUOTE: usize = 80;

/// All sessions of a fleet, as one list showed them.
#[derive(Debug)]
pub(super) struct View {
    /// Oldest first.
    slots: BTreeMap<Slot, Vec<Session>>,
    /// The newest generation of item slots, where the plugin gives it beside the sessions.
    generations: BTreeMap<Slot, u64>,
    /// Sessions that a person stopped, and whose slots wait since.
    held: HeldSlots,
    /// Sessions in a slot that no fleet can have.
    unknown: Vec<Session>,
    /// When, by the plugin's clock.
    pub(super) as_of: Option<SystemTime>,
}

impl View {
    /// Refuses a list in which an ended session of a work item does not name its item: its
    /// attempts could not be counted.
    pub(super) fn of(listed: Listed, fleet: &FleetName, held: HeldSlots) -> anyhow::Result<Self> {
        let mut view = Self {
            slots: BTreeMap::new(),
            generations: BTreeMap::new(),
            held,
            unknown: Vec::new(),
            as_of: listed.as_of,
        };
        for session in listed.sessions {
            match session.slot.slot(fleet) {
                Some(slot)
                    if slot.index().is_none() && !is_live(&session) && session.item.is_none() =>
                {
                    let (id, name) = (one_line(&session.id, MAX_QUOTE), slot.session_name(fleet));
                    bail!(
                        "the ended session {id} of {name} has no `item`, so its attempts cannot \
                        be counted"
                    );
                }
                Some(slot) => view.slots.entry(slot).or_default().push(session),
                None => view.unknown.push(session),
            }
        }
        for sessions in view.slots.values_mut() {
            sessions
                .sort_by_key(|session| (session.generation, started(session), session.finished_at));
        }
        for of in listed.items {
            let Some(slot) = of.slot.slot(fleet) else { continue };
            let newest = view.generations.entry(slot).or_default();
            *newest = of.generation.max(*newest);
        }
        Ok(view)
    }

    /// The sessions of one slot, oldest first.
    pub(super) fn sessions(&self, slot: &Slot) -> &[Session] {
        self.slots.get(slot).map_or(&[], Vec::as_slice)
    }

    /// One slot, as the list shows it.
    pub(super) fn record(&self, slot: &Slot) -> SlotRecord {
        let mut record = record(self.sessions(slot));
        record.generation = record.generation.max(self.generations.get(slot).copied().unwrap_or(0));
        let last = record.history.last_mut();
        if let Some(last) = last.filter(|last| last.outcome == fleet::Outcome::Stopped) {
            last.stopped_by = self.held.by(slot, last.generation);
        }
        record
    }

    /// The sessions that ended since then, each with its slot.
    pub(super) fn ended(&self, since: SystemTime) -> Vec<(Slot, Run)> {
        let runs = self.slots.iter().flat_map(|(slot, sessions)| {
            let ended = sessions.iter().filter(|session| !is_live(session)).map(run);
            ended.map(|run| (slot.clone(), run))
        });
        runs.filter(|(_, run)| run.finished_at >= since).collect()
    }

    /// The same in the terms of every platform.
    pub(super) fn listing(&self, fleet: &FleetName) -> Listing {
        let slots = self.slots.keys().chain(self.generations.keys());
        let slots = slots.map(|slot| (slot.clone(), self.record(slot)));
        let unknown =
            self.unknown.iter().filter(|session| is_live(session)).map(unknown_slot(fleet));
        let seconds = self.slots.iter().flat_map(|(slot, sessions)| {
            let live = sessions.iter().filter(|session| is_live(session)).rev();
            live.skip(1).map(|session| Unmanaged {
                session: slot.session_name(fleet),
                reason: format!(
                    "the plugin lists another live session in its slot; end {} or wait",
                    one_line(&session.id, MAX_QUOTE)
                ),
            })
        });
        Listing {
            slots: slots.collect(),
            unmanaged: unknown.chain(seconds).collect(),
            stuck: Vec::new(),
            leftovers: Vec::new(),
            paused: None,
            as_of: self.as_of,
        }
    }
}

fn unknown_slot(fleet: &FleetName) -> impl Fn(&Session) -> Unmanaged {
    move |session| Unmanaged {
        session: one_line(&session.slot.session_name(fleet), MAX_QUOTE),
        reason: format!(
            "the plugin lists {} in a slot with an invalid name; it is neither counted nor touched",
            one_line(&session.id, MAX_QUOTE)
        ),
    }
}

pub(super) fn is_live(session: &Session) -> bool {
    match session.state {
        State::Queued | State::Running | State::Unknown => true,
        State::Finished => false,
    }
}

/// Of sessions of one slot, oldest first.
fn record(sessions: &[Session]) -> SlotRecord {
    let live = sessions.iter().rev().find(|session| is_live(session));
    let mut history: Vec<Run> =
        sessions.iter().filter(|session| !is_live(session)).map(run).collect();
    history.drain(..history.len().saturating_sub(HISTORY));
    SlotRecord::of(live.map(live_session), history)
}

fn live_session(session: &Session) -> LiveSession {
    let state = match session.state {
        State::Running => fleet::State::Running,
        State::Queued | State::Unknown | State::Finished => fleet::State::Starting,
    };
    LiveSession {
        generation: Some(session.generation),
        state,
        started_at: started(session),
        item: session.item.clone(),
    }
}

fn started(session: &Session) -> Option<SystemTime> {
    session.started_at.or(session.created_at)
}

/// A missing time is taken from its neighbour; without any, the end is too long ago to hold the
/// slot.
fn run(session: &Session) -> Run {
    let finished = session.finished_at.or(started(session)).unwrap_or(SystemTime::UNIX_EPOCH);
    let (outcome, detail) = match session.outcome {
        Some(SessionEnd::Success) => (fleet::Outcome::Succeeded, None),
        Some(SessionEnd::Failure) => (fleet::Outcome::Failed, None),
        Some(SessionEnd::Timeout) => (fleet::Outcome::TimedOut, None),
        Some(SessionEnd::Cancelled) => (fleet::Outcome::Failed, Some("cancelled".to_owned())),
        Some(SessionEnd::Stopped) => (fleet::Outcome::Stopped, stopped_by(session)),
        Some(SessionEnd::Lost) | None => (fleet::Outcome::Lost, None),
    };
    let end = session.result.clone();
    let stalled = end.as_ref().and_then(|end| end.stalled.as_deref());
    let stalled = stalled.map(|stalled| format!("stalled: {}", one_line(stalled, MAX_QUOTE)));
    Run {
        generation: session.generation,
        outcome: if stalled.is_some() { fleet::Outcome::TimedOut } else { outcome },
        exit_code: session.exit_code,
        detail: stalled.or(detail),
        started_at: started(session).unwrap_or(finished),
        finished_at: finished,
        disrupted: session.outcome == Some(SessionEnd::Cancelled),
        stopped_by: None,
        result: end.and_then(AgentEnd::left),
        item: session.item.clone(),
    }
}

fn stopped_by(session: &Session) -> Option<String> {
    let by = session.stopped_by.as_ref()?;
    Some(format!("stopped by {}", one_line(by, MAX_QUOTE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(sessions: &str) -> Listing {
        let listed = format!(r#"{{"complete":true,"sessions":[{sessions}]}}"#);
        let listed: Listed = serde_json::from_str(&listed).expect("a list");
        let fleet = FleetName::parse("demo").expect("a valid name");
        View::of(listed, &fleet, HeldSlots::default())
            .expect("a list that can be used")
            .listing(&fleet)
    }

    fn session(role: &str, generation: u64, more: &str) -> String {
        let slot = format!(r#"{{"role":"{role}","index":0}}"#);
        let id = format!("{role}-{generation}");
        format!(r#"{{"id":"{id}","slot":{slot},"generation":{generation},{more}}}"#)
    }

    fn only(listing: &Listing) -> &SlotRecord {
        assert_eq!(listing.slots.len(), 1);
        listing.slots.values().next().expect("one slot")
    }

    #[test]
    fn every_state_but_finished_is_live() {
        for state in ["queued", "running", "unknown", "on_fire", "Finished"] {
            let listing = listing(&session("qa", 1, &format!(r#""state":"{state}""#)));
            assert!(only(&listing).live.is_some(), "{state}");
        }
        assert!(only(&listing(&session("qa", 1, r#""state":"finished""#))).live.is_none());
    }

    #[test]
    fn an_end_that_is_not_known_is_lost_and_a_cancelled_session_says_nothing_about_its_agent() {
        for (outcome, expected, disrupted) in [
            ("\"success\"", fleet::Outcome::Succeeded, false),
            ("\"failure\"", fleet::Outcome::Failed, false),
            ("\"timeout\"", fleet::Outcome::TimedOut, false),
            ("\"cancelled\"", fleet::Outcome::Failed, true),
            ("\"stopped\"", fleet::Outcome::Stopped, false),
            ("\"eaten\"", fleet::Outcome::Lost, false),
            ("null", fleet::Outcome::Lost, false),
        ] {
            let listing =
                listing(&session("qa", 1, &format!(r#""state":"finished","outcome":{outcome}"#)));
            let run = &only(&listing).history[0];
            assert_eq!((run.outcome, run.disrupted), (expected, disrupted), "{outcome}");
        }
    }

    #[test]
    fn the_last_eight_finished_sessions_count_oldest_first() {
        let all: Vec<_> =
            (1..=10).rev().map(|g| session("qa", g, r#""state":"finished""#)).collect();
        let listing = listing(&all.join(","));
        let generations: Vec<_> = only(&listing).history.iter().map(|run| run.generation).collect();
        assert_eq!(generations, [3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn a_session_in_no_possible_role_is_unmanaged_while_it_lives() {
        let live = listing(&session("Not A Role", 1, r#""state":"running""#));
        assert_eq!(
            (live.slots.len(), live.unmanaged[0].session.as_str()),
            (0, "demo-Not A Role-s0")
        );
        assert!(listing(&session("Not A Role", 1, r#""state":"finished""#)).unmanaged.is_empty());
    }

    const OF_ITEM: &str = r#"{"id":"a","slot":{"group":"issues","item":"7",
        "name":"demo-issues-i7"},"generation":2,"state":"STATE",
        "outcome":"stopped","stopped_by":"alice",
        "item":{"role":"builder","id":"7","attempt":2,"cost_usd":1.5}}"#;

    #[test]
    fn a_session_of_an_item_says_what_it_works_on() {
        for state in ["running", "finished"] {
            let listing = listing(&OF_ITEM.replace("STATE", state));
            let slot = Slot::named("issues-i7").expect("a slot");
            let record = &listing.slots[&slot];
            let of = record.item().expect("it works on an item");
            assert_eq!(
                (of.role.as_str(), of.item.id.as_str(), of.item.counts.attempt),
                ("builder", "7", 2)
            );
            assert_eq!(record.generation, 2);
            let detail = record.history.first().and_then(|run| run.detail.as_deref());
            assert_eq!(
                detail.is_some_and(|detail| detail == "stopped by alice"),
                state == "finished"
            );
        }
    }

    #[test]
    fn a_generation_that_was_given_out_is_the_newest_also_without_its_session() {
        let given =
            r#"{"slot":{"group":"issues","item":"7","name":"demo-issues-i7"},"generation":3}"#;
        let fleet = FleetName::parse("demo").expect("a valid name");
        for (sessions, live) in [("", false), (&*OF_ITEM.replace("STATE", "running"), true)] {
            let listed =
                format!(r#"{{"complete":true,"sessions":[{sessions}],"items":[{given}]}}"#);
            let listed = serde_json::from_str(&listed).expect("a list");
            let listing = View::of(listed, &fleet, HeldSlots::default())
                .expect("a list that can be used")
                .listing(&fleet);
            let record = only(&listing);
            assert_eq!((record.generation, record.live.is_some()), (3, live));
        }
    }

    #[test]
    fn an_ended_session_that_does_not_say_its_item_makes_the_list_unusable() {
        let nameless = OF_ITEM.replace("STATE", "finished").replace("\"item\":{", "\"other\":{");
        let listed = format!(r#"{{"complete":true,"sessions":[{nameless}]}}"#);
        let listed = serde_json::from_str(&listed).expect("a list");
        let fleet = FleetName::parse("demo").expect("a valid name");
        let why = View::of(listed, &fleet, HeldSlots::default())
            .expect_err("it cannot be used")
            .to_string();
        assert!(why.contains("`item`") && why.contains("demo-issues-i7"), "{why}");
    }

    #[test]
    fn the_name_of_another_fleet_or_of_a_role_is_not_the_slot_of_an_item() {
        for name in ["shop-issues-i7", "demo-issues-s7", "demo-issues-i07", "issues-i7", ""] {
            let listing =
                listing(&OF_ITEM.replace("STATE", "running").replace("demo-issues-i7", name));
            assert_eq!((listing.slots.len(), listing.unmanaged.len()), (0, 1), "{name}");
        }
    }

    #[test]
    fn a_time_that_no_report_could_write_is_no_answer() {
        for (time, is_taken) in
            [("2026-01-01T01:00:00+01:00", true), ("9999-12-31T23:59:59Z", false), ("soon", false)]
        {
            let listed = format!(r#"{{"complete":true,"as_of":"{time}","sessions":[]}}"#);
            assert_eq!(serde_json::from_str::<Listed>(&listed).is_ok(), is_taken, "{time}");
        }
    }

    #[test]
    fn a_second_live_session_of_a_slot_is_spoken_of() {
        let both =
            [session("qa", 1, r#""state":"running""#), session("qa", 2, r#""state":"running""#)];
        let listing = listing(&both.join(","));
        assert_eq!(only(&listing).live.as_ref().and_then(|live| live.generation), Some(2));
        assert!(listing.unmanaged[0].reason.contains("qa-1"), "{:?}", listing.unmanaged);
    }
}
