use std::sync::Arc;
use std::time::Duration;

use super::*;
use coordinator_core::fleet::{
    Counts, Follows, Group, Outcome, RoleKey, Run, SessionSpec, Slot, WorkItem,
};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn want(follows: u64) -> Want {
    Want {
        slot: Slot::of_item(&Group::parse("queue").expect("a group"), "7"),
        role: RoleKey::parse("builder").expect("a key"),
        spec: Arc::new(SessionSpec::default()),
        item: Some(WorkItem { id: "7".to_owned(), counts: Counts::default() }),
        follows: Follows::Generation(follows),
        by_hand: false,
    }
}

fn register(generation: u64) -> Register {
    let item = want(0).item_run().expect("an item");
    Register::default().next(generation, item, &[], now())
}

fn ended(generation: u64) -> Holder {
    let run = Run {
        generation,
        outcome: Outcome::Failed,
        exit_code: None,
        detail: None,
        started_at: now(),
        finished_at: now(),
        disrupted: false,
        stopped_by: None,
        result: None,
        item: None,
    };
    Holder::Ended(Predecessor { uid: Some("u".to_owned()), generation, history: vec![run] })
}

/// The generation that would start, or the answer.
fn decided(follows: u64, register: &Register, holder: Holder) -> Result<u64, Start> {
    match decide("demo-queue-i7", &want(follows), register, holder, now()) {
        Step::Create(predecessor) => {
            Ok(predecessor.map_or(0, |predecessor| predecessor.generation) + 1)
        }
        Step::Answer(start) => Err(start),
        Step::Fail(why) => panic!("{why}"),
    }
}

#[test]
fn a_start_follows_the_newest_generation_of_register_and_job_and_no_other() {
    let nothing = Register::default();
    assert_eq!(decided(0, &nothing, Holder::None), Ok(1));
    assert_eq!(decided(1, &register(1), ended(1)), Ok(2));
    // A cycle died after it had raised the register.
    assert_eq!(decided(2, &register(2), ended(1)), Ok(3));
    // Somebody deleted the register.
    assert_eq!(decided(4, &nothing, ended(4)), Ok(5));
    for (follows, register, holder) in [
        (0, register(1), Holder::None),
        (1, register(2), ended(1)),
        (3, register(2), ended(2)),
        (0, nothing.clone(), ended(4)),
    ] {
        assert_eq!(
            decided(follows, &register, holder),
            Err(Start::Superseded),
            "follows {follows}"
        );
    }
    assert_eq!(decided(0, &nothing, Holder::Live), Err(Start::AlreadyRunning));
}
