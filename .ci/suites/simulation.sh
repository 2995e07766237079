#!/usr/bin/env bash
# Whole cycles in virtual time against a world in which everything goes wrong: 10,000 seeds;
# SEEDS=100000 for more.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo test --release --locked -p simulation -- --nocapture
