//! Checks a plugin against the protocol and its own `capabilities`.
//!
//! The test uses a fleet of its own, whose sessions are short and end by themselves.

#![deny(unsafe_code)]

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use coordinator_platform_local::exec::Failure;
use coordinator_platform_local::exec::protocol::{Capabilities, Capable, Operation};

use harness::{Harness, SlotNo};
use row::{CheckResult, NotPassed};

pub use row::{Grade, Row};

mod items;
mod lifecycle;
mod lock;
mod row;
mod protocol;
mod harness;

/// The slots of the rows.
const CONTESTED: SlotNo = SlotNo::Role(0);
const FAILING: SlotNo = SlotNo::Role(1);
const WIDE: SlotNo = SlotNo::Role(2);
const SLOW: SlotNo = SlotNo::Role(3);
const OVERLONG: SlotNo = SlotNo::Role(4);
const TALKATIVE: SlotNo = SlotNo::Role(5);
const EXPIRED: SlotNo = SlotNo::Role(6);
const KILLED: [SlotNo; 6] = [
    SlotNo::Role(7),
    SlotNo::Role(8),
    SlotNo::Role(9),
    SlotNo::Role(10),
    SlotNo::Role(11),
    SlotNo::Role(12),
];
const STOPPED: SlotNo = SlotNo::Role(13);
const FOLLOWED: SlotNo = SlotNo::Role(14);
const ITEM: SlotNo = SlotNo::Item("Task \"7\", über alles");

/// What the test of one plugin showed.
#[derive(Debug)]
pub struct Trial {
    /// The fleet of the test; no other has its name.
    pub fleet: String,
    /// The plugin's answer to `capabilities`.
    pub capabilities: Capabilities,
    /// The plugin has removed all that it remembered of the fleet.
    pub is_forgotten: bool,
    /// In the order in which they were tried.
    pub rows: Vec<Row>,
}

/// Tries the plugin; each of its operations may take `timeout`. An error when it cannot be started
/// at all.
pub async fn run(program: PathBuf, timeout: Duration, now: SystemTime) -> Result<Trial, Failure> {
    let mut harness = Harness::new(program, timeout, now);
    let capabilities = harness.plugin().call(Operation::Capabilities, &Capable {}).await;
    if let Err(failure @ Failure::NotStarted(_)) = capabilities {
        return Err(failure);
    }
    let rows = rows(&mut harness, capabilities).await;
    Ok(Trial {
        fleet: harness.fleet().to_owned(),
        capabilities: harness.capabilities,
        is_forgotten: harness.is_forgotten,
        rows,
    })
}

/// One after another. The sessions of the later rows run meanwhile.
async fn rows(harness: &mut Harness, capabilities: Result<Capabilities, Failure>) -> Vec<Row> {
    let capabilities = Row::new("capabilities", protocol::capabilities(harness, capabilities));
    if capabilities.grade != Grade::Pass {
        return vec![capabilities];
    }
    let empty = Row::new("empty_fleet", protocol::empty_fleet(harness).await);
    let dry_run = Row::new("dry_run", protocol::dry_run(harness, EXPIRED).await);
    let mut rows = vec![capabilities, empty, dry_run];
    let mut holder = None;
    rows.push(Row::new("one_of_many", lock::rivals(harness, CONTESTED, &mut holder).await));
    rows.push(Row::new("listed", lock::listed(harness, CONTESTED, holder.as_ref()).await));
    rows.push(Row::new("replay", lock::replay(harness, CONTESTED, holder.as_ref()).await));
    rows.push(Row::new("taken", lock::taken(harness, CONTESTED, holder.as_ref()).await));
    rows.push(Row::new("other_slot", lock::other_slot(harness, FAILING).await));
    let overlong = lifecycle::start_overlong(harness, OVERLONG).await;
    let talkative = lifecycle::start_talkative(harness, TALKATIVE).await;
    rows.push(Row::new("unknown_fields", protocol::unknown_fields(harness, WIDE).await));
    rows.push(Row::new("slow_request", protocol::slow_request(harness, SLOW).await));
    let item = items::start_first(harness, ITEM).await;
    rows.push(Row::new("killed", lock::killed(harness, &KILLED).await));
    rows.push(Row::new("garbage", protocol::garbage(harness).await));
    rows.push(Row::new("unknown_operation", protocol::unknown_operation(harness).await));
    rows.push(Row::new("expired", lock::expired(harness, EXPIRED).await));
    rows.push(Row::new("ends", lifecycle::ends(harness, CONTESTED, FAILING).await));
    rows.push(Row::new("stale_view", lifecycle::stale_view(harness, FAILING).await));
    rows.push(Row::new("next_generation", lifecycle::next_generation(harness, CONTESTED).await));
    rows.push(Row::new(
        "time_limit",
        after(overlong, lifecycle::time_limit(harness, OVERLONG)).await,
    ));
    rows.push(Row::new("logs", after(talkative, lifecycle::logs(harness, TALKATIVE)).await));
    rows.push(Row::new("follow", lifecycle::follow(harness, FOLLOWED).await));
    rows.push(Row::new("items", after(item, items::life(harness, ITEM)).await));
    rows.push(Row::new("superseded", items::superseded(harness, ITEM).await));
    rows.push(Row::new("stop", lifecycle::stop(harness, STOPPED).await));
    rows.push(Row::new("nothing_left", lifecycle::nothing_left(harness).await));
    rows.push(Row::new("forget", lifecycle::forget(harness).await));
    rows
}

/// A row whose session could not be started has failed there.
async fn after(
    started: Result<(), NotPassed>,
    row: impl Future<Output = CheckResult>,
) -> CheckResult {
    started?;
    row.await
}
