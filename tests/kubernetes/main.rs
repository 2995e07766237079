//! The Kubernetes platform on a real API server: the real binary as its user runs it, against the
//! cluster that `KUBECONFIG` names.
//!
//! `tests/cluster/run.sh cargo test --test kubernetes -- --ignored` brings a control plane up for
//! one run. Its nodes play what the annotations of a pod say (tests/cluster); a cluster of another
//! kind needs nodes that do the same.

mod account;
mod audit;
mod cluster;
mod fleet;
mod history;
mod policy;
mod proxy;
mod request;
mod second_server;
mod shipped;
mod witness;

mod admission;
mod bad_input;
mod budget;
mod clocks;
mod connection;
mod doctor;
mod items;
mod lifecycle;
mod lists_on_the_wire;
mod manifests;
mod overlap;
mod permissions;
mod rehearsal;
mod repeats;
mod restraint;
mod scale;
mod storm;
mod stuck;
mod view;
mod writes_on_the_wire;
