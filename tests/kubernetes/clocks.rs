//! Clocks that do not agree. The records are written by the cluster's clock, and so is `now` read
//! from it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::fleet::{Fleet, Roster, slots};
use crate::proxy::{Fault, Proxy};
use crate::witness::Witness;

const LIVE: &str = "demo-builder-s0";
const WAITS: &str = "demo-builder-s1";
const DAY: i64 = 24 * 60 * 60;

/// One session runs, and one has failed and waits for ten minutes or so.
fn fleet(cluster: &Cluster) -> Fleet<'_> {
    let defaults = "min_runtime = \"0s\"\nbackoff_base = \"10m\"\n".to_owned();
    let roster = Roster { defaults, ..Roster::of("builder", 2) };
    let fleet = Fleet::new(cluster, roster);
    fleet.cycle();
    cluster.running(LIVE);
    cluster.end(WAITS, 1, "no");
    fleet
}

fn uid(cluster: &Cluster, session: &str) -> Option<String> {
    cluster.job(session)?.metadata.uid
}

/// A library that shifts the wall clock of the program that loads it.
fn shifted_clock(fleet: &Fleet, seconds: i64) -> PathBuf {
    let library = fleet.workplace.path().join(format!("clock{seconds}.so"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubernetes/shifted_clock.rs");
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let compiled = Command::new(compiler)
        .args(["--edition", "2024", "--crate-type", "cdylib", "-o"])
        .args([library.as_os_str(), source.as_ref()])
        .env("SHIFT", seconds.to_string())
        .status();
    assert!(compiled.expect("the compiler starts").success(), "{source} compiles");
    library
}

/// F.3-19.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_coordinator_whose_clock_is_a_day_off_decides_as_the_others_do() {
    let cluster = Cluster::new("wrong-clock");
    let (fleet, proxy) = (fleet(&cluster), Proxy::new(None));
    let honest = fleet.cycle();
    assert_eq!(honest["steps"]["spawn"]["held"][0]["reason"], "backoff", "{honest:#}");
    for seconds in [DAY, -DAY] {
        let library = shifted_clock(&fleet, seconds);
        let program = proxy
            .program(&fleet, "wrong")
            .env("LD_PRELOAD", library.to_str().expect("a plain path"));

        let wrong = program.run().json();

        let started = wrong["started_at"].as_str().expect("a time");
        let started = humantime::parse_rfc3339(started).expect("a time");
        let off =
            started.duration_since(SystemTime::now()).unwrap_or_else(|before| before.duration());
        assert!(off > Duration::from_secs(23 * 60 * 60), "the clock is only {off:?} off");
        assert_eq!(wrong["steps"]["spawn"]["held"], honest["steps"]["spawn"]["held"], "{wrong:#}");
        assert_eq!(wrong["steps"]["inventory"]["running"], 1, "{wrong:#}");
        assert_eq!(wrong["steps"]["inventory"]["stuck"], json!([]), "{wrong:#}");
    }
    assert!(proxy.of("wrong").iter().all(|one| !one.asked.is_write()), "nothing was written");
}

/// F.3-19, the worst of it: the clock that all rely on is wrong. A slot may start too early then,
/// and no session ends.
#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_cluster_whose_clock_jumps_by_a_day_ends_and_doubles_no_session() {
    for seconds in [DAY, -DAY] {
        let cluster = Cluster::new("jumping-clock");
        let (witness, proxy) = (Witness::new(&cluster), Proxy::new(None));
        let fleet = fleet(&cluster);
        let live = uid(&cluster, LIVE);
        proxy.disturb(move |_| Fault::Shift(seconds));

        let report = proxy.cycle(&fleet, "a");

        assert_eq!(slots(&report, "spawned"), [WAITS], "{report:#}");
        assert_eq!(report["steps"]["inventory"]["running"], 1, "{report:#}");
        assert_eq!(uid(&cluster, LIVE), live);
        assert_eq!(witness.violations(), Vec::<String>::new());
        let reported =
            |report: &Value| report["steps"]["inventory"]["stuck"].as_array().map(Vec::len);
        assert_eq!(
            reported(&report),
            Some(usize::from(seconds > 0)),
            "by that clock it is over its time"
        );
    }
}
