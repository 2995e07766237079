#!/usr/bin/env bash
# The crate's documentation, without a broken link.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked
