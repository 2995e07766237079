//! Does a plugin keep what the protocol and its own `capabilities` promise?
//!
//! The test plays a fleet of its own, whose sessions are short and end by themselves.

#![deny(unsafe_code)]

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use coordinator_platform_local::exec::protocol::Capabilities;

use row::{Shortfall, Tried};
use subject::{Place, Subject};

pub use row::{Grade, Row};

mod items;
mod life;
mod lock;
mod row;
mod speech;
mod subject;

/// The slots of the rows.
const CONTESTED: Place = Place::Role(0);
const FAILING: Place = Place::Role(1);
const WIDE: Place = Place::Role(2);
const SLOW: Place = Place::Role(3);
const OVERLONG: Place = Place::Role(4);
const TALKATIVE: Place = Place::Role(5);
const EXPIRED: Place = Place::Role(6);
const KILLED: [Place; 6] = [
    Place::Role(7),
    Place::Role(8),
    Place::Role(9),
    Place::Role(10),
    Place::Role(11),
    Place::Role(12),
];
const STOPPED: Place = Place::Role(13);
const ITEM: Place = Place::Item("Task \"7\", über alles");

/// What the test of one plugin showed.
#[derive(Debug)]
pub struct Trial {
    /// The fleet that was played; no other has its name.
    pub fleet: String,
    /// What the plugin says of itself.
    pub capabilities: Capabilities,
    /// The plugin has removed all that it remembered of the fleet.
    pub is_forgotten: bool,
    /// In the order in which they were tried.
    pub rows: Vec<Row>,
}

/// Tries the plugin; each of its operations may take `timeout`.
pub async fn run(program: PathBuf, timeout: Duration, now: SystemTime) -> Trial {
    let mut subject = Subject::new(program, timeout, now);
    let rows = rows(&mut subject).await;
    Trial {
        fleet: subject.fleet().to_owned(),
        capabilities: subject.capabilities,
        is_forgotten: subject.is_forgotten,
        rows,
    }
}

/// One after another. The sessions of the later rows run meanwhile.
async fn rows(subject: &mut Subject) -> Vec<Row> {
    let capabilities = Row::new("capabilities", speech::capabilities(subject).await);
    if capabilities.grade != Grade::Pass {
        return vec![capabilities];
    }
    let empty = Row::new("empty_fleet", speech::empty_fleet(subject).await);
    let dry_run = Row::new("dry_run", speech::dry_run(subject, EXPIRED).await);
    let mut rows = vec![capabilities, empty, dry_run];
    let mut holder = None;
    rows.push(Row::new("one_of_many", lock::rivals(subject, CONTESTED, &mut holder).await));
    rows.push(Row::new("listed", lock::listed(subject, CONTESTED, holder.as_ref()).await));
    rows.push(Row::new("replay", lock::replay(subject, CONTESTED, holder.as_ref()).await));
    rows.push(Row::new("taken", lock::taken(subject, CONTESTED, holder.as_ref()).await));
    rows.push(Row::new("other_slot", lock::other_slot(subject, FAILING).await));
    let overlong = life::start_overlong(subject, OVERLONG).await;
    let talkative = life::start_talkative(subject, TALKATIVE).await;
    rows.push(Row::new("unknown_fields", speech::unknown_fields(subject, WIDE).await));
    rows.push(Row::new("slow_request", speech::slow_request(subject, SLOW).await));
    let item = items::start_first(subject, ITEM).await;
    rows.push(Row::new("killed", lock::killed(subject, &KILLED).await));
    rows.push(Row::new("garbage", speech::garbage(subject).await));
    rows.push(Row::new("unknown_operation", speech::unknown_operation(subject).await));
    rows.push(Row::new("expired", lock::expired(subject, EXPIRED).await));
    rows.push(Row::new("ends", life::ends(subject, CONTESTED, FAILING).await));
    rows.push(Row::new("stale_view", life::stale_view(subject, FAILING).await));
    rows.push(Row::new("next_generation", life::next_generation(subject, CONTESTED).await));
    rows.push(Row::new("time_limit", after(overlong, life::time_limit(subject, OVERLONG)).await));
    rows.push(Row::new("logs", after(talkative, life::logs(subject, TALKATIVE)).await));
    rows.push(Row::new("items", after(item, items::life(subject, ITEM)).await));
    rows.push(Row::new("superseded", items::superseded(subject, ITEM).await));
    rows.push(Row::new("stop", life::stop(subject, STOPPED).await));
    rows.push(Row::new("nothing_left", life::nothing_left(subject).await));
    rows.push(Row::new("forget", life::forget(subject).await));
    rows
}

/// A row whose session could not be started has failed there.
async fn after(started: Result<(), Shortfall>, row: impl Future<Output = Tried>) -> Tried {
    started?;
    row.await
}
