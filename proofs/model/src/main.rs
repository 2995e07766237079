//! The invariant, searched exhaustively: small worlds with overlapping cycles and an adversary, in
//! every order of steps.
//!
//! Every cycle of a model calls the shipped `plan` and `backoff::hold`, and goes through the steps
//! of its platform's `start`. Designs that look right and are not stay as mutants: each must be
//! refuted, with its shortest counterexample. The limits of the models: `README.md` beside
//! this file. Runs by name alone: `bash .ci/suites/model.sh`.

#![allow(unreachable_pub)] // Nothing is public here but within this crate.

mod check;
mod github;
mod items;
mod kubernetes;
mod lock;
mod planning;
