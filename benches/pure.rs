//! The cost of the decisions, without any I/O: `cargo bench --bench pure`. Each figure comes with
//! its cost per slot or per pull request (`elem`), which is the same at every size.

#[path = "pure/fleet.rs"]
mod fleet;
#[path = "pure/pulls.rs"]
mod pulls;
#[path = "pure/stream.rs"]
mod stream;

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use coordinator::render::transcript::Rendering;
use coordinator::render::words::UTC;
use coordinator::render::{json, markdown, metrics};
use coordinator::steps::{inventory, spawn};
use coordinator_core::agent::{Profile, Tally};
use coordinator_core::budget;
use coordinator_core::fleet::{FleetName, Inventory};
use coordinator_core::merge::verdict::verdict;
use coordinator_core::report::{Contacts, Report, Requests, SpawnReport, Spawned, Status, Step};
use coordinator_core::secrets::Secrets;
use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};

/// The shipped roster's agents, and sizes far beyond any fleet.
const SLOTS: [usize; 4] = [38, 1_000, 10_000, 100_000];
const PULLS: [usize; 3] = [100, 1_000, 10_000];
/// A long session of an agent.
const SESSION_BYTES: usize = 10 << 20;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

fn name() -> FleetName {
    FleetName::parse("demo").expect("a valid name")
}

/// Runs `work` for each size, and reports the cost per item.
fn sized<T>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    sizes: &[usize],
    set_up: impl Fn(usize) -> T,
    work: impl Fn(&T),
) {
    for size in sizes {
        let input = set_up(*size);
        group.throughput(Throughput::Elements(*size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| work(&input));
        });
    }
}

/// The difference between what should run and what does: nine of ten slots are live, the others
/// finished before.
fn plan(criterion: &mut Criterion) {
    let policy = fleet::policy();
    let mut group = criterion.benchmark_group("spawn plan");
    let set_up = |slots| (fleet::wants(slots), Inventory::Known(fleet::listing(slots, now())));
    sized(&mut group, &SLOTS, set_up, |(wants, inventory)| {
        black_box(spawn::plan(&name(), wants.clone(), inventory, &policy, now()));
    });
    group.finish();
}

/// What the sessions of a day count, and whether one more may start.
fn admit(criterion: &mut Criterion) {
    let budget = fleet::budget();
    let mut group = criterion.benchmark_group("budget admission");
    let set_up = |sessions| (fleet::listing(38, now()), fleet::ended(sessions, now()));
    sized(&mut group, &SLOTS, set_up, |(listing, ended)| {
        let spending = budget::spending(&budget, listing, ended);
        let purse = budget::Purse::new(&budget, &spending, now());
        black_box(purse.hold(&fleet::target(0)));
    });
    group.finish();
}

/// The live sessions per role.
fn count(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inventory count");
    let set_up = |slots| (fleet::roles(slots), fleet::listing(slots, now()));
    sized(&mut group, &SLOTS, set_up, |(roles, listing)| {
        black_box(inventory::count(listing, &name(), roles, |_| true, now()));
    });
    group.finish();
}

/// A verdict with its reason for each pull request.
fn judge(criterion: &mut Criterion) {
    let (repository, policy) = (pulls::repository(now()), fleet::shipped().merge);
    let mut group = criterion.benchmark_group("merge verdict");
    sized(
        &mut group,
        &PULLS,
        |count| pulls::pulls(count, now()),
        |pulls| {
            for pull in pulls {
                black_box(verdict(pull, &repository, &policy, now()));
            }
        },
    );
    group.finish();
}

/// The report of a cycle that started every slot, as programs, summaries and dashboards get it.
fn render(criterion: &mut Criterion) {
    for (form, write) in [
        (
            "json",
            (|report| drop(black_box(json::report(report, &Secrets::default())))) as fn(&Report),
        ),
        ("markdown", |report| drop(black_box(markdown::report(report, &UTC, &Secrets::default())))),
        ("metrics", |report| drop(black_box(metrics::report(report, &Secrets::default())))),
    ] {
        let mut group = criterion.benchmark_group(format!("report as {form}"));
        sized(&mut group, &SLOTS[..3], report, write);
        group.finish();
    }
}

fn report(slots: usize) -> Report {
    let mut inventory = Step::default();
    inventory.body = inventory::count(
        &fleet::listing(slots, now()),
        &name(),
        &fleet::roles(slots),
        |_| true,
        now(),
    );
    let mut spawn: Step<SpawnReport> = Step::default();
    spawn.body.spawned =
        (0..slots).map(|number| Spawned { target: fleet::target(number), generation: 3 }).collect();
    Report {
        fleet: name(),
        started_at: now(),
        duration: Duration::from_secs(1),
        dry_run: false,
        paused: None,
        status: Status::Healthy,
        reasons: Vec::new(),
        inventory,
        spawn,
        merge: Step::default(),
        health: Step::default(),
        advice: Vec::new(),
        requests: Requests::default(),
        contacts: Contacts::default(),
        interrupted: None,
    }
}

/// An agent's output for people, and what it shows of its session, per byte.
fn read(criterion: &mut Criterion) {
    let (output, secrets) = (stream::of(SESSION_BYTES), Secrets::new(["s3cret-value".to_owned()]));
    let mut group = criterion.benchmark_group("agent's output");
    group.throughput(Throughput::Bytes(output.len() as u64));
    group.bench_function("readable", |bencher| {
        bencher.iter(|| {
            let mut rendering = Rendering::readable(Profile::Claude, false, &secrets);
            rendering.read(&output, |line| {
                black_box(line);
            });
        });
    });
    group.bench_function("usage", |bencher| {
        bencher.iter(|| {
            let mut tally = Tally::new(Profile::Claude);
            tally.read(&output);
            assert!(black_box(tally.finish()).is_some(), "its result line counts");
        });
    });
    group.finish();
}

criterion_group!(benches, plan, admit, count, judge, render, read);
criterion_main!(benches);
