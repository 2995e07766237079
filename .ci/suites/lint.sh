#!/usr/bin/env bash
# Clippy over every target; the agent suite is no target that `--all-targets` takes in, so it is named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo clippy --all-targets --locked -- -D warnings
cargo clippy --test agent --locked -- -D warnings
