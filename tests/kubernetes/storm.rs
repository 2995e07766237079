//! Four coordinators at once, for fifty rounds, over a network that loses, repeats, delays and
//! lies; some are killed and some sleep with a write under way. A witness of the API server's own
//! history judges what happened.

#![allow(clippy::print_stdout, reason = "the seed and what happened are there to be read")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, Preconditions};
use serde_json::Value;

use crate::account;
use crate::audit::Audit;
use crate::cluster::{Cluster, is_over, until};
use crate::fleet::{Fleet, Roster, slots};
use crate::proxy::{Asked, Exchange, Fault, Gate, Pause, Proxy, user_agent};
use crate::shipped::{self, ACCOUNT};
use crate::witness::{Kind, Seen, Witness};
use testkit::program::Running;

const ROUNDS: usize = 50;
const COORDINATORS: usize = 4;
const COUNT: u32 = 4;

/// So small that the fleet needs several.
const PAGE: u32 = 3;

/// Pseudo-random numbers, so that a storm can be repeated by its seed.
struct Dice(u64);

impl Dice {
    /// By `COORDINATOR_TEST_SEED`, else by the clock.
    fn seed() -> u64 {
        let given =
            std::env::var("COORDINATOR_TEST_SEED").ok().map(|seed| seed.parse().expect("a number"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
        given.unwrap_or_else(|| now.as_secs() * 2 + 1)
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn index(&mut self, below: usize) -> usize {
        usize::try_from(self.roll(below as u64)).expect("a small number")
    }

    fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_millis(self.roll(longest.as_millis().try_into().expect("a short time")))
    }

    /// What happens to a request: nothing, to most.
    fn fault(&mut self, asked: &Asked) -> Fault {
        match (self.roll(100), asked) {
            (0..8, _) => Fault::Wait(Pause::For(self.up_to(Duration::from_millis(300)))),
            (8..11, _) => Fault::Drop,
            (11..13, _) => Fault::Refuse(429, Some(1)),
            (13..16, _) => Fault::Refuse(503, [None, Some(1)][self.index(2)]),
            (16..26, asked) if asked.is_write() => Fault::LoseReply,
            (26..34, asked) if asked.is_write() => Fault::Twice,
            (34..44, asked) if asked.is_write() => {
                Fault::Late(Pause::For(self.up_to(Duration::from_secs(3))))
            }
            (16..22, asked) if asked.is_next_page() => Fault::Refuse(410, None),
            (16..26, asked) if asked.is_list() => Fault::Stale(1 + self.index(12)),
            (26..29, asked) if asked.is_list() => Fault::Cut,
            _ => Fault::None,
        }
    }
}

/// A coordinator that sleeps with a write under way.
struct Sleeper {
    who: String,
    program: Running,
    gate: Gate,
    until: usize,
}

/// What the storm goes through.
struct Storm<'a> {
    cluster: &'a Cluster,
    proxy: Proxy,
    /// One roster for each coordinator: they may differ.
    fleets: Vec<Fleet<'a>>,
    dice: Dice,
    /// Whose writes are held back.
    held: Arc<Mutex<BTreeMap<String, Gate>>>,
    sleepers: Vec<Sleeper>,
    /// Of the coordinators that came to their end.
    reports: BTreeMap<String, Value>,
    killed: usize,
    slept: usize,
    deleted_by_hand: usize,
}

impl<'a> Storm<'a> {
    fn new(cluster: &'a Cluster, seed: u64) -> Self {
        let mut roster = Roster {
            deadline: "6s".to_owned(),
            kubernetes: "service_account = \"coordinator-session\"".to_owned(),
            behaviour: vec![("random".to_owned(), "true".to_owned())],
            ..Roster::of("builder", COUNT)
        };
        roster.roles.push(("tester".to_owned(), COUNT - 1));
        roster.defaults += "backoff_cap = \"0s\"\n";
        let proxy = Proxy::acting_as(Some(PAGE), account::kubeconfig(cluster, ACCOUNT));
        let held: Arc<Mutex<BTreeMap<String, Gate>>> = Arc::default();
        let (shared, mut dice) = (Arc::clone(&held), Dice(seed ^ 0x9e37_79b9_7f4a_7c15));
        proxy.disturb(move |asked| {
            let gate = shared.lock().expect("no holder panics").get(&asked.who).cloned();
            let held =
                gate.filter(|_| asked.is_write()).map(|gate| Fault::Wait(Pause::Until(gate)));
            held.unwrap_or_else(|| dice.fault(asked))
        });
        let fleets = (0..COORDINATORS).map(|_| Fleet::new(cluster, roster.clone())).collect();
        Self {
            cluster,
            proxy,
            fleets,
            dice: Dice(seed),
            held,
            sleepers: Vec::new(),
            reports: BTreeMap::new(),
            killed: 0,
            slept: 0,
            deleted_by_hand: 0,
        }
    }

    fn round(&mut self, round: usize) {
        self.wake(round);
        if self.dice.roll(3) == 0 {
            self.delete_by_hand();
        }
        self.shorten_lives();
        self.edit_rosters();
        let sleeps = (self.dice.roll(3) == 0).then(|| self.dice.index(COORDINATORS));
        let killed = (self.dice.roll(2) == 0).then(|| self.dice.index(COORDINATORS));
        let programs: Vec<_> = (0..COORDINATORS)
            .map(|number| {
                let who = format!("{round}-{number}");
                let gate = (sleeps == Some(number)).then(|| self.hold(&who));
                (self.proxy.program(&self.fleets[number], &who).spawn(), who, gate)
            })
            .collect();
        if let Some(victim) = killed {
            std::thread::sleep(self.dice.up_to(Duration::from_millis(400)));
            programs[victim].0.signal("KILL");
            self.killed += 1;
        }
        let (held, free): (Vec<_>, Vec<_>) =
            programs.into_iter().partition(|(_, _, gate)| gate.is_some());
        for (program, who, gate) in free.into_iter().chain(held) {
            match gate {
                Some(gate) if gate.arrived() > 0 => self.put_to_sleep(program, who, gate, round),
                gate => {
                    gate.iter().for_each(Gate::open);
                    self.conclude(who, program);
                }
            }
        }
    }

    fn hold(&self, who: &str) -> Gate {
        let gate = Gate::new();
        self.held.lock().expect("no holder panics").insert(who.to_owned(), gate.clone());
        gate
    }

    fn put_to_sleep(&mut self, program: Running, who: String, gate: Gate, round: usize) {
        program.signal("STOP");
        self.slept += 1;
        let until = round + 1 + self.dice.index(5);
        self.sleepers.push(Sleeper { who, program, gate, until });
    }

    /// Those whose time has come write what they decided rounds ago.
    fn wake(&mut self, round: usize) {
        let due =
            self.sleepers.extract_if(.., |sleeper| sleeper.until <= round).collect::<Vec<_>>();
        for Sleeper { who, program, gate, .. } in due {
            gate.open();
            program.signal("CONT");
            self.conclude(who, program);
        }
    }

    fn conclude(&mut self, who: String, program: Running) {
        let finished = program.wait();
        if finished.code.is_some() {
            self.reports.insert(who, finished.json());
        }
    }

    /// A person tidies up: what is over, and that by its identity.
    fn delete_by_hand(&mut self) {
        let over: Vec<Job> = self.cluster.jobs().into_iter().filter(is_over).collect();
        if over.is_empty() {
            return;
        }
        let meta = &over[self.dice.index(over.len())].metadata;
        let name = meta.name.as_deref().expect("a Job has a name");
        let preconditions = Preconditions { uid: meta.uid.clone(), ..Preconditions::default() };
        let options = DeleteParams::background().preconditions(preconditions);
        if self.cluster.wait(self.cluster.api::<Job>().delete(name, &options)).is_ok() {
            self.deleted_by_hand += 1;
        }
    }

    /// The cluster removes what is over after a second.
    fn shorten_lives(&self) {
        for job in self.cluster.jobs() {
            let name = job.metadata.name.as_deref().expect("a Job has a name");
            // It may be gone already.
            let _ = self.cluster.try_keep_for(name, 1);
        }
    }

    /// In some rounds the coordinators do not agree on the fleet's size.
    fn edit_rosters(&mut self) {
        let agreed = self.dice.roll(3) > 0;
        for fleet in &mut self.fleets {
            let change =
                if agreed { 0 } else { u32::try_from(self.dice.roll(4)).expect("a small number") };
            fleet.edit(|roster| roster.roles[0].1 = COUNT - 2 + change);
            if agreed {
                fleet.edit(|roster| roster.roles[0].1 = COUNT);
            }
        }
    }

    /// The sun comes out: the sleepers are awake, late requests have arrived, and new sessions
    /// last.
    fn end(&mut self) {
        self.wake(usize::MAX);
        until("all late requests have arrived", || self.proxy.is_idle().then_some(()));
        let fleet = &mut self.fleets[0];
        fleet.edit(|roster| {
            roster.behaviour.clear();
            roster.roles[0].1 = COUNT;
        });
        fleet.cycle();
        let is_short = |job: &Job| {
            let annotations = job
                .spec
                .as_ref()
                .and_then(|spec| spec.template.metadata.as_ref()?.annotations.as_ref());
            annotations
                .is_some_and(|annotations| annotations.contains_key("test.coordinator.dev/random"))
        };
        until("the short sessions are over", || {
            let jobs = self.cluster.jobs();
            jobs.iter().all(|job| !is_short(job) || is_over(job)).then_some(())
        });
        // The cluster may remove a finished Job before a cycle does; the slot is then the next
        // cycle's.
        until("the fleet is full", || {
            (fleet.cycle()["steps"]["inventory"]["running"] == 2 * COUNT - 1).then_some(())
        });
        // Of slots that are not wanted any more, too.
        self.shorten_lives();
        until("what ended is removed", || (!self.cluster.jobs().iter().any(is_over)).then_some(()));
        let fleet = &self.fleets[0];
        let last = fleet.cycle();
        assert_eq!(last["steps"]["inventory"]["running"], 2 * COUNT - 1, "{last:#}");
        assert_eq!(last["steps"]["inventory"]["out_of_range"], serde_json::json!([]), "{last:#}");
        assert_eq!(slots(&last, "spawned"), Vec::<String>::new());
        assert_eq!(last["requests"]["platform"], 1, "a converged cycle is one list: {last:#}");
    }

    /// A report names what its cycle started, and nothing else.
    fn assert_reports_are_true(&self) {
        for (who, report) in &self.reports {
            let exchanges = self.proxy.of(who);
            let created = exchanges
                .iter()
                .filter(|one| one.asked.is_creation() && one.answers.contains(&201));
            let job = |asked: &Asked| asked.job().expect("a creation names its Job").to_owned();
            let created: BTreeSet<String> = created.map(|one| job(&one.asked)).collect();
            let heard = exchanges.iter().filter(|one| one.asked.is_creation());
            let heard =
                heard.filter(|one| matches!(one.fault, Fault::None) && one.answers == [201]);
            let heard: BTreeSet<String> = heard.map(|one| job(&one.asked)).collect();
            let spawned: BTreeSet<String> = slots(report, "spawned").into_iter().collect();
            let failed: BTreeSet<String> = slots(report, "failed").into_iter().collect();
            assert!(
                spawned.is_subset(&created),
                "{who} started {created:?} and reports {report:#}"
            );
            let told: BTreeSet<String> = spawned.union(&failed).cloned().collect();
            assert!(heard.is_subset(&told), "{who} started {heard:?} and reports {report:#}");
        }
    }

    /// Sessions that count as started although the answer to their creation was lost.
    fn started_without_an_answer(&self) -> usize {
        let exchanges = self.proxy.journal();
        let lost = exchanges
            .iter()
            .filter(|one| one.asked.is_creation() && matches!(one.fault, Fault::LoseReply));
        let reported = |asked: &Asked| {
            let report = self.reports.get(&asked.who);
            report.is_some_and(|report| {
                slots(report, "spawned").iter().any(|slot| Some(slot.as_str()) == asked.job())
            })
        };
        lost.filter(|one| reported(&one.asked)).count()
    }

    /// The storm was one: nothing holds because nothing happened.
    fn assert_it_stormed(&self, history: &[Seen]) {
        let counts = self.proxy.counts();
        let started = self.started_without_an_answer();
        let ran_into: usize =
            self.reports.values().map(|report| slots(report, "already_running").len()).sum();
        let replaced =
            history.iter().filter(|seen| seen.kind == Kind::Job && seen.predecessor.is_some());
        let replaced: BTreeSet<&str> = replaced.map(|seen| seen.uid.as_str()).collect();
        println!(
            "faults {counts:?}; killed {}, slept {}, deleted by hand {}, replaced {}, \
             ran into another {ran_into}, started without an answer {started}, reports {}, \
             changes seen {}",
            self.killed,
            self.slept,
            self.deleted_by_hand,
            replaced.len(),
            self.reports.len(),
            history.len(),
        );
        for fault in [
            "delay",
            "drop",
            "hold",
            "losereply",
            "twice",
            "late",
            "stale",
            "cut",
            "410",
            "429",
            "503",
        ] {
            assert!(counts.contains_key(fault), "no {fault} in {counts:?}");
        }
        assert!(replaced.len() > 20, "only {} replacements", replaced.len());
        for (what, times) in [
            ("coordinator killed", self.killed),
            ("coordinator put to sleep", self.slept),
            ("Job deleted by hand", self.deleted_by_hand),
            ("start that ran into another's", ran_into),
            ("start whose answer was lost", started),
        ] {
            assert!(times > 0, "no {what}");
        }
    }
}

/// Whatever dies or sleeps between a removal and a creation: a coordinator that begins after a
/// removal, and finds no Job, goes on from the generation that was removed. (A Job that it finds
/// may be of a creation that came late, and of any generation.) Returns how many creations this was
/// about.
fn assert_no_slot_begins_anew(journal: &[Exchange]) -> usize {
    let generation = |asked: &Asked| -> u64 {
        let label = asked.body["metadata"]["labels"]["coordinator.dev/generation"].as_str();
        label.and_then(|label| label.parse().ok()).expect("a creation has a generation")
    };
    let mut begun: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut newest, mut removed) = (BTreeMap::new(), Vec::new());
    let mut judged = 0;
    for (place, one) in journal.iter().enumerate() {
        let began = *begun.entry(&one.asked.who).or_insert(place);
        let Some(job) = one.asked.job() else { continue };
        let is_prompt = matches!(one.fault, Fault::None | Fault::LoseReply);
        if one.asked.is_creation() {
            let generation = generation(&one.asked);
            let annotations = &one.asked.body["metadata"]["annotations"];
            let follows_a_job = annotations["coordinator.dev/prev-uid"].is_string();
            let before = removed.iter().filter(|_| !follows_a_job);
            let before = before.filter(|(at, name, _)| *at < began && *name == job);
            if let Some((_, _, removed)) = before.max_by_key(|(_, _, removed)| *removed) {
                judged += 1;
                assert!(
                    generation > *removed,
                    "{job}: {generation} after {removed}: {:#}",
                    one.asked.body
                );
            }
            if one.answers.contains(&201) {
                newest.insert(job, generation);
            }
        } else if one.asked.method == http::Method::DELETE && is_prompt && one.answers == [200] {
            removed.extend(newest.get(job).map(|generation| (place, job, *generation)));
        }
    }
    judged
}

/// By the API server's own log: each deletion was bound to an identity, and no pod was left behind.
fn assert_deletions_are_bound(audit: &Audit, storm: &Storm) {
    let ours = user_agent("");
    let requests = audit.requests(storm.cluster.namespace(), |agent| agent.starts_with(&ours));
    let deletions: Vec<&Value> =
        requests.iter().filter(|request| request["verb"] == "delete").collect();
    let journal = storm.proxy.journal();
    let sent = journal.iter().filter(|one| one.asked.method == http::Method::DELETE);
    assert_eq!(
        deletions.len(),
        sent.map(|one| one.answers.len()).sum::<usize>(),
        "the log is complete"
    );
    for deletion in deletions {
        assert_eq!(deletion["objectRef"]["resource"], "jobs", "{deletion:#}");
        let options = &deletion["requestObject"];
        assert!(options["preconditions"]["uid"].is_string(), "{deletion:#}");
        assert_eq!(options["propagationPolicy"], "Background", "{deletion:#}");
    }
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn no_storm_of_faults_doubles_a_slot_or_ends_a_live_session() {
    let seed = Dice::seed();
    println!("COORDINATOR_TEST_SEED={seed}");
    let cluster = Cluster::new("overlap");
    let _policy = shipped::install(&cluster);
    let (witness, audit) = (Witness::new(&cluster), Audit::new());
    let mut storm = Storm::new(&cluster, seed);
    for round in 0..ROUNDS {
        storm.round(round);
        if round % 10 == 9 {
            assert_eq!(witness.violations(), Vec::<String>::new(), "seed {seed}, round {round}");
        }
    }
    storm.end();
    let history = witness.history();
    assert_eq!(crate::witness::judge(&history), Vec::<String>::new(), "seed {seed}");
    assert_deletions_are_bound(&audit, &storm);
    storm.assert_reports_are_true();
    let remembered = assert_no_slot_begins_anew(&storm.proxy.journal());
    println!("creations after a removal by an earlier coordinator: {remembered}");
    assert!(remembered > 0, "no creation had something to remember");
    storm.assert_it_stormed(&history);
}
