#!/usr/bin/env bash
# The recording that the fake cluster of crates/testkit is compared with is what a real control
# plane answers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

bash tests/cluster/run.sh python3 .ci/cluster/record.py --check
