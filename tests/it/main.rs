//! Behaviour of the whole program, seen from outside.

mod backoff;
mod plan;
