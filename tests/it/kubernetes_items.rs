//! Work items on a cluster: the register of each item, and what keeps an attempt from running
//! twice.

use coordinator_core::fleet::{Follows, Outcome, SlotRecord, State, Want};
use coordinator_core::platform::Start;
use serde_json::{Value, json};

use testkit::item_fleet::{ItemFleet, held, started};
use testkit::kubernetes::cluster::Cluster;
use testkit::kubernetes::status;
use testkit::kubernetes::trouble::{Call, Trouble};
use testkit::tasks::{MAX_ATTEMPTS, TaskState};
use testkit::workplace::RosterText;
use testkit::{Fault, Kubernetes};

const HOUR: i64 = 3600;

const JOB: &str = "demo-queue-i7";

fn fleet() -> (Kubernetes, ItemFleet) {
    let cluster = Kubernetes::start();
    let defaults = "backoff_base = \"0s\"\nmin_runtime = \"0s\"\n";
    let roster = RosterText::kubernetes("").defaults(defaults).role("builder", 0, "[\"agent\"]");
    let fleet = ItemFleet::new(roster.write(), cluster.kubeconfig());
    fleet.open("7");
    (cluster, fleet)
}

fn attempt(number: u32, generation: u64) -> Vec<(String, u32, u64)> {
    vec![("7".to_owned(), number, generation)]
}

fn register(cluster: &mut Cluster) -> Option<Value> {
    cluster.namespace().config_maps.get(JOB).cloned()
}

/// The register's value for this key.
fn noted(cluster: &Kubernetes, key: &str) -> String {
    let map = register(&mut cluster.state()).expect("the register is there");
    map["data"][key].as_str().expect("every key is text").to_owned()
}

async fn record(fleet: &ItemFleet) -> SlotRecord {
    fleet.list().await.slots.remove(&fleet.tasks.slot("7")).expect("the slot is remembered")
}

/// Item, attempt and role of the last run, and its generation.
fn last(record: &SlotRecord) -> (&str, u32, &str, u64) {
    let run = record.history.last().expect("it ended");
    let of = run.item.as_ref().expect("it worked on an item");
    (&of.item.id, of.item.counts.attempt, of.role.as_str(), run.generation)
}

#[tokio::test]
async fn a_task_is_tried_again_until_it_is_done() {
    let (cluster, fleet) = fleet();
    assert_eq!(started(&fleet.cycle().await), attempt(1, 1));
    cluster.state().finish(JOB, 3, "no model answers");
    assert_eq!(started(&fleet.cycle().await), attempt(2, 2));
    assert_eq!(started(&fleet.cycle().await), [], "it runs");
    cluster.state().finish(JOB, 0, "");
    fleet.cycle().await;
    assert_eq!(fleet.state("7"), Some(TaskState::Done));
    assert_eq!(started(&fleet.cycle().await), []);
    assert_eq!(noted(&cluster, "generation"), "2");
}

#[tokio::test]
async fn a_failed_task_is_tried_as_often_as_allowed_and_then_handed_to_a_person() {
    let (cluster, fleet) = fleet();
    for number in 1..=MAX_ATTEMPTS {
        assert_eq!(started(&fleet.cycle().await), attempt(number, u64::from(number)));
        cluster.state().finish(JOB, 3, "");
    }
    assert_eq!(started(&fleet.cycle().await), []);
    assert_eq!(fleet.state("7"), Some(TaskState::NeedsHuman));
    assert_eq!(started(&fleet.cycle().await), []);
}

#[tokio::test]
async fn the_register_is_written_before_the_ended_job_goes_and_the_next_one_comes() {
    let (cluster, fleet) = fleet();
    fleet.cycle().await;
    let first = [Call::ListRegisters, Call::ListJobs, Call::WriteRegister, Call::Create];
    assert_eq!(cluster.calls(), first);
    cluster.forget();
    fleet.cycle().await;
    assert_eq!(cluster.calls(), [Call::ListRegisters, Call::ListJobs], "a converged cycle");
    cluster.state().finish(JOB, 3, "");
    cluster.forget();
    fleet.cycle().await;
    let next = [
        Call::ListRegisters,
        Call::ListJobs,
        Call::ListPods,
        Call::WriteRegister,
        Call::Delete,
        Call::Create,
    ];
    assert_eq!(cluster.calls(), next);
    let map = register(&mut cluster.state()).expect("it is there");
    assert_eq!(map["metadata"]["labels"]["coordinator.dev/register"], "demo");
    assert_eq!(
        map["metadata"]["labels"]["coordinator.dev/ledger"],
        Value::Null,
        "it is not the ledger's"
    );
}

#[tokio::test]
async fn item_role_attempt_and_counts_come_back_in_every_list_live_and_ended() {
    let (cluster, fleet) = fleet();
    fleet.cycle().await;
    cluster.state().finish(JOB, 3, "");
    fleet.cycle().await;
    let live = record(&fleet).await;
    let of = live.live.as_ref().expect("it runs").item.clone().expect("it works on an item");
    assert_eq!(
        (of.item.id.as_str(), of.item.counts.attempt, of.role.as_str()),
        ("7", 2, "builder")
    );
    assert_eq!((last(&live), live.generation), (("7", 1, "builder", 1), 2));
    let labels = cluster.state().job(JOB)["metadata"]["labels"].clone();
    assert_eq!(labels["coordinator.dev/role"], "builder");
    cluster.state().finish(JOB, 3, "");
    assert_eq!(last(&record(&fleet).await), ("7", 2, "builder", 2));
    // Its time to live is over, and only the register remembers.
    fleet.tasks.store.borrow_mut().broken = Some("locked".to_owned());
    fleet.cycle().await;
    cluster.state().remove(JOB);
    let ended = record(&fleet).await;
    assert_eq!((last(&ended), ended.generation), (("7", 2, "builder", 2), 2));
    assert!(ended.live.is_none());
}

#[tokio::test]
async fn of_overlapping_cycles_one_starts_the_attempt() {
    let (cluster, fleet) = fleet();
    let (one, two, three) = tokio::join!(fleet.cycle(), fleet.cycle(), fleet.cycle());
    let count = [&one, &two, &three].iter().map(|report| started(report).len()).sum::<usize>();
    assert_eq!((count, cluster.count(Call::Create)), (1, 1));
}

#[tokio::test]
async fn a_start_that_was_planned_before_another_session_ran_does_not_happen() {
    let (cluster, fleet) = fleet();
    let (late, planned) = fleet.planned().await;
    fleet.cycle().await;
    cluster.state().finish(JOB, 3, "");
    cluster.forget();
    assert_eq!(fleet.start(&late, &planned[0], "late").await, Start::Superseded);
    assert_eq!(cluster.calls(), [Call::WriteRegister], "its one write replaces nothing");
    // Also where the item's whole life has passed, and its Job is gone.
    cluster.state().remove(JOB);
    assert_eq!(fleet.start(&late, &planned[0], "late").await, Start::Superseded);
    // And by a platform that has listed nothing.
    let blind = fleet.platform().await;
    assert_eq!(fleet.start(&blind, &planned[0], "late").await, Start::Superseded);
    assert_eq!(cluster.state().jobs(), [""; 0]);
    let next = Want { follows: Follows::Generation(1), ..planned[0].clone() };
    let answer = fleet.start(&fleet.platform().await, &next, "next").await;
    assert_eq!(answer, Start::Started { generation: 2 });
}

#[tokio::test]
async fn a_cycle_that_dies_after_the_register_uses_up_no_attempt() {
    let (cluster, fleet) = fleet();
    cluster.script(Call::Create, [Trouble::Late]);
    let report = fleet.cycle().await;
    assert_eq!((started(&report).len(), report.spawn.body.failed.len()), (0, 1));
    assert_eq!(started(&fleet.cycle().await), attempt(1, 2), "the same attempt");
    // The creation arrives after all, and finds the name taken.
    cluster.land();
    assert_eq!(record(&fleet).await.live.expect("it runs").generation, Some(2));
}

#[tokio::test]
async fn a_session_that_no_cycle_saw_end_was_an_attempt() {
    let (cluster, fleet) = fleet();
    assert_eq!(started(&fleet.cycle().await), attempt(1, 1));
    cluster.state().finish(JOB, 0, "");
    // No cycle runs for longer than the Job is kept.
    cluster.state().advance(49 * HOUR);
    cluster.state().remove(JOB);
    let lost = record(&fleet).await;
    assert_eq!(last(&lost), ("7", 1, "builder", 1));
    assert_eq!(lost.history.last().map(|run| run.outcome), Some(Outcome::Lost));
    assert_eq!(started(&fleet.cycle().await), attempt(2, 2));
    // It is remembered beside what ran later.
    cluster.state().finish(JOB, 3, "");
    assert_eq!(started(&fleet.cycle().await), attempt(3, 3));
}

#[tokio::test]
async fn a_creation_that_comes_after_a_later_session_has_ended_starts_no_agent() {
    let (cluster, fleet) = fleet();
    cluster.script(Call::Create, [Trouble::Late]);
    fleet.cycle().await;
    assert_eq!(started(&fleet.cycle().await), attempt(1, 2));
    cluster.state().finish(JOB, 3, "");
    // The name is free for a moment: the next cycle has removed the ended Job, and not created
    // another one.
    cluster.script(Call::Create, [Fault::reset()]);
    fleet.cycle().await;
    cluster.land();
    let missing = cluster.state().missing_key(JOB).expect("its permit is gone");
    assert_eq!(missing, "couldn't find key g1 in ConfigMap agents/demo-queue-i7");
    let live = record(&fleet).await.live.expect("it has the name");
    assert_eq!((live.generation, live.state), (Some(1), State::Starting), "its pod never runs");
    assert_eq!(started(&fleet.cycle().await), []);
    cluster.state().deadline_exceeded(JOB);
    assert_eq!(started(&fleet.cycle().await), attempt(2, 4), "and it counts for nothing");
}

#[tokio::test]
async fn a_start_that_was_let_go_without_seeing_a_slower_one_does_not_repeat_its_attempt() {
    let (cluster, fleet) = fleet();
    // Both are let start as attempt 1, and neither creation has arrived.
    cluster.script(Call::Create, [Trouble::Late, Trouble::Late]);
    fleet.cycle().await;
    fleet.cycle().await;
    let second = cluster.state().late.pop().expect("the second creation");
    cluster.land();
    assert_eq!(record(&fleet).await.live.expect("the first runs").generation, Some(1));
    cluster.state().finish(JOB, 3, "");
    cluster.script(Call::Create, [Fault::reset()]);
    fleet.cycle().await;
    // The name is free, and the second creation arrives.
    cluster.state().late.push(second);
    cluster.land();
    let live = record(&fleet).await.live.expect("it has the name");
    assert_eq!((live.generation, live.state), (Some(2), State::Starting), "attempt 1 has run");
    cluster.state().deadline_exceeded(JOB);
    let next = started(&fleet.cycle().await);
    assert_eq!(next.iter().map(|(_, attempt, _)| *attempt).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_creation_that_comes_late_before_any_other_still_has_its_permit() {
    let (cluster, fleet) = fleet();
    cluster.script(Call::Create, [Trouble::Late, Trouble::Late]);
    fleet.cycle().await;
    fleet.cycle().await;
    cluster.land();
    let record = record(&fleet).await;
    let live = record.live.expect("it has started");
    assert_eq!((live.generation, live.state, record.generation), (Some(1), State::Running, 2));
}

#[tokio::test]
async fn a_creation_that_comes_late_is_the_attempt_that_was_planned() {
    let (cluster, fleet) = fleet();
    cluster.script(Call::Create, [Trouble::Late]);
    fleet.cycle().await;
    cluster.land();
    let record = record(&fleet).await;
    let live = record.live.expect("it has started");
    assert_eq!(live.item.expect("it works on an item").item.counts.attempt, 1);
    assert_eq!(started(&fleet.cycle().await), []);
    cluster.state().finish(JOB, 1, "");
    assert_eq!(started(&fleet.cycle().await), attempt(2, 2));
}

#[tokio::test]
async fn a_creation_that_arrives_twice_or_whose_answer_is_lost_is_reported_as_started() {
    for trouble in [Trouble::Twice, Trouble::Wire(Fault::reset().after_applying())] {
        let (cluster, fleet) = fleet();
        cluster.script(Call::Create, [trouble]);
        assert_eq!(started(&fleet.cycle().await), attempt(1, 1));
    }
}

#[tokio::test]
async fn a_register_whose_answer_is_lost_starts_nothing_and_the_item_runs_later() {
    for applied in [true, false] {
        let (cluster, fleet) = fleet();
        let fault = if applied { Fault::reset().after_applying() } else { Fault::reset() };
        cluster.script(Call::WriteRegister, [Trouble::Wire(fault)]);
        let report = fleet.cycle().await;
        assert_eq!((started(&report).len(), cluster.count(Call::Create)), (0, 0));
        assert_eq!(started(&fleet.cycle().await), attempt(1, if applied { 2 } else { 1 }));
    }
}

#[tokio::test]
async fn an_ended_session_is_written_down_before_its_job_can_vanish() {
    let (cluster, fleet) = fleet();
    fleet.cycle().await;
    cluster.state().finish(JOB, 3, "out of memory");
    // Nothing follows: its source cannot be read.
    fleet.tasks.store.borrow_mut().broken = Some("the database is locked".to_owned());
    cluster.forget();
    fleet.cycle().await;
    assert_eq!(cluster.count(Call::WriteRegister), 1);
    fleet.cycle().await;
    assert_eq!(cluster.count(Call::WriteRegister), 1, "once");
    cluster.state().remove(JOB);
    fleet.tasks.store.borrow_mut().broken = None;
    assert_eq!(started(&fleet.cycle().await), attempt(2, 2), "no attempt is forgotten");
    assert!(noted(&cluster, "runs").contains("out of memory"));
}

#[tokio::test]
async fn another_writer_of_the_register_supersedes_a_start() {
    let (cluster, fleet) = fleet();
    fleet.cycle().await;
    cluster.state().finish(JOB, 3, "");
    cluster.when(Call::WriteRegister, |cluster| {
        let revision = cluster.next().to_string();
        let map = cluster.namespace().config_maps.get_mut(JOB).expect("the register");
        map["metadata"]["resourceVersion"] = revision.into();
    });
    let report = fleet.cycle().await;
    assert_eq!((started(&report), held(&report)), (vec![], vec!["superseded"]));
    assert_eq!(cluster.count(Call::Delete), 0, "the ended Job stays");
    assert_eq!(started(&fleet.cycle().await), attempt(2, 2));
}

#[tokio::test]
async fn without_its_register_an_item_does_not_start() {
    let (cluster, fleet) = fleet();
    cluster.state().revoke("create", "configmaps");
    let report = fleet.cycle().await;
    assert_eq!((started(&report).len(), cluster.count(Call::Create)), (0, 0));
    let error = &report.spawn.body.failed[0].error;
    assert!(error.contains("the register demo-queue-i7 cannot be written"), "{error}");
    assert!(error.contains("grant it in the coordinator's Role"), "{error}");
}

#[tokio::test]
async fn a_garbled_register_holds_its_item_with_a_remedy() {
    let (cluster, fleet) = fleet();
    fleet.cycle().await;
    cluster.state().finish(JOB, 3, "");
    {
        let mut state = cluster.state();
        let register = state.namespace().config_maps.get_mut(JOB).expect("the register");
        register["data"]["generation"] = json!("many");
    }
    let report = fleet.cycle().await;
    assert_eq!((started(&report), held(&report)), (vec![], vec!["unknown"]));
    let detail = &report.spawn.body.held[0].1.detail;
    assert!(detail.contains("delete the ConfigMap to forget the item"), "{detail}");
}

#[tokio::test]
async fn without_an_inventory_no_item_starts() {
    let (cluster, fleet) = fleet();
    for call in [Call::ListJobs, Call::ListRegisters] {
        cluster.always(call, status::internal("etcdserver: leader changed"));
        let report = fleet.cycle().await;
        assert_eq!((started(&report), held(&report)), (vec![], vec!["unknown"]), "{call:?}");
        cluster.heal();
    }
    assert_eq!(cluster.count(Call::WriteRegister), 0);
}

#[tokio::test]
async fn a_dry_run_checks_each_start_of_an_item_and_writes_nothing() {
    let (cluster, fleet) = fleet();
    fleet.dry_run.set(true);
    assert_eq!(started(&fleet.cycle().await), attempt(1, 1));
    fleet.dry_run.set(false);
    fleet.cycle().await;
    cluster.state().finish(JOB, 3, "");
    fleet.dry_run.set(true);
    cluster.forget();
    assert_eq!(started(&fleet.cycle().await), attempt(2, 2));
    let writes = [Call::WriteRegister, Call::Delete, Call::Create];
    let journal = cluster.journal();
    let sent: Vec<_> = journal.iter().filter(|asked| writes.contains(&asked.call)).collect();
    assert_eq!(sent.iter().map(|asked| asked.call).collect::<Vec<_>>(), writes);
    assert!(sent.iter().all(|asked| asked.is_dry_run()));
    assert_eq!(noted(&cluster, "generation"), "1");
}

#[tokio::test]
async fn a_register_goes_two_days_after_its_item_has_left_and_no_sooner() {
    let (cluster, fleet) = fleet();
    fleet.cycle().await;
    cluster.state().finish(JOB, 0, "");
    fleet.cycle().await;
    assert_eq!(fleet.state("7"), Some(TaskState::Done));
    fleet.cycle().await;
    let left = noted(&cluster, "left");
    assert!(!left.is_empty(), "it has left");
    cluster.state().advance(47 * HOUR);
    cluster.state().remove(JOB);
    cluster.forget();
    fleet.cycle().await;
    assert_eq!(noted(&cluster, "left"), left, "the first time counts");
    assert_eq!(cluster.calls(), [Call::ListRegisters, Call::ListJobs]);
    cluster.state().advance(2 * HOUR);
    fleet.cycle().await;
    assert_eq!(register(&mut cluster.state()), None);
    assert_eq!(cluster.count(Call::DropRegister), 1);
    assert!(fleet.list().await.slots.is_empty());
}

#[tokio::test]
async fn a_register_stays_while_its_source_cannot_be_read_and_when_the_item_comes_back() {
    let (cluster, fleet) = fleet();
    fleet.cycle().await;
    cluster.state().finish(JOB, 0, "");
    fleet.cycle().await;
    fleet.tasks.store.borrow_mut().broken = Some("locked".to_owned());
    fleet.cycle().await;
    assert_eq!(noted(&cluster, "left"), "", "an item that was not looked for has not left");
    fleet.tasks.store.borrow_mut().broken = None;
    fleet.cycle().await;
    assert_ne!(noted(&cluster, "left"), "");
    fleet.open("7");
    assert_eq!(started(&fleet.cycle().await), attempt(1, 2), "a new life");
    assert_eq!(noted(&cluster, "left"), "");
    cluster.state().advance(100 * HOUR);
    fleet.cycle().await;
    assert_eq!(noted(&cluster, "generation"), "2");
}

#[tokio::test]
async fn a_stopped_session_of_an_item_is_remembered_as_stopped() {
    let (cluster, fleet) = fleet();
    fleet.cycle().await;
    {
        let mut cluster = cluster.state();
        cluster.job(JOB)["metadata"]["annotations"]["coordinator.dev/stopped-by"] = json!("alice");
        cluster.deadline_exceeded(JOB);
    }
    fleet.tasks.store.borrow_mut().broken = Some("locked".to_owned());
    fleet.cycle().await;
    let last = async || record(&fleet).await.history.last().expect("it ended").clone();
    cluster.state().job(JOB)["metadata"]["annotations"]["coordinator.dev/resumed"] = json!("true");
    assert_eq!(last().await.stopped_by, None, "the Job says that a person let it go on");
    cluster.state().remove(JOB);
    let run = last().await;
    assert_eq!((run.outcome, run.detail.as_deref()), (Outcome::Stopped, Some("stopped by alice")));
    assert_eq!(run.stopped_by.as_deref(), Some("alice"), "it holds its slot, also without a Job");
    let slot = fleet.tasks.slot("7");
    assert!(fleet.platform().await.release(&slot).await.expect("it answers"));
    assert_eq!(last().await.stopped_by, None, "without a Job the register says so");
    assert!(!fleet.platform().await.release(&slot).await.expect("it answers"), "it is not held");
}
