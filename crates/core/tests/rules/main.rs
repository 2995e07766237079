//! The rules of the fleet, by their invariants, and the values of the roster.

mod backoff;
mod budget;
mod fleet;
mod plan;
mod section;
mod words;
