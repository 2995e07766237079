//! Reports for the tests of the renderers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use coordinator_core::backoff::BackoffSettings;
use coordinator_core::fleet::{
    FleetName, Hold, HoldReason, Mode, Role, RoleKey, SessionSpec, Slot, Stuck, StuckReason,
    Target, Unmanaged,
};
use coordinator_core::merge::reason::Reason as PullReason;
use coordinator_core::report::{
    Advice, Contacts, EndpointHealth, HealthReport, HealthVerdict, InventoryReport, MergeReport,
    Merged, NotMerged, RateLimit, Reason, RecentMerge, Report, Requests, RoleCount, SpawnFailure,
    SpawnReport, Spawned, Status, Step, StepOutcome,
};

pub(crate) fn at(minute: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + 60 * minute)
}

pub(crate) fn role(key: &str) -> RoleKey {
    RoleKey::parse(key).expect("a valid key")
}

/// A row of the roster with the default backoff.
pub(crate) fn a_role(key: &str, mode: Mode, count: u32) -> Role {
    let backoff = BackoffSettings {
        backoff_base: Duration::from_secs(60),
        backoff_cap: Duration::from_secs(3600),
        min_runtime: Duration::from_secs(30),
        min_interval: Duration::ZERO,
    };
    let spec = SessionSpec { backoff, ..SessionSpec::default() };
    Role {
        key: role(key),
        name: String::new(),
        count,
        department: String::new(),
        mode,
        spec: Arc::new(spec),
    }
}

pub(crate) fn slot(key: &str, index: u32) -> Slot {
    Slot::of_role(&role(key), index)
}

pub(crate) fn target(key: &str, index: u32) -> Target {
    Target { slot: slot(key, index), role: role(key), item: None }
}

pub(crate) fn step<T>(ms: u64, body: T) -> Step<T> {
    Step { outcome: StepOutcome::Ok, duration: Duration::from_millis(ms), body }
}

pub(crate) fn endpoint(
    name: &str,
    status: Option<u16>,
    verdict: HealthVerdict,
    ms: u64,
) -> EndpointHealth {
    EndpointHealth {
        name: name.to_owned(),
        url: "https://app.example.com/healthz".to_owned(),
        status,
        verdict,
        latency: Duration::from_millis(ms),
        error: None,
        cause: None,
        reached: status.is_some(),
    }
}

pub(crate) fn skip(number: u64, title: &str, reason: PullReason, detail: &str) -> NotMerged {
    NotMerged { number, title: title.to_owned(), reason, detail: detail.to_owned() }
}

pub(crate) fn stuck(
    key: &str,
    index: u32,
    reason: StuckReason,
    minute: Option<u64>,
    detail: &str,
) -> Stuck {
    Stuck { slot: slot(key, index), reason, since: minute.map(at), detail: detail.to_owned() }
}

pub(crate) fn reason(status: Status, text: &str) -> Reason {
    Reason { status, text: text.to_owned() }
}

pub(crate) fn merged(number: u64, title: &str) -> Merged {
    let (head, commit) = (format!("{number:040x}"), Some(format!("{:040x}", number + 1)));
    Merged { number, title: title.to_owned(), head, commit }
}

/// Nothing to do: the five short lines.
pub(crate) fn converged() -> Report {
    let pull = |number, reason| skip(number, "Some title", reason, "some detail");
    let reasons =
        [(PullReason::NotApproved, 7), (PullReason::CiPending, 3), (PullReason::Conflict, 2)];
    let skipped =
        reasons.iter().flat_map(|(reason, n)| (0..*n).map(|number| pull(number, *reason)));
    Report {
        fleet: FleetName::parse("demo").expect("a valid name"),
        started_at: at(5),
        duration: Duration::from_millis(812),
        dry_run: false,
        paused: None,
        status: Status::Healthy,
        reasons: Vec::new(),
        inventory: step(
            3,
            InventoryReport {
                desired: 38,
                running: Some(38),
                roles: vec![RoleCount {
                    role: role("ui_builder"),
                    desired: 38,
                    running: Some(38),
                    backing_off: 0,
                    idle: 0,
                    surplus: 0,
                }],
                unmanaged: Vec::new(),
                out_of_range: Vec::new(),
                stuck: Vec::new(),
                failing: Vec::new(),
                leftovers: Vec::new(),
                sources: Vec::new(),
            },
        ),
        spawn: step(0, SpawnReport::default()),
        merge: step(
            700,
            MergeReport { open: 12, skipped: skipped.collect(), ..MergeReport::default() },
        ),
        health: step(
            45,
            HealthReport {
                endpoints: vec![endpoint("production", Some(200), HealthVerdict::Up, 45)],
                recent_merges: Vec::new(),
            },
        ),
        advice: Vec::new(),
        requests: Requests { github: 1, platform: 1, health: 1 },
        contacts: Contacts::default(),
        interrupted: None,
    }
}

pub(crate) fn eventful() -> Report {
    let spawned = |key, indices: &[u32]| {
        let targets: Vec<_> = indices.iter().map(|index| target(key, *index)).collect();
        targets.into_iter().map(|target| Spawned { target, generation: 1 })
    };
    let backoff = Hold {
        reason: HoldReason::Backoff,
        until: Some(at(14)),
        detail: "failed 3 times, last exit 1 after 4s".to_owned(),
    };
    let error =
        "no command `claude` on PATH\ninstall it, or set `command` for this role in roster.toml";
    let mut report = converged();
    report.started_at = at(0);
    report.duration = Duration::from_millis(2_400);
    report.status = Status::Broken;
    report.reasons = vec![reason(Status::Broken, "production answers 503")];
    report.inventory.body.running = Some(0);
    report.inventory.body.roles[0].running = Some(0);
    report.spawn.body = SpawnReport {
        spawned: spawned("ui_builder", &[0, 1, 2])
            .chain(spawned("api_builder", &[0, 1, 2, 3, 7]))
            .collect(),
        already_running: vec![target("designer", 0)],
        held: vec![(target("e2e_tester", 1), backoff)],
        failed: vec![SpawnFailure { target: target("sentinel", 0), error: error.to_owned() }],
        rate_limit: None,
        effects: Vec::new(),
        budget: None,
    };
    report.merge.body = MergeReport {
        open: 5,
        merged: vec![merged(7, "Add login form"), merged(9, "Fix the flaky parser test")],
        skipped: vec![
            skip(8, "Rename config keys", PullReason::CiPending, "`build` is in progress"),
            skip(12, "Bump serde", PullReason::NotApproved, "0 of 1 approvals on the head commit"),
            skip(13, "Move handlers", PullReason::Conflict, "conflict with main"),
        ],
        ..MergeReport::default()
    };
    report.health.body = HealthReport {
        endpoints: vec![endpoint("production", Some(503), HealthVerdict::Down, 1_200)],
        recent_merges: [7, 9]
            .map(|number| RecentMerge { number, title: "Add it".to_owned(), merged_at: at(1) })
            .to_vec(),
    };
    report.advice = vec![
        Advice {
            signal: "sentinel".to_owned(),
            action: "look at `coordinator logs sentinel-s0`".to_owned(),
        },
        Advice {
            signal: "production".to_owned(),
            action: "sentinel reverts; if a revert is open, approve it".to_owned(),
        },
    ];
    report.requests = Requests { github: 3, platform: 42, health: 1 };
    report
}

/// Every text in it, from wherever it may come, is `text`; every list has something.
pub(crate) fn filled_with(text: &str) -> Report {
    let text = || text.to_owned();
    let failed = || StepOutcome::Failed(text());
    let not_merged = |number| skip(number, &text(), PullReason::Forbidden, &text());
    let hold = |reason, until| Hold { reason, until, detail: text() };
    let mut report = eventful();
    report.reasons = vec![reason(Status::Broken, &text()), reason(Status::Degraded, &text())];
    report.advice = vec![Advice { signal: text(), action: text() }];
    report.inventory.outcome = failed();
    report.inventory.body.unmanaged = vec![Unmanaged { session: text(), reason: text() }];
    report.inventory.body.stuck = vec![
        stuck("a", 0, StuckReason::Pending, Some(0), &text()),
        stuck("b", 1, StuckReason::Suspended, None, &text()),
    ];
    report.spawn.outcome = failed();
    report.spawn.body.held = vec![
        (target("a", 0), hold(HoldReason::Backoff, Some(at(3)))),
        (target("b", 0), hold(HoldReason::Interval, None)),
        (target("c", 1), hold(HoldReason::Unknown, None)),
    ];
    report.spawn.body.failed = vec![SpawnFailure { target: target("d", 0), error: text() }];
    report.merge.outcome = failed();
    report.merge.body.merged = vec![merged(1, &text())];
    report.merge.body.skipped = vec![not_merged(2)];
    report.merge.body.failed = vec![not_merged(3)];
    report.merge.body.rate_limit = Some(RateLimit { resets_at: None, said: text() });
    report.health.outcome = failed();
    let endpoint = endpoint("", None, HealthVerdict::PotentialOutage, 9);
    report.health.body.endpoints =
        vec![EndpointHealth { name: text(), url: text(), error: Some(text()), ..endpoint }];
    report.health.body.recent_merges =
        vec![RecentMerge { number: 4, title: text(), merged_at: at(0) }];
    report
}
