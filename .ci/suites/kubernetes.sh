#!/usr/bin/env bash
# The Kubernetes platform on a control plane of its own: a real API server with real controllers,
# and KWOK for the nodes. It prints their versions.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

on_cluster() {
  bash tests/cluster/run.sh cargo test --locked --test kubernetes -- --ignored "$@"
}

cargo test --locked --test kubernetes --no-run
# Most of the time these wait for controllers, so they outnumber the cores.
on_cluster --test-threads=6 --skip scale:: --skip storm::
# These need a cluster for themselves.
on_cluster --test-threads=1 --nocapture scale:: storm::
