#!/usr/bin/env bash
# Formatting.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo fmt --check
echo "formatted"
