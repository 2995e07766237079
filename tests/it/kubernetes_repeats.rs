//! Writes that certainly did nothing are sent again, and an API server that restarts is waited for.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::kubernetes_fleet::{Fleet, OPEN, RECONCILE, SLOT, held, roster, slots};
use testkit::kubernetes::status;
use testkit::kubernetes::trouble::{Call, Route};

fn ended(count: u32) -> Fleet {
    let fleet = Fleet::of(&roster(OPEN, &[("ui_builder", count)]));
    fleet.reconcile();
    for index in 0..count {
        fleet.cluster.state().finish(&format!("demo-ui-builder-s{index}"), 1, "");
    }
    fleet.cluster.forget();
    fleet
}

#[test]
fn a_conflict_of_the_quota_is_repeated_until_every_session_is_replaced() {
    let fleet = ended(20);
    fleet.cluster.script(Call::Create, vec![status::quota_conflict(); 50]);
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "spawned").len(), 20, "{report:#}");
    assert_eq!(report["status"], "healthy");
    assert_eq!(fleet.cluster.count(Call::Create), 70);
    assert_eq!(fleet.cluster.count(Call::Delete), 20, "nothing is taken away twice");
}

#[test]
fn a_conflict_of_the_quota_holds_back_no_first_creation() {
    let fleet = Fleet::open(&[("ui_builder", 20)]);
    fleet.cluster.script(Call::Create, vec![status::quota_conflict(); 30]);
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "spawned").len(), 20, "{report:#}");
}

#[test]
fn a_taken_name_is_not_repeated_like_a_conflict() {
    let fleet = Fleet::open(&[("ui_builder", 1)]);
    let taken = status::already_exists(status::Resource::Jobs, SLOT, false);
    fleet.cluster.always(Call::Create, taken);
    fleet.reconcile();
    assert_eq!(fleet.cluster.count(Call::Create), 1);
}

#[test]
fn a_conflict_that_does_not_end_is_a_failure_at_the_deadline_and_degrades_the_cycle() {
    let fleet = Fleet::of(&roster(OPEN, &[("ui_builder", 12), ("tester", 1)]).deadline("4s"));
    let always = Route::At(Call::Create, SLOT.to_owned());
    fleet.cluster.always(always, status::quota_conflict());
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "failed"), [SLOT], "{report:#}");
    assert_eq!(slots(&report, "spawned").len(), 12, "the others do not wait for it");
    assert!(fleet.cluster.count(Call::Create) > 13);
}

#[test]
fn one_failed_start_that_holds_the_rest_of_its_role_is_never_healthy() {
    let fleet = Fleet::of(&roster("", &[("ui_builder", 90)]));
    let first = Route::At(Call::Create, SLOT.to_owned());
    fleet.cluster.always(first, status::bad_request("no such field"));
    let report = fleet.reconcile();
    assert!(held(&report).iter().any(|reason| reason == "role_failed"), "{report:#}");
    assert_eq!((slots(&report, "failed").len(), &report["status"]), (1, &"degraded".into()));
    assert_eq!(fleet.run(&["reconcile", "--only", "spawn", "--strict"]).code, Some(1));
}

/// A way to the cluster that can be closed, and opened again at the same address.
struct Door {
    address: SocketAddr,
    closes: Sender<Duration>,
    is_over: Arc<AtomicBool>,
}

impl Door {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (closes, closing) = channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        thread::spawn(move || keep(listener, server, &closing, &ends));
        Self { address, closes, is_over }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn keep(
    mut listener: TcpListener,
    server: SocketAddr,
    closing: &Receiver<Duration>,
    is_over: &AtomicBool,
) {
    let address = listener.local_addr().expect("it is bound");
    let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    while !is_over.load(Ordering::Relaxed) {
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        if let Ok((client, _)) = listener.accept() {
            client.set_nonblocking(false).expect("a stream can be made blocking");
            let far = TcpStream::connect(server).expect("the cluster is there");
            for (from, to) in [(&client, &far), (&far, &client)] {
                let (from, to) =
                    (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
                open.lock().expect("no holder panics").push(from.try_clone().expect("a handle"));
                thread::spawn(move || pump(from, to));
            }
        }
        if let Ok(pause) = closing.recv_timeout(Duration::from_millis(1)) {
            drop(listener);
            for stream in open.lock().expect("no holder panics").drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
            thread::sleep(pause);
            listener = TcpListener::bind(address).expect("the port is still free");
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16_384];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn an_api_server_that_restarts_within_the_cycle_costs_a_pause_and_not_the_role() {
    let fleet = ended(40);
    let door =
        Door::to(fleet.cluster.url().trim_start_matches("http://").parse().expect("an address"));
    let way = fleet
        .cluster
        .kubeconfig()
        .replace(&fleet.cluster.url(), &format!("http://{}", door.address));
    fleet.workplace().write("door.yaml", way);
    let kubeconfig = fleet.workplace().path().join("door.yaml");
    let closes = door.closes.clone();
    fleet.cluster.when(Route::At(Call::Create, "demo-ui-builder-s20".to_owned()), move |cluster| {
        closes.send(Duration::from_secs(1)).expect("the door is kept");
        // A server that starts has not loaded the rights yet.
        let early = status::denied_by(
            status::Resource::Jobs,
            SLOT,
            "User \"x\" cannot get resource \"jobs\"",
        );
        cluster.faults.script(Route::Of(Call::Get), vec![early.into(); 3]);
        // The answers that are on their way are cut off.
        thread::sleep(Duration::from_millis(50));
    });
    let program = fleet.program(RECONCILE).env("KUBECONFIG", kubeconfig.to_str().expect("UTF-8"));
    let report = program.run().json();
    let failed = report["steps"]["spawn"]["failed"].as_array().expect("a list").clone();
    assert_eq!(slots(&report, "spawned").len() + failed.len(), 40, "{report:#}");
    assert_eq!(held(&report), [""; 0], "no slot of the role is held");
    // What may have reached the server is not sent again.
    for failure in &failed {
        let why = failure["error"].as_str().expect("a failure has an error");
        assert!(
            why.contains("it may still start") || why.contains("the next cycle continues"),
            "{why}"
        );
    }
    assert!(failed.len() <= 32, "no more than were under way: {failed:#?}");
    let mut created = Vec::new();
    for asked in fleet.asked(Call::Create) {
        assert!(!created.contains(&asked.name().to_owned()), "{} was sent twice", asked.name());
        created.push(asked.name().to_owned());
    }
    let report = fleet.reconcile();
    assert_eq!(report["steps"]["inventory"]["running"], 40 - failed.len());
    assert_eq!(slots(&report, "spawned").len(), failed.len(), "the next cycle starts the rest");
    assert_eq!(fleet.generation("demo-ui-builder-s20"), "2");
}
