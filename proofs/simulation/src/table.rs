//! The faults that the program met, and how often.

use std::collections::BTreeMap;

/// Where a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Coordinator,
    GitHub,
    Kubernetes,
    Store,
    World,
}

impl Place {
    /// The place, for the table.
    fn word(self) -> &'static str {
        match self {
            Self::Coordinator => "in a running coordinator",
            Self::GitHub => "on the way to GitHub",
            Self::Kubernetes => "on the way to the API server",
            Self::Store => "on the way to the store of work items",
            Self::World => "between two steps of the program",
        }
    }
}

/// Counts over one seed or many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) faults: BTreeMap<(Place, &'static str), u64>,
    pub(crate) totals: BTreeMap<&'static str, u64>,
}

impl Counts {
    pub(crate) fn fault(&mut self, place: Place, name: &'static str) {
        *self.faults.entry((place, name)).or_default() += 1;
    }

    pub(crate) fn total(&mut self, name: &'static str) {
        *self.totals.entry(name).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (key, times) in &other.faults {
            *self.faults.entry(*key).or_default() += times;
        }
        for (key, times) in &other.totals {
            *self.totals.entry(key).or_default() += times;
        }
    }

    /// The rows of the page: fault, place and times.
    pub(crate) fn rows(&self) -> Vec<[String; 3]> {
        let row = |((place, name), times): (&(Place, &str), &u64)| {
            [(*name).to_owned(), place.word().to_owned(), times.to_string()]
        };
        self.faults.iter().map(row).collect()
    }

    /// The other counts.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.totals.iter().map(|(name, times)| format!("{name}: {times}")).collect()
    }
}
