//! Rows about what is said: capabilities, requests that nobody should send, and requests that come
//! slowly.

use serde_json::{Value, json};

use super::row::{Shortfall, Tried, demand, promised};
use super::subject::{Order, Place, Subject, told};
use coordinator_platform_local::exec::Failure;
use coordinator_platform_local::exec::protocol::{
    Capable, Operation, SlotExclusive, Spawned, VERSION, Verdict,
};

/// It says what it can do, and speaks this version.
pub(super) async fn capabilities(subject: &mut Subject) -> Tried {
    subject.capabilities = subject.plugin().ask(Operation::Capabilities, &Capable {}).await?;
    let said = &subject.capabilities;
    demand(said.protocol.contains(&VERSION), || {
        format!("it speaks {:?}, and the coordinator {VERSION}", said.protocol)
    })?;
    demand(!(said.blind_spawn && said.slot_exclusive == SlotExclusive::None), || {
        "`blind_spawn` without a `slot_exclusive` would double the fleet".to_owned()
    })?;
    Ok(format!("`{}` speaks version {VERSION}", said.name))
}

/// A fleet that nobody has heard of is an empty list.
pub(super) async fn empty_fleet(subject: &mut Subject) -> Tried {
    let began = tokio::time::Instant::now();
    let sessions = subject.list().await?;
    subject.pace = began.elapsed();
    demand(sessions.is_empty(), || {
        format!("a fleet that is new has sessions: {}", told(&sessions))
    })?;
    Ok("a new fleet is an empty and complete list".to_owned())
}

/// A dry run says what it would do and does nothing.
pub(super) async fn dry_run(subject: &Subject, place: Place) -> Tried {
    promised(subject.capabilities.dry_run, "`dry_run`")?;
    let order = Order { dry_run: true, ..Order::first(place, &["sleep", "1"]) };
    let answer = subject.spawn(&order).await?;
    demand(answer.result == Verdict::Created, || {
        format!("a dry run in a free slot says {:?}, not created", answer.result).to_lowercase()
    })?;
    let sessions = subject.list().await?;
    demand(sessions.is_empty(), || format!("a dry run started something: {}", told(&sessions)))?;
    Ok("says created, and nothing was".to_owned())
}

/// Fields of a later coordinator do no harm.
pub(super) async fn unknown_fields(subject: &Subject, place: Place) -> Tried {
    let mut request = subject.request(&Order::first(place, &["true"]));
    request["of_a_later_version"] = json!({ "deep": [1, null] });
    request["spec"]["of_a_later_version"] = json!("x");
    request["slot"]["of_a_later_version"] = json!(true);
    created(&subject.plugin().ask(Operation::Spawn, &request).await?)?;
    Ok("a request with more fields is served".to_owned())
}

/// A request that comes in pieces is read to its end.
pub(super) async fn slow_request(subject: &Subject, place: Place) -> Tried {
    let request = subject.request(&Order::first(place, &["true"])).to_string();
    let pieces: Vec<&[u8]> = request.as_bytes().chunks(request.len().div_ceil(5)).collect();
    created(&subject.plugin().call_raw(Operation::Spawn.word(), &pieces).await?)?;
    Ok(format!("a request in {} pieces is served", pieces.len()))
}

fn created(answer: &Spawned) -> Result<(), Shortfall> {
    demand(answer.result == Verdict::Created, || {
        format!("a spawn in a free slot says {:?}, not created", answer.result).to_lowercase()
    })
}

/// What is no JSON is refused in order.
pub(super) async fn garbage(subject: &Subject) -> Tried {
    for operation in [Operation::List, Operation::Spawn] {
        for request in [&b"{\"fleet\": "[..], b"\xff\xfe no JSON", b"[]", b""] {
            refused(subject, operation.word(), request).await?;
        }
    }
    Ok("an error object and exit 1".to_owned())
}

/// So is what it does not know.
pub(super) async fn unknown_operation(subject: &Subject) -> Tried {
    refused(subject, "of-a-later-version", b"{}").await?;
    Ok("an error object and exit 1".to_owned())
}

async fn refused(subject: &Subject, operation: &str, request: &[u8]) -> Result<(), Shortfall> {
    let shown = String::from_utf8_lossy(request);
    match subject.plugin().call_raw::<Value>(operation, &[request]).await {
        Err(Failure::Refused { .. }) => Ok(()),
        Ok(_) => Err(Shortfall::Failed(format!("`{operation}` with `{shown}` on stdin is served"))),
        Err(failure @ (Failure::NotStarted(_) | Failure::Late(_) | Failure::Garbled(_))) => {
            Err(Shortfall::Failed(format!("`{operation}` with `{shown}` on stdin: {failure}")))
        }
    }
}
