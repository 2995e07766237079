//! The rules of the fleet, by their invariants.

mod backoff;
mod plan;
