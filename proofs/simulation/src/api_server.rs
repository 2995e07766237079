//! The API server's end of the wire.

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use serde_json::Value;

use crate::facts::{Facts, JobPage};
use crate::fate::{Purpose, Twist};
use crate::queue::Items;
use crate::scene::{Mutant, Scene};
use crate::table::Place;
use crate::wire::Answered;
use crate::{money, person, time};
use testkit::BEARER;
use testkit::Reply;
use testkit::clock::http_date;
use testkit::kubernetes::ADMINISTRATOR;
use testkit::kubernetes::request::Asked;
use testkit::kubernetes::trouble::Call;
use testkit::kubernetes::witness::is_live_job;
use testkit::kubernetes::{api, list};

/// Checks a request at the moment when a coordinator sends it.
pub(crate) fn sent(scene: &mut Scene, who: usize, request: &Request<Bytes>) -> Purpose {
    let asked = Asked::read(request);
    let items = scene.items.as_ref().map(Items::sessions).unwrap_or_default();
    let Some(watched) = scene.watched.get_mut(&who) else { return Purpose::Look };
    let mut verdicts = vec![watched.request()];
    let is_write = !asked.is_dry_run();
    match asked.call {
        Call::Create if is_write => {
            verdicts.push(watched.create_call(asked.name(), &items));
            verdicts.push(watched.affords(asked.name(), &scene.sessions));
            // A Job that it follows may be of a creation that came late, and of any generation.
            if asked.body["metadata"]["annotations"]["coordinator.dev/prev-uid"].is_null() {
                verdicts.push(watched.generation(asked.name(), generation(&asked.body)));
            }
        }
        Call::Delete
        | Call::WriteLedger
        | Call::DropLedger
        | Call::WriteRegister
        | Call::DropRegister
        | Call::Patch
            if is_write =>
        {
            verdicts.push(watched.other_write(&asked.method, asked.name()));
        }
        _ => {}
    }
    let (purpose, name) = match asked.call {
        Call::ListJobs => (Purpose::List, "Jobs"),
        Call::ListPods => (Purpose::List, "pods"),
        Call::ListEvents => (Purpose::List, "events"),
        Call::MoreJobs | Call::MorePods => (Purpose::Page, "further page"),
        Call::Create if is_item(&asked.body) => (Purpose::Start, "write"),
        Call::Create => (Purpose::Create, "write"),
        Call::Delete
        | Call::WriteLedger
        | Call::DropLedger
        | Call::WriteRegister
        | Call::DropRegister
        | Call::Patch => (Purpose::Write, "write"),
        Call::ReadLedger => (Purpose::List, "ledger"),
        Call::ListRegisters => (Purpose::List, "registers"),
        Call::Get | Call::Log | Call::Other => (Purpose::Look, "look"),
    };
    *watched.sent.entry((Place::Kubernetes, name)).or_default() += 1;
    for verdict in verdicts {
        scene.blame(who, verdict);
    }
    purpose
}

/// The server has it.
pub(crate) fn carry_out(
    scene: &mut Scene,
    who: usize,
    request: &Request<Bytes>,
    twist: Twist,
) -> Answered {
    let mut asked = Asked::read(request);
    let token = if who == person::WHO { ADMINISTRATOR } else { BEARER };
    let bearer = HeaderValue::from_str(&format!("Bearer {token}")).expect("a token");
    asked.headers.insert("authorization", bearer);
    if twist == Twist::SmallPages {
        asked.query.insert("limit".to_owned(), "2".to_owned());
    }
    break_in(scene, &mut asked);
    let removed = (asked.call == Call::Delete).then(|| asked.name().to_owned());
    let removed = removed
        .and_then(|name| Some((generation(scene.cluster.namespace().jobs.get(&name)?), name)));
    let reply = match twist {
        Twist::Expired => list::expired(&asked),
        Twist::None
        | Twist::Stale
        | Twist::SmallPages
        | Twist::Nulls
        | Twist::HalfMerged
        | Twist::Doubled => api::answer(&mut scene.cluster, &asked, false),
    };
    if asked.call == Call::Create && reply.status == 201 && !asked.is_dry_run() {
        let cycle = asked.body["metadata"]["annotations"]["coordinator.dev/cycle"]
            .as_str()
            .unwrap_or_default();
        scene.created.insert((asked.name().to_owned(), cycle.to_owned()));
        scene.counts.total("sessions started");
        write_last(scene, asked.name());
        money::starts(scene, asked.name(), generation(&asked.body));
        scene.note(&format_args!("  {who} has started {}", asked.name()));
    }
    if let Some((removed, name)) = removed.filter(|_| reply.status == 200 && !asked.is_dry_run()) {
        let newest = scene.removed.entry(name).or_default();
        *newest = removed.max(*newest);
    }
    let date = http_date(scene.cluster.now());
    let jobs = jobs(&asked, &reply);
    let reply = person::hidden(scene.mutant, jobs.as_ref(), reply);
    let facts = Facts { jobs, paused: person::looked_up(&asked, &reply), ..Facts::default() };
    Answered { reply: reply.header("date", date), facts }
}

/// Of a Job.
fn generation(job: &Value) -> u64 {
    let label = job["metadata"]["labels"]["coordinator.dev/generation"].as_str();
    label.and_then(|label| label.parse().ok()).unwrap_or_default()
}

/// Whether it is the Job of a work item.
fn is_item(job: &Value) -> bool {
    !job["metadata"]["annotations"]["coordinator.dev/item"].is_null()
}

/// The facts in a page of Jobs.
fn jobs(asked: &Asked, reply: &Reply) -> Option<JobPage> {
    if !matches!(asked.call, Call::ListJobs | Call::MoreJobs) || reply.status != 200 {
        return None;
    }
    let page: Value = serde_json::from_slice(&reply.body).ok()?;
    let jobs = page["items"].as_array()?;
    let live = jobs.iter().filter(|job| is_live_job(job) && !person::is_pause(job)).count();
    Some(JobPage {
        is_first: asked.call == Call::ListJobs,
        is_last: page["metadata"]["continue"].as_str().is_none_or(str::is_empty),
        live: u32::try_from(live).expect("few"),
        at: time::seconds(),
        paused: jobs.iter().any(person::is_pause),
        stopped: person::stopped(jobs),
    })
}

/// The register that was to be there before this Job.
fn write_last(scene: &mut Scene, name: &str) {
    let Some(mut map) = scene.registers.remove(name) else { return };
    map["metadata"]["resourceVersion"] = scene.cluster.next().to_string().into();
    map["metadata"]["uid"] = scene.cluster.new_uid().into();
    scene.cluster.namespace().config_maps.insert(name.to_owned(), map);
    scene.cluster.run_all();
}

/// Applies the mutants of the API server to a request.
fn break_in(scene: &mut Scene, asked: &mut Asked) {
    match (scene.mutant, asked.call) {
        (Some(Mutant::ForgetsLedger), Call::WriteLedger) => {
            asked.query.extend([("dryRun".into(), "All".into())]);
        }
        (Some(Mutant::ComparesNothing | Mutant::ReadsSourcesFirst), Call::WriteRegister) => {
            let is_there = scene.cluster.namespace().config_maps.contains_key(asked.name());
            asked.body["metadata"]["resourceVersion"] = Value::Null;
            asked.method = if is_there { Method::PUT } else { Method::POST };
        }
        (Some(Mutant::WritesRegisterLast), Call::WriteRegister) if !asked.is_dry_run() => {
            scene.registers.insert(asked.name().to_owned(), asked.body.clone());
            asked.query.extend([("dryRun".into(), "All".into())]);
        }
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
