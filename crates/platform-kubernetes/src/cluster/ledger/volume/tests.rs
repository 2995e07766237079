use super::*;
use coordinator_core::fleet::Outcome;

fn at(text: &str) -> SystemTime {
    humantime::parse_rfc3339(text).expect("a time")
}

fn noon() -> SystemTime {
    at("2027-01-15T12:00:00Z")
}

fn fleet() -> FleetName {
    FleetName::parse("demo").expect("a fleet")
}

fn run(generation: u64) -> Run {
    Run {
        generation,
        outcome: Outcome::Failed,
        exit_code: Some(1),
        detail: Some("no credit".to_owned()),
        started_at: at("2027-01-15T11:00:00Z"),
        finished_at: at("2027-01-15T11:00:04Z"),
        disrupted: false,
        stopped_by: None,
        result: None,
        item: None,
    }
}

fn runs(session: &str, generations: impl IntoIterator<Item = u64>) -> BTreeMap<String, Vec<Run>> {
    BTreeMap::from([(session.to_owned(), generations.into_iter().map(run).collect())])
}

fn generations(volumes: &[Volume], session: &str) -> Vec<u64> {
    history(volumes, session).iter().map(|run| run.generation).collect()
}

/// The ledger after these volumes were written.
fn after(mut volumes: Vec<Volume>, written: Vec<Volume>) -> Vec<Volume> {
    for mut new in written {
        new.version = Some("1".to_owned());
        volumes.retain(|volume| volume.name != new.name);
        volumes.push(new);
    }
    volumes
}

#[test]
fn a_volume_is_named_after_its_fleet_its_day_and_from_the_second_on_its_number() {
    let day = || Day::of(noon());
    let first = VolumeName { day: day(), number: 0 };
    let third = VolumeName { day: day(), number: 2 };
    assert_eq!(first.written(&fleet()), "demo-ledger-2027-01-15");
    assert_eq!(third.written(&fleet()), "demo-ledger-2027-01-15-2");
    for name in [first, third] {
        assert_eq!(VolumeName::parse(&fleet(), &name.written(&fleet())), Some(name));
    }
    for other in [
        "demo-ledger-2027-01-15-0",
        "demo-ledger-2027-01-15-x",
        "demo-ledger-2027-13-15",
        "demo-ledger-",
        "other-ledger-2027-01-15",
        "demo-brief-2027-01-15",
    ] {
        assert_eq!(VolumeName::parse(&fleet(), other), None, "{other}");
    }
}

#[test]
fn a_run_comes_back_as_it_was_written() {
    let lost = Run {
        outcome: Outcome::TimedOut,
        exit_code: None,
        detail: None,
        disrupted: true,
        stopped_by: None,
        result: None,
        ..run(2)
    };
    let both = BTreeMap::from([("demo-a-s0".to_owned(), vec![run(1), lost.clone()])]);
    let ledger = add(&[], &both, noon());
    assert_eq!(history(&ledger, "demo-a-s0"), [run(1), lost]);
    assert_eq!(history(&ledger, "demo-a-s1"), []);
    assert_eq!(
        ledger[0].data["demo-a-s0"],
        concat!(
            r#"[{"exit":1,"finished":1800010804,"gen":1,"outcome":"failed","reason":"no credit","#,
            r#""started":1800010800},{"disrupted":true,"finished":1800010804,"gen":2,"#,
            r#""outcome":"timed_out","started":1800010800}]"#
        )
    );
}

#[test]
fn runs_are_added_and_what_another_cycle_wrote_stays() {
    let ledger = after(Vec::new(), add(&[], &runs("demo-a-s0", 1..=3), noon()));
    let mut other = ledger.clone();
    other[0]
        .data
        .insert("demo-a-s1".to_owned(), r#"[{"gen":7,"from":"a later version"}]"#.to_owned());
    let written = add(&other, &runs("demo-a-s0", 2..=4), noon());
    assert_eq!(written.len(), 1, "one write");
    assert_eq!(written[0].version.as_deref(), Some("1"), "of the volume that is there");
    assert_eq!(written[0].data["demo-a-s1"], other[0].data["demo-a-s1"]);
    let ledger = after(other, written);
    assert_eq!(generations(&ledger, "demo-a-s0"), [1, 2, 3, 4]);
    assert!(add(&ledger, &runs("demo-a-s0", 2..=4), noon()).is_empty(), "all of it is known");
    let stale = add(&ledger, &runs("demo-a-s0", 1..=2), noon());
    assert!(stale.is_empty(), "a cycle that was stopped for a while takes nothing away: {stale:?}");
}

#[test]
fn a_full_volume_is_followed_by_the_next_one_before_900_kib() {
    let sessions = |generation: u64| {
        let name = |index| format!("demo-a-role-with-a-long-name-s{index}");
        (0..4_000).map(|index| (name(index), vec![run(generation)])).collect::<BTreeMap<_, _>>()
    };
    let mut ledger = Vec::new();
    for generation in 1..=4 {
        let written = add(&ledger, &sessions(generation), noon());
        ledger = after(ledger, written);
    }
    ledger.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<String> = ledger.iter().map(|volume| volume.name.written(&fleet())).collect();
    assert_eq!(
        names,
        ["demo-ledger-2027-01-15", "demo-ledger-2027-01-15-1", "demo-ledger-2027-01-15-2"]
    );
    let sizes: Vec<usize> = ledger.iter().map(Volume::bytes).collect();
    assert!(sizes.iter().all(|size| *size <= MAX_DATA_BYTES) && sizes[0] > 880 * 1024, "{sizes:?}");
    assert_eq!(generations(&ledger, "demo-a-role-with-a-long-name-s17"), [1, 2, 3, 4]);
}

#[test]
fn a_thousand_slots_with_a_whole_history_each_take_one_write() {
    let name = |index| format!("demo-ui-builder-s{index}");
    let all = (0..1_000).map(|index| (name(index), (1..=8).map(run).collect())).collect();
    let written = add(&[], &all, noon());
    assert_eq!(written.len(), 1, "{:?}", written.iter().map(Volume::bytes).collect::<Vec<_>>());
}

#[test]
fn a_volume_stays_two_days_and_its_runs_are_rewritten_before_it_is_removed() {
    let ledger = after(Vec::new(), add(&[], &runs("demo-a-s0", 1..=2), noon()));
    for (later, is_expired) in [("2027-01-15", false), ("2027-01-17", false), ("2027-01-18", true)]
    {
        let gone = expired(&ledger, at(&format!("{later}T12:00:00Z")));
        assert_eq!(!gone.is_empty(), is_expired, "{later}: {gone:?}");
    }
    assert!(add(&ledger, &runs("demo-a-s0", 1..=2), at("2027-01-16T12:00:00Z")).is_empty());
    let again = add(&ledger, &runs("demo-a-s0", 1..=3), at("2027-01-17T00:00:01Z"));
    assert_eq!(again[0].name.written(&fleet()), "demo-ledger-2027-01-17");
    assert_eq!(generations(&again, "demo-a-s0"), [1, 2, 3]);
}

#[test]
fn a_value_that_was_garbled_by_hand_counts_as_empty_and_stops_nothing() {
    let mut ledger = after(Vec::new(), add(&[], &runs("demo-a-s0", 1..=2), noon()));
    for garbled in ["", "{}", "[1]", r#"[{"gen":"x"}]"#, r#"[{"gen":1,"outcome":"?"}]"#] {
        ledger[0].data.insert("demo-a-s0".to_owned(), garbled.to_owned());
        assert_eq!(history(&ledger, "demo-a-s0"), [], "{garbled}");
        let repaired = after(ledger.clone(), add(&ledger, &runs("demo-a-s0", 5..=5), noon()));
        assert_eq!(generations(&repaired, "demo-a-s0"), [5], "{garbled}");
    }
}

#[test]
fn only_the_newest_eight_runs_of_a_slot_count() {
    let ledger = after(Vec::new(), add(&[], &runs("demo-a-s0", 1..=8), noon()));
    let ledger = after(ledger.clone(), add(&ledger, &runs("demo-a-s0", 5..=12), noon()));
    assert_eq!(generations(&ledger, "demo-a-s0"), (5..=12).collect::<Vec<_>>());
}

#[test]
fn a_clock_before_1970_or_after_all_times_still_has_a_day() {
    for off in [SystemTime::UNIX_EPOCH - DAY, SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40)]
    {
        assert_eq!(Day::of(off), Day::of(SystemTime::UNIX_EPOCH), "{off:?}");
    }
    let changed = add(
        &[],
        &BTreeMap::from([("demo-qa-s0".to_owned(), vec![run(1)])]),
        SystemTime::UNIX_EPOCH,
    );
    assert_eq!(changed.len(), 1);
}
