#!/usr/bin/env bash
# The tests beside the code, for a first verdict; the suite `test` runs them too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo test --locked --lib --bins
