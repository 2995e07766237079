#!/usr/bin/env bash
# The cycles of the benchmark, once each: their requests are the fewest possible. Nothing is timed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo bench --locked --bench cycle -- --smoke
