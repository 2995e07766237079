use std::collections::BTreeSet;
use std::time::Duration;

use super::chores::{Chore, Seen, chores};
use super::*;
use coordinator_core::fleet::{Counts, Group, Outcome, RoleKey, WorkItem};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

fn fleet() -> FleetName {
    FleetName::parse("demo").expect("a fleet")
}

fn item(attempt: u32) -> ItemRun {
    let counts = Counts { attempt, ..Counts::default() };
    let role = RoleKey::parse("builder").expect("a key");
    ItemRun { role, item: WorkItem { id: "7".to_owned(), counts } }
}

fn run(generation: u64, detail: &str) -> Run {
    Run {
        generation,
        outcome: Outcome::Failed,
        exit_code: Some(3),
        detail: Some(detail.to_owned()),
        started_at: at(generation * 10),
        finished_at: at(generation * 10 + 5),
        disrupted: false,
        stopped_by: None,
        result: None,
        item: Some(item(u32::try_from(generation).unwrap_or(u32::MAX))),
    }
}

/// As the server would give it back.
fn stored(register: &Register) -> Result<Register, String> {
    let mut map = register.config_map(&fleet(), "demo-queue-i7");
    map["metadata"]["resourceVersion"] = json!("5");
    map["metadata"]["uid"] = json!("u");
    Register::read(serde_json::from_value(map).expect("a ConfigMap"))
}

#[test]
fn a_register_reads_back_as_it_was_written() {
    let written = Register::default().next(4, item(2), &[run(1, "a"), run(3, "b")], at(100));
    let mut read = stored(&written).expect("it can be read");
    assert!(
        written.config_map(&fleet(), "x")["metadata"]["resourceVersion"].is_null(),
        "it is new"
    );
    assert_eq!(read.config_map(&fleet(), "x")["metadata"]["resourceVersion"], "5");
    read.version = None;
    assert_eq!(read, written);
}

#[test]
fn a_register_keeps_its_newest_runs_and_never_outgrows_a_config_map() {
    let many: Vec<Run> = (1..=3_000).map(|generation| run(generation, "reason")).collect();
    let kept = stored(&Register::default().next(3_001, item(1), &many, at(0)))
        .expect("it can be read")
        .runs;
    assert_eq!((kept.len(), kept.keys().last()), (MAX_RUNS, Some(&3_000)));
    let id = "x".repeat(50_000);
    let large: Vec<Run> = (1..=50)
        .map(|generation| {
            let mut of = item(1);
            of.item.id.clone_from(&id);
            Run { item: Some(of), ..run(generation, "") }
        })
        .collect();
    let register = Register::default().next(51, item(1), &large, at(0));
    assert!(register.data()["runs"].as_str().expect("text").len() < MAX_DATA_BYTES);
    let kept = stored(&register).expect("it can be read").runs;
    assert!(!kept.is_empty() && kept.contains_key(&50), "the newest stay");
}

#[test]
fn a_garbled_register_is_not_taken_for_an_empty_one() {
    for (key, value) in [
        ("generation", "-1"),
        ("generation", ""),
        ("runs", "{"),
        ("item", "?"),
        ("started", "noon"),
    ] {
        let mut map =
            Register::default().next(1, item(1), &[], at(0)).config_map(&fleet(), "demo-queue-i7");
        map["data"][key] = json!(value);
        let read = Register::read(serde_json::from_value(map).expect("a ConfigMap"));
        let why = read.expect_err("it is garbled");
        assert!(why.contains(&format!("`{key}` of the register demo-queue-i7")), "{why}");
    }
}

#[test]
fn a_generation_may_start_as_long_as_no_run_is_remembered_that_it_was_planned_without() {
    let keys = |register: &Register| {
        let data = register.data();
        let keys = data.as_object().expect("a map").keys();
        keys.filter(|key| key.starts_with('g') && *key != "generation").cloned().collect::<Vec<_>>()
    };
    let first = Register::default().next(1, item(1), &[], at(0));
    assert_eq!(keys(&first), ["g1"]);
    let second = first.next(2, item(1), &[], at(0));
    assert_eq!(keys(&second), ["g1", "g2"], "the first may have been created, and not seen");
    for ended in [1, 2] {
        let third = second.next(3, item(2), &[run(ended, "")], at(0));
        assert_eq!(keys(&third), ["g3"], "the first two were planned without the run of {ended}");
        assert_eq!(
            keys(&third.next(4, item(2), &[run(ended, "")], at(0))),
            ["g3", "g4"],
            "it is known"
        );
    }
    let third = second.next(3, item(2), &[run(2, "")], at(0));
    let mut ended = third.clone();
    ended.remember(&[run(3, "")]);
    assert_eq!(keys(&ended), [""; 0]);
    let many = (1..=300).fold(first, |register, n| register.next(n, item(1), &[], at(0)));
    assert_eq!(
        (keys(&many).len(), keys(&many).contains(&"g300".to_owned())),
        (MAX_START_KEYS, true)
    );
}

#[test]
fn a_list_shows_no_more_runs_than_count_and_the_register_knows_best() {
    let many: Vec<Run> = (1..=20).map(|generation| run(generation, "of the register")).collect();
    let register = Register::default().next(20, item(1), &many, at(0));
    let history = register.history(vec![run(20, "of the Job"), run(21, "of the Job")]);
    assert_eq!(history.len(), HISTORY);
    let newest: Vec<_> =
        history.iter().rev().take(2).map(|run| (run.generation, run.detail.as_deref())).collect();
    assert_eq!(newest, [(21, Some("of the Job")), (20, Some("of the register"))]);
}

fn due(register: &Register, is_present: bool, now: SystemTime) -> Vec<Chore> {
    let slot = Slot::named("queue-i7").expect("a slot");
    let groups = BTreeSet::from([Group::parse("queue").expect("a group")]);
    let present = if is_present { BTreeSet::from([slot.clone()]) } else { BTreeSet::new() };
    let registers = BTreeMap::from([(slot, Ok(register.clone()))]);
    let (jobs, pods) = (BTreeMap::new(), Pods::default());
    let seen = Seen {
        jobs: &jobs,
        pods: &pods,
        registers: &registers,
        present: &present,
        groups: &groups,
    };
    chores(seen, now)
}

#[test]
fn a_register_is_marked_when_its_item_leaves_and_unmarked_when_it_comes_back() {
    let register = Register::default().next(1, item(1), &[], at(0));
    assert_eq!(due(&register, true, at(1)), []);
    let [Chore::Store(_, marked)] = &due(&register, false, at(1))[..] else {
        panic!("it is marked")
    };
    assert_eq!(marked.left, Some(at(1)));
    assert_eq!(due(marked, false, at(2)), [], "once");
    let [Chore::Store(_, back)] = &due(marked, true, at(3))[..] else { panic!("it is unmarked") };
    assert_eq!(back, &register);
    let two_days = 48 * 3600;
    assert_eq!(due(marked, false, at(two_days)), []);
    assert!(matches!(due(marked, false, at(two_days + 1))[..], [Chore::Remove(..)]));
    let mut ran_since = marked.clone();
    ran_since.remember(&[run(two_days, "")]);
    assert_eq!(due(&ran_since, false, at(two_days + 1)), [], "its last session ended later");
}

#[test]
fn a_clock_that_is_far_off_brings_nothing_down() {
    for now in [SystemTime::UNIX_EPOCH - Duration::from_secs(1), at(1 << 40)] {
        let register = Register::default().next(1, item(1), &[], now);
        assert_eq!(stored(&register).expect("it can be read").started, None);
    }
}

#[test]
fn a_start_without_a_job_is_no_attempt_until_its_job_may_have_come_and_gone() {
    let hour = Duration::from_secs(3600);
    let second = Register::default().next(2, item(2), &[run(1, "")], at(0));
    let given_up = |newest_job, now| {
        let mut register = second.clone();
        register.give_up(newest_job, hour, now);
        register
    };
    for (newest_job, now) in [
        (None, at(0)),
        (None, at(3599)),
        (Some(1), at(3599)),
        (Some(2), at(9000)),
        (Some(3), at(9000)),
    ] {
        assert_eq!(given_up(newest_job, now), second, "{newest_job:?}");
    }
    for newest_job in [None, Some(1)] {
        let register = given_up(newest_job, at(3600));
        let lost = register.history(Vec::new()).pop().expect("a run");
        assert_eq!((lost.generation, lost.outcome, lost.item), (2, Outcome::Lost, Some(item(2))));
        assert_eq!(
            register.permits,
            BTreeSet::new(),
            "its creation may still arrive, and starts nothing"
        );
    }
    let mut ended = second.clone();
    ended.remember(&[run(2, "no model answers")]);
    let known = ended.clone();
    ended.give_up(None, hour, at(9000));
    assert_eq!(ended, known, "what it came to is known");
}
