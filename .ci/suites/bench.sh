#!/usr/bin/env bash
# The benchmarks, once each: the requests of a cycle are the fewest possible. Nothing is timed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo bench --locked -p benches --bench cycle -- --smoke
cargo bench --locked -p benches --bench pure -- --test
