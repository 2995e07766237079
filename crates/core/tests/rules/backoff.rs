//! Backoff and interval, by their invariants.

use std::time::{Duration, SystemTime};

use coordinator_core::backoff::{BackoffSettings, hold, in_a_row, keeps_failing, outcome};
use coordinator_core::fleet::{HoldReason, LiveSession, Outcome, Run, SlotRecord, State};
use proptest::prelude::*;

const SETTINGS: BackoffSettings = BackoffSettings {
    backoff_base: Duration::from_secs(60),
    backoff_cap: Duration::from_secs(3600),
    min_runtime: Duration::from_secs(30),
    min_interval: Duration::ZERO,
};

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000 + second)
}

fn run(generation: u64, outcome: Outcome, seconds: u64, finished: SystemTime) -> Run {
    let started_at = finished - Duration::from_secs(seconds);
    Run {
        generation,
        outcome,
        exit_code: Some(1),
        detail: None,
        started_at,
        finished_at: finished,
        disrupted: false,
        stopped_by: None,
        result: None,
        item: None,
    }
}

fn failures(count: u64) -> Vec<Run> {
    (1..=count).map(|generation| run(generation, Outcome::Failed, 2, at(0))).collect()
}

/// How long a slot with this history waits after `at(0)`.
fn wait(history: &[Run]) -> Duration {
    let held = hold("demo-dev-s0", history, &SETTINGS, at(0)).expect("held");
    assert_eq!(held.reason, HoldReason::Backoff);
    held.until.expect("a time").duration_since(at(0)).expect("in the future")
}

#[test]
fn an_empty_slot_is_never_held() {
    assert_eq!(hold("demo-dev-s0", &[], &SETTINGS, at(0)), None);
}

#[test]
fn a_slot_whose_last_session_a_person_stopped_waits_for_a_person_however_long() {
    let stopped =
        Run { stopped_by: Some("alice".to_owned()), ..run(2, Outcome::Stopped, 2, at(0)) };
    let held = hold("demo-dev-s0", std::slice::from_ref(&stopped), &SETTINGS, at(1_000_000))
        .expect("held");
    assert_eq!((held.reason, held.until), (HoldReason::Stopped, None));
    assert!(held.detail.contains("stopped by alice"), "{}", held.detail);
    let later = [stopped, run(3, Outcome::Succeeded, 700, at(0))];
    assert_eq!(hold("demo-dev-s0", &later, &SETTINGS, at(0)), None, "the newest one counts");
    let resumed = [run(2, Outcome::Stopped, 2, at(0))];
    assert_eq!(hold("demo-dev-s0", &resumed, &SETTINGS, at(0)), None);
}

#[test]
fn the_wait_doubles_from_one_minute_to_one_hour_give_or_take_a_tenth() {
    for (count, minutes) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60)] {
        let wait = wait(&failures(count)).as_secs_f64() / 60.0;
        let expected = f64::from(minutes);
        assert!((wait / expected - 1.0).abs() <= 0.1001, "{count} failures wait {wait} minutes");
    }
}

/// Found nothing to do: exit 0 after two seconds.
fn idle(generation: u64) -> Run {
    Run { exit_code: Some(0), ..run(generation, Outcome::Succeeded, 2, at(0)) }
}

#[test]
fn exit_0_within_min_runtime_is_idle_and_waits_as_a_failure_does() {
    for count in 1..=8 {
        let history: Vec<_> = (1..=count).map(idle).collect();
        let held = hold("demo-dev-s0", &history, &SETTINGS, at(0)).expect("held");
        let failed = hold("demo-dev-s0", &failures(count), &SETTINGS, at(0)).expect("held");
        assert_eq!((held.reason, held.until), (HoldReason::Idle, failed.until));
        assert!(!held.detail.contains("fail"), "{}", held.detail);
    }
}

#[test]
fn an_idle_slot_is_explained_by_its_exit_and_min_runtime() {
    let detail =
        |history: &[Run]| hold("demo-dev-s0", history, &SETTINGS, at(0)).expect("held").detail;
    let how = "(exited with 0 after 2s, less than min_runtime 30s)";
    assert_eq!(detail(&[idle(1)]), format!("found nothing to do {how}"));
    assert_eq!(detail(&[idle(1), idle(2)]), format!("found nothing to do 2 times {how}"));
}

#[test]
fn only_exit_0_sooner_than_min_runtime_is_idle() {
    for (ended, seconds, expected) in [
        (Outcome::Succeeded, 29, Outcome::Idle),
        (Outcome::Succeeded, 30, Outcome::Succeeded),
        (Outcome::Failed, 2, Outcome::Failed),
        (Outcome::Stopped, 2, Outcome::Stopped),
    ] {
        assert_eq!(outcome(&run(1, ended, seconds, at(0)), &SETTINGS), expected);
    }
}

#[test]
fn among_idle_and_failed_sessions_the_newest_gives_the_word_and_all_lengthen_the_wait() {
    let mut history = failures(2);
    history.push(idle(3));
    let held = hold("demo-dev-s0", &history, &SETTINGS, at(0)).expect("held");
    let three = hold("demo-dev-s0", &failures(3), &SETTINGS, at(0)).expect("held");
    assert_eq!((held.reason, held.until), (HoldReason::Idle, three.until));
    assert!(held.detail.starts_with("found nothing to do ("), "{}", held.detail);
    history.push(run(4, Outcome::Failed, 2, at(0)));
    let held = hold("demo-dev-s0", &history, &SETTINGS, at(0)).expect("held");
    assert_eq!(
        (held.reason, held.detail.as_str()),
        (HoldReason::Backoff, "failed: exit 1 after 2s")
    );
    assert!(wait(&history) > Duration::from_secs(400), "four in a row");
}

fn live(started_at: Option<SystemTime>) -> LiveSession {
    LiveSession { generation: Some(9), state: State::Running, started_at, item: None }
}

#[test]
fn a_slot_that_backs_off_and_has_an_interval_waits_for_the_later_of_the_two() {
    let settings = BackoffSettings { min_interval: Duration::from_secs(1800), ..SETTINGS };
    let history = [run(1, Outcome::Failed, 2, at(2))];
    let held = hold("demo-dev-s0", &history, &settings, at(10)).expect("it is held");
    assert_eq!((held.reason, held.until), (HoldReason::Backoff, Some(at(1800))));
}

#[test]
fn a_slot_keeps_failing_when_its_last_three_sessions_failed_whatever_came_before() {
    use Outcome::{Failed, Lost, Stopped, Succeeded, TimedOut};
    let judge = |outcomes: &[Outcome]| {
        let history = outcomes.iter().map(|outcome| run(1, *outcome, 2, at(0))).collect();
        keeps_failing(&SlotRecord::of(None, history), at(1))
    };
    assert!(judge(&[Succeeded, Failed, TimedOut, Lost]));
    for outcomes in [
        &[][..],
        &[Failed, Failed],
        &[Failed, Failed, Failed, Succeeded],
        &[Failed, Failed, Succeeded, Failed],
        &[Failed, Failed, Failed, Stopped],
    ] {
        assert!(!judge(outcomes), "{outcomes:?}");
    }
}

#[test]
fn a_session_that_the_platform_took_away_neither_counts_among_the_last_three_nor_hides_them() {
    let mut history = failures(2);
    history.push(disrupted(3));
    assert!(!keeps_failing(&SlotRecord::of(None, history.clone()), at(1)));
    history.insert(0, run(0, Outcome::Failed, 2, at(0)));
    assert!(keeps_failing(&SlotRecord::of(None, history), at(1)));
}

#[test]
fn a_slot_keeps_failing_until_its_next_session_outlives_ten_minutes_and_the_failed_ones() {
    for (seconds, proof) in [(2, 600), (7200, 7200)] {
        let history: Vec<_> =
            (1..=3).map(|generation| run(generation, Outcome::TimedOut, seconds, at(0))).collect();
        let judge = |started_at, now| {
            keeps_failing(&SlotRecord::of(Some(live(started_at)), history.clone()), now)
        };
        assert!(judge(Some(at(0)), at(proof - 1)), "{seconds}");
        assert!(!judge(Some(at(0)), at(proof)), "{seconds}");
        assert!(judge(None, at(proof)), "nothing is known of when it started");
    }
}

#[test]
fn a_healthy_session_resets_the_backoff() {
    let mut history = failures(5);
    history.push(run(6, Outcome::Succeeded, 31, at(0)));
    assert_eq!(hold("demo-dev-s0", &history, &SETTINGS, at(0)), None);
}

#[test]
fn ten_minutes_of_work_are_no_crash_loop_whatever_the_exit() {
    let mut history = failures(5);
    history.push(run(6, Outcome::Failed, 600, at(0)));
    assert_eq!(hold("demo-dev-s0", &history, &SETTINGS, at(0)), None);
}

/// A session that the platform ended for reasons of its own.
fn disrupted(generation: u64) -> Run {
    Run { disrupted: true, ..run(generation, Outcome::Failed, 2, at(0)) }
}

#[test]
fn a_session_that_the_platform_took_away_holds_nothing_back() {
    assert_eq!(hold("demo-dev-s0", &[disrupted(1)], &SETTINGS, at(0)), None);
    let mut history = failures(5);
    history.push(disrupted(6));
    assert_eq!(hold("demo-dev-s0", &history, &SETTINGS, at(0)), None);
}

#[test]
fn a_session_that_the_platform_took_away_neither_counts_as_a_failure_nor_ends_a_streak() {
    let mut history = failures(2);
    history.push(disrupted(3));
    history.push(run(4, Outcome::Failed, 2, at(0)));
    assert_eq!(in_a_row(&history, &SETTINGS), 3);
    history.insert(0, disrupted(0));
    assert_eq!(in_a_row(&history, &SETTINGS), 3);
}

#[test]
fn an_interval_holds_after_a_session_that_was_taken_away_too() {
    let hourly = BackoffSettings { min_interval: Duration::from_secs(3600), ..SETTINGS };
    let held = hold("demo-dev-s0", &[disrupted(1)], &hourly, at(0)).expect("held");
    assert_eq!(held.reason, HoldReason::Interval);
}

#[test]
fn a_base_of_zero_turns_backoff_off() {
    let off = BackoffSettings { backoff_base: Duration::ZERO, ..SETTINGS };
    assert_eq!(hold("demo-dev-s0", &failures(5), &off, at(0)), None);
}

#[test]
fn an_interval_counts_from_start_to_start() {
    let hourly = BackoffSettings { min_interval: Duration::from_secs(3600), ..SETTINGS };
    let history = [run(1, Outcome::Succeeded, 600, at(600))];
    let held = hold("demo-dev-s0", &history, &hourly, at(700)).expect("held");
    assert_eq!((held.reason, held.until), (HoldReason::Interval, Some(at(3600))));
    assert_eq!(hold("demo-dev-s0", &history, &hourly, at(3600)), None);
}

#[test]
fn a_record_from_a_clock_that_was_set_back_holds_nothing() {
    let hourly = BackoffSettings { min_interval: Duration::from_secs(3600), ..SETTINGS };
    let tomorrow = [run(1, Outcome::Failed, 2, at(86_400))];
    assert_eq!(hold("demo-dev-s0", &tomorrow, &hourly, at(0)), None);
}

#[test]
fn the_reason_tells_what_happened_last() {
    let held = hold("demo-dev-s0", &failures(3), &SETTINGS, at(0)).expect("held");
    assert_eq!(held.detail, "failed 3 times, last exit 1 after 2s");
}

#[test]
fn the_reason_quotes_the_platform_without_its_remedy() {
    let detail = Some("no command \"agent\" on PATH; install it".to_owned());
    let unable = Run { exit_code: None, detail, ..run(1, Outcome::Failed, 2, at(0)) };
    let held = hold("demo-dev-s0", &[unable], &SETTINGS, at(0)).expect("held");
    assert_eq!(held.detail, "failed: no command \"agent\" on PATH after 2s");
}

#[test]
fn slots_that_fail_together_do_not_start_together_again() {
    let until = |session| hold(session, &failures(3), &SETTINGS, at(0)).expect("held").until;
    assert_ne!(until("demo-dev-s0"), until("demo-dev-s1"));
}

fn any_run() -> impl Strategy<Value = Run> {
    let outcome = prop_oneof![
        Just(Outcome::Succeeded),
        Just(Outcome::Failed),
        Just(Outcome::TimedOut),
        Just(Outcome::Lost)
    ];
    (1..100u64, outcome, 0..5000u64, 0..10_000u64)
        .prop_map(|(generation, outcome, seconds, end)| run(generation, outcome, seconds, at(end)))
}

proptest! {
    #[test]
    fn overlapping_cycles_agree_until_when_a_slot_is_held(
        history in prop::collection::vec(any_run(), 0..9), early in 0..20_000u64,
        later in 0..300u64,
    ) {
        let first = hold("demo-dev-s0", &history, &SETTINGS, at(early));
        let second = hold("demo-dev-s0", &history, &SETTINGS, at(early + later));
        if let (Some(first), Some(second)) = (first, second) {
            prop_assert_eq!(first, second);
        }
    }

    #[test]
    fn one_more_failure_never_shortens_the_wait(count in 1..8u64) {
        let (shorter, longer) = (wait(&failures(count)), wait(&failures(count + 1)));
        let jitter = 0.9 / 1.1;
        prop_assert!(longer.as_secs_f64() >= shorter.as_secs_f64() * jitter);
    }

    #[test]
    fn a_hold_always_ends_within_the_wait_that_the_roster_allows(
        history in prop::collection::vec(any_run(), 1..9), moment in 0..20_000u64,
    ) {
        if let Some(held) = hold("demo-dev-s0", &history, &SETTINGS, at(moment)) {
            let until = held.until.expect("a time");
            let left = until.duration_since(at(moment)).expect("in the future");
            prop_assert!(left <= SETTINGS.backoff_cap.mul_f64(1.1));
        }
    }
}
