//! Fleets of any size: a hundred slots a role, nine of ten of them live.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use coordinator::steps::spawn::Policy;
use coordinator_core::backoff::BackoffSettings;
use coordinator_core::budget::Budget;
use coordinator_core::fleet::{
    FleetPause, Listing, LiveSession, Mode, Outcome, Role, RoleKey, Run, SessionSpec, Slot,
    SlotRecord, State, Target, Usd, Want,
};
use coordinator_core::plan::OnInventoryFailure;
use coordinator_core::platform::Ended;
use coordinator_core::report::Access;
use coordinator_roster::Roster;

const SLOTS_A_ROLE: usize = 100;

/// The roster that comes with the program.
pub(crate) fn shipped() -> Roster {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../roster.toml"));
    let environment = |name: &str| (name == "HOME").then(|| "/".to_owned());
    coordinator_roster::load(path, &environment)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

pub(crate) fn policy() -> Policy {
    Policy {
        budget: None,
        max_running: None,
        max_spawns: u32::MAX,
        max_concurrent: BTreeMap::new(),
        on_inventory_failure: OnInventoryFailure::Spawn,
        pause: FleetPause::Off,
        platform: Access::Granted,
    }
}

/// A cap of a day on the fleet, of which little is used.
pub(crate) fn budget() -> Budget {
    let price = Usd::from_dollars(2.0);
    Budget {
        per_day: Some(Usd::from_dollars(1_000_000.0)),
        session: [(key(0), price)].into(),
        ..Budget::default()
    }
}

/// So many sessions that ended within the day, in a few slots.
pub(crate) fn ended(sessions: usize, now: SystemTime) -> Ended {
    let run = |number: usize| {
        let generation = 10 + number as u64;
        (slot(number % SLOTS_A_ROLE), failed(generation, now - Duration::from_secs(generation)))
    };
    Ended { runs: (0..sessions).map(run).collect(), ..Ended::default() }
}

/// Roles with this many slots in all.
pub(crate) fn roles(slots: usize) -> Vec<Role> {
    let spec = Arc::new(spec());
    let role = |number: usize| Role {
        key: key(number),
        name: format!("Role {number}"),
        count: u32::try_from(SLOTS_A_ROLE.min(slots - number * SLOTS_A_ROLE))
            .expect("at most a hundred"),
        department: "Engineering".to_owned(),
        mode: Mode::TaskDriven,
        spec: Arc::clone(&spec),
    };
    (0..slots.div_ceil(SLOTS_A_ROLE)).map(role).collect()
}

pub(crate) fn wants(slots: usize) -> Vec<Want> {
    roles(slots).iter().flat_map(|role| role.wants().collect::<Vec<_>>()).collect()
}

/// A platform's list of them: each tenth slot is free after a failure long ago.
pub(crate) fn listing(slots: usize, now: SystemTime) -> Listing {
    let slots: BTreeMap<Slot, SlotRecord> =
        (0..slots).map(|number| (slot(number), record(number, now))).collect();
    Listing { slots, ..Listing::default() }
}

/// The slot of this number, counted over all roles.
pub(crate) fn target(number: usize) -> Target {
    Target { slot: slot(number), role: key(number / SLOTS_A_ROLE), item: None }
}

pub(crate) fn slot(number: usize) -> Slot {
    let index = u32::try_from(number % SLOTS_A_ROLE).expect("at most a hundred");
    Slot::of_role(&key(number / SLOTS_A_ROLE), index)
}

fn record(number: usize, now: SystemTime) -> SlotRecord {
    let history = vec![
        failed(1, now - Duration::from_secs(9_000)),
        failed(2, now - Duration::from_secs(7_000)),
    ];
    let session = LiveSession {
        generation: Some(3),
        state: State::Running,
        started_at: Some(now),
        item: None,
    };
    SlotRecord::of((!number.is_multiple_of(10)).then_some(session), history)
}

fn failed(generation: u64, finished_at: SystemTime) -> Run {
    Run {
        generation,
        outcome: Outcome::Failed,
        exit_code: Some(1),
        detail: None,
        started_at: finished_at - Duration::from_secs(60),
        finished_at,
        disrupted: false,
        stopped_by: None,
        result: None,
        item: None,
    }
}

fn key(number: usize) -> RoleKey {
    RoleKey::parse(&format!("role_{number}")).expect("a valid key")
}

fn spec() -> SessionSpec {
    SessionSpec {
        command: vec!["agent".to_owned(), "{prompt}".to_owned()],
        prompt: "Do one useful thing.".to_owned(),
        brief: "Do one useful thing.".to_owned(),
        env: BTreeMap::new(),
        time_limit: Duration::from_secs(7_200),
        backoff: BackoffSettings {
            backoff_base: Duration::from_secs(60),
            backoff_cap: Duration::from_secs(3_600),
            min_runtime: Duration::from_secs(30),
            min_interval: Duration::ZERO,
        },
        ..SessionSpec::default()
    }
}
