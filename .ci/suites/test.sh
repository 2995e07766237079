#!/usr/bin/env bash
# The README's test command.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo test
