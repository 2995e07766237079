//! A thousand sessions, and five thousand Jobs of others: how many requests a cycle makes, and what
//! it takes.
//!
//! Asserts the requests; prints the rest as a table. `COORDINATOR_TEST_BINARY` names a release
//! build to measure.

#![allow(clippy::print_stdout, reason = "the table is there to be read")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};

use crate::audit::Audit;
use crate::cluster::{Cluster, is_over, read};
use crate::fleet::{Fleet, Roster, slots};
use crate::shipped;

const SESSIONS: usize = 1000;
const OTHERS: usize = 5000;

/// As `kubectl` and the coordinator ask for them.
const PAGES: usize = 2;

/// For a thousand pods on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// One cycle and what it took.
struct Cost {
    what: &'static str,
    report: Value,
    /// By the API server's own count: `list jobs`, `create jobs`, ...
    requests: BTreeMap<String, usize>,
    wall: Duration,
    cpu: Duration,
    peak_kib: u64,
}

fn measure(what: &'static str, fleet: &Fleet) -> Cost {
    let given = std::env::var_os("COORDINATOR_TEST_BINARY").map(PathBuf::from);
    let binary = given.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_coordinator")));
    let mut command = Command::new(binary);
    command
        .args(["reconcile", "-o", "json", "-c"])
        .arg(fleet.workplace.roster())
        .stdout(Stdio::piped());
    command.env("KUBECONFIG", fleet.kubeconfig());
    let (audit, cpu_before, began) = (Audit::new(), cpu(), Instant::now());
    let child = command.spawn().expect("the binary starts");
    let memory = watch_memory(child.id());
    let ended = child.wait_with_output().expect("a child can be waited for");
    let (wall, cpu) = (began.elapsed(), cpu().saturating_sub(cpu_before));
    let report = serde_json::from_slice(&ended.stdout).expect("a report in JSON");
    let peak_kib = memory.join().expect("the memory is watched to the end");
    let mut requests = BTreeMap::new();
    for request in
        audit.requests(fleet.cluster.namespace(), |agent| agent.starts_with("coordinator/"))
    {
        let word = |pointer: &str| {
            request.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        *requests
            .entry(format!("{} {}", word("/verb"), word("/objectRef/resource")))
            .or_default() += 1;
    }
    Cost { what, report, requests, wall, cpu, peak_kib }
}

/// Of all children of this process that have ended: run this test alone to read its numbers.
fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel tells the usage");
    let times = [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() * 1_000_000 + time.tv_usec());
    Duration::from_micros(u64::try_from(times.iter().sum::<i64>()).expect("time goes forward"))
}

/// The kernel's own high-water mark of a process, as long as it runs.
fn watch_memory(process: u32) -> std::thread::JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut peak = 0;
        loop {
            let status =
                std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let Some(kib) = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
            else {
                return peak;
            };
            peak = kib;
            std::thread::sleep(Duration::from_millis(1));
        }
    })
}

impl Cost {
    /// Fails unless the API server and the report count these requests, and no others.
    fn is(&self, expected: &[(&str, usize)]) {
        let expected: BTreeMap<String, usize> =
            expected.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
        assert_eq!(self.requests, expected, "{}", self.what);
        let total: usize = expected.values().sum();
        assert_eq!(self.report["requests"]["platform"], total, "{}", self.what);
    }

    /// The same, but for creations that the quota's own conflict turned away, and that were sent
    /// again.
    fn is_with_repeats(&self, expected: &[(&'static str, usize)]) {
        let creations = self.requests.get("create jobs").copied().unwrap_or(0);
        assert!(creations >= SESSIONS, "{}: {creations} creations", self.what);
        println!("{}: {} creations were sent again", self.what, creations - SESSIONS);
        let counted = |kind, count| if kind == "create jobs" { creations } else { count };
        let expected: Vec<_> =
            expected.iter().map(|(kind, count)| (*kind, counted(*kind, *count))).collect();
        self.is(&expected);
    }

    fn row(&self) -> String {
        let count = |kind: &str| self.requests.get(kind).copied().unwrap_or(0);
        format!(
            "| {} | {} | {} | {} | {} | {:.2} s | {:.2} s | {:.1} MiB |",
            self.what,
            count("list jobs"),
            count("list pods"),
            count("delete jobs"),
            count("create jobs"),
            self.wall.as_secs_f64(),
            self.cpu.as_secs_f64(),
            Duration::from_secs(self.peak_kib).as_secs_f64() / 1024.0,
        )
    }
}

/// Looks once a second: a look at a thousand objects is work for the API server, too.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "after {PATIENCE:?} still not: {what}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Ends every session well.
fn end_all(cluster: &Cluster) {
    let pods: Api<Pod> = cluster.api();
    let list = || {
        cluster.wait(pods.list_metadata(&ListParams::default())).expect("pods can be listed").items
    };
    wait_until("a pod for each session", || list().len() == SESSIONS);
    let names = list().into_iter().filter_map(|pod| pod.metadata.name);
    let patch = Patch::Merge(
        json!({ "metadata": { "annotations": { "test.coordinator.dev/exit": "0" } } }),
    );
    let tell = async |name: String| {
        pods.patch_metadata(&name, &PatchParams::default(), &patch).await.map(drop)
    };
    let told = stream::iter(names).map(tell).buffer_unordered(16);
    let told: Vec<_> = cluster.wait(told.collect());
    assert!(told.iter().all(Result::is_ok), "every pod is told: {told:?}");
    wait_until("all sessions are over", || {
        let pods = ListParams::default().fields("status.phase!=Succeeded").limit(1);
        let left =
            cluster.wait(cluster.api::<Pod>().list(&pods)).expect("pods can be listed").items;
        left.is_empty() && cluster.jobs().iter().all(is_over)
    });
}

/// Jobs that have nothing to do with the fleet.
fn create_others(cluster: &Cluster) {
    let jobs: Api<Job> = cluster.api();
    let create = async |number: usize| {
        let container = json!({ "name": "other", "image": "example.com/other:1" });
        let pod = json!({ "containers": [container], "restartPolicy": "Never" });
        let spec = json!({ "suspend": true, "template": { "spec": pod } });
        let job = read(json!({ "metadata": { "name": format!("other-{number}") }, "spec": spec }));
        jobs.create(&PostParams::default(), &job).await.map(drop)
    };
    let created: Vec<_> =
        cluster.wait(stream::iter(0..OTHERS).map(create).buffer_unordered(16).collect());
    assert!(created.iter().all(Result::is_ok), "every Job is created: {created:?}");
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_thousand_sessions_cost_a_request_each_to_start_two_to_replace_and_one_list_to_keep() {
    let cluster = Cluster::new("scale");
    let _policy = shipped::install(&cluster);
    shipped::make_room(&cluster, SESSIONS + OTHERS);
    let roster = Roster {
        deadline: "200s".to_owned(),
        platform: format!("max_spawns = {SESSIONS}"),
        ..Roster::of("builder", u32::try_from(SESSIONS).expect("a small number"))
    };
    let fleet = shipped::of(&cluster, roster);

    let cold = measure("1,000 sessions, cold start", &fleet);
    let converged = measure("1,000 sessions, converged", &fleet);
    end_all(&cluster);
    let replaced = measure("1,000 sessions, all finished", &fleet);
    create_others(&cluster);
    let crowded = measure("1,000 sessions among 5,000 Jobs of others, converged", &fleet);

    let mut table = String::from(
        "| Cycle | Job lists (pages) | Pod lists (pages) | DELETE | POST | Wall | CPU | Peak \
         memory |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for cost in [&cold, &converged, &replaced, &crowded] {
        let _ = writeln!(table, "{}", cost.row());
    }
    println!("{table}");
    cold.is_with_repeats(&[("list jobs", 1), ("list configmaps", 1), ("create jobs", SESSIONS)]);
    assert_eq!(slots(&cold.report, "spawned").len(), SESSIONS);
    converged.is(&[("list jobs", PAGES)]);
    replaced.is_with_repeats(&[
        ("list jobs", PAGES),
        ("list pods", PAGES),
        ("create configmaps", 1),
        ("delete jobs", SESSIONS),
        ("create jobs", SESSIONS),
    ]);
    assert_eq!(slots(&replaced.report, "spawned").len(), SESSIONS, "all in one cycle");
    assert_eq!(replaced.report["status"], "healthy", "{:#}", replaced.report["reasons"]);
    // A server that reads page by page learns only from one more page that the rest are not the
    // fleet's.
    let crowded_pages = crowded.requests.get("list jobs").copied().unwrap_or_default();
    assert!(
        (PAGES..=PAGES + 1).contains(&crowded_pages),
        "{}: {crowded_pages} pages",
        crowded.what
    );
    assert_eq!(crowded.requests.len(), 1, "nothing but lists: {:?}", crowded.requests);
    for cost in [&converged, &crowded] {
        assert_eq!(cost.report["steps"]["inventory"]["running"], SESSIONS, "{}", cost.what);
    }
}
