#!/usr/bin/env bash
# The README's first command, from nothing to its end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo run --locked -p demo
