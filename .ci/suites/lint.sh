#!/usr/bin/env bash
# Clippy over every target; the suites that run by name alone are no targets that `--all-targets` takes in, so they are named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo clippy --all-targets --locked -- -D warnings
cargo clippy --test agent --test model --test simulation --locked -- -D warnings
