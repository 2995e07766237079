#!/usr/bin/env bash
# The benchmarks, once each: the requests of a cycle are the fewest possible. Nothing is timed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo bench --locked --bench cycle -- --smoke
cargo bench --locked --bench pure -- --test
