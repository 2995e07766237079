#!/usr/bin/env bash
# Searches small worlds exhaustively for a broken invariant, and prints how each unsafe design is
# refuted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo test --locked -p model -- --nocapture --test-threads=2
