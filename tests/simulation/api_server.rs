//! The API server's end of the wire.

use bytes::Bytes;
use http::{HeaderValue, Request};
use serde_json::Value;

use crate::fate::{Purpose, Twist};
use crate::ledger::Told;
use crate::scene::{Mutant, Scene};
use crate::wire::Answered;
use crate::world::kubernetes::request::Asked;
use crate::world::kubernetes::trouble::Call;
use crate::world::kubernetes::{BEARER, api, list};

/// A coordinator sends this now.
pub(crate) fn sent(scene: &mut Scene, who: usize, request: &Request<Bytes>) -> Purpose {
    let asked = Asked::read(request);
    let Some(watched) = scene.watched.get_mut(&who) else { return Purpose::Look };
    let mut verdicts = vec![watched.request()];
    let is_write = matches!(asked.call, Call::Create | Call::Delete) && !asked.is_dry_run();
    if is_write {
        verdicts.push(match asked.call {
            Call::Create => watched.create_call(asked.name()),
            _ => watched.delete_call(asked.name()),
        });
    }
    for verdict in verdicts {
        scene.blame(who, verdict);
    }
    match asked.call {
        Call::ListJobs | Call::ListPods => Purpose::List,
        Call::MoreJobs | Call::MorePods => Purpose::Page,
        Call::Create | Call::Delete => Purpose::Write,
        Call::Get | Call::Log | Call::Other => Purpose::Look,
    }
}

/// The server has it.
pub(crate) fn carry_out(scene: &mut Scene, who: usize, request: &Request<Bytes>, twist: Twist) -> Answered {
    let mut asked = Asked::read(request);
    let bearer = HeaderValue::from_str(&format!("Bearer {BEARER}")).expect("a token");
    asked.headers.insert("authorization", bearer);
    if twist == Twist::SmallPages {
        asked.query.insert("limit".to_owned(), "2".to_owned());
    }
    break_in(scene, &mut asked);
    let reply = match twist {
        Twist::Expired => list::expired(&asked),
        Twist::None | Twist::Stale | Twist::SmallPages | Twist::HalfMerged => {
            api::answer(&mut scene.cluster, &asked, false)
        }
    };
    if asked.call == Call::Create && reply.status == 201 && !asked.is_dry_run() {
        let cycle =
            asked.body["metadata"]["annotations"]["coordinator.dev/cycle"].as_str().unwrap_or_default();
        scene.created.insert((asked.name().to_owned(), cycle.to_owned()));
        scene.counts.total("sessions started");
        scene.note(&format_args!("  {who} has started {}", asked.name()));
    }
    let date = httpdate::fmt_http_date(scene.cluster.now());
    Answered { reply: reply.header("date", date), told: Told::default() }
}

/// What a server that does not keep its promises does first.
fn break_in(scene: &mut Scene, asked: &mut Asked) {
    match (scene.mutant, asked.call) {
        (Some(Mutant::IgnoresUid), Call::Delete) => asked.body["preconditions"] = Value::Null,
        (Some(Mutant::IgnoresTakenNames), Call::Create) => {
            let revision = scene.cluster.next();
            let jobs = &mut scene.cluster.namespace().jobs;
            if let Some(holder) = jobs.remove(asked.name()) {
                jobs.insert(format!("{}-{revision}", asked.name()), holder);
            }
        }
        _ => {}
    }
}
