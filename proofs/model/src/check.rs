//! Runs a search and prints what came out.

#![allow(clippy::print_stdout)] // The suite prints traces.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

/// How often what must not be missing happened: a search in which it never did would prove nothing.
#[derive(Debug)]
pub struct Tally {
    events: &'static [&'static str],
    /// The events that must happen.
    expected: Vec<&'static str>,
    counts: Vec<AtomicU64>,
}

impl Tally {
    pub fn of(events: &'static [&'static str]) -> Self {
        let counts = events.iter().map(|_| AtomicU64::new(0)).collect();
        Self { events, expected: events.to_vec(), counts }
    }

    /// Of the events, these must happen; the others belong to other designs.
    pub fn expecting(self, expected: Vec<&'static str>) -> Self {
        Self { expected, ..self }
    }

    /// Panics on an event that is not in the list.
    pub fn note(&self, event: &'static str) {
        let place =
            self.events.iter().position(|known| *known == event).expect("an event of the list");
        self.counts[place].fetch_add(1, Ordering::Relaxed);
    }

    fn print(&self) {
        for (event, count) in self.expected() {
            println!("    sometimes: {event}: {count} times");
        }
    }

    fn expected(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counted = self.events.iter().zip(&self.counts);
        let counted = counted.filter(|(event, _)| self.expected.contains(event));
        counted.map(|(event, count)| (*event, count.load(Ordering::Relaxed)))
    }

    fn missing(&self) -> Vec<&'static str> {
        self.expected().filter(|(_, count)| *count == 0).map(|(event, _)| event).collect()
    }
}

/// Searches the whole model. Fails when a property does not hold somewhere, and when an event never
/// happened.
pub fn prove<M>(name: &str, model: M)
where
    M: Model + AsRef<Tally> + Send + Sync + 'static,
    M::State: Clone + PartialEq + Hash + Send + Sync,
    M::Action: Clone + PartialEq + Debug,
{
    let checker = hold(name, model);
    let tally = checker.model().as_ref();
    tally.print();
    let missing = tally.missing();
    assert!(missing.is_empty(), "{name}: in the whole search it never happened that {missing:?}");
}

/// Searches the whole model. Fails when a property does not hold in some state, and prints a short
/// path to that state. Where cycles that differ only in their number count once, they may change
/// their numbers along the path.
pub fn hold<M>(name: &str, model: M) -> impl Checker<M>
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + PartialEq + Hash + Send + Sync,
    M::Action: Clone + PartialEq + Debug,
{
    let began = Instant::now();
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let broken = checker.discoveries();
    print(name, &checker, began, if broken.is_empty() { "holds" } else { "BROKEN" });
    for (property, path) in &broken {
        println!("    not always: {property}");
        print_path(checker.model(), &path.clone().into_actions());
    }
    assert!(broken.is_empty(), "{name}: {:?} can be broken", broken.keys());
    checker
}

/// Searches breadth first until the one property of the model is broken, and prints the shortest
/// path to that state. Fails when no state breaks it.
pub fn refute<M>(name: &str, model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + PartialEq + Hash + Send + Sync,
    M::Action: Clone + PartialEq + Debug,
{
    let began = Instant::now();
    // With one property and one thread, the search ends at the first state that breaks it.
    assert_eq!(model.properties().len(), 1, "{name}: a mutant is about one property");
    let checker = model.checker().spawn_bfs().join();
    let broken = checker.discoveries();
    print(
        name,
        &checker,
        began,
        if broken.is_empty() { "NOT REFUTED" } else { "refuted, as it must be" },
    );
    for (property, path) in &broken {
        println!("    not always: {property}");
        print_path(checker.model(), &path.clone().into_actions());
    }
    assert!(!broken.is_empty(), "{name}: the search does not see what is wrong with this design");
}

fn print<M: Model>(name: &str, checker: &impl Checker<M>, began: Instant, verdict: &str) {
    println!(
        "{name}: {verdict}: {} states generated, {} unique, depth {}, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64(),
    );
}

fn print_path<M: Model>(model: &M, actions: &[M::Action])
where
    M::Action: Debug,
{
    for (place, action) in (1..).zip(actions) {
        println!("    {place:>2}. {}", model.format_action(action));
    }
}
