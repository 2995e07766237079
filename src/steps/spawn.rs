//! Step 2: start what is missing. [`plan`] decides, [`apply`] carries out and makes no choice of
//! its own. The decision on each slot is a value until the end, when the report is made from it.

use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use coordinator_core::budget::BudgetReport;
use coordinator_core::fleet::{Group, Hold, HoldReason, Slot, Target};
use coordinator_core::platform::{CycleId, Platform, Start};
use coordinator_core::report::{RateLimit, SourceEffect, SpawnFailure, SpawnReport, Spawned};

pub use coordinator_core::plan::{OnInventoryFailure, Order, Policy, plan};

/// Failed starts of a source's items in one cycle, after which it starts no more.
const MAX_ITEM_FAILURES: usize = 5;

/// What [`apply`] needs beside its orders.
#[derive(Debug)]
pub struct SpawnContext<'a> {
    /// Recorded in every session that it creates.
    pub cycle: &'a CycleId,
    pub clock: fn() -> SystemTime,
    /// No start begins after this.
    pub until: Instant,
    /// No start begins once it is cancelled.
    pub stop: &'a CancellationToken,
    /// Previews each start, and starts nothing.
    pub dry_run: bool,
}

impl SpawnContext<'_> {
    /// Nothing further may begin.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.is_cancelled() || Instant::now() >= self.until
    }
}

/// The state of one order.
#[derive(Debug)]
enum Decision {
    /// Its turn has not come.
    Waiting,
    /// The platform has not answered.
    UnderWay,
    Held(Hold),
    Answered(anyhow::Result<Start>),
}

/// The orders of one cycle and what became of each. It outlives a step that is cut off, so the
/// report stays true.
#[derive(Debug, Default)]
pub struct SpawnRun {
    decisions: Vec<(Target, Decision)>,
    rate_limit: Option<RateLimit>,
    /// What the sources wrote down.
    pub effects: Vec<SourceEffect>,
    /// The budget when the starts were planned; `None` without one.
    pub budget: Option<BudgetReport>,
}

/// Carries the orders out in order, as many at once as the platform takes. After a failure, or when
/// the platform's quota is full, no further start of that role begins; of a source's items the next
/// one is tried, up to five failures; after a rate limit none at all. Ends early, with an error,
/// when it is stopped.
pub async fn apply<P: Platform>(
    run: &mut SpawnRun,
    platform: &P,
    orders: Vec<Order>,
    context: &SpawnContext<'_>,
) -> anyhow::Result<()> {
    let mut waiting = VecDeque::new();
    for order in orders {
        let target = order.target();
        let decision = match order {
            Order::Start(want) => {
                waiting.push_back((run.decisions.len(), want));
                Decision::Waiting
            }
            Order::Hold { hold, .. } => Decision::Held(hold),
        };
        run.decisions.push((target, decision));
    }
    platform.expect(waiting.iter().map(|(_, want)| want));
    let mut stopped = StoppedGroups::default();
    let mut under_way = FuturesUnordered::new();
    loop {
        while under_way.len() < platform.starts_at_once()
            && !context.is_over()
            && run.rate_limit.is_none()
        {
            let Some((place, want)) = waiting.pop_front() else { break };
            if let Some(hold) = stopped.hold(&want.slot.group) {
                run.decisions[place].1 = Decision::Held(hold);
                continue;
            }
            run.decisions[place].1 = Decision::UnderWay;
            under_way.push(async move {
                let now = (context.clock)();
                let answer = if context.dry_run {
                    platform.preview(&want, now).await
                } else {
                    platform.start(&want, context.cycle, now).await
                };
                (place, answer)
            });
        }
        let Some((place, answer)) = under_way.next().await else { break };
        let (target, decision) = &mut run.decisions[place];
        stopped.note(target, &answer);
        if let Ok(Start::RateLimited(limit)) = &answer {
            run.rate_limit.get_or_insert_with(|| limit.clone());
        }
        *decision = Decision::Answered(answer);
    }
    let left = waiting.len();
    anyhow::ensure!(
        left == 0 || !context.stop.is_cancelled(),
        "interrupted with {left} still to start"
    );
    Ok(())
}

/// Groups of which no further start begins in this cycle.
#[derive(Debug, Default)]
struct StoppedGroups {
    holds: BTreeMap<Group, Hold>,
    item_failures: BTreeMap<Group, usize>,
}

impl StoppedGroups {
    fn hold(&self, group: &Group) -> Option<Hold> {
        self.holds.get(group).cloned()
    }

    fn note(&mut self, target: &Target, answer: &anyhow::Result<Start>) {
        let group = &target.slot.group;
        let hold = match answer {
            Err(_) | Ok(Start::Failed(_)) if target.item.is_some() => {
                let failures = self.item_failures.entry(group.clone()).or_default();
                *failures += 1;
                if *failures < MAX_ITEM_FAILURES {
                    return;
                }
                source_failed(*failures)
            }
            Err(_) => role_failed(),
            Ok(Start::Held(hold)) if hold.reason == HoldReason::Quota => hold.clone(),
            Ok(
                Start::Held(_)
                | Start::Started { .. }
                | Start::AlreadyRunning
                | Start::Superseded
                | Start::Failed(_)
                | Start::RateLimited(_),
            ) => return,
        };
        self.holds.entry(group.clone()).or_insert(hold);
    }
}

impl SpawnRun {
    /// The slots in which a session started.
    pub fn started(&self) -> impl Iterator<Item = &Slot> {
        let is_started =
            |decision: &Decision| matches!(decision, Decision::Answered(Ok(Start::Started { .. })));
        self.decisions
            .iter()
            .filter(move |(_, decision)| is_started(decision))
            .map(|(target, _)| &target.slot)
    }

    /// The report: each order once, in the order of the plan.
    pub fn report(self) -> SpawnReport {
        let Self { decisions, rate_limit, effects, budget } = self;
        let mut report = SpawnReport { rate_limit, effects, budget, ..SpawnReport::default() };
        for (target, decision) in decisions {
            match decision {
                Decision::Waiting => {
                    let hold = report.rate_limit.as_ref().map_or_else(out_of_time, rate_limited);
                    report.held.push((target, hold));
                }
                Decision::UnderWay => report.failed.push(unanswered(target)),
                Decision::Held(hold) | Decision::Answered(Ok(Start::Held(hold))) => {
                    report.held.push((target, hold));
                }
                Decision::Answered(Ok(Start::Started { generation })) => {
                    report.spawned.push(Spawned { target, generation });
                }
                Decision::Answered(Ok(Start::AlreadyRunning)) => {
                    report.already_running.push(target);
                }
                Decision::Answered(Ok(Start::Superseded)) => {
                    report.held.push((target, superseded()));
                }
                Decision::Answered(Ok(Start::RateLimited(limit))) => {
                    report.held.push((target, rate_limited(&limit)));
                }
                Decision::Answered(Ok(Start::Failed(error))) => {
                    report.failed.push(SpawnFailure { target, error });
                }
                Decision::Answered(Err(error)) => {
                    report.failed.push(SpawnFailure { target, error: format!("{error:#}") });
                }
            }
        }
        report
    }
}

fn unanswered(target: Target) -> SpawnFailure {
    let error =
        "no answer before the cycle ended; the next inventory shows whether it started".to_owned();
    SpawnFailure { target, error }
}

fn out_of_time() -> Hold {
    let detail = "the cycle ended before its turn; the next one starts it".to_owned();
    Hold { reason: HoldReason::MaxSpawns, until: None, detail }
}

fn rate_limited(limit: &RateLimit) -> Hold {
    let detail = "the platform's rate limit is reached; a later cycle starts it".to_owned();
    Hold { reason: HoldReason::Quota, until: limit.resets_at, detail }
}

fn role_failed() -> Hold {
    let detail = "another session of the role failed to start in this cycle".to_owned();
    Hold { reason: HoldReason::RoleFailed, until: None, detail }
}

fn source_failed(failures: usize) -> Hold {
    let detail = format!("{failures} sessions of the source failed to start in this cycle");
    Hold { reason: HoldReason::RoleFailed, until: None, detail }
}

fn superseded() -> Hold {
    let detail =
        "another session of the item ran since this start was planned; the next cycle plans anew"
            .to_owned();
    Hold { reason: HoldReason::Superseded, until: None, detail }
}

#[cfg(test)]
mod tests;
