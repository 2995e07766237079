//! Rows about the protocol: capabilities, invalid requests, and requests that arrive slowly.

use serde_json::{Value, json};

use super::harness::{Harness, Order, SlotNo, describe};
use super::row::{CheckResult, NotPassed, demand, promised};
use coordinator_platform_local::exec::Failure;
use coordinator_platform_local::exec::protocol::{
    Capabilities, Operation, SlotExclusive, SpawnResult, Spawned, VERSION,
};

/// Its capabilities have this version of the protocol and do not contradict each other.
pub(super) fn capabilities(
    harness: &mut Harness,
    answer: Result<Capabilities, Failure>,
) -> CheckResult {
    harness.capabilities = answer?;
    let answer = &harness.capabilities;
    demand(answer.protocol.contains(&VERSION), || {
        format!(
            "it has protocol versions {:?}, and the coordinator needs {VERSION}",
            answer.protocol
        )
    })?;
    demand(!(answer.blind_spawn && answer.slot_exclusive == SlotExclusive::None), || {
        "`blind_spawn` without a `slot_exclusive` would double the fleet".to_owned()
    })?;
    Ok(format!("`{}` has protocol version {VERSION}", answer.name))
}

/// A new fleet is an empty list.
pub(super) async fn empty_fleet(harness: &mut Harness) -> CheckResult {
    let began = tokio::time::Instant::now();
    let sessions = harness.list().await?;
    harness.pace = began.elapsed();
    demand(sessions.is_empty(), || {
        format!("a fleet that is new has sessions: {}", describe(&sessions))
    })?;
    Ok("a new fleet is an empty and complete list".to_owned())
}

/// A dry run returns what it would do and does nothing.
pub(super) async fn dry_run(harness: &Harness, place: SlotNo) -> CheckResult {
    promised(harness.capabilities.dry_run, "`dry_run`")?;
    let order = Order { dry_run: true, ..Order::first(place, &["sleep", "1"]) };
    let answer = harness.spawn(&order).await?;
    demand(answer.result == SpawnResult::Created, || {
        format!("a dry run in a free slot returned {:?}, not created", answer.result).to_lowercase()
    })?;
    let sessions = harness.list().await?;
    demand(sessions.is_empty(), || {
        format!("a dry run started something: {}", describe(&sessions))
    })?;
    Ok("returned created, and nothing was started".to_owned())
}

/// Fields of a later coordinator do no harm.
pub(super) async fn unknown_fields(harness: &Harness, place: SlotNo) -> CheckResult {
    let mut request = harness.request(&Order::first(place, &["true"]));
    request["of_a_later_version"] = json!({ "deep": [1, null] });
    request["spec"]["of_a_later_version"] = json!("x");
    request["slot"]["of_a_later_version"] = json!(true);
    created(&harness.plugin().call(Operation::Spawn, &request).await?)?;
    Ok("a request with more fields is served".to_owned())
}

/// A request that comes in pieces is read to its end.
pub(super) async fn slow_request(harness: &Harness, place: SlotNo) -> CheckResult {
    let request = harness.request(&Order::first(place, &["true"])).to_string();
    let pieces: Vec<&[u8]> = request.as_bytes().chunks(request.len().div_ceil(5)).collect();
    created(&harness.plugin().call_raw(Operation::Spawn.word(), &pieces).await?)?;
    Ok(format!("a request in {} pieces is served", pieces.len()))
}

fn created(answer: &Spawned) -> Result<(), NotPassed> {
    demand(answer.result == SpawnResult::Created, || {
        format!("a spawn in a free slot returned {:?}, not created", answer.result).to_lowercase()
    })
}

/// Invalid JSON is refused with an error object.
pub(super) async fn garbage(harness: &Harness) -> CheckResult {
    for operation in [Operation::List, Operation::Spawn] {
        for request in [&b"{\"fleet\": "[..], b"\xff\xfe not JSON", b"[]", b""] {
            refused(harness, operation.word(), request).await?;
        }
    }
    Ok("an error object and exit 1".to_owned())
}

/// So is an unknown operation.
pub(super) async fn unknown_operation(harness: &Harness) -> CheckResult {
    refused(harness, "of-a-later-version", b"{}").await?;
    Ok("an error object and exit 1".to_owned())
}

async fn refused(harness: &Harness, operation: &str, request: &[u8]) -> Result<(), NotPassed> {
    let shown = String::from_utf8_lossy(request);
    match harness.plugin().call_raw::<Value>(operation, &[request]).await {
        Err(Failure::Refused { .. }) => Ok(()),
        Ok(_) => Err(NotPassed::Failed(format!("`{operation}` with `{shown}` on stdin is served"))),
        Err(failure @ (Failure::NotStarted(_) | Failure::Late(_) | Failure::Garbled(_))) => {
            Err(NotPassed::Failed(format!("`{operation}` with `{shown}` on stdin: {failure}")))
        }
    }
}
