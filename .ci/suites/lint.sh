#!/usr/bin/env bash
# Clippy over every target, with all features and with none; `--all-targets` leaves out the one that
# runs by name alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo clippy --workspace --all-targets --locked -- -D warnings
cargo clippy -p coordinator --no-default-features --locked -- -D warnings
cargo clippy --test agent --locked -- -D warnings
cargo clippy --package coordinator --no-default-features --locked -- -D warnings
