//! All that one simulated world is: the cluster, GitHub, chance, the ledger, and what went wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::dice::Dice;
use crate::ledger::Watched;
use crate::money::{self, Sessions};
use crate::protection::Protection;
use crate::queue::{self, Items};
use crate::table::{Counts, Place};
use crate::time;
use testkit::kubernetes::cluster::Cluster;
use testkit::state::Repository;
use testkit::{Pull, State};

/// How many earlier states of the repository a stale list may show.
const MEMORY: usize = 6;

/// A world that does not keep what the program relies on, or whose rules are not those of the
/// roster: the simulation must notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// The API server deletes by name and ignores the uid.
    IgnoresUid,
    /// The API server answers that it wrote the ledger, and did not.
    ForgetsLedger,
    /// The API server creates a Job though its name is taken.
    IgnoresTakenNames,
    /// GitHub merges the present head and ignores `sha`.
    IgnoresSha,
    /// GitHub merges a merged pull request a second time.
    MergesTwice,
    /// GitHub merges once more where one merge call reaches it twice.
    MergesDoubledCalls,
    /// GitHub merges, and answers that it did not.
    DeniesMerges,
    /// GitHub shows pull requests as if their branches had no rules.
    HidesRules,
    /// GitHub shows no failure of a check that ran again, also where that run did nothing.
    HidesFailures,
    /// GitHub never works out whether anything can be merged.
    NeverDecides,
    /// The cap is one session lower than in the roster.
    LowersCap,
    /// A register is replaced at any version, also by a creation.
    ComparesNothing,
    /// A register is written when the Job is there, and not before.
    WritesRegisterLast,
    /// A pod starts though the register lacks its key.
    IgnoresPermits,
    /// The source counts the attempts at an item by what the list shows.
    RecountsAttempts,
    /// The source is read before the sessions, and a register replaced at any version.
    ReadsSourcesFirst,
    /// A list of Jobs does not show that the fleet is paused.
    HidesPause,
    /// A list of Jobs does not show that a person stopped a session.
    HidesStops,
    /// The budget has room for one session less than in the roster.
    LowersBudget,
    /// An effect decided on one version of an item is written over any other.
    WritesStaleEffects,
}

/// The world of one seed, shared by its coordinators, servers and fate.
pub(crate) type Shared = Arc<Mutex<Scene>>;

pub(crate) struct Scene {
    pub(crate) dice: Dice,
    pub(crate) cluster: Cluster,
    pub(crate) github: State,
    /// Earlier states of the repository.
    pub(crate) past: VecDeque<Repository>,
    /// Percent of the requests that go wrong; 0 once it is calm.
    pub(crate) fault_rate: u64,
    pub(crate) mutant: Option<Mutant>,
    /// Of the last pull request that was opened.
    pub(crate) numbers: u64,
    /// By the coordinator's number.
    pub(crate) watched: BTreeMap<usize, Watched>,
    /// Sessions that were really created, with the cycle that requested them.
    pub(crate) created: BTreeSet<(String, String)>,
    /// The newest generation of each slot that a coordinator removed.
    pub(crate) removed: BTreeMap<String, u64>,
    /// Merged heads, by pull request.
    pub(crate) merged: BTreeMap<u64, String>,
    /// Pull requests with the coordinators whose calls merged them.
    pub(crate) merged_by: BTreeSet<(u64, usize)>,
    /// Work items; in some worlds there are none.
    pub(crate) items: Option<Items>,
    /// Registers that a server which writes them last has not written yet.
    pub(crate) registers: BTreeMap<String, Value>,
    /// What every session that started counts against a budget.
    pub(crate) sessions: Sessions,
    /// The rules of the base.
    pub(crate) protection: Protection,
    /// Pull requests whose commits are on the base while they are open: GitHub broke in between.
    pub(crate) half_merged: BTreeSet<u64>,
    pub(crate) counts: Counts,
    pub(crate) violations: Vec<String>,
    trace: Trace,
}

impl Scene {
    pub(crate) fn new(seed: u64, pulls: Vec<Pull>, mutant: Option<Mutant>, trace: Trace) -> Self {
        Self {
            dice: Dice::new(seed),
            cluster: Cluster::default(),
            github: State::new(Repository::with(pulls)),
            past: VecDeque::new(),
            fault_rate: 0,
            mutant,
            numbers: 100,
            watched: BTreeMap::new(),
            created: BTreeSet::new(),
            removed: BTreeMap::new(),
            merged: BTreeMap::new(),
            merged_by: BTreeSet::new(),
            items: None,
            registers: BTreeMap::new(),
            sessions: Sessions::new(),
            protection: Protection::default(),
            half_merged: BTreeSet::new(),
            counts: Counts::default(),
            violations: Vec::new(),
            trace,
        }
    }

    /// Looks at the invariants of the world.
    pub(crate) fn inspect(&mut self) {
        for breach in self.cluster.take_breaches() {
            self.violate(&breach);
        }
        queue::inspect(self);
        money::look(self);
        let twice = crate::eligible::on_base(self.github.repository());
        let twice = twice
            .into_iter()
            .filter(|(number, times)| *times > 1 && !self.half_merged.contains(number));
        for (number, times) in twice.collect::<Vec<_>>() {
            self.violate(&format!("#{number} is on the base {times} times"));
        }
    }

    /// Records a violation.
    pub(crate) fn violate(&mut self, what: &dyn Display) {
        self.note(&format_args!("VIOLATION: {what}"));
        self.violations.push(format!("at {} s: {what}", time::seconds()));
    }

    /// As [`Self::violate`], of what this coordinator did.
    pub(crate) fn blame(&mut self, who: usize, verdict: Result<(), String>) {
        if let Err(why) = verdict {
            self.violate(&format_args!("coordinator {who}: {why}"));
        }
    }

    pub(crate) fn fault(&mut self, place: Place, name: &'static str) {
        self.counts.fault(place, name);
        self.note(&format_args!("  {place:?}: {name}"));
    }

    /// One more line of the story.
    pub(crate) fn note(&mut self, what: &dyn Display) {
        self.trace.add(what);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.trace.hash
    }

    /// The repository as it is may be shown again later.
    pub(crate) fn remember(&mut self) {
        if self.past.len() == MEMORY {
            self.past.pop_front();
        }
        let now = self.github.repository().clone();
        self.past.push_back(now);
    }
}

pub(crate) fn lock(scene: &Shared) -> MutexGuard<'_, Scene> {
    scene.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The story of a seed: its hash, and with `shown` every line on stderr.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trace {
    hash: u64,
    shown: bool,
}

impl Trace {
    pub(crate) fn new(shown: bool) -> Self {
        Self { hash: 0xCBF2_9CE4_8422_2325, shown }
    }

    /// FNV-1a over the time and the line.
    #[expect(clippy::print_stderr, reason = "SEED prints the story of one seed")]
    fn add(&mut self, what: &dyn Display) {
        let time = time::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let line = format!("{}.{:03} {what}", time::seconds(), time.subsec_millis());
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if self.shown {
            eprintln!("{line}");
        }
    }
}
