#!/usr/bin/env bash
# The crates' documentation, without a broken link.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
