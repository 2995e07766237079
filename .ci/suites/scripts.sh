#!/usr/bin/env bash
# Every shell and JavaScript file of the project parses.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

while IFS= read -r script; do
  echo "bash -n $script"
  bash -n "$script"
done < <(git ls-files .ci/run '*.sh')
while IFS= read -r script; do
  echo "node --check $script"
  node --check "$script"
done < <(git ls-files '*.mjs')
