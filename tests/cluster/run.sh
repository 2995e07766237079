#!/usr/bin/env bash
# Runs a command against a fresh control plane: tests/cluster/run.sh cargo test --test kubernetes
# Without a command it keeps one until Ctrl-C, and prints what to export.
set -euo pipefail
binary=$(bash "$(dirname "${BASH_SOURCE[0]}")/../../.ci/cluster.sh")
if [ $# -eq 0 ]; then exec "$binary" up; fi
exec "$binary" run -- "$@"
