use std::cell::RefCell;
use std::time::Duration;

use super::*;
use crate::render::sample::{a_role, at};
use coordinator_core::fleet::{Listing, Mode, Want};

type Answer = fn(&Slot) -> anyhow::Result<Start>;

/// A platform with a scripted answer to each start.
struct Scripted {
    answer: Answer,
    asked: RefCell<Vec<String>>,
}

/// As many starts as [`Scripted`] takes at once.
const AT_ONCE: usize = 3;

impl Platform for Scripted {
    async fn list(&self) -> anyhow::Result<Listing> {
        anyhow::bail!("no list is needed here")
    }

    async fn start(&self, want: &Want, _: &CycleId, _: SystemTime) -> anyhow::Result<Start> {
        self.asked.borrow_mut().push(want.slot.name());
        (self.answer)(&want.slot)
    }

    async fn preview(&self, want: &Want, _: SystemTime) -> anyhow::Result<Start> {
        (self.answer)(&want.slot)
    }

    fn requests(&self) -> u64 {
        0
    }

    fn starts_at_once(&self) -> usize {
        AT_ONCE
    }
}

/// Starts ten slots of `first` and two of `second`: the report, and the requested slots.
async fn applied(answer: Answer) -> (SpawnReport, Vec<String>) {
    let roles = [a_role("first", Mode::TaskDriven, 10), a_role("second", Mode::TaskDriven, 2)];
    let orders =
        roles.iter().flat_map(coordinator_core::fleet::Role::wants).map(Order::Start).collect();
    let (cycle, stop) = (CycleId("c".to_owned()), CancellationToken::new());
    let until = Instant::now() + Duration::from_secs(600);
    let context =
        SpawnContext { cycle: &cycle, clock: || at(0), until, stop: &stop, dry_run: false };
    let platform = Scripted { answer, asked: RefCell::default() };
    let mut run = SpawnRun::default();
    apply(&mut run, &platform, orders, &context).await.expect("nothing stops it");
    (run.report(), platform.asked.into_inner())
}

fn held(reason: HoldReason) -> Start {
    Start::Held(Hold { reason, until: None, detail: "the platform says so".to_owned() })
}

fn holds(body: &SpawnReport) -> Vec<(String, HoldReason)> {
    body.held.iter().map(|(target, hold)| (target.slot.name(), hold.reason)).collect()
}

fn all_of_first(reason: HoldReason) -> Vec<(String, HoldReason)> {
    (0..10).map(|index| (format!("first-s{index}"), reason)).collect()
}

fn asked_of_first(asked: &[String]) -> usize {
    asked.iter().filter(|slot| slot.starts_with("first-")).count()
}

#[tokio::test]
async fn a_full_quota_holds_the_rest_of_the_role_unasked_and_no_other_role() {
    let (body, asked) = applied(|slot| match slot.group.as_str() {
        "first" => Ok(held(HoldReason::Quota)),
        _ => Ok(Start::Started { generation: 1 }),
    })
    .await;
    assert_eq!(holds(&body), all_of_first(HoldReason::Quota));
    assert_eq!(asked_of_first(&asked), AT_ONCE, "only those that were under way: {asked:?}");
    assert_eq!(body.spawned.len(), 2);
    assert!(
        body.held.iter().all(|(_, hold)| hold.detail == "the platform says so"),
        "{:?}",
        body.held
    );
}

#[tokio::test]
async fn any_other_hold_of_the_platform_is_about_its_slot_alone() {
    for reason in [HoldReason::Backoff, HoldReason::Orphan, HoldReason::Unknown, HoldReason::Disk] {
        let mut stopped = StoppedGroups::default();
        let role = a_role("first", Mode::TaskDriven, 1);
        let want = role.wants().next().expect("one slot");
        stopped.note(&want.target(), &Ok(held(reason)));
        assert!(stopped.hold(&want.slot.group).is_none(), "{reason:?}");
    }
    let (body, asked) = applied(|slot| match slot.index() {
        Some(0) => Ok(held(HoldReason::Orphan)),
        _ => Ok(Start::Started { generation: 1 }),
    })
    .await;
    assert_eq!((body.held.len(), body.spawned.len(), asked.len()), (2, 10, 12));
}

#[tokio::test]
async fn a_failure_holds_the_rest_of_the_role_for_another_reason() {
    let (body, asked) = applied(|slot| match slot.group.as_str() {
        "first" => Err(anyhow::anyhow!("no such image")),
        _ => Ok(Start::AlreadyRunning),
    })
    .await;
    assert_eq!(body.failed.len(), AT_ONCE);
    assert_eq!(asked_of_first(&asked), AT_ONCE);
    assert_eq!(holds(&body), all_of_first(HoldReason::RoleFailed)[AT_ONCE..]);
    assert_eq!(body.already_running.len(), 2);
}

#[tokio::test]
async fn after_a_rate_limit_no_start_of_any_role_begins_and_what_is_left_waits_for_its_reset() {
    let (body, asked) = applied(|slot| match slot.index() {
        Some(0) => {
            Ok(Start::RateLimited(RateLimit { resets_at: Some(at(90)), said: String::new() }))
        }
        _ => Ok(Start::Started { generation: 1 }),
    })
    .await;
    assert_eq!(asked.len(), AT_ONCE, "only those that were under way: {asked:?}");
    assert_eq!((body.spawned.len(), body.held.len()), (AT_ONCE - 1, 12 - AT_ONCE + 1));
    for (target, hold) in &body.held {
        assert_eq!(
            (hold.reason, hold.until),
            (HoldReason::Quota, Some(at(90))),
            "{}",
            target.slot.name()
        );
    }
    assert_eq!(body.rate_limit, Some(RateLimit { resets_at: Some(at(90)), said: String::new() }));
}
