//! What a plugin's list says of each slot. Pure.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::protocol::{Listed, Outcome, Session, State};
use crate::fleet::{
    self, FleetName, HISTORY, Listing, LiveSession, RoleKey, Run, Slot, SlotRecord, Unmanaged,
};
use crate::untrusted::one_line;

/// What is shown of a plugin's words, in characters.
const SHOWN: usize = 80;

/// All sessions of a fleet, as one list showed them.
#[derive(Debug)]
pub(super) struct View {
    /// Oldest first.
    slots: BTreeMap<Slot, Vec<Session>>,
    /// In no slot that can be.
    strangers: Vec<Session>,
    /// When, by the plugin's clock.
    pub(super) as_of: Option<SystemTime>,
}

impl View {
    pub(super) fn of(listed: Listed) -> Self {
        let mut view = Self { slots: BTreeMap::new(), strangers: Vec::new(), as_of: listed.as_of };
        for session in listed.sessions {
            match RoleKey::parse(&session.slot.role) {
                Ok(role) => {
                    let slot = Slot::of_role(&role, session.slot.index);
                    view.slots.entry(slot).or_default().push(session);
                }
                Err(_) => view.strangers.push(session),
            }
        }
        for sessions in view.slots.values_mut() {
            sessions.sort_by_key(|session| (session.generation, started(session), session.finished_at));
        }
        view
    }

    /// The sessions of one slot, oldest first.
    pub(super) fn sessions(&self, slot: &Slot) -> &[Session] {
        self.slots.get(slot).map_or(&[], Vec::as_slice)
    }

    /// The same in the terms of every platform.
    pub(super) fn listing(&self, fleet: &FleetName) -> Listing {
        let slots = self.slots.iter().map(|(slot, sessions)| (slot.clone(), record(sessions)));
        let strangers = self.strangers.iter().filter(|session| is_live(session)).map(stranger(fleet));
        let seconds = self.slots.iter().flat_map(|(slot, sessions)| {
            let live = sessions.iter().filter(|session| is_live(session)).rev();
            live.skip(1).map(|session| Unmanaged {
                session: slot.session_name(fleet),
                reason: format!(
                    "its slot holds another live session, too: the plugin let a second one in; end {} or wait",
                    one_line(&session.id, SHOWN)
                ),
            })
        });
        Listing {
            slots: slots.collect(),
            unmanaged: strangers.chain(seconds).collect(),
            stuck: Vec::new(),
            as_of: self.as_of,
        }
    }
}

fn stranger(fleet: &FleetName) -> impl Fn(&Session) -> Unmanaged {
    move |session| Unmanaged {
        session: one_line(&format!("{fleet}-{}-s{}", session.slot.role, session.slot.index), SHOWN),
        reason: format!(
            "the plugin lists {} in a role that no roster can have; nothing counts or touches it",
            one_line(&session.id, SHOWN)
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
pub(super) fn record(sessions: &[Session]) -> SlotRecord {
    let live = sessions.iter().rev().find(|session| is_live(session));
    let mut history: Vec<Run> = sessions.iter().filter(|session| !is_live(session)).map(run).collect();
    history.drain(..history.len().saturating_sub(HISTORY));
    SlotRecord::of(live.map(live_session), history)
}

fn live_session(session: &Session) -> LiveSession {
    let state = match session.state {
        State::Running => fleet::State::Running,
        State::Queued | State::Unknown | State::Finished => fleet::State::Starting,
    };
    LiveSession { generation: Some(session.generation), state, started_at: started(session), item: None }
}

fn started(session: &Session) -> Option<SystemTime> {
    session.started_at.or(session.created_at)
}

/// A time that the plugin does not tell is taken from its neighbour; without any, the end is too long ago to hold the slot.
fn run(session: &Session) -> Run {
    let finished = session.finished_at.or(started(session)).unwrap_or(SystemTime::UNIX_EPOCH);
    let (outcome, detail) = match session.outcome {
        Some(Outcome::Success) => (fleet::Outcome::Succeeded, None),
        Some(Outcome::Failure) => (fleet::Outcome::Failed, None),
        Some(Outcome::Timeout) => (fleet::Outcome::TimedOut, None),
        Some(Outcome::Cancelled) => (fleet::Outcome::Failed, Some("cancelled".to_owned())),
        Some(Outcome::Lost) | None => (fleet::Outcome::Lost, None),
    };
    Run {
        generation: session.generation,
        outcome,
        exit_code: session.exit_code,
        detail,
        started_at: started(session).unwrap_or(finished),
        finished_at: finished,
        disrupted: session.outcome == Some(Outcome::Cancelled),
        item: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(sessions: &str) -> Listing {
        let listed = format!(r#"{{"complete":true,"sessions":[{sessions}]}}"#);
        let listed: Listed = serde_json::from_str(&listed).expect("a list");
        View::of(listed).listing(&FleetName::parse("demo").expect("a valid name"))
    }

    fn session(role: &str, generation: u64, more: &str) -> String {
        format!(
            r#"{{"id":"{role}-{generation}","slot":{{"role":"{role}","index":0}},"generation":{generation},{more}}}"#
        )
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
            ("\"eaten\"", fleet::Outcome::Lost, false),
            ("null", fleet::Outcome::Lost, false),
        ] {
            let listing = listing(&session("qa", 1, &format!(r#""state":"finished","outcome":{outcome}"#)));
            let run = &only(&listing).history[0];
            assert_eq!((run.outcome, run.disrupted), (expected, disrupted), "{outcome}");
        }
    }

    #[test]
    fn the_last_eight_finished_sessions_count_oldest_first() {
        let all: Vec<_> = (1..=10).rev().map(|g| session("qa", g, r#""state":"finished""#)).collect();
        let listing = listing(&all.join(","));
        let generations: Vec<_> = only(&listing).history.iter().map(|run| run.generation).collect();
        assert_eq!(generations, [3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn a_session_in_no_possible_role_is_unmanaged_while_it_lives() {
        let live = listing(&session("Not A Role", 1, r#""state":"running""#));
        assert_eq!((live.slots.len(), live.unmanaged[0].session.as_str()), (0, "demo-Not A Role-s0"));
        assert!(listing(&session("Not A Role", 1, r#""state":"finished""#)).unmanaged.is_empty());
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
        let both = [session("qa", 1, r#""state":"running""#), session("qa", 2, r#""state":"running""#)];
        let listing = listing(&both.join(","));
        assert_eq!(only(&listing).live.as_ref().and_then(|live| live.generation), Some(2));
        assert!(listing.unmanaged[0].reason.contains("qa-1"), "{:?}", listing.unmanaged);
    }
}
