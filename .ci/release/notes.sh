#!/usr/bin/env bash
# notes.sh VERSION: prints this version's section of CHANGELOG.md, without its heading. CHANGELOG
# names another file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=${1:?name the version}
changelog=${CHANGELOG:-CHANGELOG.md}
# Leading blank lines are dropped here, trailing ones by the shell.
notes=$(awk -v heading="## [$version]" '
  /^## / { inside = index($0, heading) == 1; next }
  inside && (NF || printed) { print; printed = 1 }
' "$changelog")
if [ -z "$notes" ]; then
  echo "$changelog has no section ## [$version], or an empty one; move the entries of [Unreleased] there" >&2
  exit 1
fi
echo "$notes"
