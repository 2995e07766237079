#!/usr/bin/env bash
# The extract of GitHub's published schemas in the repository is what GitHub publishes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source .ci/cache.sh

CONTRACT_CACHE="$cache/contract" node .ci/contract/derive.mjs --check
echo "the extract is what GitHub publishes"
